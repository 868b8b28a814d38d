"use strict";
// What the page begins with, and what changes when a reader chooses.

const state = { target: 0, record: null, unit: null, isSwapped: false };

function drawHeader() {
  document.title = `${contents.title} – ihcli report`;
  byId("title").textContent = contents.title;
  const told = Object.fromEntries(contents.facts);
  const shown = ["Method", "Rows", "Features", "Scale", "Baseline"].filter((name) => told[name]);
  byId("subtitle").textContent = shown.map((name) => (name === "Method" ? told[name] : `${name.toLowerCase()}: ${told[name]}`)).join(" · ");
  fill(byId("target"), ...contents.targets.map((target, place) => make("option", { value: String(place) }, target.name)));
  byId("target-choice").hidden = contents.targets.length < 2;
}

// What is explained of texts is called as it is.
function nameUnits() {
  if (!contents.texts) return;
  const plural = `${contents.unit}s`;
  for (const element of document.querySelectorAll(".units")) element.textContent = plural[0].toUpperCase() + plural.slice(1);
}

function drawFacts() {
  fill(byId("facts"), ...contents.facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function drawTarget() {
  const target = contents.targets[state.target];
  if (!target) return;
  drawOverview(target);
  drawFeatures(target);
  drawPairs(target);
  drawHeatmap(target);
  drawDependenceChoice(target);
  drawRecords();
}

function redrawCharts() {
  if (isPrinting()) return;
  const target = contents.targets[state.target];
  drawSpreads();
  if (!target) return;
  drawSwarm(target);
  drawHeatmap(target);
  if (canDepend()) drawDependence(target);
  if (state.record) drawRecord(state.record);
}

// Paper is white, whatever the screen is, and has one column: charts of a narrow one would be taller than a page.
function drawForPaper(isPaper) {
  const root = document.documentElement;
  root.toggleAttribute("data-light", isPaper);
  root.removeAttribute("data-printing");
  if (isPaper) {
    drawAllNow();
    for (const cell of document.querySelectorAll("#record .chart")) fit(cell, false);
  }
  if (window.matchMedia("(prefers-color-scheme: dark)").matches) redrawCharts();
  root.toggleAttribute("data-printing", isPaper);
}

// The policy of a page has no word for this. Sections, what is chosen, and charts that are saved go on as ever.
function stayHere(event) {
  const isElsewhere = !event.destination.sameDocument && event.downloadRequest === null && event.navigationType !== "reload";
  if (isElsewhere && event.cancelable) event.preventDefault();
}

function listen() {
  window.navigation?.addEventListener("navigate", stayHere);
  const target = () => contents.targets[state.target];
  byId("target").addEventListener("change", (event) => {
    state.target = Number(event.target.value);
    drawTarget();
    writeAddress(true);
  });
  for (const id of ["matrix-statistic", "matrix-mains"]) byId(id).addEventListener("change", () => drawHeatmap(target()));
  byId("dependence-pair").addEventListener("change", () => drawDependence(target()));
  byId("dependence-swap").addEventListener("click", () => {
    state.isSwapped = !state.isSwapped;
    drawDependence(target());
  });
  for (const event of ["popstate", "hashchange"]) window.addEventListener(event, () => followAddress());
  document.addEventListener("keydown", stepAside);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawCharts);
  for (const event of ["beforeprint", "afterprint"]) window.addEventListener(event, () => drawForPaper(event === "beforeprint"));
  new ResizeObserver(() => requestAnimationFrame(() => fitSwarm(target()))).observe(byId("swarm"));
  window.matchMedia(`(max-width: ${PHONE}px)`).addEventListener("change", redrawCharts);
}

drawHeader();
nameUnits();
drawWarnings();
drawTrust();
drawFacts();
drawCompared();
drawTarget();
listen();
followAddress(true);
setTimeout(drawNext);
