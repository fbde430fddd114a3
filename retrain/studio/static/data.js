// The Data page: classes and their photographs, and every change of the folder.

import { addAll, askClass, filesOf, photographInto, sort } from "./adding.js";
import { ask, enlarge, pick } from "./dialogs.js";
import { examine, showLooking } from "./doctor.js";
import { follow } from "./follow.js";
import { Grid } from "./grid.js";
import { post } from "./net.js";
import { $, count, disable, keys, make, plural, say, tell, tried } from "./ui.js";

const DRAGGED = "text/x-retrain-paths";
let state = null;
let folder = "";
let shown = "";
let listed = "";
let wanted = "";

const grid = new Grid($("grid"), {
  onSelection: (number) => {
    if (!number && $("selection").contains(document.activeElement)) grid.focus(grid.current);
    $("selection").hidden = !number;
    $("selected").textContent = plural(number, "photograph selected", "photographs selected");
  },
  onOpen: showLarge,
  onShown: showEmpty,
});

const paths = () => [...grid.selected.keys()];
const names = () => state.classes.map((one) => one.folder);

function showLarge(item) {
  enlarge(item, [item.truth], [], async (by) => {
    const other = await grid.step(by);
    if (other) showLarge(other);
  });
}

function showEmpty(total) {
  const title = !state.photographs ? "No photographs here yet" : $("find").value ? "No name has that in it" : "No photographs in this class yet";
  const how = "Drop photographs, or a folder of them, anywhere on this page; or choose “Add photographs”. A class needs some twenty to begin with; two classes make a model.";
  $("empty").hidden = total > 0;
  $("grid").hidden = !total;
  $("empty-title").textContent = title;
  $("empty-text").textContent = $("find").value && state.photographs ? "Another part of a name may find what you are looking for." : how;
}

// Whoever has the focus in the list of classes keeps it, by the name of the class.
function showClasses() {
  const facts = JSON.stringify([state.classes, state.photographs, folder]);
  if (facts !== listed) {
    listed = facts;
    const all = { folder: "", count: state.photographs, name: "All photographs" };
    const key = wanted || (document.activeElement.dataset || {}).key;
    $("classes").replaceChildren(...[all, ...state.classes.map((one) => ({ ...one, name: one.folder }))].map(row));
    const again = [...$("classes").querySelectorAll("button")].find((one) => key !== undefined && one.dataset.key === key);
    if (again) again.focus();
    wanted = "";
  }
  disable($("undo"), !state.undo, $("make"));
  $("undo-what").textContent = state.undo ? `Last change: ${state.undo}` : "";
  $("heading").textContent = folder || "All photographs";
}

function row(one) {
  const button = make(
    "button",
    { type: "button", class: "class", "aria-pressed": String(one.folder === folder), dataset: { key: `choose ${one.folder}` }, onclick: () => choose(one.folder) },
    make("span", { class: "name", text: one.name, dir: "auto" }),
    make("span", { class: "count", text: count(one.count) }),
  );
  const item = make("li", {}, button);
  if (!one.folder) return item;
  item.append(make("button", { type: "button", class: "more", "aria-label": `Change the class ${one.folder}`, dataset: { key: `change ${one.folder}` }, text: "⋯", onclick: () => change(one) }));
  for (const kind of ["dragenter", "dragover"]) item.addEventListener(kind, (event) => over(event, item));
  item.addEventListener("dragleave", (event) => item.contains(event.relatedTarget) || item.classList.remove("over"));
  item.addEventListener("drop", (event) => dropped(event, one.folder, item));
  return item;
}

function choose(name) {
  folder = name;
  showClasses();
  look(false);
}

function look(keep) {
  const query = { folder, find: $("find").value };
  shown = JSON.stringify([state.revision, query]);
  return grid.show(query, keep);
}

const following = follow(
  (now) => {
    state = now;
    const isGone = folder && !names().includes(folder);
    if (isGone) folder = "";
    showClasses();
    if (JSON.stringify([state.revision, { folder, find: $("find").value }]) !== shown) look(!isGone && shown !== "");
  },
  {
    looking: showLooking,
    // After a studio was started anew, its count of changes begins anew as well.
    missed: () => shown && (shown = "again"),
  },
);

async function changed(work, text, button = null) {
  const answer = await tried(work, button);
  if (!answer) {
    following.refresh();
    return null;
  }
  say(typeof text === "function" ? text(answer) : text, false, answer.undo ? { name: "Undo", run: undo } : null);
  await following.refresh();
  return answer;
}

const undo = () => changed(() => post("undo"), (answer) => (answer.moved ? `${plural(answer.moved, "photograph or class is", "photographs are")} back where they were` : "The last change is taken back"), $("undo"));

async function moveTo(chosen, to) {
  if (!chosen.length) return;
  const answer = await changed(() => post("move", { paths: chosen, to }), (done) => `${plural(done.moved, "photograph", "photographs")} moved to ${to}`, $("move"));
  if (answer) grid.clear();
}

async function askMove() {
  if (!paths().length) return say("Select photographs first: click them, or press space");
  const answers = await ask("Move to", [{ name: "to", label: "Class (a new name makes a new class)", suggest: names() }], "Move");
  if (answers) await moveTo(paths(), answers.to);
}

