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

// A table, sorted and searched as any other; the first lines of many.
function comparedTable({ title, columns, all_lines: all }) {
  const names = Object.keys(columns);
  const lines = columns[names[0]].map((_, place) => Object.fromEntries(names.map((name) => [name, columns[name][place]])));
  const holder = make("div", { id: `compared-${title.toLowerCase()}` });
  const isText = (name) => lines.some((line) => typeof line[name] === "string");
  const shown = names.map((name) => column(name, name, { hint: AGREEMENT[name], text: isText(name), width: "short", name: ["run", "other", "feature", "feature_i", "feature_j"].includes(name) }));
  new Table(holder, `agreement on ${title.toLowerCase()}`, shown).show(lines);
  return make("div", {}, make("h3", {}, lines.length < all ? `${title}: the first ${number(lines.length)} of ${number(all)}` : title), holder);
}

function drawCompared() {
  const { compared, compared_settings: settings } = contents;
  showSection("compared", compared.length > 0);
  if (!compared.length) return;
  fill(byId("compared-note"), settings.length ? `The runs differ in ${settings.join("; ")}.` : "The runs have the same settings, model and data.");
  fill(byId("compared-tables"), ...compared.map(comparedTable));
}
