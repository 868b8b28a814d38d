"use strict";
// Pointer and keys on the swarm: what a dot is, and its record.

function listenToDots(holder, dots, sheet) {
  const box = holder.querySelector("svg");
  const show = (dot) => showDot(holder, sheet, dot);
  let current = null;
  const under = (event) => {
    const area = box.getBoundingClientRect(), size = sheet.width / area.width;
    return nearest(dots, (event.clientX - area.left) * size, (event.clientY - area.top) * size);
  };
  box.addEventListener("pointermove", (event) => show((current = under(event))));
  box.addEventListener("pointerleave", () => show((current = null)));
  box.addEventListener("click", (event) => {
    const dot = under(event);
    if (dot) openRecord(dot.record.row);
  });
  box.addEventListener("blur", () => show((current = null)));
  box.addEventListener("keydown", (event) => {
    if (current && (event.key === "Enter" || event.key === " ")) openRecord(current.record.row);
    else if (!(event.key in STEPS)) return;
    else show((current = current ? STEPS[event.key](dots, current) ?? current : firstDot(dots)));
    event.preventDefault();
    event.stopPropagation();
  });
}

const firstDot = (dots) => onLine(dots, 0)[0] ?? dots[0];
const onLine = (dots, line) => dots.filter((dot) => dot.line === line).sort((a, b) => a.value - b.value);
const aside = (by) => (dots, dot) => {
  const line = onLine(dots, dot.line);
  return line[line.indexOf(dot) + by];
};
const across = (by) => (dots, dot) => {
  const lines = [...new Set(dots.map((other) => other.line))].sort((a, b) => a - b);
  const line = lines[lines.indexOf(dot.line) + by];
  return line === undefined ? dot : onLine(dots, line).reduce((best, other) => (Math.abs(other.x - dot.x) < Math.abs(best.x - dot.x) ? other : best));
};
const STEPS = { ArrowLeft: aside(-1), ArrowRight: aside(1), ArrowUp: across(-1), ArrowDown: across(1) };

function nearest(dots, x, y) {
  let best = null, least = NEAR * NEAR;
  for (const dot of dots) {
    const away = (dot.x - x) ** 2 + (dot.y - y) ** 2;
    if (away < least) [best, least] = [dot, away];
  }
  return best;
}

function showDot(holder, sheet, dot) {
  const [ring, tip, status] = [".ring", ".tip", "[role=status]"].map((selector) => holder.querySelector(selector));
  holder.firstChild.classList.toggle("on-dot", Boolean(dot));
  ring.setAttribute("visibility", dot ? "visible" : "hidden");
  tip.hidden = !dot;
  status.textContent = dot ? `${recordName(dot.record)}, ${dot.told}, attribution ${number(dot.value)}` : "";
  if (!dot) return;
  ring.setAttribute("cx", dot.x);
  ring.setAttribute("cy", dot.y);
  fill(tip, make("span", {}, recordName(dot.record)), make("span", {}, dot.told), make("b", {}, `attribution ${number(dot.value)}`));
  const size = holder.firstChild.getBoundingClientRect().width / sheet.width;
  const left = Math.min(Math.max(0, dot.x * size - tip.offsetWidth / 2), sheet.width * size - tip.offsetWidth);
  tip.style.left = `${left}px`;
  tip.style.top = `${dot.y * size + 12}px`;
}
