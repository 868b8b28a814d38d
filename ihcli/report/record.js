"use strict";
// One record in full: what was predicted and what is true, how the prediction comes about, and its pairs.

const MOST_BARS = 14; // as many as ihcli plot draws

function drawRecord(record) {
  state.record = record;
  state.unit = null;
  recordTable.mark(record);
  drawPlace();
  const body = byId("record-body");
  fill(body, make("h3", {}, recordName(record)), verdict(record), figures(record));
  if (!record.phi) return void body.append(make("p", { class: "note" }, "The row has no values."));
  if (contents.texts) body.append(make("div", { id: "words" }));
  if (contents.texts) drawWords(record);
  drawAttributions(record);
  drawRecordPairs(record);
}

const term = (name, value, told = "", kind = "") => make("div", { class: `term ${kind}` }, make("span", {}, name), make("b", {}, value), make("small", {}, told));

// The model beside the label, and how well the record is explained.
function verdict(record) {
  const told = [], prediction = figure(record, "prediction"), status = figure(record, "status"), error = figure(record, "relative_error");
  const isKnown = isJudgedByClass(record);
  if ((record.predicted ?? null) !== null) told.push(term("predicted", classOf(record.predicted), record.probability == null ? "" : `probability ${number(record.probability)}`, isKnown ? (isWrong(record) ? "wrong" : "right") : ""));
  if ((record.true ?? null) !== null) {
    if (contents.sample.classes.length) told.push(term("true", classOf(record.true), isKnown ? (isWrong(record) ? "the prediction is wrong" : "as predicted") : ""));
    else told.push(term("prediction", number(prediction)), term("true", number(record.true), residual(record) === null ? "" : `residual ${signed(residual(record))}`));
  }
  told.push(term("status", status, STATUSES[status] ?? "", status === "ok" ? "" : "wrong"));
  if (error !== null) told.push(term("relative error", number(error), contents.trust.tolerance === null ? "certified" : `certified; tolerance ${number(contents.trust.tolerance)}`));
  return make("div", { class: "verdict" }, ...told);
}

const signed = (value) => (value > 0 ? `+${number(value)}` : number(value));

// What the verdict does not say.
function figures(record) {
  const names = contents.sample.quality.filter((name) => !["status", "relative_error"].includes(name));
  const told = names.map((name) => {
    const value = figure(record, name);
    return make("span", {}, `${name} `, make("b", {}, typeof value === "boolean" ? (value ? "yes" : "no") : number(value)));
  });
  return make("p", { class: "figures" }, ...told);
}

