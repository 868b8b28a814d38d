"use strict";
// A swarm of dots for each of the strongest features; a dot is a record, and opens it. Dots of one colour are one path,
// so that tens of thousands of them are light.

const LINES = 12, LEAST_LINE = 34, MOST_LINE = 54, LINE_ON_PHONE = 44, REACH = 15, DOT = 5, BIN = 4, SHADES = 16, NEAR = 14;
const NAME_SIZE = 12.5, FEWEST_LETTERS = 6; // the size is that of names in overview.css
const AXIS = 46, EDGE = 10;

function drawSwarm(target) {
  const holder = byId("swarm"), width = Math.floor(holder.clientWidth);
  if (!width || isPrinting()) return;
  holder.dataset.width = width;
  const names = target.features.name.slice(0, LINES);
  const dots = contents.texts ? dotsOfTexts(names.map(named)) : dotsOfTable(names);
  byId("swarm-card").hidden = !dots.length;
  byId("swarm-title").textContent = contents.texts ? `The strongest ${contents.unit}s, wherever they occur` : "Rows by the strongest features";
  fillNote("swarm-note", swarmNote(dots), dots.length ? "Pick one to see its record." : "");
  fill(byId("swarm-legend"), ...swarmLegend(names, dots));
  if (!dots.length) return void fill(holder);
  const sheet = sheetOf(names.map(named), dots, width);
  setApart(dots, sheet);
  fill(holder, swarmPicture(dots, sheet, target), make("div", { class: "tip", hidden: "" }), make("p", { class: "skip", role: "status" }));
  listenToDots(holder, dots, sheet);
}

// Again where the width is another one.
function fitSwarm(target) {
  const { clientWidth, dataset } = byId("swarm");
  if (target && String(Math.floor(clientWidth)) !== dataset.width) drawSwarm(target);
}

// Records of the target with values: {line, value, shade, record, told}; line is a rank from 0, shade from 0 to 1, the colour of a category, or null.
function dotsOfTable(names) {
  const places = names.map((position) => contents.sample.features.indexOf(position));
  const records = recordsOf(state.target).filter((record) => record.phi);
  return places.flatMap((feature, line) => {
    const categories = contents.categories[names[line]];
    const values = records.map((record) => record.values?.[feature] ?? null);
    const { own } = categories ? categoryColours(values.filter((value) => value !== null)) : {};
    const shade = categories ? (value) => own.get(value) ?? colour("others") : scaled(values);
    return records.map((record, i) => {
      const told = values[i] === null ? named(names[line]) : `${isolated(named(names[line]))} = ${valueText(names[line], values[i])}`;
      return { line, record, value: record.phi[feature], shade: values[i] === null ? null : shade(values[i]), told, categories };
    });
  }).filter((dot) => dot.value !== null);
}

// A dot is an occurrence of a word, as the ranking is over occurrences.
function dotsOfTexts(names) {
  const lines = new Map(names.map((name, line) => [name, line]));
  const found = recordsOf(state.target).filter((record) => record.phi).flatMap((record) => record.units.map((unit, i) => {
    return { line: lines.get(unit), record, value: record.phi[i], shade: null, told: `${i} ${unit}` };
  }));
  return found.filter((dot) => dot.line !== undefined && dot.value !== null);
}

// A few extreme values would leave the others one colour.
function scaled(values) {
  const known = values.filter((value) => value !== null);
  const { cmin = Math.min(...known), cmax = Math.max(...known) } = limits(known);
  return (value) => (cmax > cmin ? Math.min(1, Math.max(0, (value - cmin) / (cmax - cmin))) : 0.5);
}

// How many rows there are to see, as a page may hold a part, and a target may be of some.
function swarmNote(dots) {
  const { sample, trust, texts, unit } = contents;
  const count = new Set(dots.map((dot) => dot.record)).size, held = sample.rows < trust.rows ? " that this page holds" : "";
  const what = texts ? `an occurrence of a ${unit}, in ${number(count)} texts${held}` : count === 1 && !held ? "the only row" : `one of ${number(count)} rows${held}`;
  return dots.length ? `Each dot is ${what}; to the right it raises the output, to the left it lowers it.` : "";
}

function swarmLegend(names, dots) {
  const hasNumbers = dots.some((dot) => dot.shade !== null && !dot.categories), hasCategories = dots.some((dot) => dot.categories);
  const gradient = make("i", { class: "values" });
  gradient.style.background = `linear-gradient(to right, ${palette("values").join(", ")})`;
  const numbers = hasNumbers ? [make("span", {}, "value of the feature: low"), gradient, make("span", {}, "high")] : [];
  const missing = hasNumbers && dots.some((dot) => dot.shade === null) ? [make("span", {}, "grey: no value")] : [];
  return [...numbers, ...missing, ...(hasCategories ? [make("span", {}, "each category of a group has a colour")] : [])];
}

