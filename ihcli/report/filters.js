"use strict";
// Filters of the table of records: what each keeps, and how it is chosen. One that would keep all rows is not offered.

const LARGEST_SHARE = 0.1; // of residuals
const classOf = (place) => contents.sample.classes[place] ?? null;
const isWrong = (record) => isJudgedByClass(record) && record.predicted !== record.true;
const isJudgedByClass = (record) => contents.sample.classes.length > 0 && (record.predicted ?? null) !== null && (record.true ?? null) !== null;
const isMeasured = (record) => contents.sample.classes.length === 0 && (record.true ?? null) !== null && figure(record, "prediction") !== null;
const residual = (record) => (isMeasured(record) ? figure(record, "prediction") - record.true : null);

const choice = (name, title, value) => ({ name, title, kind: "choice", value });
const range = (name, title, value) => ({ name, title, kind: "range", value });

// Of records: a name for the address, a title, a kind, and either value(record) or keeps(record).
function filtersOf(records) {
  const residuals = records.map(residual).filter((value) => value !== null).map(Math.abs).sort((a, b) => b - a);
  const least = residuals[Math.ceil(LARGEST_SHARE * residuals.length) - 1];
  const filters = [
    { name: "wrong", title: "Wrong class", kind: "check", keeps: isWrong },
    { name: "off", title: `Largest tenth of the residuals`, kind: "check", keeps: (record) => Math.abs(residual(record) ?? 0) >= (least ?? Infinity) },
    choice("true", "True class", (record) => classOf(record.true)),
    choice("predicted", "Predicted class", (record) => classOf(record.predicted)),
    choice("status", "Status", (record) => figure(record, "status")),
    range("prediction", "Prediction", (record) => figure(record, "prediction")),
    range("probability", "Probability", (record) => record.probability ?? null),
  ];
  return filters.filter((filter) => canChoose(filter, records));
}

function canChoose(filter, records) {
  if (filter.kind === "check") return records.some(filter.keeps);
  return new Set(records.map(filter.value)).size > 1;
}

// What a filter keeps of records under a text, as it stands in the address; null where the text means nothing to it.
function keptBy(filter, text) {
  if (filter.kind === "check") return text === "1" ? filter.keeps : null;
  if (filter.kind === "choice") return (record) => filter.value(record) === text;
  const ends = endsOf(text);
  if (!ends) return null;
  const [least, most] = ends;
  return (record) => filter.value(record) !== null && (least === null || filter.value(record) >= least) && (most === null || filter.value(record) <= most);
}

// "0.2..0.8", "..0.8" and "0.2.." as numbers, null for an end that is open; null for anything else.
function endsOf(text) {
  const parts = text.split("..");
  if (parts.length !== 2 || parts.every((part) => part.trim() === "")) return null;
  const ends = parts.map((end) => (end.trim() === "" ? null : Number(end)));
  return ends.some(Number.isNaN) ? null : ends;
}

// Controls of filters; onChange is told the name of a filter and its text, empty where it keeps all.
function filterControls(filters, texts, records, onChange) {
  const controls = filters.map((filter) => control(filter, texts[filter.name] ?? "", records, (text) => onChange(filter.name, text)));
  const clear = make("button", { type: "button", id: "filters-clear", onclick: () => onChange(null, "") }, "Clear all");
  clear.hidden = !Object.values(texts).some(Boolean);
  return [...controls, clear];
}

function control(filter, text, records, onChange) {
  const id = `filter-${filter.name}`;
  if (filter.kind === "check") {
    const box = make("input", { type: "checkbox", id, checked: text === "1" });
    box.addEventListener("change", () => onChange(box.checked ? "1" : ""));
    return make("label", { class: "check" }, box, ` ${filter.title}`);
  }
  return make("div", { class: "filter", role: "group", "aria-label": filter.title }, make("span", {}, filter.title), filter.kind === "choice" ? choiceOf(filter, id, text, records, onChange) : rangeOf(filter, id, text, records, onChange));
}

function choiceOf(filter, id, text, records, onChange) {
  const counts = new Map();
  for (const value of records.map(filter.value)) if (value !== null) counts.set(value, (counts.get(value) ?? 0) + 1);
  const options = [...counts].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  const all = make("option", { value: "" }, "all");
  const select = make("select", { id, "aria-label": filter.title }, all, ...options.map(([value, count]) => make("option", { value }, `${shortened(value, 40)} (${number(count)})`)));
  select.value = text;
  select.addEventListener("change", () => onChange(select.value));
  return select;
}

function rangeOf(filter, id, text, records, onChange) {
  const known = records.map(filter.value).filter((value) => value !== null);
  const ends = endsOf(text) ?? [null, null];
  const places = [["least", Math.min, 0], ["most", Math.max, 1]];
  const inputs = places.map(([name, of, place]) => {
    const end = known.reduce((a, b) => of(a, b));
    return make("input", { type: "number", step: "any", id: `${id}-${name}`, placeholder: number(end), "aria-label": `${filter.title}, ${name}`, value: ends[place] });
  });
  const told = () => (inputs.every((input) => input.value === "") ? "" : inputs.map((input) => input.value).join(".."));
  for (const input of inputs) input.addEventListener("change", () => onChange(told()));
  return make("span", { class: "range" }, inputs[0], " to ", inputs[1]);
}
