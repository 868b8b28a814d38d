"use strict";
// The first screen: a sentence, the strongest features and pairs, what to beware of, and how far to trust it in short.

const LISTED = 6, SHORT_WARNING = 130, SHOWN_WARNINGS = 2;

function drawOverview(target) {
  byId("headline").textContent = contents.headlines[state.target].replaceAll(" %", "\u00a0%");
  drawStrongest(target);
  drawSwarm(target);
}

// One line each, which opens; the first stay in sight, of many the rest fold.
function drawWarnings() {
  const told = [...contents.warnings, ...ownWarnings(contents.trust)].map(warning);
  const rest = told.slice(SHOWN_WARNINGS + 1).length ? told.splice(SHOWN_WARNINGS) : [];
  const more = rest.length ? [make("details", { class: "more" }, make("summary", {}, `${rest.length} more warnings`), ...rest)] : [];
  fill(byId("warnings"), ...told, ...more);
}

function warning(text) {
  const sentence = shortSentence(text);
  if (sentence === text) return make("p", { class: "warning" }, text);
  return make("details", { class: "warning" }, make("summary", {}, sentence), make("p", {}, text));
}

// The first sentence, or its start.
function shortSentence(text) {
  const end = text.search(/[.?!]\s/);
  const sentence = end < 0 ? text : text.slice(0, end + 1);
  return sentence.length <= SHORT_WARNING ? sentence : `${[...sentence].slice(0, SHORT_WARNING - 1).join("")}…`;
}

function drawStrongest(target) {
  const { features, pairs } = target;
  const what = contents.texts ? `${contents.unit}s` : "features";
  const cut = toldApart(features.name.slice(0, LISTED).map(named), NAME_LETTERS);
  const ofFeatures = cut.map((name, i) => ({ name, full: named(features.name[i]), size: features.mean_abs[i], share: features.share[i] }));
  const lists = [strongest(`Strongest ${what}`, ofFeatures, "#features")];
  if (pairs?.first.length) {
    const ends = toldApart([...pairs.first.slice(0, LISTED), ...pairs.second.slice(0, LISTED)].map(named), NAME_LETTERS / 2);
    const ofPairs = pairs.first.slice(0, LISTED).map((first, i, all) => {
      const pick = canDepend() && i < target.dependence.length ? () => showDependence(i) : null;
      const full = `${isolated(named(first))} × ${isolated(named(pairs.second[i]))}`;
      return { name: [...full].length <= NAME_LETTERS ? full : `${isolated(ends[i])} × ${isolated(ends[all.length + i])}`, full, size: pairs.mean_abs[i], share: pairs.share[i], pick };
    });
    lists.push(strongest("Strongest pairs", ofPairs, "#pairs"));
  }
  fill(byId("strongest"), ...lists, trustInShort(contents.trust));
}

function strongest(title, entries, more) {
  const largest = entries[0]?.size || 1;
  const lines = entries.map(({ name, full, size, share, pick }) => {
    const bar = make("i", { class: "bar-of" });
    bar.style.setProperty("--size", `${(100 * (size ?? 0)) / largest}%`);
    const label = pick ? make("button", { type: "button", title: full, onclick: pick }, name) : make("span", { title: full }, name);
    return make("li", {}, label, make("b", {}, share === null ? number(size) : percent(share)), bar);
  });
  return make("div", { class: "card" }, make("h3", {}, title, make("a", { href: more }, "see all")), make("ol", {}, ...lines));
}

function trustInShort(trust) {
  const figures = [];
  if (!trust.statuses.uncertified) figures.push(["within tolerance", percent(trust.ok / Math.max(1, trust.entries))]);
  for (const name of ["relative_error", "sampling_error", "drift"]) {
    const spread = trust.spreads[name];
    if (spread?.entries) figures.push([`${SPREADS[name][0].toLowerCase()}, median`, number(spread.quantiles[0])]);
  }
  figures.push(...contents.model.slice(0, 2).map(([name, value]) => [name, number(value)]));
  const lines = figures.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return make("div", { class: "card" }, make("h3", {}, "How far to trust it", make("a", { href: "#trust" }, "see all")), make("dl", { class: "short" }, ...lines));
}
