"use strict";
// Tables to take along, as a file and as text: all that is listed, in full, in the order on the screen. Nothing is sent.

const TOLD_MS = 2_000;
const FORMULA = /^[=+\-@\t\r]/; // so begins what spreadsheets compute, or run
const isNumeral = (text) => text.trim() !== "" && Number.isFinite(Number(text));

// A cell's text; an apostrophe keeps spreadsheets from taking it for a formula.
function harmless(value) {
  if (value === null || value === undefined) return "";
  const text = String(value);
  return typeof value === "string" && FORMULA.test(text) && !isNumeral(text) ? `'${text}` : text;
}

// Lines of cells as RFC 4180 has them: text in quotes, numbers not. A mark tells spreadsheets of letters beyond ASCII.
function asCsv(lines) {
  const cell = (value) => (typeof value === "string" ? `"${harmless(value).replaceAll('"', '""')}"` : harmless(value));
  const text = lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
  return /^[\0-\x7f]*$/.test(text) ? text : `\ufeff${text}`;
}

function asText(lines) {
  const cell = (value) => harmless(value).replace(/[\t\r\n]+/g, " ");
  return lines.map((line) => line.map(cell).join("\t")).join("\n");
}

function fileName(label) {
  return `ihcli-${label.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")}`;
}

function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), TOLD_MS);
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByHand(text);
  }
}

// For browsers that give files no clipboard.
function copiedByHand(text) {
  const before = document.activeElement;
  const field = make("textarea", { class: "skip", "aria-hidden": "true" });
  field.value = text;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  before?.focus();
  return isDone;
}

// The two buttons of a table; lines(): its heads and its cells, as they are now.
function exportButtons(label, lines) {
  const csv = make("button", { type: "button", "aria-label": `Download ${label} as CSV`, onclick: () => download(asCsv(lines()), `${fileName(label)}.csv`) }, "CSV");
  const copy = make("button", { type: "button", "aria-label": `Copy ${label} as text` }, "Copy");
  copy.addEventListener("click", async () => {
    copy.textContent = (await copied(asText(lines()))) ? "Copied" : "Not allowed";
    setTimeout(() => (copy.textContent = "Copy"), TOLD_MS);
  });
  return make("span", { class: "exports" }, csv, copy);
}
