"use strict";
// How far to trust a run: warnings, figures, how errors are distributed, and the betas that were tried.

const SPREADS = {
  relative_error: ["Relative error", "relative error of a row, certified"],
  interaction_error: ["Interaction error", "relative error of all interactions of a row, certified"],
  drift: ["Drift", "change of the output by smoothing"],
  sampling_error: ["Sampling error", "relative error from drawing baselines"],
  interaction_sampling_error: ["Sampling error of interactions", "relative error of interactions from drawing baselines"],
};
const STATUSES = {
  ok: "within tolerance", not_converged: "missed the tolerance", rounding: "stopped by rounding", uncertified: "the method knows no error",
  missing_input: "missing input, no values", non_finite: "not finite, no values",
};

function tile(name, value, told = "") {
  return make("div", { class: "tile" }, make("span", {}, name), make("strong", {}, value), make("small", {}, told));
}

function drawTrust() {
  const { trust } = contents;
  fill(byId("tiles"), ...tiles(trust));
  drawSpreads();
  if (trust.smoothing?.scan) drawBetas(trust.smoothing.scan);
}

function ownWarnings(trust) {
  const found = [];
  const missed = trust.entries - trust.ok - (trust.statuses.uncertified ?? 0);
  if (missed) found.push(`${number(missed)} of ${number(trust.entries)} rows are not within the tolerance or have no values; the table of records marks them.`);
  const more = contents.all_targets - contents.targets.length;
  if (more > 0) found.push(`The run has ${number(contents.all_targets)} targets; this page holds the first ${number(contents.targets.length)}.`);
  if (contents.why_no_values) found.push(`The page has no values of the features: ${contents.why_no_values}`);
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
  byId("betas-note").textContent = `Betas of SoftPlus tried on ${number(scan.rows)} rows; β = ${number(scan.chosen)} was taken.${compared}`;
  const columns = [
    column("β", "beta"), column("drift", "drift", share("drift")), column("evaluations", "evaluations"), column("converged", "converged", share("converged")),
    column("in pairs", "pairs_share", share("pairs_share")), column("agreement", "agreement"), column("next", "following"), column("top", "top"), column("turned", "turned"),
  ];
  new Table(byId("betas-table"), "betas", columns).show(scan.betas);
  if (scan.turning.length) drawTurning(scan);
}

function drawTurning(scan) {
  const holder = make("div", { id: "turning-table" });
  const part = scan.n_turning > scan.turning.length ? `, the first ${number(scan.turning.length)}` : "";
  const told = `Pairs whose sign depends on β: ${number(scan.n_turning)}${part}`;
  byId("betas-table").append(make("h3", {}, told), holder);
  const columns = [
    column("pair", "pair", { text: true }), column("effect", "effect", { signed: true, hint: `under β = ${number(scan.sharpest)}` }),
    { title: "other sign at β", text: true, value: (row) => row.betas.map(number).join(", ") },
  ];
  new Table(holder, "pairs whose sign depends on beta", columns).show(scan.turning);
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
