// The Review page: look at a doubt, answer it with one key, and see what it changed.

import { showConfusion } from "./confusion.js";
import { enlarge, replaceKeeping, tile } from "./dialogs.js";
import { follow } from "./follow.js";
import { get, post } from "./net.js";
import { answered, forget, showSuspects, step } from "./suspects.js";
import { $, count, keys, make, nameOf, percent, plural, range, say, tell, tried } from "./ui.js";

let facts = null;
let chosen = null;
let asked = 0;
// How much had been told when this page began to listen, while its first question was on its way.
let behind = 0;
// What was answered here, so that undo takes back the last answer, whichever of the two it was.
const answers = [];
const seen = new Map();

const TABS = ["suspects", "confusion", "unknown", "flips"];

function openTab(name, focus = false) {
  for (const one of TABS) {
    const tab = $(`tab-${one}`);
    tab.setAttribute("aria-selected", String(one === name));
    tab.tabIndex = one === name ? 0 : -1;
    $(`panel-${one}`).hidden = one !== name;
  }
  if (focus) $(`tab-${name}`).focus();
}

for (const [index, name] of TABS.entries()) {
  $(`tab-${name}`).addEventListener("click", () => openTab(name));
  $(`tab-${name}`).addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    openTab(TABS[(index + by + TABS.length) % TABS.length], true);
  });
}

async function refresh() {
  const mine = ++asked;
  const found = await tried(() => get("review"));
  if (!found || mine !== asked) return undefined;
  facts = found;
  if (facts.told < behind) {
    behind = 0;
    return refresh();
  }
  $("none").hidden = facts.ready;
  $("some").hidden = !facts.ready;
  if (!facts.ready) {
    if (facts.trouble) $("none-why").textContent = facts.trouble;
    return undefined;
  }
  $("trouble").hidden = !facts.trouble;
  $("trouble").textContent = facts.trouble;
  figures();
  showSuspects(facts, act);
  confusion();
  fillTiles("unknown", (facts.examined || {}).unknown || [], (one) => [one.truth, `alike ${one.cosine.toFixed(2)}`]);
  fillTiles("flips", facts.flips, (one) => [`${one.before} → ${one.now}`, `folder: ${one.truth}, ${one.side}`]);
  $("unknown-count").textContent = facts.examined ? count(facts.examined.unknown.length) : "";
  $("flips-count").textContent = facts.flips_in_all ? count(facts.flips_in_all) : "";
  document.body.dataset.revision = facts.stale ? "" : facts.revision;
  document.body.dataset.examined = facts.examined && !facts.stale ? facts.revision : "";
  return undefined;
}

function set(id, text) {
  const box = $(id).closest(".figure");
  if ($(id).textContent !== text && seen.has(id)) {
    box.classList.add("moved");
    setTimeout(() => box.classList.remove("moved"), 2500);
  }
  seen.set(id, text);
  $(id).textContent = text;
}

function figures() {
  const { examined } = facts;
  if (examined) {
    set("crossed", percent(examined.accuracy.share));
    $("crossed-range").textContent = range(examined.accuracy);
  } else {
    $("crossed-range").textContent = "being measured …";
  }
  set("test", percent(facts.test.accuracy.share));
  $("test-range").textContent = range(facts.test.accuracy);
  set("flipped", facts.flips_in_all ? plural(facts.flips_in_all, "answer changed", "answers changed") : "nothing changed");
  $("took").textContent = facts.stale ? "fitting the head again …" : `the head was fitted in ${facts.seconds.toFixed(2)} s`;
  if (examined && !facts.stale && seen.get("told") !== facts.revision) {
    if (seen.has("told")) tell(`${percent(examined.accuracy.share)} right, cross-validated; ${$("flipped").textContent}`);
    seen.set("told", facts.revision);
  }
}

// Answers to doubtful labels: a press of a key each.

// One after the other: who presses undo right behind an answer means that answer, also while it is on its way.
let before = Promise.resolve();
const inOrder = (work) => (before = before.then(work, work));
const act = { accept: () => answered((one) => inOrder(() => accept(one))), reject: () => answered((one) => inOrder(() => reject(one))) };
const undo = () => inOrder(takeBack);

