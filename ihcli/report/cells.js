"use strict";
// Charts as large as their cells: drawn as soon as a cell has a size, and again whenever the size changes. While the page
// opens, those out of sight come after those in sight, one by one, so that it can be read and scrolled meanwhile.

// All buttons of a chart, so that a new plotly adds none; none of them leaves the page.
const BUTTONS = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
const CONFIG = { displaylogo: false, modeBarButtons: [BUTTONS], plotlyServerURL: "" };
const PHONE = 760;
const isPrinting = () => document.documentElement.hasAttribute("data-printing");
const isNarrow = () => window.innerWidth < PHONE;
const waiting = new WeakMap(); // by cell: what to draw there once it has a size
const later = new Set(); // cells out of sight while the page opens
let isOpening = true;
const cells = new ResizeObserver((changes) => requestAnimationFrame(() => changes.forEach(({ target }) => fit(target))));

// What a click on a point does is of the chart, too; a cell that is not shown has no size, and waits.
function drawInCell(cell, traces, layout, onClick = null) {
  waiting.set(cell, { traces, layout, onClick });
  fit(cell);
  cells.observe(cell);
}

function fit(cell, isPatient = isOpening && !document.hidden) {
  if (!cell.isConnected) return void leave(cell);
  const size = cell.getBoundingClientRect();
  const [width, height] = [size.width, size.height].map(Math.floor);
  if (!width || !height || isPrinting()) return;
  if (isPatient && (size.top > window.innerHeight || size.bottom < 0)) return void later.add(cell);
  const drawing = waiting.get(cell);
  waiting.delete(cell);
  if (drawing) draw(cell, drawing, { width, height });
  else if (cell.layout.width !== width || cell.layout.height !== height) Plotly.relayout(cell, { width, height });
  // Paper has another width, and no time for drawing: there the style scales what was drawn.
  for (const svg of cell.querySelectorAll(".main-svg")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
}

function drawNext() {
  const [cell] = later;
  if (cell) {
    later.delete(cell);
    fit(cell, false);
    return void setTimeout(drawNext);
  }
  isOpening = false;
  document.body.dataset.drawn = "yes";
}

function drawAllNow() {
  for (const cell of later) fit(cell, false);
  later.clear();
}

function draw(cell, { traces, layout, onClick }, size) {
  const picture = { filename: `ihcli-${cell.id}`, scale: 2 };
  Plotly.react(cell, traces, { ...layout, ...size }, { ...CONFIG, displayModeBar: !isNarrow(), toImageButtonOptions: picture });
  cell.removeAllListeners("plotly_click");
  if (onClick) cell.on("plotly_click", onClick);
}

function leave(cell) {
  cells.unobserve(cell);
  if (cell.layout) Plotly.purge(cell);
}
