// The Try page: any photograph, what the model says of it, and why.

import { openCamera, shoot } from "./camera.js";
import { follow } from "./follow.js";
import { picture, post, queryOf, send, sendForImage } from "./net.js";
import { $, keys, make, nameOf, percent, say, tell, tried } from "./ui.js";

// Between two answers about what the camera shows.
const REST_MS = 300;

let last = null;
let live = null;
let asked = 0;

async function name(blob, quietly = false) {
  const mine = ++asked;
  const headers = { "content-type": blob.type || "application/octet-stream" };
  if (!quietly) $("said").replaceChildren(make("p", { class: "quiet", text: "Looking at it …" }));
  const found = await tried(() => send("try", blob, headers));
  if (mine !== asked) return false;
  if (found) {
    last = blob;
    show(found, quietly);
  } else if (!quietly) $("said").replaceChildren(make("p", { class: "quiet", text: "This one could not be named; try another photograph." }));
  return Boolean(found);
}

function show(found, quietly) {
  const verdict = found.unknown ? "unknown: like nothing it was trained on" : found.label;
  const bars = found.scores.slice(0, 10).map((one) =>
    make("div", { class: "score" }, make("span", { text: one.label, dir: "auto" }), make("meter", { min: 0, max: 1, value: one.score, "aria-label": `${one.label} ${percent(one.score)}` }), make("span", { class: "number", text: percent(one.score) })),
  );
  const near = found.nearest.map((one) => make("li", {}, make("img", { src: picture({ path: one.path }), alt: nameOf(one.path) }), make("span", { text: `${one.label} ${one.cosine.toFixed(2)}`, dir: "auto" })));
  if (!quietly) tell(`${verdict}, ${percent(found.scores[0].score)}`);
  $("said").replaceChildren(
    make("p", { class: found.unknown ? "verdict unknown" : "verdict", text: verdict, dir: "auto" }),
    ...bars,
    near.length ? make("h2", { text: "Most like" }) : null,
    near.length ? make("ul", { class: "near" }, ...near) : null,
    quietly || !last ? null : heatButton(found.scores[0].label),
  );
}

function heatButton(label) {
  const button = make("button", { type: "button", class: "heat", text: `What speaks for ${label}?` });
  button.addEventListener("click", () => showHeat(label, button));
  return make("p", { class: "buttons" }, button);
}

async function showHeat(label, button) {
  const blob = last;
  const address = await tried(() => sendForImage(`try/heat?${queryOf({ label })}`, blob, { "content-type": "application/octet-stream" }), button);
  if (!address || blob !== last) return;
  const words = `What speaks for ${label}: red for it, blue against it`;
  display(address, words);
  tell(words);
}

function display(address, text) {
  const image = make("img", { src: address, alt: text });
  for (const kind of ["load", "error"]) image.addEventListener(kind, () => URL.revokeObjectURL(address), { once: true });
  // A browser may not show what the model reads (TIFF, FITS); its name is then all there is to see.
  image.addEventListener("error", () => image.replaceWith(make("p", { text: "The browser cannot show this kind of file; the model may read it all the same." })));
  $("shown").replaceChildren(make("figure", {}, image, make("figcaption", { class: "quiet", text })));
}

async function take(blob) {
  if (!blob) return;
  stop();
  last = null;
  display(URL.createObjectURL(blob), blob.name || "The photograph");
  await name(blob);
}

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", async () => {
  const chosen = $("file").files[0];
  $("file").value = "";
  await take(chosen);
});
addEventListener("paste", (event) => {
  const item = [...event.clipboardData.items].find((one) => one.type.startsWith("image/"));
  if (item) take(item.getAsFile());
  else if (!event.target.closest("input")) say("There is no picture on the clipboard; copy one, then paste again");
});
for (const kind of ["dragenter", "dragover"]) {
  $("target").addEventListener(kind, (event) => {
    event.preventDefault();
    $("target").classList.add("over");
  });
}
$("target").addEventListener("dragleave", (event) => $("target").contains(event.relatedTarget) || $("target").classList.remove("over"));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  $("target").classList.remove("over");
  const file = [...event.dataTransfer.files][0];
  if (file) take(file);
  else say("expected a photograph; files can be dropped here, pictures out of other pages cannot", true);
});

$("address-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  stop();
  const address = $("address").value;
  const button = event.target.querySelector("button");
  const found = await tried(() => post("try/url", { url: address }), button);
  if (!found) return;
  last = null;
  $("shown").replaceChildren(make("p", { class: "quiet", text: address }));
  show(found, false);
});

// The camera: about three answers a second, the next one asked for when the last has come.

function stop() {
  if (!live) return;
  live.stop();
  live = null;
  $("camera").setAttribute("aria-pressed", "false");
  $("camera").textContent = "Camera";
}

async function watch(camera) {
  while (live === camera) {
    const blob = document.hidden ? null : await shoot(camera.video);
    if (blob && live === camera && !(await name(blob, true)) && live === camera) return stop();
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
  }
  return undefined;
}

async function film() {
  if (live) return stop();
  const camera = await openCamera($("camera"));
  if (!camera) return undefined;
  live = camera;
  $("camera").setAttribute("aria-pressed", "true");
  $("camera").textContent = "Stop the camera";
  $("shown").replaceChildren(camera.video);
  return watch(camera);
}

$("camera").addEventListener("click", film);
addEventListener("pagehide", stop);

follow((state) => {
  $("none").hidden = state.model;
  $("some").hidden = !state.model;
  $("address-form").hidden = !state.allow_urls;
});
keys(
  { o: () => $("choose").click(), c: film, h: () => $("said").querySelector(".heat") && $("said").querySelector(".heat").click() },
  [
    ["O", "choose a photograph"],
    ["Ctrl+V", "paste a photograph"],
    ["C", "camera, on and off"],
    ["H", "what speaks for the answer"],
  ],
);
