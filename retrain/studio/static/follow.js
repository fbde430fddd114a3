// What the studio knows, kept at hand on every page, and the line at the top that says how the model stands.

import { get, listen } from "./net.js";
import { $, count, percent, plural, tried } from "./ui.js";

// Trap: the words are read aloud whenever they change; how far a job has come is therefore beside them.
function standing(kind, words, far = "") {
  $("dot").dataset.state = kind;
  if ($("standing-text").textContent !== words) $("standing-text").textContent = words;
  $("standing-far").textContent = far;
}

export function showTraining({ stage, done, total }) {
  standing("work", `${stage} …`, total ? `${count(done)} of ${count(total)}` : "");
}

// An answer that was long on its way may be older than what the run has said since, and must not take it back.
let spoken = { told: -1 };
export const newest = (told, progress) => (told < spoken.told ? spoken.facts : progress);

export function showStanding(state) {
  if (state.training.state === "running") showTraining(state.training);
  else standing(...standingOf(state));
  // An empty folder is no fault: the page itself says how to begin.
  const found = state.photographs ? [...new Set(state.problems || [])] : [];
  const text = found.join("\n");
  const problems = $("problems");
  if (problems.textContent !== text) problems.textContent = text;
  problems.hidden = !found.length;
}

function standingOf(state) {
  if (state.trouble && state.trained && !(state.problems || []).length) return ["bad", state.trouble.split("\n")[0]];
  if ((state.problems || []).length && state.photographs) return ["bad", "The photographs need a look"];
  if (state.test && state.fitted_revision !== state.revision) return ["work", "Fitting the head again …"];
  if (state.crossed) return ["good", `${percent(state.crossed.share)} right, cross-validated`];
  if (state.test) return ["work", `${percent(state.test.share)} right in the test; cross-validating …`];
  if (!state.trained) return ["none", `${plural(state.photographs, "photograph", "photographs")}, no model yet`];
  return ["work", "Fitting the head …"];
}

// Keeps the state of the studio at hand, and asks again whenever something changed. `heard` is called with how much had
// been told when this page began to listen: what it knows from before may be old, and no event will say so.
export function follow(onState, more = {}) {
  let waiting = null;
  let again = false;
  let behind = 0;
  let known = null;
  const refresh = () => {
    if (waiting) {
      again = true;
      return waiting;
    }
    waiting = tried(() => get("state")).then((state) => {
      waiting = null;
      if (state) {
        known = state.told;
        state.training = newest(state.told, state.training);
        showStanding(state);
        onState(state);
        again ||= known < behind;
        behind = 0;
      }
      if (!again) return undefined;
      again = false;
      return refresh();
    });
    return waiting;
  };
  const called = (kind) => (facts) => {
    if (more[kind]) more[kind](facts);
    refresh();
  };
  const kinds = ["folder", "fitting", "fitted", "examined", "trouble", "missed"];
  listen({
    heard: (told) => {
      // A studio that was started anew counts from nothing again.
      spoken = { told: -1 };
      if (known === null) behind = told;
      else if (known < told) refresh();
      if (more.heard) more.heard(told);
    },
    ...Object.fromEntries(kinds.map((kind) => [kind, called(kind)])),
    // A run speaks many times a second; only its end changes anything else.
    training: (facts, told) => {
      spoken = { told, facts };
      if (more.training) more.training(facts);
      if (facts.state === "running") showTraining(facts);
      if (facts.state !== "running" || !facts.stage || facts.stage === "Starting") refresh();
    },
    looking: (facts) => more.looking && more.looking(facts),
    broken: () => standing("bad", "The studio does not answer; this page comes back by itself"),
  });
  return { refresh, started: refresh() };
}
