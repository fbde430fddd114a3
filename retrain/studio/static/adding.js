// Photographs from outside: chosen, dropped, a folder with all that is in it, or taken with the camera.

import { openCamera, shoot } from "./camera.js";
import { ask } from "./dialogs.js";
import { send } from "./net.js";
import { $, count, make, plural, say, tried } from "./ui.js";

let stop = null;

export async function askClass(names) {
  const answers = await ask("Add to which class?", [{ name: "to", label: "Class (a new name makes a new class)", suggest: names }], "Add");
  return answers && answers.to;
}

// Uploads in parts of what one request may have; `parts` is [[class, files], ...].
export async function addAll(parts, { max_files, max_file_bytes }) {
  if (stop) return say("Photographs are being added already; wait for them, or stop that", true);
  stop = new AbortController();
  const all = parts.reduce((sum, [, files]) => sum + files.length, 0);
  const done = { added: 0, refused: [], seen: 0, fix: 0 };
  showFar(0, all);
  for (const [to, files] of parts) {
    const small = files.filter((file) => file.size <= max_file_bytes);
    done.refused.push(...files.filter((file) => file.size > max_file_bytes).map((file) => ({ name: file.name, error: "too large" })));
    for (const some of batches(small, max_files, 4 * max_file_bytes)) {
      const answer = await tried(() => upload(to, some, done.fix));
      if (!answer) stop.abort();
      if (stop.signal.aborted) break;
      done.added += answer.added.length;
      // What is added at once is undone at once.
      done.fix = answer.fix || done.fix;
      done.refused.push(...answer.refused);
      done.seen += some.length;
      showFar(done.seen, all);
    }
    if (stop.signal.aborted) break;
  }
  stop = null;
  $("adding").hidden = true;
  report(done, parts);
}

$("adding-stop").addEventListener("click", () => stop && stop.abort());

function* batches(files, most, bytes) {
  let [some, size] = [[], 0];
  for (const file of files) {
    if (some.length && (some.length === most || size + file.size > bytes)) {
      yield some;
      [some, size] = [[], 0];
    }
    some.push(file);
    size += file.size;
  }
  if (some.length) yield some;
}

function upload(to, files, fix = 0) {
  const form = new FormData();
  form.append("folder", to);
  form.append("fix", String(fix));
  for (const file of files) form.append("files", file, file.name);
  return send("upload", form, {}, stop ? stop.signal : undefined);
}

function showFar(seen, all) {
  $("adding").hidden = false;
  $("adding-text").textContent = `Adding ${count(seen)} of ${count(all)}`;
  $("adding-bar").max = Math.max(1, all);
  $("adding-bar").value = seen;
}

function report({ added, refused }, parts) {
  if (added) say(`${plural(added, "photograph", "photographs")} added to ${parts.map(([to]) => to).slice(0, 5).join(", ")}${parts.length > 5 ? ", …" : ""}`);
  if (!refused.length) return;
  const named = refused.slice(0, 5).map((one) => `${one.name}: ${one.error}`);
  say([`${plural(refused.length, "file was", "files were")} not taken:`, ...named, ...(refused.length > 5 ? ["…"] : [])].join("\n"), true);
}

// What was dropped, with the name of the folder that each file lies in.
// Trap: entries must be taken before the first await; afterwards the browser has forgotten them.
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, folder: "" }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, folder, found) {
  if (entry.name.startsWith(".")) return;
  if (entry.isFile) {
    found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), folder });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const one of some) await walk(one, entry.name, found);
  }
}

// Which class gets what: the one dropped on, or each folder one of its own.
export async function sort(found, to, names) {
  const folders = [...new Set(found.map((one) => one.folder))].filter(Boolean);
  if (to || !folders.length || found.some((one) => !one.folder)) {
    const chosen = to || (await askClass(names));
    return chosen ? [[chosen, found.map((one) => one.file)]] : [];
  }
  const list = `${folders.slice(0, 8).join(", ")}${folders.length > 8 ? ", …" : ""}`;
  const answers = await ask("Add each folder as a class?", [], "Add", `${plural(found.length, "file", "files")} in ${plural(folders.length, "folder", "folders")}: ${list}`);
  return answers ? folders.map((name) => [name, found.filter((one) => one.folder === name).map((one) => one.file)]) : [];
}

// A class gets a photograph a press of the button.
export async function photographInto(to, button) {
  const camera = await openCamera(button);
  if (!camera) return;
  const dialog = $("dialog");
  let taken = 0;
  const said = make("p", { role: "status", text: "None taken yet" });
  const press = make("button", { type: "button", class: "primary", text: "Take a photograph" });
  press.addEventListener("click", async () => {
    const blob = await shoot(camera.video);
    if (!blob) return;
    const file = new File([blob], `camera-${new Date().toISOString().replace(/[:.]/g, "-")}.jpg`, { type: "image/jpeg" });
    const answer = await tried(() => upload(to, [file]), press);
    if (answer && answer.added.length) said.textContent = `${plural(++taken, "photograph", "photographs")} added to ${to}`;
    else if (answer) said.textContent = answer.refused[0].error;
  });
  const done = make("button", { type: "button", text: "Done", onclick: () => dialog.close() });
  dialog.replaceChildren(make("h2", { id: "dialog-title", text: `Camera: ${to}`, dir: "auto" }), camera.video, said, make("p", { class: "buttons" }, press, done));
  dialog.addEventListener("close", camera.stop, { once: true });
  dialog.showModal();
  press.focus();
}
