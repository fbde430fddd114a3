// The Train page: what to train, how it goes, how good it came out.

import { showCurve } from "./curve.js";
import { follow, newest } from "./follow.js";
import { get, post } from "./net.js";
import { $, count, disable, keys, make, percent, range, say, tried } from "./ui.js";

let state = null;
let lines = [];
let settled = false;
let now = null;
let heard = 0;

async function load() {
  const facts = await tried(() => get("train"));
  if (!facts) return;
  if (!settled) {
    settled = true;
    const { settings } = facts;
    $("architecture").replaceChildren(...facts.architectures.map((one) => option(one, settings.architecture)));
    $("head").replaceChildren(...facts.heads.map((name) => make("option", { value: name, text: name, selected: name === settings.head })));
    $("steps").value = usual(settings.how_many_training_steps);
    $("rate").value = usual(settings.learning_rate);
    $("curve-wanted").checked = settings.learning_curve;
    note();
    showSettings();
  }
  lines = [...facts.progress.lines];
  showProgress(newest(facts.told, facts.progress));
  $("curve-card").hidden = !facts.curve;
  if (facts.curve) showCurve(facts.curve);
}

// Not before they are filled in: what a person sets meanwhile would be overwritten.
function showSettings() {
  $("settings").hidden = !(settled && state && state.photographs);
}

// Less than nothing means "as usual" to the command line, and an empty field does here.
const usual = (value) => (value < 0 ? "" : value);
const numberIn = (id) => ($(id).value === "" ? -1 : Number($(id).value));

function option(one, chosen) {
  const where = one.weights ? "" : " (weights to be fetched)";
  const text = `${one.name}: ${one.millions} M parameters${where}`;
  return make("option", { value: one.name, text, selected: one.name === chosen, dataset: { weights: one.weights } });
}

function note() {
  const chosen = $("architecture").selectedOptions[0];
  $("architecture-note").textContent = !chosen || chosen.dataset.weights ? "its weights are on this machine" : "its weights are not on this machine: python -m retrain weights fetch";
}

function showProgress(told) {
  now = told;
  heard = performance.now();
  const running = now.state === "running";
  $("progress-card").hidden = now.state === "idle";
  disable($("start"), running, null);
  disable($("cancel"), !running, $("start"));
  const words = { running: now.stage, done: "Done", cancelled: "Cancelled; what was cached is kept", failed: "It failed" };
  if ($("stage").textContent !== words[now.state]) $("stage").textContent = words[now.state] || "";
  $("stage").classList.toggle("failed", now.state === "failed");
  $("next").hidden = now.state !== "done";
  $("bar").hidden = now.state === "failed" || now.state === "cancelled";
  if (running && !now.total) $("bar").removeAttribute("value");
  else {
    $("bar").max = running ? now.total : 1;
    $("bar").value = running ? now.done : 1;
  }
  showDetail();
  writeLog();
}

// The seconds go on by themselves, however long a stage says nothing.
function showDetail() {
  if (now.state === "failed") return ($("detail").textContent = now.error);
  const running = now.state === "running";
  const left = running && now.left_s !== null ? `, about ${Math.ceil(now.left_s)} s left` : "";
  const items = running && now.total ? `${count(now.done)} of ${count(now.total)} ${now.unit}${left}` : "";
  const seconds = now.seconds + (running ? (performance.now() - heard) / 1000 : 0);
  return ($("detail").textContent = [items, `${seconds.toFixed(running ? 0 : 1)} s${running ? " so far" : ""}`].filter(Boolean).join("; "));
}

setInterval(() => now && now.state === "running" && showDetail(), 1000);

// Whoever has scrolled up in the log reads there; else it follows what is said.
function writeLog() {
  const text = lines.join("\n");
  const log = $("log");
  if (log.textContent === text) return;
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.textContent = text;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function figures() {
  $("crossed").textContent = state.crossed ? percent(state.crossed.share) : "–";
  $("crossed-range").textContent = state.crossed ? range(state.crossed) : "";
  $("test").textContent = state.test ? percent(state.test.share) : "–";
  $("test-range").textContent = state.test ? range(state.test) : "";
}

$("settings").addEventListener("submit", async (event) => {
  event.preventDefault();
  const facts = { architecture: $("architecture").value, head: $("head").value, how_many_training_steps: numberIn("steps"), learning_rate: numberIn("rate"), learning_curve: $("curve-wanted").checked };
  lines = [];
  $("cancel").disabled = false;
  const hadFocus = document.activeElement === $("start");
  if (await tried(() => post("train", facts), $("start"))) if (hadFocus) $("cancel").focus();
  following.refresh();
});
$("cancel").addEventListener("click", async () => {
  const answer = await tried(() => post("train/cancel"), $("cancel"));
  if (answer) say(answer.cancelled ? "Cancelling …" : "Nothing was running");
});
$("architecture").addEventListener("change", note);

const following = follow(
  (found) => {
    state = found;
    $("none").hidden = state.photographs > 0;
    showSettings();
    showProgress(state.training);
    figures();
  },
  {
    training: (told) => {
      lines = [...lines, ...told.lines].slice(-400);
      showProgress(told);
      if (told.state === "done") load();
    },
    missed: () => load(),
  },
);
load();
keys({ t: () => $("settings").hidden || $("settings").requestSubmit($("start")), r: () => location.assign("/review") }, [
  ["T", "train"],
  ["R", "go to Review"],
]);
