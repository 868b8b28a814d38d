"use strict";
// The words of one text, shaded by attribution, with its strongest pairs as arcs above them.

const TOP_PAIRS = 10, LABELLED = 0.4; // as ihcli plot has them
const MOST_RISE = 80, LEAST_RISE = 8, TOLD_HEIGHT = 14; // in pixels
const SEEN = 0.005; // of an effect, an error bar
let drawnWords = null; // the record, its arcs, and the width for which they are drawn
const wordsWatch = new ResizeObserver(() => requestAnimationFrame(fitArcs));

function drawWords(record) {
  const strengths = state.unit === null ? record.phi : effectsWith(record, state.unit);
  const largest = strengths.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0) || 1;
  const words = record.units.map((unit, i) => word(record, unit, i, strengths[i], largest));
  const arcs = arcsOf(record);
  const holder = make("div", { class: `words${arcs.length ? " arched" : ""}` }, ...words);
  const svg = picture("svg", { class: "arcs", role: "img", "aria-label": arcs.length ? `The ${arcs.length} strongest pairs as arcs; the table of pairs below has them in figures.` : "No arcs" });
  const legend = make("div", { class: "legend" }, `−${number(largest)}`, make("i"), number(largest));
  fill(byId("words"), make("div", { class: "sheet" }, svg, holder), legend, make("p", { class: "note", role: "status" }, wordsNote(record, arcs)));
  drawnWords = { arcs, svg, holder, width: 0 };
  wordsWatch.disconnect();
  wordsWatch.observe(byId("words"));
  fitArcs();
}

function wordsNote(record, arcs) {
  const all = record.matrix ? (record.phi.length * (record.phi.length - 1)) / 2 : (record.pairs ?? []).length;
  const shaded = state.unit === null ? "Words are shaded by attribution: orange raises the prediction, blue lowers it." : `Words are shaded by the effect of the pair with “${record.units[state.unit]}”. Pick it again for attributions.`;
  if (!arcs.length) return `${shaded}${record.pairs && record.phi.length > 1 ? " No pair has an effect." : ""}`;
  const which = state.unit === null ? `the ${number(arcs.length)} strongest of ${number(all)} pairs` : `its ${number(arcs.length)} strongest pairs`;
  return `${shaded} Arcs: ${which}, as wide as their effect is large.${state.unit === null ? " Pick a word to see its own." : ""}`;
}

// The pairs that are drawn, the strongest first: of all words, or of the one that is picked.
function arcsOf(record) {
  const pairs = pairsOf(record) ?? [];
  return pairs.filter(({ first, second, value }) => value && (state.unit === null || first === state.unit || second === state.unit)).slice(0, TOP_PAIRS);
}

function picture(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Draws arcs where the words are, and again where these have moved; on paper they stay as they were.
function fitArcs() {
  const { arcs, svg, holder, width } = drawnWords ?? {};
  const space = holder?.parentElement.parentElement?.clientWidth;
  if (!holder?.isConnected || !space || space === width || isPrinting()) return;
  holder.parentElement.style.width = `${space}px`;
  drawnWords.width = space;
  const places = [...holder.children].map((one) => ({ x: one.offsetLeft + one.offsetWidth / 2, top: one.offsetTop, bottom: one.offsetTop + one.offsetHeight }));
  const height = holder.offsetHeight;
  svg.setAttribute("viewBox", `0 0 ${space} ${height}`);
  Object.assign(svg.style, { width: `${space}px`, height: `${height}px` });
  const strongest = Math.abs(arcs[0]?.value ?? 1);
  const widest = Math.max(1, ...arcs.map(({ first, second }) => Math.abs(places[first].x - places[second].x)));
  const drawn = arcs.map((arc) => drawnArc(arc, [places[arc.first], places[arc.second]], roomAbove(places, arc), strongest, widest));
  svg.replaceChildren(...drawn.map(({ path }) => path), ...labelled(drawn, space));
}

// How high an arc over a line may rise before it meets the line above.
function roomAbove(places, { first, second }) {
  const top = Math.min(places[first].top, places[second].top);
  const above = places.filter((place) => place.bottom <= top).reduce((most, place) => Math.max(most, place.bottom), 0);
  return Math.max(LEAST_RISE, Math.min(MOST_RISE, top - above - TOLD_HEIGHT));
}

function drawnArc({ first, second, value, bar }, [from, to], room, strongest, widest) {
  const share = Math.abs(value) / strongest, span = Math.abs(from.x - to.x);
  const top = Math.min(from.top, to.top), rise = LEAST_RISE + (room - LEAST_RISE) * Math.sqrt(span / widest);
  const height = (4 / 3) * rise; // of the points that pull a cubic curve so high
  const told = `${signed(Number(value.toPrecision(2)))}${bar > SEEN * Math.abs(value) ? `±${number(Number(bar.toPrecision(1)))}` : ""}`;
  const path = picture("path", {
    class: `arc ${signOf(value)}`, d: `M ${from.x} ${from.top} C ${from.x} ${top - height}, ${to.x} ${top - height}, ${to.x} ${to.top}`,
    "data-pair": `${first} ${second}`, "stroke-width": (0.8 + 3.6 * share).toFixed(2), "stroke-opacity": (0.35 + 0.6 * share).toFixed(2),
  });
  return { path, share, told, x: (from.x + to.x) / 2, y: top - rise, sign: signOf(value) };
}

// Figures on the strongest arcs, as far as they do not lie on each other.
function labelled(drawn, space) {
  const taken = [];
  for (const arc of drawn.filter(({ share }) => share > LABELLED)) {
    const half = 3.6 * arc.told.length, x = Math.min(Math.max(arc.x, half), space - half);
    const isFree = taken.every((other) => Math.abs(other.x - x) > half + other.half || Math.abs(other.y - arc.y) > TOLD_HEIGHT);
    if (isFree) taken.push({ ...arc, x, half });
  }
  return taken.map(({ x, y, told, sign }) => picture("text", { class: `told ${sign}`, x, y: y - 4, "text-anchor": "middle" }, told));
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
