"use strict";
// Elements, numbers as text, and tables. Whatever comes from a run becomes a text node; no string becomes markup.

const contents = JSON.parse(document.getElementById("contents").textContent);
for (const record of contents.sample.records) {
  for (const name of ["phi", "values"]) record[name] = unpacked(record[name]);
}
const FIRST_ROWS = 100, NAME_LETTERS = 32, TEXT_LETTERS = 90;
const byId = (id) => document.getElementById(id);

// Numbers of a record stand there as bytes in base64, see numbers.py; NaN is null.
function unpacked(found) {
  if (!found) return null;
  const letters = atob(found.floats), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = letters.charCodeAt(i);
  const numbers = found.size === 4 ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer), all = [];
  for (const value of numbers) all.push(Number.isNaN(value) ? null : value);
  return all;
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function fill(element, ...children) {
  element.replaceChildren(...children);
  return element;
}

// A note, and what it says of pressing and pointing, which paper leaves out.
function fillNote(id, text, onScreen = "") {
  fill(byId(id), text, ...(onScreen ? [make("span", { class: "on-screen" }, ` ${onScreen}`)] : []));
}

// A section with nothing to show is neither on the page nor among its links.
function showSection(id, isThere) {
  for (const element of [byId(id), document.querySelector(`nav a[href="#${id}"]`)]) element.hidden = !isThere;
}

function number(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0 || Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e7 ? value.toExponential(2).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(4)));
  return text.replaceAll("-", "−").replace("e+", "e");
}

// What is not all is never rounded up to all.
function percent(share) {
  const rounded = Number((100 * share).toPrecision(3));
  return `${number(rounded >= 100 && share < 1 ? Math.floor(1e4 * share) / 100 : rounded)} %`;
}

// A name that is written from right to left, so that it does not turn what stands next to it.
const isolated = (name) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name);

const signOf = (value) => (value > 0 ? "raises" : value < 0 ? "lowers" : "");

// The start and the end of a long text; seen: letters with which others begin, too, so what follows them is shown.
function shortened(text, most, seen = 0) {
  const letters = [...text], size = letters.length;
  if (size <= most) return text;
  const end = Math.floor((most - 1) / 2), part = Math.floor((most - 2) / 3);
  const cut = (from, to) => letters.slice(from, to).join("");
  if (part < 2 || seen <= part || seen >= size - part) return `${cut(0, most - 1 - end)}…${cut(size - end)}`;
  return `${cut(0, most - 2 - 2 * part)}…${cut(seen, Math.min(seen + part, size - part))}…${cut(size - part)}`;
}

// Names cut in the middle, in their order; what different ones do not show of their difference, a number tells.
function toldApart(names, most) {
  const cut = new Map(names.map((name) => [name, shortened(name, most)]));
  for (const alike of alikes(cut)) {
    const [first, last] = [alike.reduce((a, b) => (a < b ? a : b)), alike.reduce((a, b) => (a > b ? a : b))].map((name) => [...name]);
    const differs = first.findIndex((letter, i) => letter !== last[i]);
    for (const name of alike) cut.set(name, shortened(name, most, differs < 0 ? first.length : differs));
  }
  for (const alike of alikes(cut)) alike.forEach((name, i) => cut.set(name, `${shortened(name, most - 1 - String(i + 1).length)}·${i + 1}`));
  return names.map((name) => cut.get(name));
}

function alikes(cut) {
  const names = new Map();
  for (const [name, text] of cut) names.set(text, [...(names.get(text) ?? []), name]);
  return [...names.values()].filter((alike) => alike.length > 1);
}

// A column: title, value(row) by which it is sorted, and either text: true or numbers. Optional: shown(row), a text;
// size(row), 0 to 1, a bar behind the number; signed: true, the colour of the sign; pick: true, a button; width: short or wide; mark(row): whether a cross stands behind it; name: true, cut in the middle
// rather than broken, so that different ones do not look alike.
// A table may be given: keeps(row), of a filter, which has it count what is left; onView(isTyped), told of a new search or order.
class Table {
  constructor(holder, label, columns, onPick = null) {
    Object.assign(this, { columns, onPick, rows: [], sorted: null, isDescending: true, words: [], count: FIRST_ROWS });
    Object.assign(this, { keeps: null, onView: () => null, letters: new WeakMap() });
    this.search = make("input", { type: "search", placeholder: "Search", "aria-label": `Search ${label}` });
    this.search.addEventListener("input", () => this.find(this.search.value) ?? this.onView(true));
    this.told = make("span", { role: "status" });
    this.more = make("button", { type: "button", onclick: () => this.showAll() }, "Show all");
    this.heads = columns.map((column) => this.head(column));
    this.body = make("tbody");
    const table = make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
    fill(holder, make("div", { class: "above" }, this.search, this.told, this.more, exportButtons(label, () => this.lines())), scroll);
  }