// Attributions, the largest first, and what is left of the way from the baseline to the prediction as one.
function stepsOf(record) {
  const names = namesOf(record);
  const told = (i) => (record.values?.[i] == null ? "" : ` = ${valueText(contents.sample.features[i], record.values[i])}`);
  const sorted = record.phi.map((phi, i) => ({ name: names[i], told: told(i), value: phi ?? 0 })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = sorted.slice(0, MOST_BARS), others = (contents.features ?? sorted.length) - shown.length;
  if (!others) return shown;
  const [start, end, gap] = ["baseline_prediction", "prediction", "completeness_gap"].map((name) => figure(record, name));
  const sum = (entries) => entries.reduce((total, entry) => total + entry.value, 0);
  const rest = [start, end, gap].includes(null) ? sum(sorted.slice(MOST_BARS)) : end - start + gap - sum(shown);
  return [...shown, { name: `${number(others)} ${others > 1 ? "others" : "other"}`, told: "", value: rest }];
}

function drawAttributions(record) {
  const steps = stepsOf(record);
  const chart = make("div", { class: "chart", id: "record-attributions" });
  chart.style.height = `${96 + 24 * (steps.length + 2)}px`;
  const target = contents.targets[record.target].name;
  const gap = figure(record, "completeness_gap");
  const note = gap === null ? "The attributions need not add up to the prediction." : "";
  byId("record-body").append(make("h3", {}, "From the baseline to the prediction"), ...(note ? [make("p", { class: "note" }, note)] : []), chart);
  drawWaterfall(chart, steps, [figure(record, "baseline_prediction"), figure(record, "prediction")], `prediction of ${shortened(target, 40)}`);
}

function drawWaterfall(chart, steps, [start, end], axisTitle) {
  const first = start ?? 0, reached = [];
  let level = first;
  for (let i = steps.length - 1; i >= 0; i -= 1) reached[i] = level += steps[i].value;
  const from = steps.map((_, i) => reached[i + 1] ?? first), last = steps.length + 1;
  const ends = [...from, ...reached, first, ...(end === null ? [] : [end])];
  const [low, high] = [Math.min(...ends), Math.max(...ends)], width = high - low || 1;
  const bars = {
    type: "bar", orientation: "h", base: from, x: steps.map((one) => one.value), y: steps.map((_, i) => i + 1), width: 0.7,
    marker: { color: steps.map((one) => rgb(one.value >= 0 ? "raises" : "lowers")) },
    text: steps.map((one) => signed(Number(one.value.toPrecision(3)))), textposition: "outside", cliponaxis: false, constraintext: "none",
    hovertext: steps.map((one) => `${folded(isolated(one.name) + one.told)}<br><b>${signed(one.value)}</b>`), hoverinfo: "text",
  };
  const line = (x, y0, y1, of = {}) => ({ type: "line", x0: x, x1: x, y0, y1, line: { color: colour("soft"), width: 1, ...of } });
  const marked = { color: colour("ink"), width: 2.5 };
  const shapes = [...reached.map((x, i) => line(x, i + 0.35, i + 1.35)), ...(start === null ? [] : [line(start, last - 0.35, last + 0.35, marked)]), ...(end === null ? [] : [line(end, -0.35, 0.35, marked)])];
  const label = (x, y) => ({ x, y, text: `<b>${number(Number(x.toPrecision(4)))}</b>`, showarrow: false, xanchor: "left", xshift: 4, font: { color: colour("ink") } });
  const annotations = [...(start === null ? [] : [label(start, last)]), ...(end === null ? [] : [label(end, 0)])];
  const names = labels(steps.map((one) => one.name));
  const ticktext = ["prediction", ...steps.map((one, i) => isolated(names[i]) + escaped(shortened(one.told, labelLetters()))), "baseline"];
  const ticks = { tickvals: ticktext.map((_, i) => i), ticktext, showgrid: false, zeroline: false, range: [last + 0.6, -0.6] };
  const room = (isNarrow() ? 0.4 : 0.22) * width; // for figures beside the bars
  drawChart(chart, [bars], { margin: { l: 8, r: 16, t: 8, b: 48 }, xaxis: axis(axisTitle, { range: [low - (steps.some((one) => one.value < 0) ? room : room / 4), high + room], zeroline: false }), yaxis: axis("", ticks), bargap: 0.25, shapes, annotations });
}

// [{first, second, value, bar}] of positions among the record's names, the largest first; null where none are stored.
// Bars are told of the largest pairs, undefined of others.
function pairsOf(record) {
  if (!record.pairs) return null;
  if (!record.matrix) return record.pairs.map(([first, second, value, bar]) => ({ first, second, value, bar }));
  const bars = new Map(record.pairs.map(([first, second, , bar]) => [`${first} ${second}`, bar]));
  const size = record.phi.length, found = [];
  let place = 0;
  for (let first = 0; first < size; first += 1) {
    for (let second = first; second < size; second += 1, place += 1) {
      if (first !== second) found.push({ first, second, value: record.matrix[place], bar: bars.get(`${first} ${second}`) });
    }
  }
  return found.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

function drawRecordPairs(record) {
  const pairs = pairsOf(record);
  if (!pairs) return;
  const names = namesOf(record), body = byId("record-body");
  const name = (i) => (record.matrix || contents.texts ? names[i] : named(i));
  const hasBars = pairs.some((pair) => (pair.bar ?? null) !== null);
  const holder = make("div", { id: "record-pairs" });
  body.append(make("h3", {}, record.matrix ? "Pairs" : "The largest pairs"), ...certainty(record.certain, record.matrix ? pairs.length : null), holder);
  const columns = [
    { title: "feature_i", text: true, name: true, value: (pair) => name(pair.first) },
    { title: "feature_j", text: true, name: true, value: (pair) => name(pair.second) },
    { title: "effect", value: (pair) => pair.value, signed: true },
    ...(hasBars ? [{ title: "error_bar", value: (pair) => pair.bar ?? null, shown: (pair) => plusMinus(pair.bar), hint: STATISTICS.error_bar }] : []),
  ];
  new Table(holder, "pairs of the record", columns).show(pairs);
  if (!record.matrix || record.phi.length < 2) return;
  const chart = make("div", { class: "chart square", id: "record-matrix" });
  const mains = make("input", { type: "checkbox", id: "record-mains" });
  mains.addEventListener("change", () => drawRecordMatrix(chart, record, mains.checked));
  body.append(make("h3", {}, "Effects of all pairs"), make("label", {}, mains, " with main effects"), chart);
  drawRecordMatrix(chart, record, false);
}

// A note on how many leading ranks are certain, of how many; null: of more than are told.
function certainty(certain, all) {
  if (certain === null || certain === undefined || all === 1) return [];
  const first = certain === 1 ? "The first of the pairs is certain" : `The first ${number(certain)} pairs are certain`;
  const rest = certain === 0 ? "No rank is certain: the order of the pairs is within error." : `${first}; the order of the rest is within error.`;
  return [make("p", { class: "note" }, certain === all ? `The order of all ${number(all)} pairs is certain.` : rest)];
}

function drawRecordMatrix(chart, record, hasMains) {
  const names = namesOf(record);
  drawMatrix(chart, names, square(record.matrix, names.length, hasMains), EFFECT, true);
}
