// The Use page: the model in every format, with what was measured of each.

import { follow } from "./follow.js";
import { get, post, queryOf } from "./net.js";
import { $, count, keys, make, say, size, tried } from "./ui.js";

let last = "";
let making = "";

async function refresh() {
  const facts = await tried(() => get("use"));
  if (!facts) return;
  $("none").hidden = facts.there;
  $("some").hidden = !facts.there;
  if (!facts.there) return;
  const { model } = facts;
  $("model").textContent = `${model.architecture}, ${count(model.labels.length)} labels (${model.labels.slice(0, 8).join(", ")}${model.labels.length > 8 ? ", …" : ""}), pictures of ${model.input[1]} × ${model.input[0]} pixels, trained ${model.date ? new Date(model.date).toLocaleString() : "before dates were kept"}`;
  $("exports").replaceChildren(...facts.exports.map(row));
  $("files").replaceChildren(...facts.files.map((one) => make("li", {}, link(one.file, one.file), ` ${one.what}, ${size(one.bytes)}`)));
  $("commands").replaceChildren(...Object.entries(facts.commands).map(([name, text]) => command(name, text)));
}

function link(file, text, words = undefined) {
  return make("a", { href: `/studio/use/download?${queryOf({ file })}`, download: "", "aria-label": words, text });
}

function row(one) {
  const measured = one.measured;
  const get = one.there ? link(one.file, "Download", `Download ${one.format}`) : make("button", { type: "button", class: "small", "aria-label": `Make ${one.format}`, dataset: { format: one.format }, text: "Make it" });
  if (!one.there) get.addEventListener("click", () => start(one.format, get));
  const ours = measured && measured.kept;
  return make(
    "tr",
    {},
    make("th", { scope: "row", text: one.format }),
    make("td", { dataset: { title: "For" }, text: one.what }),
    number("Size", one.there ? size(one.bytes) : "–"),
    number("Same first label", measured ? `${count(measured.agreeing)} of ${count(measured.photographs)}` : "–"),
    number("Largest difference", measured ? `${measured.largest_difference.toExponential(1)} (limit ${measured.limit.toExponential(0)})` : "–"),
    number("One photograph", measured ? `${measured.ms.toFixed(1)} ms` : "–"),
    make("td", {}, measured && !ours ? make("span", { text: "did not keep to its limit; deleted" }) : get),
  );
}

// On a narrow screen a row is a list, and each value stands beside its name.
const number = (title, text) => make("td", { class: "number", dataset: { title }, text });

async function start(format, button) {
  const answer = await tried(() => post("use/export", { format }), button);
  if (!answer) return;
  making = format;
  say(`Making ${format}; the line at the top says how far it is`);
  mark(true);
}

// While a run goes on, no other can begin; the one that was asked for says that it is being made.
function mark(isRunning) {
  for (const button of $("exports").querySelectorAll("button")) {
    const isThis = button.dataset.format === making;
    button.textContent = isRunning && isThis ? "Being made" : "Make it";
    button.toggleAttribute("data-busy", isRunning && isThis);
    button.disabled = isRunning;
  }
}

function command(name, text) {
  const copy = make("button", { type: "button", text: "Copy", "aria-label": `Copy the ${name} line` });
  copy.addEventListener("click", async () => {
    if (navigator.clipboard) {
      if (await tried(async () => (await navigator.clipboard.writeText(text), true), copy)) say("Copied");
    } else {
      getSelection().selectAllChildren(copy.parentElement.querySelector("pre"));
      say("The browser does not let this page copy; the line is selected, press Ctrl+C");
    }
  });
  return make("div", {}, make("h3", { text: name }), make("pre", { class: "command", tabindex: 0, role: "region", "aria-label": `${name} line`, text }), copy);
}

follow((state) => {
  const stale = state.unsaved && state.training.state !== "running";
  $("stale").hidden = !stale;
  if (stale) {
    const save = make("button", { type: "button", text: "Write the model" });
    save.addEventListener("click", () => tried(() => post("train", {}), save));
    $("stale").replaceChildren("The photographs were changed since this model was written. ", save);
  }
  const now = `${state.model} ${state.training.state}`;
  if (now === last) return mark(state.training.state === "running");
  if (state.training.state === "failed" && making) say(`${making} could not be made: ${state.training.error}`, true);
  last = now;
  return refresh().then(() => mark(state.training.state === "running"));
});
keys({}, []);
