"use strict";
// Charts as large as their cells: drawn as soon as a cell has a size, and again whenever the size changes.

// All buttons of a chart, so that a new plotly adds none; none of them leaves the page.
const BUTTONS = ["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"];
const CONFIG = { displaylogo: false, modeBarButtons: [BUTTONS], plotlyServerURL: "" };
const PHONE = 760;
const isPrinting = () => document.documentElement.hasAttribute("data-printing");
const isNarrow = () => window.innerWidth < PHONE;
const waiting = new WeakMap(); // by cell: what to draw there once it has a size
const cells = new ResizeObserver((changes) => requestAnimationFrame(() => changes.forEach(({ target }) => fit(target))));

// What a click on a point does is of the chart, too; a cell that is not shown has no size, and waits.
function drawInCell(cell, traces, layout, onClick = null) {
  waiting.set(cell, { traces, layout, onClick });
  fit(cell);
  cells.observe(cell);
}

function fit(cell) {
  if (!cell.isConnected) return void leave(cell);
  const size = cell.getBoundingClientRect();
  const [width, height] = [size.width, size.height].map(Math.floor);
  if (!width || !height || isPrinting()) return;
  const drawing = waiting.get(cell);
  waiting.delete(cell);
  if (drawing) draw(cell, drawing, { width, height });
  else if (cell.layout.width !== width || cell.layout.height !== height) Plotly.relayout(cell, { width, height });
  // Paper has another width, and no time for drawing: there the style scales what was drawn.
  for (const svg of cell.querySelectorAll(".main-svg")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
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
