// Doubtful labels: the one that is looked at, large, with what it is most like, and a strip of all of them.

import { enlarge } from "./dialogs.js";
import { get, picture, queryOf } from "./net.js";
import { $, count, make, nameOf, percent, say, tell, tried } from "./ui.js";

// An answer just after another photograph came up by itself was meant for the one before it.
const SUDDEN_MS = 400;

let facts = null;
let act = null;
let place = 0;
let shown = "";
let held = 0;

// What was answered here and may still come back with facts that were on their way; and the doubts themselves, which
// stay while the next cross-validation is not done, so that one answer can follow the other.
const done = new Set();
let doubts = [];

const keyOf = (one) => (one ? JSON.stringify([one.path, one.label, one.suggested, one.likely]) : `none ${Boolean(facts.examined)}`);

// Trap: every correction sorts the doubts anew; the one that a person is looking at must stay before them.
export function showSuspects(found, answers) {
  const before = doubts[place];
  [facts, act] = [found, answers];
  if (facts.examined) doubts = facts.examined.suspects.filter((one) => !done.has(one.path));
  const again = before ? doubts.findIndex((one) => one.path === before.path) : -1;
  place = Math.max(0, again >= 0 ? again : Math.min(place, doubts.length - 1));
  if (before && again < 0) hold();
  draw();
}

// Shows for how long no answer is taken; `held` is the timer that ends it.
function hold() {
  clearTimeout(held);
  $("suspect").dataset.held = "";
  held = setTimeout(() => {
    held = 0;
    delete $("suspect").dataset.held;
  }, SUDDEN_MS);
}

// After an answer was taken back, its doubt may come again.
export function forget() {
  done.clear();
  shown = "";
}

function draw() {
  $("suspects-count").textContent = facts.examined ? count(facts.examined.suspects_in_all) : "…";
  const hadFocus = $("suspects").contains(document.activeElement);
  $("suspects").replaceChildren(...doubts.map(thumbnail));
  if (hadFocus && doubts.length) $("suspects").querySelectorAll("button")[place].focus();
  showOne();
}

function thumbnail(one, index) {
  const words = `${one.path}: ${one.label}, or ${one.suggested}?`;
  return make("li", {}, make("button", { type: "button", "aria-current": String(index === place), "aria-label": words, title: words, onclick: () => goTo(index) }, make("img", { src: picture(one), alt: "", loading: "lazy", decoding: "async" })));
}

function showOne() {
  const [one, box] = [doubts[place], $("suspect")];
  if (keyOf(one) === shown) return;
  shown = keyOf(one);
  const hadFocus = box.contains(document.activeElement);
  if (!one) {
    box.replaceChildren(make("p", { class: "empty", text: facts.examined ? "No label is in doubt." : "Looking for doubtful labels …" }));
    if (hadFocus) $("tab-suspects").focus();
    return;
  }
  const near = make("ul", { class: "near", "aria-label": "Most alike" });
  const image = make("img", { class: "main", src: picture(one, "whole"), alt: one.path });
  const large = make("button", { type: "button", class: "tile", "aria-label": `Enlarge ${one.path}`, onclick: () => enlarge(one, [one.label]) }, image);
  box.replaceChildren(large, wordsOf(one, near));
  if (hadFocus) box.querySelector("button.primary").focus();
  showNear(one, near);
}

function wordsOf(one, near) {
  const heat = make("button", { type: "button", class: "heat", onclick: () => showHeat(one, heat) }, "What speaks for it? ", make("kbd", { text: "H" }));
  return make(
    "div",
    { class: "words" },
    make("p", { class: "labels" }, "Folder: ", make("strong", { text: one.label, dir: "auto" })),
    make("p", { class: "labels" }, "Suggested: ", make("strong", { text: one.suggested, dir: "auto" }), one.likely ? "" : " (merely doubtful)"),
    make("p", { class: "quiet" }, make("bdi", { text: one.path }), `, ${one.side} side; doubt ${percent(one.score, 0)}`),
    make(
      "p",
      { class: "buttons" },
      make("button", { type: "button", class: "primary", onclick: () => act.accept() }, "Move to ", make("bdi", { text: one.suggested }), " ", make("kbd", { text: "Y" })),
      make("button", { type: "button", onclick: () => act.reject() }, "Label is right ", make("kbd", { text: "N" })),
      heat,
    ),
    make("h2", { class: "small", text: "Most alike" }),
    near,
  );
}

async function showNear(one, box) {
  const found = await tried(() => get("review/near", { path: one.path }));
  if (!found) return;
  box.replaceChildren(...found.items.slice(0, 6).map((other) => make("li", {}, make("img", { src: picture(other), alt: nameOf(other.path) }), make("span", { text: `${other.truth} ${other.cosine.toFixed(2)}`, dir: "auto" }))));
  if (!found.items.length) box.replaceChildren(make("li", { text: "not known" }));
}

function showHeat(one, button) {
  if (button.getAttribute("aria-busy") === "true") return;
  const address = `/studio/review/heat?${queryOf({ path: one.path, label: one.suggested })}`;
  const words = `What speaks for ${one.suggested}: red for it, blue against it`;
  const image = make("img", { class: "main", src: address, alt: words });
  button.setAttribute("aria-busy", "true");
  image.addEventListener("error", () => {
    button.removeAttribute("aria-busy");
    say("The heat map could not be made; is the photograph still there?", true);
  });
  image.addEventListener("load", () => {
    button.removeAttribute("aria-busy");
    if (doubts[place] !== one) return;
    $("suspect").querySelector("img.main").replaceWith(image);
    tell(words);
  });
}

function goTo(index) {
  const found = doubts;
  if (!found.length) return;
  place = Math.max(0, Math.min(index, found.length - 1));
  for (const [number, button] of [...$("suspects").querySelectorAll("button")].entries()) {
    button.setAttribute("aria-current", String(number === place));
    if (number === place) button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  showOne();
}

export const step = (by) => goTo(place + by);

// The one that was answered leaves the list at once; the numbers follow when the head has been fitted.
export function answered(run) {
  const one = doubts[place];
  if (!one) return undefined;
  if (held) return say("Another photograph came up by itself just now: look at it, and answer again.");
  done.add(one.path);
  doubts = doubts.filter((other) => other !== one);
  if (facts.examined) facts.examined.suspects_in_all -= 1;
  place = Math.max(0, Math.min(place, doubts.length - 1));
  draw();
  const next = doubts[place];
  tell(next ? `Next: ${nameOf(next.path)}, ${next.label}, or ${next.suggested}?` : "No further label is in doubt");
  return run(one);
}
