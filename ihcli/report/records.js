"use strict";
// The browser of records: a table of those that the page holds, and one of them in full.

const MOST_BARS = 15;
const figure = (record, name) => record.quality[contents.sample.quality.indexOf(name)] ?? null;
const recordsOf = (target) => contents.sample.records.filter((record) => record.target === target);
// Units of a text with their positions, from 0, as in files and on a terminal.
const namesOf = (record) => record.units?.map((unit, position) => `${position} ${unit}`) ?? contents.sample.features.map(named);
let recordTable = null;

function recordName(record) {
  return [`row ${record.row}`, ...record.keys.map((value, i) => `${contents.keys[i]} ${value}`)].join(", ");
}

function drawRecords() {
  const { sample } = contents;
  const kept = sample.rows < contents.trust.rows ? `This page holds ${number(sample.rows)} of ${number(contents.trust.rows)} rows: ${number(sample.drawn)} drawn at random, and those with the largest relative errors. ihcli attributions RUN --row N and ihcli interactions RUN --row N show any other.` : `All ${number(sample.rows)} rows.`;
  const records = recordsOf(state.target);
  const several = contents.targets.length > 1 ? ` ${number(records.length)} of them have this target and are listed.` : "";
  byId("records-note").textContent = kept + several;
  const text = { title: "text", text: true, value: (record) => (record.units ?? []).join(" "), shown: (record) => shortened((record.units ?? []).join(" "), 160), pick: true, width: "wide" };
  const columns = [
    { title: "row", value: (record) => record.row, shown: (record) => String(record.row), pick: !contents.texts, sought: true },
    ...contents.keys.slice(0, 10).map((name, i) => ({ title: shortened(name, 24), text: true, width: "short", value: (record) => record.keys[i] ?? "" })),
    ...(contents.texts ? [text] : []),
    { title: "prediction", value: (record) => figure(record, "prediction") },
    { title: "relative_error", value: (record) => figure(record, "relative_error"), hint: "certified; of the attributions, or of the row sums of the interactions" },
    { title: "status", text: true, width: "short", value: (record) => figure(record, "status") },
  ];
  recordTable = new Table(byId("records-table"), "records", columns, drawRecord);
  recordTable.show(records);
  if (records.length) drawRecord(records[0]);
  else fill(byId("record"), make("p", { class: "note" }, "None of the rows on this page has this target."));
}

function step(by) {
  const rows = recordTable.found();
  const next = rows[rows.indexOf(state.record) + by];
  if (next) drawRecord(next);
}

// Opens the record of a row of the data for the chosen target, from anywhere on the page; nothing where the page has none.
function openRecord(row) {
  const record = recordsOf(state.target).find((found) => found.row === row);
  if (!record) return;
  drawRecord(record);
  byId("records").scrollIntoView();
}

function drawRecord(record) {
  state.record = record;
  state.unit = null;
  recordTable.mark(record);
  const steps = make("div", { class: "steps" },
    make("button", { type: "button", id: "previous", "aria-label": "Previous record", onclick: () => step(-1) }, "‹"),
    make("button", { type: "button", id: "next", "aria-label": "Next record", onclick: () => step(1) }, "›"));
  fill(byId("record"), steps, make("h3", {}, recordName(record)), figures(record));
  if (!record.phi) return void byId("record").append(make("p", { class: "note" }, "The row has no values."));
  if (contents.texts) byId("record").append(make("div", { id: "words" }));
  if (contents.texts) drawWords(record);
  drawAttributions(record);
  drawRecordPairs(record);
}

function figures(record) {
  const told = contents.sample.quality.map((name, i) => {
    const value = record.quality[i];
    const text = typeof value === "string" ? value : typeof value === "boolean" ? (value ? "yes" : "no") : number(value);
    return make("span", {}, `${name} `, make("b", {}, text));
  });
  return make("p", { class: "figures" }, ...told);
}

function drawAttributions(record) {
  const names = namesOf(record);
  const told = (i) => (record.values?.[i] == null ? "" : ` = ${valueText(contents.sample.features[i], record.values[i])}`);
  const entries = record.phi.map((phi, i) => ({ name: names[i], told: told(i), value: phi ?? 0 }));
  const sorted = entries.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const shown = sorted.slice(0, MOST_BARS);
  const rest = sorted.slice(MOST_BARS);
  if (rest.length) shown.push({ name: `${rest.length} others`, value: rest.reduce((sum, entry) => sum + entry.value, 0) });
  const chart = make("div", { class: "chart", id: "record-attributions" });
  chart.style.height = `${Math.max(200, 90 + 22 * shown.length)}px`;
  byId("record").append(make("h3", {}, "Attributions"), chart);
  drawBars(chart, shown, "attribution, in output units");
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
  const names = namesOf(record);
  const name = (i) => (record.matrix || contents.texts ? names[i] : named(i));
  const hasBars = pairs.some((pair) => (pair.bar ?? null) !== null);
  const holder = make("div", { id: "record-pairs" });
  byId("record").append(make("h3", {}, record.matrix ? "Pairs" : "The largest pairs"), ...certainty(record.certain, record.matrix ? pairs.length : null), holder);
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
  byId("record").append(make("h3", {}, "Effects of all pairs"), make("label", {}, mains, " with main effects"), chart);
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

function drawWords(record) {
  const strengths = state.unit === null ? record.phi : effectsWith(record, state.unit);
  const largest = strengths.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0) || 1;
  const words = record.units.map((unit, i) => word(record, unit, i, strengths[i], largest));
  const told = state.unit === null ? "Shaded by attribution. Pick a word to see its pairs with the others." : `Shaded by the effect of the pair with “${record.units[state.unit]}”. Pick it again for attributions.`;
  const legend = make("div", { class: "legend" }, `−${number(largest)}`, make("i"), number(largest));
  fill(byId("words"), make("p", { class: "words" }, ...words), legend, make("p", { class: "note", role: "status" }, told));
}

function word(record, unit, place, strength, largest) {
  const isChosen = state.unit === place;
  const told = isChosen ? "" : `${unit}: ${number(strength)}`;
  const button = make("button", { type: "button", class: "word", title: told, "aria-label": told || unit, "aria-pressed": String(isChosen) }, unit);
  button.style.setProperty("--shade", colour(strength > 0 ? "raises-rgb" : "lowers-rgb"));
  button.style.setProperty("--strength", isChosen ? "0" : String((0.75 * Math.abs(strength ?? 0)) / largest));
  button.addEventListener("click", () => {
    state.unit = isChosen ? null : place;
    drawWords(record);
    byId("words").querySelectorAll(".word")[place].focus();
  });
  return button;
}

function effectsWith(record, unit) {
  const effects = Array(record.phi.length).fill(0);
  for (const { first, second, value } of pairsOf(record) ?? []) {
    if (first === unit) effects[second] = value;
    if (second === unit) effects[first] = value;
  }
  return effects;
}