  lines() {
    return [this.columns.map((column) => column.title), ...this.found().map((row) => this.columns.map((column) => column.value(row)))];
  }

  head(column) {
    const button = make("button", { type: "button", onclick: () => this.sort(column) ?? this.onView(false) }, column.title);
    return make("th", { scope: "col", class: column.text ? "text" : "", title: column.hint ?? null }, button);
  }

  show(rows) {
    const names = [...new Set(this.columns.filter((column) => column.name).flatMap((column) => rows.map(column.value)))];
    const cut = toldApart(names, isNarrow() ? NAME_LETTERS / 2 : NAME_LETTERS);
    Object.assign(this, { rows, count: FIRST_ROWS, cut: new Map(names.map((name, i) => [name, cut[i]])) });
    this.draw();
  }

  showAll() {
    this.count = Infinity;
    this.draw();
  }

  // Rows that hold every word, each in any of the columns of texts.
  find(wanted) {
    Object.assign(this, { words: wanted.toLowerCase().split(/\s+/u).filter(Boolean), count: FIRST_ROWS });
    this.draw();
  }

  sort(column) {
    this.isDescending = this.sorted === column ? !this.isDescending : !column.text;
    this.sorted = column;
    this.draw();
  }

  found() {
    const holds = (row) => this.words.every((word) => this.lettersOf(row).includes(word));
    const rows = this.rows.filter((row) => (this.keeps?.(row) ?? true) && holds(row));
    return this.sorted ? rows.sort((a, b) => this.compare(this.sorted.value(a), this.sorted.value(b))) : rows;
  }

  lettersOf(row) {
    const texts = this.columns.filter((column) => column.text || column.sought);
    if (!this.letters.has(row)) this.letters.set(row, texts.map((column) => String(column.value(row) ?? "").toLowerCase()).join("\n"));
    return this.letters.get(row);
  }

  compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b;
    return this.isDescending ? -order : order;
  }

  draw() {
    const rows = this.found();
    this.heads.forEach((head, index) => {
      const direction = this.isDescending ? "descending" : "ascending";
      head.setAttribute("aria-sort", this.columns[index] === this.sorted ? direction : "none");
    });
    const shown = rows.slice(0, this.count);
    this.told.textContent = this.counted(shown.length, rows.length);
    this.more.hidden = shown.length === rows.length;
    fill(this.body, ...shown.map((row) => this.line(row)));
    this.mark();
  }

  counted(shown, found) {
    const [first, part, all] = [shown, found, this.rows.length].map((count) => count.toLocaleString("en"));
    if (!this.keeps) return `${first} of ${part} shown`;
    return `${part} of ${all} shown rows${shown < found ? `, the first ${first} listed` : ""}`;
  }

  // Lists a row that is found, however far down it is, and brings it into sight inside the table, and nothing else into motion.
  reveal(row) {
    const place = this.found().indexOf(row);
    if (place >= this.count) {
      this.count = place + FIRST_ROWS;
      this.draw();
    }
    const line = [...this.body.children].find((found) => found.row === row);
    if (!line) return;
    const scroll = this.body.closest(".scroll"), head = this.heads[0].offsetHeight;
    const above = line.offsetTop - scroll.scrollTop, room = scroll.clientHeight - line.offsetHeight;
    if (above < head || above > room) scroll.scrollTop = line.offsetTop - (room + head) / 2;
  }

  line(row) {
    const line = make("tr", {}, ...this.columns.map((column) => this.cell(column, row)));
    line.row = row;
    if (this.onPick) line.addEventListener("click", () => this.onPick(row));
    return line;
  }

  cell(column, row) {
    const value = column.value(row);
    const text = column.shown ? column.shown(row) : column.name ? this.cut.get(value) : column.text ? shortened(String(value ?? "–"), TEXT_LETTERS) : number(value);
    const cell = make("td", { class: column.name ? "text name" : column.text ? `text ${column.width ?? ""} ${column.mark?.(row) ? "mark" : ""}` : column.size ? "sized" : column.signed ? signOf(value) : "" });
    if (column.text && text !== value) cell.title = value ?? "";
    if (column.size) cell.style.setProperty("--size", `${100 * column.size(row)}%`);
    cell.append(column.pick && this.onPick ? make("button", { type: "button" }, text) : text);
    return cell;
  }

  mark(row = this.marked) {
    this.marked = row;
    for (const line of this.body.children) line.setAttribute("aria-selected", String(line.row === row));
  }
}
