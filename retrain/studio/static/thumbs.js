// One tile of the gallery: its photograph, asked for when it stays in view, and given up when it leaves.

import { picture } from "./net.js";
import { make, nameOf } from "./ui.js";

const AGAIN_MS = 800;
const TRIES = 3;

export function blank(index, total) {
  const isFine = matchMedia("(pointer: fine)").matches;
  return make("div", {
    class: "cell",
    role: "option",
    id: `photo-${index}`,
    "aria-label": "…",
    "aria-selected": "false",
    "aria-setsize": total,
    "aria-posinset": index + 1,
    tabindex: -1,
    // Where a finger holds a tile it is to be shown large, not dragged.
    draggable: isFine ? "true" : "false",
    dataset: { index },
  });
}

// Writes name and picture into a tile, unless they are there already; the picture only where `isCalm`.
export function fill(tile, item, { total, isSelected, isCalm }) {
  tile.setAttribute("aria-setsize", total);
  tile.setAttribute("aria-selected", String(isSelected));
  const key = `${item.path}\n${item.version}`;
  if (tile.dataset.key !== key) {
    tile.dataset.key = key;
    tile.setAttribute("aria-label", `${nameOf(item.path)}, ${item.truth}`);
    give(tile);
    tile.replaceChildren(make("span", { class: "place" }), make("span", { class: "name", text: nameOf(item.path), title: item.path, dir: "auto" }));
  }
  if (isCalm && !tile.querySelector("img, .broken")) tile.firstChild.replaceWith(imageOf(item));
}

function imageOf(item) {
  const image = make("img", { alt: "", draggable: "false", decoding: "async", src: picture(item) });
  let tries = 1;
  image.addEventListener("error", () => {
    if (!image.isConnected || !image.hasAttribute("src")) return;
    // A studio that is busy says so, and is asked again; a file that is no photograph stays one.
    if (tries++ < TRIES) setTimeout(() => image.isConnected && (image.src = `${picture(item)}&try=${tries}`), AGAIN_MS * tries);
    else image.replaceWith(make("span", { class: "broken", text: "cannot be shown" }));
  });
  return image;
}

// Gives up what a tile is still waiting for.
export function give(tile) {
  const image = tile.querySelector("img");
  if (image && !image.complete) image.removeAttribute("src");
}

// What hangs at the pointer while several photographs are dragged.
export function dragImage(paths, tile) {
  const image = tile.querySelector("img");
  const picked = make("div", { class: "dragged" }, image ? image.cloneNode() : null, make("strong", { text: paths.length === 1 ? nameOf(paths[0]) : `${paths.length} photographs` }));
  document.body.append(picked);
  setTimeout(() => picked.remove());
  return picked;
}
