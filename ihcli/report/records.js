"use strict";
// The browser of records: a table of those that the page holds, its filters, and steps from one to the next.

const figure = (record, name) => record.quality[contents.sample.quality.indexOf(name)] ?? null;
const recordsOf = (target) => contents.sample.records.filter((record) => record.target === target);
// Units of a text with their positions, from 0, as in files and on a terminal.
const namesOf = (record) => record.units?.map((unit, position) => `${position} ${unit}`) ?? contents.sample.features.map(named);
// What is chosen of the records, and by the address. all: those of every target; isPicked: whether somebody asked for the record
// that is open; sort: title of a column; filters: texts by name.
const view = { all: false, isPicked: false, search: "", sort: null, isDescending: true, filters: {} };
let recordTable = null;

function recordName(record) {
  return [`row ${record.row}`, ...record.keys.map((value, i) => `${contents.keys[i]} ${value}`)].join(", ");
}

const listedRecords = () => (view.all ? contents.sample.records : recordsOf(state.target));

function drawRecords() {
  const records = listedRecords();
  byId("records-note").textContent = recordsNote(records);
  fill(byId("records-address"));
  recordTable = new Table(byId("records-table"), "records", recordColumns(records), pickRecord);
  Object.assign(recordTable, { onView: followTable, sorted: recordTable.columns.find((column) => column.title === view.sort) ?? null, isDescending: view.isDescending });
  recordTable.search.placeholder = contents.texts ? "Words, or a row" : ["Row", ...(contents.keys.length ? ["key"] : []), ...(contents.sample.classes.length ? ["class"] : [])].join(", ");
  recordTable.search.value = view.search;
  recordTable.find(view.search);
  drawFilters();
  recordTable.show(records);
  byId("records-table").onkeydown = stepByKey;
  fill(byId("record"), stepButtons(), make("div", { id: "record-body" }));
  const same = records.find((record) => record.row === state.record?.row);
  const first = same ?? recordTable.found()[0] ?? records[0];
  if (first) drawRecord(first);
  else fill(byId("record-body"), make("p", { class: "note" }, "None of the rows on this page has this target."));
}

function recordsNote(records) {
  const { sample, trust } = contents;
  const held = sample.rows < trust.rows ? `This page holds ${number(sample.rows)} of ${number(trust.rows)} rows: ${number(sample.drawn)} drawn at random, and ${sample.added.join(", ")}.` : sample.rows === 1 ? "The only row." : `All ${number(sample.rows)} rows.`;
  const several = records.length < sample.rows ? ` ${number(records.length)} of them have this target and are listed.` : "";
  const wrong = sample.wrong === null ? "" : ` Of all rows, ${number(sample.wrong)} have another class than their label.`;
  const labels = sample.why_no_labels === null ? "" : ` Labels are not shown: ${sample.why_no_labels}`;
  const classes = sample.why_no_classes === null ? "" : ` ${sample.why_no_classes}`;
  return held + several + wrong + labels + classes;
}

function recordColumns(records) {
  const has = (value) => records.some((record) => (value(record) ?? null) !== null);
  const text = { title: "text", text: true, value: (record) => (record.units ?? []).join(" "), shown: (record) => shortened((record.units ?? []).join(" "), 160), pick: true, width: "wide" };
  const ofClass = (title, place, more = {}) => ({ title, text: true, width: "short", value: (record) => classOf(place(record)), ...more });
  return [
    { title: "row", value: (record) => record.row, shown: (record) => String(record.row), pick: !contents.texts, sought: true },
    ...contents.keys.slice(0, 10).map((name, i) => ({ title: shortened(name, 24), text: true, width: "short", value: (record) => record.keys[i] ?? "" })),
    ...(contents.texts ? [text] : []),
    ...(view.all ? [{ title: "target", text: true, width: "short", value: (record) => contents.targets[record.target].name }] : []),
    ...(contents.sample.classes.length && has((record) => record.true) ? [ofClass("true", (record) => record.true)] : []),
    ...(contents.sample.classes.length && has((record) => record.predicted) ? [ofClass("predicted", (record) => record.predicted, { mark: isWrong })] : []),
    ...(has((record) => record.probability) ? [{ title: "probability", value: (record) => record.probability ?? null, hint: "of the predicted class, by the model as it came" }] : []),
    { title: "prediction", value: (record) => figure(record, "prediction"), hint: "of the explained target, on its scale" },
    ...(has(residual) ? [{ title: "true", value: (record) => (isMeasured(record) ? record.true : null) }, { title: "residual", value: residual, signed: true, hint: "prediction minus label" }] : []),
    { title: "relative_error", value: (record) => figure(record, "relative_error"), hint: "certified; of the attributions, or of the row sums of the interactions" },
    { title: "status", text: true, width: "short", value: (record) => figure(record, "status") },
  ];
}

function drawFilters() {
  const records = listedRecords(), filters = filtersOf(records);
  const kept = filters.map((filter) => (view.filters[filter.name] ? keptBy(filter, view.filters[filter.name]) : null)).filter(Boolean);
  recordTable.keeps = (record) => kept.every((keeps) => keeps(record));
  const all = make("input", { type: "checkbox", id: "filter-all", checked: view.all });
  all.addEventListener("change", () => changeView({ all: all.checked }));
  const ofAll = contents.targets.length > 1 ? [make("label", { class: "check" }, all, " All targets")] : [];
  fill(byId("records-filters"), ...ofAll, ...filterControls(filters, view.filters, records, (name, text) => changeView({ filters: name === null ? {} : { ...view.filters, [name]: text } })));
}

