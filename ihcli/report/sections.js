"use strict";
// Trust, rankings, heatmap and dependence views of one target.

const EFFECT = "effect of the pair";
const SPREADS = {
  relative_error: ["Relative error", "relative error of a row, certified"],
  interaction_error: ["Interaction error", "relative error of all interactions of a row, certified"],
  drift: ["Drift", "change of the output by smoothing"],
  sampling_error: ["Sampling error", "relative error from drawing baselines"],
  interaction_sampling_error: ["Sampling error of interactions", "relative error of interactions from drawing baselines"],
};
// Columns of the summary files, and of ihcli attributions and interactions, under their names there.
const STATISTICS = {
  mean_abs: "mean of the absolute values over rows, in output units",
  error_bar: "how far it may be off",
  standard_error: "over the drawn baselines",
  mean: "mean over rows, with its sign, in output units",
  std: "standard deviation over rows, in output units",
  share: "of the sum of all mean_abs",
  main_mean_abs: "mean_abs of the main effect Γii",
  rows: "explained rows",
};
const STATUSES = {
  ok: "within tolerance", not_converged: "missed the tolerance", rounding: "stopped by rounding", uncertified: "the method knows no error",
  missing_input: "missing input, no values", non_finite: "not finite, no values",
};

function tile(name, value, told = "") {
  return make("div", { class: "tile" }, make("span", {}, name), make("strong", {}, value), make("small", {}, told));
}

function warning(text) {
  return make("p", { class: "warning" }, text);
}

function drawTrust() {
  const { trust } = contents;
  fill(byId("warnings"), ...contents.warnings.map(warning), ...ownWarnings(trust).map(warning));
  fill(byId("tiles"), ...tiles(trust));
  drawSpreads();
  if (trust.smoothing?.scan) drawBetas(trust.smoothing.scan);
}

function ownWarnings(trust) {
  const found = [];
  const missed = trust.entries - trust.ok - (trust.statuses.uncertified ?? 0);
  if (missed) found.push(`${number(missed)} of ${number(trust.entries)} rows are not within the tolerance or have no values; the table of records marks them.`);
  if (trust.smoothing && !trust.smoothing.within_tolerance) found.push("Smoothing changed the model by more than its tolerance: what is explained is not quite the model.");
  if (trust.truncated) found.push(`${number(trust.truncated)} texts are longer than the model takes; their end was left out.`);
  return found;
}

function* tiles(trust) {
  for (const [name, value] of contents.model) yield tile(name, number(value), `of the model, on ${number(contents.labels)} rows with labels`);
  const asked = trust.tolerance_in_words ? ` ${trust.tolerance_in_words}` : "";
  if (!trust.statuses.uncertified) yield tile("Within tolerance", percent(trust.ok / Math.max(1, trust.entries)), `${number(trust.ok)} of ${number(trust.entries)} entries, tolerance${asked}`);
  for (const [status, count] of Object.entries(trust.statuses)) {
    if (status !== "ok") yield tile(status, number(count), STATUSES[status] ?? "");
  }
  for (const [name, [title]] of Object.entries(SPREADS)) {
    const spread = trust.spreads[name];
    if (spread?.entries) yield tile(`${title}, median`, number(spread.quantiles[0]), `99 % of rows below ${number(spread.quantiles[2])}, largest ${number(spread.quantiles[3])}`);
  }
  const gap = trust.spreads.completeness_gap;
  if (gap?.entries) yield tile("Completeness gap, median size", number(gap.quantiles[0]), "in output units; a sum of signed errors, which proves nothing alone");
  yield tile("Evaluations", number(trust.evaluations), "a row, on average");
  if (trust.smoothing) yield* smoothingTiles(trust.smoothing);
  if (trust.truncated !== null) yield tile("Truncated texts", number(trust.truncated), "longer than the model takes");
}

function* smoothingTiles(smoothing) {
  const drift = smoothing.drift === null ? "" : `; drift ${number(smoothing.drift)} standard deviations of the output`;
  yield tile("Smoothing", `β = ${number(smoothing.beta)}`, `SoftPlus in place of ${smoothing.replaced.join(", ") || "nothing"}${drift}`);
  yield tile("Remaining kinks", smoothing.kinks.length ? number(smoothing.kinks.length) : "none", smoothing.kinks.join(", "));
}