async function accept(one) {
  document.body.dataset.revision = "";
  const answer = await tried(() => post("move", { paths: [one.path], to: one.suggested }));
  if (!answer) return (forget(), refresh());
  answers.push({ isMove: true });
  return say(`${nameOf(one.path)} moved to ${one.suggested}`, false, { name: "Undo", run: undo });
}

async function reject(one) {
  const answer = await tried(() => post("review/confirm", { path: one.path, right: true }));
  if (answer) answers.push({ isMove: false, path: one.path });
  return answer || (forget(), refresh());
}

async function takeBack() {
  const last = answers.pop();
  if (last && !last.isMove) {
    if (await tried(() => post("review/confirm", { path: last.path, right: false }))) say(`${nameOf(last.path)} is in doubt again`);
    forget();
    return refresh();
  }
  const answer = await tried(() => post("undo"));
  if (!answer) return refresh();
  forget();
  return say(`${plural(answer.moved, "photograph is", "photographs are")} back where they were`);
}

// Mistakes.

function confusion() {
  const numbers = facts.examined || facts.test;
  $("confusion-of").textContent = facts.examined ? "Each photograph is named by a model that had not seen it." : "Of the photographs of the test, until the cross-validation is done.";
  showConfusion(numbers, facts.labels, openCell);
  if (chosen && chosen.every((one) => facts.labels.includes(one))) openCell(...chosen.map((one) => facts.labels.indexOf(one)), false);
}

async function openCell(truth, guess, focus) {
  const { labels } = facts;
  chosen = [labels[truth], labels[guess]];
  const found = await tried(() => get("review/cell", { truth, guess }));
  if (!found || chosen[0] !== labels[truth] || chosen[1] !== labels[guess]) return;
  $("cell-title").textContent = `${labels[truth]}, named ${labels[guess]}: ${plural(found.items.length, "photograph", "photographs")}`;
  fillTiles("cell", found.items, (one) => [`${one.guess} ${percent(one.confidence, 0)}`, one.side]);
  if (focus) $("cell-title").focus();
}

function fillTiles(id, items, captions) {
  replaceKeeping($(id), items.map((one) => tile(one, captions(one), () => look(one, captions(one)))));
  if (!items.length && id !== "cell") $(id).replaceChildren(make("li", { class: "quiet", text: facts.examined ? "None." : "Being looked for …" }));
}

function look(one, captions) {
  const select = make("select", { "aria-label": "Class to move it to" }, ...facts.labels.map((name) => make("option", { value: name, text: name, selected: name === (one.guess || one.now) })));
  const move = make("button", { type: "button", text: "Move to" });
  move.addEventListener("click", async () => {
    const answer = await tried(() => post("move", { paths: [one.path], to: select.value }), move);
    if (!answer) return;
    answers.push({ isMove: true });
    $("lightbox").close();
    say(`${nameOf(one.path)} moved to ${select.value}`, false, { name: "Undo", run: undo });
  });
  enlarge(one, captions, [make("span", { class: "choose" }, move, " ", select)]);
}

const onSuspects = (run) => () => $("panel-suspects").hidden || run();

follow(() => {}, {
  fitted: refresh,
  examined: refresh,
  folder: () => facts && facts.ready && ((facts.stale = true), figures()),
  missed: refresh,
  heard: (told) => {
    if (!facts) behind = told;
    else if (facts.told < told) refresh();
  },
  trouble: refresh,
});
refresh();
keys(
  {
    y: onSuspects(act.accept),
    n: onSuspects(act.reject),
    u: undo,
    arrowleft: onSuspects(() => step(-1)),
    arrowright: onSuspects(() => step(1)),
    h: onSuspects(() => $("suspect").querySelector("button.heat") && $("suspect").querySelector("button.heat").click()),
    ...Object.fromEntries(TABS.map((name, index) => [String(index + 1), () => openTab(name, true)])),
  },
  [
    ["Y", "move the photograph to the class suggested"],
    ["N", "its label is right"],
    ["← →", "the doubt before, the next"],
    ["U", "take the last answer back"],
    ["H", "what speaks for the class suggested"],
    ["1 2 3 4", "doubtful labels, mistakes, like no other, what changed"],
  ],
);
