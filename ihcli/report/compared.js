"use strict";
// How far other runs over the same rows agree; only on a page that was asked for it.

const AGREEMENT = {
  spearman: "rank correlation of signed values; of two runs that of the median row",
  least_spearman: "of the row that agrees least",
  spearman_abs: "rank correlation of sizes",
  overlap: "share of the largest values that both have",
  same_sign: "share of values with the same sign",
  largest_change: "largest difference of two runs, in output units",
  ranking_spearman: "rank correlation of mean_abs",
  mean_abs_std: "standard deviation of mean_abs over runs",
  worst_rank: "the last rank in any of the runs",
  in_top: "in how many runs it is among the largest",
};

function comparedTable({ title, columns, all_lines: all }) {
  const names = Object.keys(columns);
  const lines = columns[names[0]].map((_, place) => names.map((name) => columns[name][place]));
  const cells = (line) => line.map((value) => make("td", {}, typeof value === "number" ? number(value) : value ?? "–"));
  return make("div", {},
    make("h3", {}, lines.length < all ? `${title}: the first ${number(lines.length)} of ${number(all)}` : title),
    make("table", {},
      make("thead", {}, make("tr", {}, ...names.map((name) => make("th", { title: AGREEMENT[name] ?? "" }, name)))),
      make("tbody", {}, ...lines.map((line) => make("tr", {}, ...cells(line))))));
}

function drawCompared() {
  const { compared, compared_settings: settings } = contents;
  for (const id of ["compared", "compared-link"]) byId(id).hidden = !compared.length;
  if (!compared.length) return;
  fill(byId("compared-note"), settings.length ? `The runs differ in ${settings.join("; ")}.` : "The runs have the same settings, model and data.");
  fill(byId("compared-tables"), ...compared.map(comparedTable));
}