// What each beta that was tried made of the pairs, and which of these have a sign that depends on it.
function drawBetas(scan) {
  const share = (name) => ({ shown: (row) => ((row[name] ?? null) === null ? "" : percent(row[name])) });
  const compared = scan.sharpest === null ? "" : ` Compared with β = ${number(scan.sharpest)}, the sharpest that converges: agreement is the median rank correlation of a row's pairs, top how many of the ${number(scan.top_k)} largest pairs are the same, turned how many have the other sign.`;
  const turning = scan.turning.map((pair) => `${pair.pair} (${pair.effect < 0 ? "negative" : "positive"}, but not at β = ${pair.betas.map((beta) => number(beta)).join(", ")})`);
  const listed = turning.length ? ` The sign of ${number(scan.n_turning)} pairs depends on β: ${turning.join("; ")}${scan.n_turning > turning.length ? "; …" : ""}.` : "";
  byId("betas-note").textContent = `Betas of SoftPlus tried on ${number(scan.rows)} rows; β = ${number(scan.chosen)} was taken.${compared}${listed}`;
  const columns = [
    column("β", "beta"), column("drift", "drift", share("drift")), column("evaluations", "evaluations"), column("converged", "converged", share("converged")),
    column("in pairs", "pairs_share", share("pairs_share")), column("agreement", "agreement"), column("next", "following"), column("top", "top"), column("turned", "turned"),
  ];
  new Table(byId("betas-table"), "betas", columns).show(scan.betas);
}

// The grid stands before the first chart is drawn: each new cell makes the others narrower.
function drawSpreads() {
  const names = Object.keys(SPREADS).filter((name) => contents.trust.spreads[name]?.entries);
  if (!byId("spreads").children.length) fill(byId("spreads"), ...names.map((name) => make("div", { id: `spread-${name}`, class: "chart low" })));
  for (const name of names) {
    const [title, axisTitle] = SPREADS[name], spread = contents.trust.spreads[name];
    drawSpread(byId(`spread-${name}`), `${title} of ${number(spread.entries)} entries`, axisTitle, spread, name === "relative_error" ? contents.trust.tolerance : 0);
  }
}

// Columns of numbers as rows: [{rank, name, mean_abs, ...}].
function rowsOf(columns) {
  const names = Object.keys(columns);
  return columns[names[0]].map((_, i) => Object.fromEntries([["rank", i + 1], ...names.map((name) => [name, columns[name][i]])]));
}

const named = (position) => contents.names[position];
const valueText = (position, value) => (value === null ? "no value" : contents.categories[position]?.[value] ?? number(value));
const plusMinus = (value) => ((value ?? null) === null ? "" : `±${number(value)}`);
const column = (title, name, more = {}) => ({ title, value: (row) => row[name], ...more });

function statistics(columns) {
  const largest = Math.max(...columns.mean_abs.map((value) => value ?? 0)) || 1;
  const found = [
    column("mean_abs", "mean_abs", { size: (row) => row.mean_abs / largest, hint: STATISTICS.mean_abs }),
    column("error_bar", "error_bar", { shown: (row) => plusMinus(row.error_bar), hint: STATISTICS.error_bar }),
    column("standard_error", "standard_error", { shown: (row) => plusMinus(row.standard_error), hint: STATISTICS.standard_error }),
    column("mean", "mean", { signed: true, hint: STATISTICS.mean }),
    column("std", "std", { hint: STATISTICS.std }),
    column("share", "share", { shown: (row) => percent(row.share), hint: STATISTICS.share }),
    column("main_mean_abs", "main_mean_abs", { hint: STATISTICS.main_mean_abs }),
    column("rows", "rows", { hint: contents.texts ? "how often it occurs in the texts" : STATISTICS.rows }),
  ];
  return found.filter((one) => columns[one.title]);
}

// What a reader has to know of rows that do not rank.
function leftOut(target, what) {
  const rows = contents.texts ? "texts" : "rows";
  if (target.none_rank) return `No row's error is within 10 tolerances: the ranking is over all of them, and may be wrong. `;
  const count = target.left_out[what];
  return count ? `${number(count)} ${rows} with errors beyond 10 tolerances are left out; ihcli report --all-rows takes them. ` : "";
}

function part(shown, all, what) {
  return shown < all ? `The ${number(shown)} strongest of ${number(all)} ${what} are listed. ` : "";
}

const statisticsNote = (names) => `${names.map((name) => `${name}: ${STATISTICS[name]}`).join("; ")}.`;

function drawFeatures(target) {
  const what = contents.texts ? `${contents.unit}s` : "features";
  byId("features-note").textContent = `${target.spread.map((sentence) => `${sentence} `).join("")}${leftOut(target, "features")}${part(target.features.name.length, target.all_features, what)}Attributions say how much of the output, compared with the baseline, each of the ${what} is credited with, in output units. ${statisticsNote(["mean_abs", "mean", "std", "share", ...(target.features.main_mean_abs ? ["main_mean_abs"] : [])])}`;
  const name = { title: "feature", text: true, name: true, value: (row) => named(row.name) };
  new Table(byId("features-table"), what, [column("rank", "rank"), name, ...statistics(target.features)]).show(rowsOf(target.features));
}

