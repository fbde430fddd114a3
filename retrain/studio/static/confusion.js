// Mistakes as a table: a row is what the folder says, a column what the model says, a number opens its photographs.

import { $, count, make } from "./ui.js";

// From so many classes on, the names of the columns stand upright, and the numbers are set closer.
const MANY = 8;

export function showConfusion(numbers, labels, open) {
  const table = $("confusion");
  const key = (document.activeElement.dataset || {}).cell;
  const most = Math.max(1, ...numbers.confusion.map((row, truth) => Math.max(0, ...row.filter((_, guess) => guess !== truth))));
  table.classList.toggle("many", labels.length >= MANY);
  const head = make("tr", {}, make("td", {}), ...labels.map((name) => make("th", { scope: "col", title: name, dir: "auto" }, make("span", { text: name }))));
  const rows = numbers.confusion.map((row, truth) =>
    make("tr", {}, make("th", { scope: "row", title: labels[truth], text: labels[truth], dir: "auto" }), ...row.map((number, guess) => cell(number, truth, guess, labels, most, open))),
  );
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  const again = key && table.querySelector(`[data-cell="${key}"]`);
  if (again) again.focus();
}

function cell(number, truth, guess, labels, most, open) {
  const isRight = truth === guess;
  if (!number) return make("td", { class: isRight ? "right none" : "none" }, make("span", { text: isRight ? "0" : "·" }));
  const words = `${number} of ${labels[truth]} named ${labels[guess]}`;
  const weight = isRight ? "" : `w${Math.ceil((4 * number) / most)}`;
  const button = make("button", { type: "button", class: weight, "aria-label": words, title: words, dataset: { cell: `${truth}-${guess}` }, text: count(number), onclick: () => open(truth, guess, true) });
  return make("td", { class: isRight ? "right" : "wrong" }, button);
}
