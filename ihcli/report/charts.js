"use strict";
// Charts by plotly.js. It reads a little markup in its texts, so names are escaped before it gets them.

const LABEL_CHARACTERS = 24;
const PHONE_LABELS = 15;

function escaped(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function folded(text) {
  return (String(text).match(/[^]{1,60}/gu) ?? [""]).map(escaped).join("<br>");
}

const labelLetters = () => (isNarrow() ? LABEL_CHARACTERS / 2 : LABEL_CHARACTERS);
const labels = (names) => toldApart(names, labelLetters()).map(escaped);
const label = (name) => labels([name])[0];

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const rgb = (name) => `rgb(${colour(`${name}-rgb`).split(" ").join(",")})`;
const palette = (name) => colour(name).split(" ");
const scale = (name) => palette(name).map((shade, place, all) => [place / (all.length - 1), shade]);

function axis(title, more = {}) {
  const lines = { gridcolor: colour("line"), zerolinecolor: colour("soft"), linecolor: colour("line") };
  return { title: { text: title, standoff: 8 }, automargin: true, ...lines, ...more };
}

function drawChart(id, traces, layout, onClick = null) {
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") };
  const clear = { paper_bgcolor: colour("page"), plot_bgcolor: "rgba(0,0,0,0)" };
  const hoverlabel = { bgcolor: colour("panel"), bordercolor: colour("line"), align: "left", font };
  const modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") };
  const rest = { modebar, showlegend: false, margin: { l: 60, r: 16, t: 40, b: 48 }, dragmode: isNarrow() ? false : "zoom" };
  const element = typeof id === "string" ? byId(id) : id;
  drawInCell(element, traces, { font, ...clear, hoverlabel, ...rest, ...layout }, onClick);
}

const heading = (text) => ({ text, x: 0, xref: "paper", xanchor: "left", font: { size: 13.5 } });

function drawSpread(element, title, axisTitle, spread, mark) {
  const { edges, counts } = spread;
  const middle = counts.map((_, i) => (edges[i] + edges[i + 1]) / 2);
  const asValue = (edge) => number(spread.is_logarithmic ? 10 ** edge : edge);
  const hovertext = counts.map((count, i) => `${asValue(edges[i])} to ${asValue(edges[i + 1])}<br>${count} rows`);
  const width = counts.map((_, i) => edges[i + 1] - edges[i]);
  const bars = { type: "bar", x: middle, y: counts, width, hovertext, hoverinfo: "text", marker: { color: rgb("lowers") } };
  const ticks = spread.is_logarithmic ? powersOfTen(edges[0], edges[edges.length - 1], mark) : {};
  const layout = { title: heading(title), bargap: 0.04, xaxis: axis(axisTitle, ticks), yaxis: axis("rows") };
  if (mark > 0) {
    const at = Math.log10(mark);
    layout.shapes = [{ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: rgb("raises"), width: 2, dash: "dash" } }];
    layout.annotations = [{ x: at, yref: "paper", y: 1, text: `tolerance ${number(mark)}`, showarrow: false, yanchor: "bottom", xanchor: "right" }];
  }
  drawChart(element, [bars], layout);
}

function powersOfTen(low, high, mark) {
  const end = mark > 0 ? Math.max(high, Math.log10(mark)) : high;
  const first = Math.floor(low), last = Math.ceil(end);
  const every = Math.ceil((last - first) / 6);
  const tickvals = [];
  for (let power = first; power <= last; power += every) {
    for (const digit of last - first > 2 ? [1] : [1, 2, 5]) tickvals.push(power + Math.log10(digit));
  }
  const ticktext = tickvals.map((power) => number(10 ** power));
  return { tickvals, ticktext, range: [low - 0.05, end + 0.05], zeroline: false };
}

// Upper triangle with its diagonal, row by row, as a square; diagonal: whether main effects are shown.
function square(triangle, size, diagonal) {
  const cells = Array.from({ length: size }, () => Array(size).fill(null));
  let place = 0;
  for (let i = 0; i < size; i += 1) {
    for (let j = i; j < size; j += 1, place += 1) {
      if (i !== j || diagonal) cells[i][j] = cells[j][i] = triangle[place];
    }
  }
  return cells;
}