function certainPairs(target) {
  const [note] = certainty(target.certain, target.all_pairs);
  return note ? `${note.textContent} ` : "";
}

function drawPairs(target) {
  const { pairs } = target;
  const none = "The run has no interactions: its method computes none.";
  byId("pairs-note").textContent = pairs ? `${leftOut(target, "pairs")}${part(pairs.first.length, target.all_pairs, "pairs")}${notListed(target)}${certainPairs(target)}A pair's effect is Γij + Γji: what the two do together beyond what each does alone, in output units.` : none;
  if (!pairs) return void fill(byId("pairs-table"));
  const shown = new Map(target.dependence.map(([first, second], place) => [`${first} ${second}`, place]));
  const pick = (row) => showDependence(shown.get(`${row.first} ${row.second}`));
  const columns = [
    column("rank", "rank"),
    { title: "feature_i", text: true, name: true, pick: canDepend(), value: (row) => named(row.first) },
    { title: "feature_j", text: true, name: true, value: (row) => named(row.second) },
    ...statistics(pairs),
  ];
  new Table(byId("pairs-table"), "pairs", columns, canDepend() ? pick : null).show(rowsOf(pairs));
}

function drawHeatmap(target) {
  const { matrix } = target;
  byId("matrix-controls").hidden = !matrix;
  byId("matrix-chart").hidden = !matrix;
  byId("matrix-note").textContent = matrixNote(target);
  if (!matrix) return;
  const statistic = byId("matrix-statistic").value;
  const size = matrix.names.length;
  const cells = square(matrix[statistic], size, byId("matrix-mains").checked);
  drawMatrix("matrix-chart", matrix.names.map(named), cells, statistic, statistic === "mean");
}

const notListed = (target) => (target.not_listed ? `${target.not_listed} ` : "");

function matrixNote(target) {
  const { matrix } = target;
  if (!matrix) return contents.texts ? "Words differ from text to text, so there is no heatmap of all; each record below has its own." : "The run has no interactions.";
  const cut = matrix.names.length < contents.features ? `The ${number(matrix.names.length)} of ${number(contents.features)} features whose pairs are strongest. ` : "";
  const empty = target.not_listed ? "Cells of pairs that are not ranked are empty. " : "";
  return `${cut}${empty}Each cell is the effect of a pair over rows; point at it for its value.`;
}

const canDepend = () => contents.why_no_dependence === null;

function drawDependenceChoice(target) {
  for (const id of ["dependence-controls", "dependence-effect", "dependence-attribution"]) byId(id).hidden = !canDepend();
  if (!canDepend()) return void (byId("dependence-note").textContent = contents.why_no_dependence);
  const names = toldApart(target.dependence.flat().map(named), 40);
  const told = target.dependence.map((_, place) => make("option", { value: String(place) }, `${place + 1}. ${names[2 * place]} × ${names[2 * place + 1]}`));
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
  byId("dependence-note").textContent = `${number(rows.length)} rows that this page holds. ${dependenceNote(pair, has(feature), has(partner))}${known < rows.length ? ` The run stores the effect of this pair in ${number(known)} of them.` : ""}`;
  byId("dependence-effect").hidden = !known || !has(feature);
  byId("dependence-attribution").hidden = !has(feature);
  const [x, shade] = labels([name, other]);
  const axes = { x, shade, xCategories: contents.categories[pair[0]], shadeCategories: contents.categories[pair[1]] };
  const points = (measure) => rows.map((record, place) => {
    const y = measure(record), [valueOfX, valueOfShade] = [record.values[feature], record.values[partner]];
    const told = `${folded(recordName(record))}<br>${x} = ${folded(valueText(pair[0], valueOfX))}<br>${shade} = ${folded(valueText(pair[1], valueOfShade))}<br><b>${number(y)}</b>`;
    return { x: valueOfX, y, shade: valueOfShade, told, place };
  });
  const pick = (place) => openRecord(rows[place].row);
  if (!byId("dependence-effect").hidden) drawCloud("dependence-effect", "Effect of the pair", points((record) => record.effects?.[place] ?? null), { ...axes, y: `${EFFECT}, in output units` }, pick);
  if (has(feature)) drawCloud("dependence-attribution", `Attribution of ${x}`, points((record) => record.phi[feature]), { ...axes, y: "attribution, in output units" }, pick);
}

// What a reader has to know of a pair whose features may be groups, of which only one-hot ones have values.
function dependenceNote([feature, partner], hasFeature, hasPartner) {
  const groups = "a group of several columns that is not one-hot";
  if (!hasFeature) return `“${named(feature)}” has no values: it is ${groups}, and nothing can be drawn against it. Try swapping the two, or another pair.`;
  const grey = hasPartner ? "" : ` “${named(partner)}” has no values: it is ${groups}, so all points have one colour.`;
  return `Pick a point to see its record.${grey}`;
}
