"use strict";
// Rankings and heatmap of one target.

const EFFECT = "effect of the pair";
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
  showSection("pairs", Boolean(pairs));
  if (!pairs) return;
  byId("pairs-note").textContent = `${leftOut(target, "pairs")}${part(pairs.first.length, target.all_pairs, "pairs")}${notListed(target)}${certainPairs(target)}A pair's effect is Γij + Γji: what the two do together beyond what each does alone, in output units.`;
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
  showSection("matrix", Boolean(matrix));
  if (!matrix) return;
  fillNote("matrix-note", matrixNote(target), "Point at one for its value.");
  const statistic = byId("matrix-statistic").value;
  const size = matrix.names.length;
  const cells = square(matrix[statistic], size, byId("matrix-mains").checked);
  drawMatrix("matrix-chart", matrix.names.map(named), cells, statistic, statistic === "mean");
}

const notListed = (target) => (target.not_listed ? `${target.not_listed} ` : "");

function matrixNote(target) {
  const { matrix } = target;
  const cut = matrix.names.length < contents.features ? `The ${number(matrix.names.length)} of ${number(contents.features)} features whose pairs are strongest. ` : "";
  const empty = target.not_listed ? "Cells of pairs that are not ranked are empty. " : "";
  return `${cut}${empty}Each cell is the effect of a pair over rows.`;
}