function drawMatrix(id, names, cells, what, isSigned) {
  const sizes = cells.flat().filter((value) => value !== null).map(Math.abs);
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0) || 1;
  const hovertext = cells.map((line, i) => line.map((value, j) => {
    const who = i === j ? `${folded(names[i])}, main effect` : `${folded(names[i])}<br>× ${folded(names[j])}`;
    return `${who}<br><b>${value === null ? "not shown" : number(value)}</b>`;
  }));
  const heat = {
    type: "heatmap", z: cells, hovertext, hoverinfo: "text", xgap: 1, ygap: 1,
    zmin: isSigned ? -largest : 0, zmax: largest, colorscale: scale(isSigned ? "signs" : "sizes"),
    colorbar: { title: { text: what, side: "right" }, thickness: 12, outlinewidth: 0, len: 0.9 },
  };
  const ticks = { tickvals: names.map((_, i) => i), ticktext: labels(names), showgrid: false, zeroline: false, tickfont: { size: names.length > 25 ? 10 : 12 } };
  drawChart(id, [heat], {
    margin: { l: 8, r: 8, t: 8, b: 8 },
    xaxis: axis("", { ...ticks, tickangle: -60, showticklabels: !isNarrow() || names.length < PHONE_LABELS }),
    yaxis: axis("", { ...ticks, autorange: "reversed" }),
  });
}

// axes: x, y and shade are titles; xCategories and shadeCategories are names where values are places among them.
function drawCloud(id, title, points, axes, onPick) {
  const across = gridOf(points.map((p) => p.x).filter((x) => x !== null), axes.xCategories);
  const traces = shades(points, axes).map(({ shown, marker, name }) => ({
    type: "scatter", mode: "markers", x: shown.map((p) => (p.x === null ? null : across.near(p.x, p.place))), y: shown.map((p) => p.y), name,
    customdata: shown.map((p) => p.place), hovertext: shown.map((p) => p.told), hoverinfo: "text",
    marker: { size: 6, opacity: 0.8, line: { width: 0 }, ...marker },
  }));
  const legend = { title: { text: axes.shade }, ...(isNarrow() ? { orientation: "h", y: -0.25 } : {}) };
  const layout = { title: heading(title), xaxis: axis(axes.x, across.ticks), yaxis: axis(axes.y), legend, showlegend: Boolean(axes.shadeCategories) };
  drawChart(id, traces, layout, (event) => onPick(event.points[0].customdata));
}

function categoryTicks(codes, categories) {
  return { tickvals: codes, ticktext: labels(codes.map((code) => categories[code])), range: [Math.min(...codes) - 0.5, Math.max(...codes) + 0.5], zeroline: false };
}

// Points as they are coloured: by numbers on a scale, by category, and those without a value in one neutral colour.
function shades(points, { shade, shadeCategories }) {
  const known = points.filter((p) => p.shade !== null), unknown = points.filter((p) => p.shade === null);
  const found = shadeCategories ? categoryShades(known, shadeCategories) : [];
  if (known.length && !shadeCategories) {
    const colorbar = { title: { text: shade, side: "right" }, thickness: 12, outlinewidth: 0 };
    const values = known.map((p) => p.shade);
    found.push({ shown: known, marker: { color: values, colorscale: scale("values"), colorbar, ...limits(values) } });
  }
  if (unknown.length) found.push({ shown: unknown, name: "no value", marker: { color: colour("missing") } });
  return found;
}

// A colour for each category that occurs, the most frequent ones where colours end; the same in pictures.
function categoryColours(codes) {
  const counts = new Map(), colours = palette("categories");
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  const byCount = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b);
  const own = byCount.slice(0, byCount.length > colours.length ? colours.length - 1 : undefined).sort((a, b) => a - b);
  return { own: new Map(own.map((code, i) => [code, colours[i]])), others: byCount.length - own.length };
}

function categoryShades(points, categories) {
  const { own, others } = categoryColours(points.map((p) => p.shade));
  const names = labels([...own.keys()].map((code) => categories[code]));
  const found = [...own].map(([code, color], i) => ({ name: names[i], shown: points.filter((p) => p.shade === code), marker: { color } }));
  const rest = points.filter((p) => !own.has(p.shade));
  return rest.length ? [...found, { name: `${others} others`, shown: rest, marker: { color: colour("others") } }] : found;
}

// A few extreme values would leave the others one colour.
function limits(values) {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  return sorted.length > 1 && at(0.05) < at(0.95) ? { cmin: at(0.05), cmax: at(0.95) } : {};
}
