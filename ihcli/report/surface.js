"use strict";
// A pair's surface: where rows lie among the values of both features, and the effect of the pair there.

const FEW_VALUES = 12, FEWEST_CELLS = 4, MOST_CELLS = 14, SIDEWAYS = 0.3, EXTREMES = 0.02;
// Multiples of the first spread evenly along a line, of the other two over a plane: the golden and the plastic number's.
const GOLDEN = 0.618034, PLANE = [0.754878, 0.56984];

// points: {x, shade, y, told, place} with the value of either feature and the effect; axes as those of drawCloud.
function drawSurface(id, points, axes, onPick) {
  const known = points.filter((p) => p.x !== null && p.shade !== null && p.y !== null);
  byId(id).hidden = !known.length;
  if (!known.length) return;
  const [across, up] = [gridOf(known.map((p) => p.x), axes.xCategories), gridOf(known.map((p) => p.shade), axes.shadeCategories)];
  const colours = { colorscale: scale("signs"), ...aroundZero(known.map((p) => p.y)) };
  const means = {
    type: "heatmap", x: across.edges, y: up.edges, z: cellMeans(known, across, up), opacity: 0.4, hoverinfo: "skip", showscale: false,
    colorscale: colours.colorscale, zmin: colours.cmin, zmax: colours.cmax, xgap: 1, ygap: 1, hoverongaps: false,
  };
  const dots = {
    type: "scatter", mode: "markers", x: known.map((p) => across.near(p.x, p.place, PLANE[0])), y: known.map((p) => up.near(p.shade, p.place, PLANE[1])),
    customdata: known.map((p) => p.place), hovertext: known.map((p) => p.told), hoverinfo: "text",
    marker: {
      size: 7, color: known.map((p) => p.y), ...colours, line: { width: 0.7, color: colour("soft") },
      colorbar: { title: { text: EFFECT, side: "right" }, thickness: 12, outlinewidth: 0 },
    },
  };
  const layout = { title: heading("Effect at the values of both"), xaxis: axis(axes.x, across.ticks), yaxis: axis(axes.y, up.ticks) };
  drawChart(id, [means, dots], layout, (event) => onPick(event.points[0].customdata));
}

// How an axis is cut into cells: at categories and few values one each, else evenly. near() moves dots of one value apart.
function gridOf(values, categories) {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  if (categories) return few(distinct, categoryTicks(distinct, categories));
  if (distinct.length <= FEW_VALUES) return few(distinct, { tickvals: distinct, ticktext: distinct.map(number), zeroline: false });
  const count = Math.max(FEWEST_CELLS, Math.min(MOST_CELLS, Math.round(Math.sqrt(values.length) / 2)));
  const low = distinct[0], size = (distinct.at(-1) - low) / count;
  const edges = Array.from({ length: count + 1 }, (_, i) => low + i * size);
  return { edges, of: (value) => Math.min(count - 1, Math.floor((value - low) / size)), near: (value) => value, ticks: { zeroline: false } };
}

function few(distinct, ticks) {
  const gaps = distinct.slice(1).map((value, i) => value - distinct[i]);
  const least = gaps.length ? Math.min(...gaps) : 1;
  const edges = distinct.flatMap((value, i) => (i ? [] : [value - least / 2]).concat(i < gaps.length ? value + gaps[i] / 2 : value + least / 2));
  const near = (value, i, step = GOLDEN) => value + 2 * SIDEWAYS * least * (((i * step) % 1) - 0.5);
  return { edges, of: (value) => distinct.indexOf(value), near, ticks };
}

function cellMeans(points, across, up) {
  const cells = (value) => Array.from({ length: up.edges.length - 1 }, () => Array(across.edges.length - 1).fill(value));
  const sums = cells(0), counts = cells(0);
  for (const p of points) {
    sums[up.of(p.shade)][across.of(p.x)] += p.y;
    counts[up.of(p.shade)][across.of(p.x)] += 1;
  }
  return sums.map((line, i) => line.map((sum, j) => (counts[i][j] ? sum / counts[i][j] : null)));
}

// White is nothing; a few extreme effects would leave the others white.
function aroundZero(effects) {
  const sizes = effects.map(Math.abs).sort((a, b) => a - b);
  const most = sizes[Math.floor((1 - EXTREMES) * (sizes.length - 1))] || sizes.at(-1) || 1;
  return { cmin: -most, cmax: most };
}
