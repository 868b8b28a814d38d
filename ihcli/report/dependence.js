"use strict";
// What the strongest pairs of a target do at each of their values, row by row.

const canDepend = () => contents.has_values && contents.targets.some((target) => target.dependence.length);

function drawDependenceChoice(target) {
  showSection("dependence", canDepend() && target.dependence.length > 0);
  if (byId("dependence").hidden) return;
  const names = toldApart(target.dependence.flat().map(named), 40);
  const told = target.dependence.map((_, place) => make("option", { value: String(place) }, `${place + 1}. ${isolated(names[2 * place])} × ${isolated(names[2 * place + 1])}`));
  fill(byId("dependence-pair"), ...told);
  state.isSwapped = false;
  drawDependence(target);
}

function showDependence(place) {
  if (place === undefined) {
    byId("dependence-note").textContent = "Only the strongest pairs have dependence views; the one picked is not among them.";
  } else {
    byId("dependence-pair").value = String(place);
    drawDependence(contents.targets[state.target]);
  }
  byId("dependence").scrollIntoView();
}

function drawDependence(target) {
  const place = Number(byId("dependence-pair").value);
  if (!target.dependence.length) return;
  const pair = state.isSwapped ? [...target.dependence[place]].reverse() : target.dependence[place];
  const [feature, partner] = pair.map((position) => contents.sample.features.indexOf(position));
  const [name, other] = pair.map(named);
  const rows = recordsOf(state.target).filter((record) => record.phi);
  const known = rows.filter((record) => (record.effects?.[place] ?? null) !== null).length;
  const has = (i) => rows.some((record) => record.values[i] !== null);
  fillNote("dependence-note", `${number(rows.length)} rows that this page holds. ${dependenceNote(pair, has(feature), has(partner))}${known < rows.length ? ` The run stores the effect of this pair in ${number(known)} of them.` : ""}`, has(feature) ? "Pick a point to see its record." : "");
  byId("dependence-effect").hidden = !known || !has(feature);
  byId("dependence-attribution").hidden = !has(feature);
  const [x, shade] = labels([name, other]);
  const axes = { x, shade, xCategories: contents.categories[pair[0]], shadeCategories: contents.categories[pair[1]] };
  const points = (measure) => rows.map((record, place) => {
    const y = measure(record), [valueOfX, valueOfShade] = [record.values[feature], record.values[partner]];
    const told = `${folded(recordName(record))}<br>${isolated(x)} = ${folded(valueText(pair[0], valueOfX))}<br>${isolated(shade)} = ${folded(valueText(pair[1], valueOfShade))}<br><b>${number(y)}</b>`;
    return { x: valueOfX, y, shade: valueOfShade, told, place };
  });
  const pick = (place) => openRecord(rows[place].row);
  const effects = points((record) => record.effects?.[place] ?? null);
  drawSurface("dependence-surface", effects, { ...axes, y: shade }, pick);
  if (!byId("dependence-effect").hidden) drawCloud("dependence-effect", "Effect of the pair", effects, { ...axes, y: `${EFFECT}, in output units` }, pick);
  if (has(feature)) drawCloud("dependence-attribution", `Attribution of ${x}`, points((record) => record.phi[feature]), { ...axes, y: "attribution, in output units" }, pick);
}

// What a reader has to know of a pair whose features may be groups, of which only one-hot ones have values.
function dependenceNote([feature, partner], hasFeature, hasPartner) {
  const groups = "a group of several columns that is not one-hot";
  if (!hasFeature) return `“${named(feature)}” has no values: it is ${groups}, and nothing can be drawn against it. Try swapping the two, or another pair.`;
  if (hasPartner) return "A square is the mean of the rows in it; where values are few, points are spread sideways.";
  return `“${named(partner)}” has no values: it is ${groups}, so all points have one colour.`;
}
