// What all pages share: making elements, words for numbers, messages, work that may fail, keys.

export const $ = (id) => document.getElementById(id);

// Text is always set as text: a label that holds HTML stays a label.
export function make(tag, facts = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "dataset") Object.assign(made.dataset, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const percent = (share, digits = 1) =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`;

export const count = (number) => number.toLocaleString("en");

export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function range(accuracy) {
  return `${percent(accuracy.low, 0)} to ${percent(accuracy.high, 0)}, N = ${count(accuracy.count)}`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export const nameOf = (path) => path.split("/").pop();

// A message stays while it is pointed at or has the focus, so that its button can be reached.
export function say(text, isError = false, action = null) {
  const toast = make("div", { class: isError ? "toast error" : "toast" }, make("p", { text, dir: "auto" }));
  if (action) {
    toast.append(make("button", { type: "button", text: action.name, onclick: () => (toast.remove(), action.run()) }));
  }
  toast.append(make("button", { type: "button", class: "close", "aria-label": "Close", text: "×", onclick: () => toast.remove() }));
  const same = [...$("toasts").children].find((other) => other.firstChild.textContent === text);
  if (same) same.remove();
  $("toasts").append(toast);
  while ($("toasts").children.length > 4) $("toasts").firstChild.remove();
  const leave = () => (toast.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : toast.remove());
  setTimeout(leave, isError ? 15000 : 6000);
}

// Runs something that may fail, and says so; a button that began it waits meanwhile.
// Trap: a button that is disabled loses the focus, and a person with a keyboard their place; so it is only marked.
export async function tried(work, button = null) {
  if (button && button.getAttribute("aria-busy") === "true") return undefined;
  if (button) button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") say((error.problems || [error.message]).join("\n"), true);
    return undefined;
  } finally {
    if (button) button.removeAttribute("aria-busy");
  }
}

// Disables a button, and hands its focus on to another one.
export function disable(button, isDisabled, instead) {
  const had = document.activeElement === button;
  button.disabled = isDisabled;
  if (isDisabled && had && instead) instead.focus();
}

// Says something to those who hear the page; those who look at it see it where it stands.
export function tell(text) {
  $("spoken").textContent = text;
}

// Keys that mean something on a page, unless something is being written; `help` says what they do.
export function keys(table, help) {
  const listed = [...help, ["?", "show these keys"]];
  addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, textarea, select, dialog[open]");
    if (typing || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const run = event.key === "?" ? () => showKeys(listed) : table[event.key] || table[event.key.toLowerCase()];
    if (run) {
      event.preventDefault();
      run(event);
    }
  });
  $("keys").addEventListener("click", () => showKeys(listed));
}

function showKeys(listed) {
  const dialog = $("dialog");
  const rows = listed.flatMap(([names, text]) => [
    make("dt", {}, ...names.split(" ").map((name) => make("kbd", { text: name }))),
    make("dd", { text }),
  ]);
  const close = make("button", { type: "button", class: "primary", text: "Close", onclick: () => dialog.close() });
  dialog.replaceChildren(make("h2", { id: "dialog-title", text: "Keys of this page" }), make("dl", { class: "keys" }, ...rows), make("p", { class: "buttons" }, close));
  dialog.showModal();
  close.focus();
}
