// Questions, the large picture, and tiles that open it.

import { picture } from "./net.js";
import { $, make, nameOf } from "./ui.js";

// Asks in a dialog; gives what was entered, or null. Fields: [{name, label, value, options, suggest}].
export function ask(title, fields, yes, text = "") {
  const dialog = $("dialog");
  const inputs = fields.map((field) => inputOf(field));
  const form = make(
    "form",
    { method: "dialog" },
    make("h2", { id: "dialog-title", text: title, dir: "auto" }),
    text ? make("p", { text }) : null,
    ...fields.map((field, place) => make("label", {}, make("span", { text: field.label }), inputs[place])),
    make(
      "p",
      { class: "buttons" },
      make("button", { type: "submit", value: "yes", class: "primary", text: yes }),
      make("button", { type: "submit", value: "no", formnovalidate: true, text: "Cancel" }),
    ),
  );
  dialog.replaceChildren(form);
  dialog.returnValue = "no";
  dialog.showModal();
  if (inputs.length) inputs[0].focus();
  if (inputs.length && inputs[0].select) inputs[0].select();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const answers = Object.fromEntries(fields.map((field, place) => [field.name, inputs[place].value.trim()]));
        resolve(dialog.returnValue === "yes" ? answers : null);
      },
      { once: true },
    );
  });
}

// Asks which of a few things is to be done, a button each; gives its place, or -1.
export function pick(title, choices) {
  const dialog = $("dialog");
  const buttons = choices.map((text, place) => make("button", { type: "button", text, onclick: () => dialog.close(String(place)) }));
  const cancel = make("button", { type: "button", text: "Cancel", onclick: () => dialog.close("-1") });
  dialog.replaceChildren(make("h2", { id: "dialog-title", text: title, dir: "auto" }), make("p", { class: "picks" }, ...buttons), make("p", { class: "buttons" }, cancel));
  dialog.returnValue = "-1";
  dialog.showModal();
  buttons[0].focus();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(Number(dialog.returnValue)), { once: true }));
}

function inputOf(field) {
  if (field.options) {
    return make(
      "select",
      { name: field.name },
      ...field.options.map((one) => make("option", { value: one, text: one, selected: one === field.value })),
    );
  }
  const list = field.suggest ? `list-${field.name}` : undefined;
  const input = make("input", { name: field.name, value: field.value || "", required: true, maxlength: 200, autocomplete: "off", dir: "auto", list });
  if (!list) return input;
  const options = make("datalist", { id: list }, ...field.suggest.map((one) => make("option", { value: one })));
  const wrap = make("span", { class: "suggested" }, input, options);
  Object.defineProperty(wrap, "value", { get: () => input.value });
  wrap.focus = () => input.focus();
  return wrap;
}

// Shows a photograph as large as it fits; `step` goes to the one before or the next where there are others.
export function enlarge(item, captions = [], extra = [], step = null) {
  const box = $("lightbox");
  const image = make("img", { src: picture(item, "whole"), alt: item.path });
  image.addEventListener("error", () => image.replaceWith(make("p", { class: "broken", text: "This file cannot be shown as a photograph." })));
  const before = box.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  const turn = (by, sign, words) => make("button", { type: "button", class: "turn", "aria-label": words, text: sign, onclick: () => step(by) });
  box.replaceChildren(
    make("button", { type: "button", class: "close", "aria-label": "Close", text: "×", onclick: () => box.close() }),
    make("figure", {}, image, make("figcaption", {}, make("strong", { text: item.path, dir: "auto" }), ...captions.map((text) => make("span", { text, dir: "auto" })), ...extra)),
    ...(step ? [make("p", { class: "buttons turns" }, turn(-1, "←", "The one before"), turn(1, "→", "The next"))] : []),
  );
  box.onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && step && !event.target.closest("select")) step(by);
  };
  if (!box.open) box.showModal();
  // The button that has the focus is made anew with the next photograph.
  else ([...box.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === before) || box.querySelector(".close")).focus();
}

export function tile(item, captions, onclick) {
  return make(
    "li",
    {},
    make(
      "button",
      { type: "button", class: "tile", dataset: { path: item.path }, onclick },
      make("img", { src: picture(item), alt: "", loading: "lazy", decoding: "async" }),
      make("span", { class: "name", text: nameOf(item.path), title: item.path, dir: "auto" }),
      ...captions.map((text) => make("span", { class: "quiet", text, dir: "auto" })),
    ),
  );
}

// Changes what a list shows; whoever was at one of its buttons is at it afterwards, or at the one in its place.
export function replaceKeeping(list, rows) {
  const buttons = () => [...list.querySelectorAll("button")];
  const place = buttons().indexOf(document.activeElement);
  const key = place < 0 ? undefined : document.activeElement.dataset.path;
  list.replaceChildren(...rows);
  if (place < 0) return;
  const now = buttons();
  const same = now.find((button) => key !== undefined && button.dataset.path === key);
  const next = same || now[Math.min(place, now.length - 1)];
  if (next) next.focus();
}