// What somebody changes in the list: the record that is open stays open.
function changeView(changes) {
  Object.assign(view, changes);
  const focused = document.activeElement?.id;
  if ("all" in changes) drawRecords();
  else {
    drawFilters();
    recordTable.count = FIRST_ROWS;
    recordTable.draw();
    drawPlace();
  }
  if (focused) byId(focused)?.focus();
  writeAddress(true, "records");
}

function followTable(isTyped) {
  Object.assign(view, { search: recordTable.search.value.trim(), sort: recordTable.sorted?.title ?? null, isDescending: recordTable.isDescending });
  drawPlace();
  writeAddress(!isTyped, "records");
}

// Names of the filters that an address asks for and the page does not have, or not with such a text; they are dropped.
function unknownFilters() {
  const filters = new Map(filtersOf(listedRecords()).map((filter) => [filter.name, filter]));
  const has = ([name, text]) => filters.has(name) && keptBy(filters.get(name), text) && (filters.get(name).kind !== "choice" || listedRecords().some((record) => filters.get(name).value(record) === text));
  const unknown = Object.entries(view.filters).filter((entry) => !has(entry)).map(([name]) => name);
  for (const name of unknown) delete view.filters[name];
  if (unknown.length) drawRecords();
  return unknown;
}

// Steps, in the order of the list and no further than it goes

function stepButtons() {
  const button = (id, name, sign, by) => make("button", { type: "button", id, title: `${name} record (${by < 0 ? "←" : "→"})`, "aria-label": `${name} record`, onclick: () => step(by) }, sign);
  return make("div", { class: "steps" }, make("span", { id: "record-place", role: "status" }), button("previous", "Previous", "‹", -1), button("next", "Next", "›", 1));
}

function step(by, isRepeated = false) {
  const rows = recordTable.found(), place = rows.indexOf(state.record);
  const next = place < 0 ? rows[0] : rows[place + by];
  if (next) pickRecord(next, isRepeated);
}

function drawPlace() {
  const rows = recordTable.found(), place = rows.indexOf(state.record);
  byId("record-place").textContent = place < 0 ? `not among the ${number(rows.length)} listed` : `${number(place + 1)} of ${number(rows.length)}`;
  byId("previous").setAttribute("aria-disabled", String(place === 0 || !rows.length));
  byId("next").setAttribute("aria-disabled", String(place === rows.length - 1 || !rows.length));
}

// Left and right wherever the browser of records is in sight, up and down among its rows.
function stepByKey(event) {
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (!by || !event.target.closest("td")) return;
  event.preventDefault();
  step(by, event.repeat);
  recordTable.body.querySelector("tr[aria-selected=true] button")?.focus({ preventScroll: true });
}

function stepAside(event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const { target } = event;
  if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) return;
  if (target.closest?.("input, select, textarea, .scroll:focus")) return;
  const isAnywhere = target === document.body || target.closest?.("#records");
  const seen = byId("record").getBoundingClientRect();
  if (!isAnywhere || seen.top > window.innerHeight || seen.bottom < 0) return;
  event.preventDefault();
  step(by, event.repeat);
}

function pickRecord(record, isRepeated = false) {
  view.isPicked = true;
  drawRecord(record);
  recordTable.reveal(record);
  writeAddress(!isRepeated, "records");
}

// Opens the record of a row of the data, from anywhere on the page: of the chosen target, or else of another that has it.
function openRecord(row) {
  if (!openHeld(row, state.target)) return;
  writeAddress(true, "records");
  byId("record").scrollIntoView();
}

function openHeld(row, target) {
  const found = contents.sample.records.filter((record) => record.row === row);
  const record = found.find((each) => each.target === target) ?? found[0];
  if (!record) return null;
  view.isPicked = true;
  if (!view.all && record.target !== state.target) {
    Object.assign(state, { target: record.target, record });
    byId("target").value = String(record.target);
    drawTarget();
  }
  drawRecord(record);
  recordTable.reveal(record);
  return record;
}

// Opens the row that an address asks for; of one that the page does not hold it says so, and which command shows it.
function openAsked(text, target) {
  const row = /^\d{1,15}$/u.test(text) ? Number(text) : null, { sample, trust } = contents;
  if (row === null) return void tellOfAddress(`The address asks for row ${shortened(text, 40)}. Expected a number from 0 to ${number(trust.rows - 1)}.`);
  if (row >= trust.rows) return void tellOfAddress(`The address asks for row ${number(row)}; there are ${number(trust.rows)}, from 0 to ${number(trust.rows - 1)}.`);
  if (openHeld(row, target ?? state.target)) return;
  const commands = sample.commands.map((command) => make("code", {}, `${command} --row ${row}`));
  tellOfAddress(`Row ${number(row)} is not among the ${number(sample.rows)} of ${number(trust.rows)} rows that this page holds. It is shown by `, ...commands.flatMap((command, i) => (i ? [" and ", command] : [command])));
}