function sheetOf(names, dots, width) {
  const cut = fittedNames(names, isNarrow() ? width - 2 * EDGE : 0.27 * width);
  const left = isNarrow() ? EDGE : Math.max(...cut.map(nameWidth)) + EDGE;
  const line = isNarrow() ? LINE_ON_PHONE : lineHeight(names.length);
  const values = dots.map((dot) => dot.value).concat(0);
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  const span = high - low || 1;
  const right = width - EDGE;
  const x = (value) => left + EDGE + ((value - low) / span) * (right - left - 2 * EDGE);
  const top = isNarrow() ? 18 : 6;
  return { width, left, right, low, high, x, line, y: (rank) => top + (rank + 0.5) * line, height: top + names.length * line + AXIS, names, cut };
}

// Names cut until the widest fits: capitals and letters of other scripts take twice as much room as others.
function fittedNames(names, room) {
  for (let most = NAME_LETTERS; ; most -= 1) {
    const cut = toldApart(names, most);
    if (most <= FEWEST_LETTERS || cut.every((name) => nameWidth(name) <= room)) return cut;
  }
}

const ruler = document.createElement("canvas").getContext("2d");

function nameWidth(name) {
  ruler.font = `${NAME_SIZE}px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(ruler.measureText(name).width);
}

// As high as what stands beside it.
function lineHeight(count) {
  const card = byId("swarm-card"), rest = card.offsetHeight - byId("swarm").offsetHeight + AXIS + EDGE;
  return Math.max(LEAST_LINE, Math.min(MOST_LINE, (byId("strongest").offsetHeight - rest) / count));
}

// Dots of one place stand apart, above and below the middle, nearer where there are many.
function setApart(dots, sheet) {
  const bins = new Map();
  for (const dot of dots) {
    dot.x = sheet.x(dot.value);
    const bin = `${dot.line} ${Math.floor(dot.x / BIN)}`;
    if (!bins.has(bin)) bins.set(bin, []);
    bins.get(bin).push(dot);
  }
  const most = Array(LINES).fill(1);
  for (const bin of bins.values()) most[bin[0].line] = Math.max(most[bin[0].line], bin.length);
  for (const bin of bins.values()) {
    const apart = Math.min(DOT - 0.8, (2 * REACH) / most[bin[0].line]);
    bin.sort((a, b) => a.value - b.value).forEach((dot, i) => {
      dot.y = sheet.y(dot.line) + (i % 2 ? 1 : -1) * Math.ceil(i / 2) * apart;
    });
  }
}

function swarmPicture(dots, sheet, target) {
  const what = contents.texts ? `${contents.unit}s` : "features";
  const label = `Attributions of the strongest ${what}, target ${target.name}. Arrow keys move from dot to dot, Enter opens the record.`;
  const box = makeSvg("svg", { viewBox: `0 0 ${sheet.width} ${sheet.height}`, role: "application", tabindex: "0", "aria-label": label, class: "swarm" });
  box.append(...swarmTicks(sheet), ...lineNames(sheet), ...dotPaths(dots), makeSvg("circle", { class: "ring", r: DOT, visibility: "hidden" }));
  return box;
}

function swarmTicks(sheet) {
  const bottom = sheet.height - AXIS + 4;
  const found = roundSteps(sheet.low, sheet.high, isNarrow() ? 4 : 7).flatMap((value) => {
    const x = sheet.x(value).toFixed(1);
    return [makeSvg("path", { class: value === 0 ? "zero" : "grid", d: `M${x},0V${bottom}` }), makeSvg("text", { class: "tick", x, y: bottom + 14 }, number(value))];
  });
  const middle = (sheet.left + sheet.right) / 2;
  return [...found, makeSvg("text", { class: "title", x: middle, y: sheet.height - 6 }, "attribution, in output units")];
}

// Round numbers from low to high, 0 among them.
function roundSteps(low, high, most) {
  const rough = (high - low || 1) / most, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function lineNames(sheet) {
  return sheet.names.map((name, rank) => {
    const where = isNarrow() ? { class: "name above", x: sheet.left, y: sheet.y(rank) - REACH - 3 } : { class: "name", x: sheet.left - 4, y: sheet.y(rank) + 4 };
    return makeSvg("text", where, makeSvg("title", {}, name), sheet.cut[rank]);
  });
}

function dotPaths(dots) {
  const colours = new Map(), values = palette("values"), [plain, missing] = ["plain", "missing"].map(colour);
  const hasShades = dots.some((dot) => dot.shade !== null);
  for (const dot of dots) {
    const shade = contents.texts ? values.at(dot.value > 0 ? -1 : 0) : dot.shade === null ? (hasShades ? missing : plain) : dot.categories ? dot.shade : blend(values, Math.round(dot.shade * SHADES) / SHADES);
    if (!colours.has(shade)) colours.set(shade, []);
    colours.get(shade).push(`M${dot.x.toFixed(1)},${dot.y.toFixed(1)}h0`);
  }
  return [...colours].map(([stroke, found]) => makeSvg("path", { class: "dots", stroke, d: found.join("") }));
}

// The colour at a place, 0 to 1, of some that follow each other.
function blend(colours, at) {
  const place = at * (colours.length - 1), first = Math.min(Math.floor(place), colours.length - 2);
  const parts = (text) => [1, 3, 5].map((from) => parseInt(text.slice(from, from + 2), 16));
  const [a, b] = [parts(colours[first]), parts(colours[first + 1])];
  return `#${a.map((part, i) => Math.round(part + (place - first) * (b[i] - part)).toString(16).padStart(2, "0")).join("")}`;
}
