"use strict";
// The part of the address behind #: a section and, behind a ?, what is chosen on the page, so that a link shows the same.
// #records?target=yes&row=12&sort=prediction&order=descending&wrong=1&search=two+words

let followed = null; // what the page shows by now

function addressNow() {
  const [section, query] = [location.hash.slice(1), null];
  const cut = section.indexOf("?");
  return cut < 0 ? { section, query } : { section: section.slice(0, cut), query: section.slice(cut + 1) };
}

// Puts what is chosen into the address; isNew: so that going back leads to what was chosen before.
function writeAddress(isNew, section = addressNow().section) {
  const query = chosen().toString();
  const hash = section || query ? `#${section}${query ? `?${query}` : ""}` : "";
  if (isNew && hash === location.hash) return;
  try {
    history[isNew ? "pushState" : "replaceState"]({}, "", hash || location.pathname + location.search);
  } catch {
    // A page inside another may have no address of its own; it works without.
  }
  followed = location.hash;
}

// What is chosen, as the address has it; what nobody changed is left out.
function chosen() {
  const query = new URLSearchParams(), { record } = state;
  if (state.target > 0) query.set("target", contents.targets[state.target].name);
  if (view.all) query.set("all", "1");
  if (record && view.isPicked) {
    query.set("row", String(record.row));
    if (record.target !== state.target) query.set("of", contents.targets[record.target].name);
  }
  if (recordTable?.sorted) {
    query.set("sort", recordTable.sorted.title);
    query.set("order", recordTable.isDescending ? "descending" : "ascending");
  }
  for (const [name, text] of Object.entries(view.filters)) if (text) query.set(name, text);
  if (view.search) query.set("search", view.search);
  return query;
}

// Follows the address where it is not what the page shows; isOpening: nothing was chosen yet. Entries of the history
// that the page has written or followed have a state; those of links to sections have none, and keep what is chosen.
function followAddress(isOpening = false) {
  if (location.hash === followed) return;
  followed = location.hash;
  const { section, query } = addressNow(), isNew = history.state === null;
  if (query !== null || !isNew) show(new URLSearchParams(query ?? ""));
  // On a phone the list fills the screen; the record that was asked for stands below it.
  if (query !== null && isNew) document.getElementById(isNarrow() && view.isPicked ? "record" : section)?.scrollIntoView();
  if (isNew && (query === null || isOpening)) writeAddress(false, section);
}

// Shows what an address asks for, as far as the page has it, and tells of the rest.
function show(query) {
  const asked = Object.fromEntries(query);
  const target = targetCalled(asked.target) ?? 0;
  const names = ["target", "all", "row", "of", "sort", "order", "search"];
  Object.assign(view, { all: asked.all === "1", search: asked.search ?? "", isPicked: false, sort: asked.sort ?? null, isDescending: asked.order !== "ascending" });
  view.filters = Object.fromEntries(Object.entries(asked).filter(([name]) => !names.includes(name)));
  const isOther = target !== state.target;
  Object.assign(state, { target, record: asked.row === undefined ? null : state.record });
  byId("target").value = String(target);
  if (isOther) drawTarget();
  else drawRecords();
  const unknown = [...unknownFilters(), ...["target", "of"].filter((name) => asked[name] !== undefined && targetCalled(asked[name]) === null)];
  if (view.sort !== null && recordTable.sorted === null) unknown.push("sort");
  if (asked.row !== undefined) openAsked(asked.row, targetCalled(asked.of));
  if (unknown.length) tellOfAddress(`The address asks for what this page does not have, which is left out: ${unknown.map((name) => shortened(name, 40)).join(", ")}.`);
}

function targetCalled(name) {
  const place = contents.targets.findIndex((target) => target.name === name);
  return place < 0 ? null : place;
}

function tellOfAddress(...told) {
  byId("records-address").append(make("p", { class: "warning" }, ...told));
}
