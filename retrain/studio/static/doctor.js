// What the doctor finds wrong with the photographs, beside the classes.

import { get } from "./net.js";
import { $, count, make, tried } from "./ui.js";

let isLooking = false;

export function showLooking(now) {
  if (isLooking) $("looking").textContent = `${now.stage}: ${count(now.done)} of ${count(now.total)} ${now.unit}`;
}

export async function examine() {
  if (isLooking) return;
  isLooking = true;
  $("findings").replaceChildren();
  $("looking").textContent = "Looking at every photograph …";
  const found = await tried(() => get("doctor"), $("examine"));
  isLooking = false;
  $("looking").textContent = "";
  if (!found) return;
  const rows = found.findings.map(row);
  $("findings").replaceChildren(rows.length ? make("ul", { class: "findings" }, ...rows) : make("p", { text: "Nothing to complain about." }));
}

function row(one) {
  const examples = one.examples.slice(0, 4).join(", ");
  return make(
    "li",
    { class: `finding ${one.severity}` },
    make("strong", { text: one.title }),
    make("span", { text: one.text, dir: "auto" }),
    examples ? make("span", { class: "quiet", text: examples, dir: "auto" }) : null,
    one.fix ? make("span", { text: one.fix }) : null,
  );
}