async function split() {
  const answers = await ask("Make a class of them", [{ name: "to", label: "Name of the new class" }], "Make");
  if (!answers) return;
  if (names().includes(answers.to)) return say(`There is a class ${answers.to} already; use Move to`, true);
  await moveTo(paths(), answers.to);
}

async function takeOut() {
  const chosen = paths();
  if (!chosen.length) return say("Select photographs first: click them, or press space");
  const answer = await changed(() => post("take_out", { paths: chosen }), (done) => `${plural(done.moved, "photograph", "photographs")} taken out, kept in the folder .removed`, $("out"));
  if (answer) grid.clear();
}

async function makeClass() {
  const answers = await ask("New class", [{ name: "name", label: "Name" }], "Make");
  if (answers) await changed(() => post("classes/make", answers), `The class ${answers.name} is there; add photographs to it`, $("make"));
}

async function change(one) {
  const others = names().filter((name) => name !== one.folder);
  const drop = () => changed(() => post("classes/drop", { name: one.folder }), `${one.folder} is gone`);
  const choices = [["Rename it", () => rename(one)]];
  if (others.length) choices.push(["Merge it into another", () => merge(one, others)]);
  if (!one.count) choices.push(["Take it away (it is empty)", drop]);
  const place = await pick(one.folder, choices.map(([text]) => text));
  if (place >= 0) await choices[place][1]();
}

async function rename(one) {
  const to = await ask(`Rename ${one.folder}`, [{ name: "new", label: "New name", value: one.folder }], "Rename");
  if (!to || to.new === one.folder) return;
  wanted = `change ${to.new}`;
  if (folder === one.folder) folder = to.new;
  const answer = await changed(() => post("classes/rename", { old: one.folder, new: to.new }), `${one.folder} is now ${to.new}`);
  if (!answer) wanted = "";
}

async function merge(one, others) {
  const to = await ask(`Merge ${one.folder}`, [{ name: "into", label: "Into", options: others }], "Merge");
  if (!to) return;
  wanted = `change ${to.into}`;
  const answer = await changed(() => post("classes/merge", { old: one.folder, into: to.into }), (done) => `${plural(done.moved, "photograph", "photographs")} moved to ${to.into}`);
  if (!answer) wanted = "";
}

async function add(found, to) {
  if (!found.length) return;
  const parts = await sort(found, to || folder, names());
  if (!parts.length) return;
  await addAll(parts, state);
  following.refresh();
}

const outside = (event) => [...event.dataTransfer.types].includes("Files");

function over(event, item) {
  if (!outside(event) && ![...event.dataTransfer.types].includes(DRAGGED)) return;
  event.preventDefault();
  event.stopPropagation();
  item.classList.add("over");
  $("drop").hidden = true;
}

async function dropped(event, to, item) {
  event.preventDefault();
  event.stopPropagation();
  if (item) item.classList.remove("over");
  $("drop").hidden = true;
  const moved = event.dataTransfer.getData(DRAGGED);
  if (moved) return moveTo(JSON.parse(moved), to);
  return tried(async () => add(await filesOf(event.dataTransfer), to));
}

addEventListener("dragover", (event) => {
  if (!outside(event)) return;
  event.preventDefault();
  $("drop-class").textContent = folder || "a class that you will be asked for";
  $("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").hidden = true;
});
addEventListener("drop", (event) => outside(event) && dropped(event, "", null));

async function camera() {
  const to = folder || (await askClass(names()));
  if (to) await photographInto(to, $("camera"));
}

async function selectAll() {
  await tried(() => grid.selectAll(), $("all"));
  tell($("selected").textContent);
}

const largest = () => showLarge(grid.selected.get(grid.item(grid.current) && grid.item(grid.current).path) || grid.selected.values().next().value);
const clicks = { make: makeClass, undo, move: askMove, split, out: takeOut, none: () => grid.clear(), large: largest, camera, all: selectAll, examine };
for (const [id, run] of Object.entries(clicks)) $(id).addEventListener("click", run);
$("add").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", async () => {
  const chosen = [...$("files").files].map((file) => ({ file, folder: "" }));
  $("files").value = "";
  await add(chosen, "");
});
$("rescan").addEventListener("click", () => changed(() => post("rescan"), "Looked again", $("rescan")));
let typed = 0;
$("find").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => look(false), 150);
});
keys(
  { m: askMove, delete: takeOut, escape: () => grid.clear(), u: undo, "/": () => $("find").focus(), c: makeClass, a: () => $("add").click() },
  [
    ["← ↑ → ↓", "go from photograph to photograph"],
    ["Space", "select, or not"],
    ["Shift+arrow", "select from the last one to here"],
    ["Ctrl+A", "select all"],
    ["Enter", "show large; there ← and → show the others"],
    ["M", "move what is selected to a class"],
    ["Delete", "take what is selected out"],
    ["Esc", "select none"],
    ["C", "make a class"],
    ["A", "add photographs"],
    ["U", "undo the last change"],
    ["/", "find by name"],
  ],
);
