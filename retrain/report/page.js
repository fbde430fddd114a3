"use strict";
// Opens cells and walks the map. All that can be read can be read without it, and nothing here makes markup of text.
(() => {
  const byId = (id) => document.getElementById(id);
  document.documentElement.classList.add("js");

  // A cell of the matrix opens its photographs and closes the others; Escape goes back to it.
  document.addEventListener("click", (event) => {
    const cell = event.target.closest("a.cell");
    if (!cell) return;
    event.preventDefault();
    const details = byId(cell.hash.slice(1)).closest("details");
    for (const other of details.parentElement.querySelectorAll(":scope > details[open]")) other.open = other === details;
    for (const old of cell.closest("table").querySelectorAll("a.cell[aria-current]")) old.removeAttribute("aria-current");
    cell.setAttribute("aria-current", "true");
    details.open = true;
    details.scrollIntoView({ block: "center" });
    details.querySelector("summary").focus({ preventScroll: true });
  });
  for (const open of document.querySelectorAll(".served > details[open]")) {
    const cell = document.querySelector(`a.cell[href="#${open.querySelector(".inside").id}"]`);
    if (cell) cell.setAttribute("aria-current", "true");
  }
  document.addEventListener("keydown", (event) => {
    const details = event.key === "Escape" && event.target.closest("details.photos");
    if (!details) return;
    details.open = false;
    const cell = document.querySelector(`a.cell[href="#${details.querySelector(".inside").id}"]`);
    if (cell) cell.focus();
  });

  const atlas = byId("atlas");
  if (!atlas) return;
  const spot = byId("spot");
  const marks = [...atlas.children];
  let current = null;

  const show = (mark) => {
    if (mark === current) return;
    if (current) current.classList.remove("on");
    current = mark;
    mark.classList.add("on");
    const home = byId(`p${mark.dataset.p}`);
    if (!home) return;
    const words = document.createElement("p");
    words.append(...home.querySelector("span").cloneNode(true).childNodes);
    const summary = home.closest("details").querySelector("summary > span");
    const cell = document.createElement("small");
    cell.append(...summary.cloneNode(true).childNodes);
    const link = document.createElement("a");
    link.href = `#${home.id}`;
    link.textContent = "Show it among the others";
    words.append(cell, link);
    spot.replaceChildren(home.firstElementChild.cloneNode(true), words);
  };
  // A page that is opened from the disk has no other way to go into a closed list in every browser.
  spot.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link) byId(link.hash.slice(1)).closest("details").open = true;
  });

  for (const kind of ["pointerover", "click"])
    atlas.addEventListener(kind, (event) => {
      if (event.target.dataset.p) show(event.target);
    });

  const middle = (mark) => [mark.offsetLeft, mark.offsetTop];
  const step = (across, down) => {
    const seen = marks.filter((mark) => !mark.classList.contains("off"));
    if (!current || current.classList.contains("off")) return seen.length ? show(seen[0]) : undefined;
    const [x, y] = middle(current);
    let best = null, least = Infinity;
    for (const mark of seen) {
      const [mx, my] = middle(mark);
      const along = (mx - x) * across + (my - y) * down;
      const aside = Math.abs((mx - x) * down) + Math.abs((my - y) * across);
      if (along <= 0 || aside > 2 * along) continue;
      if (along + 2 * aside < least) [best, least] = [mark, along + 2 * aside];
    }
    if (best) show(best);
  };
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  atlas.addEventListener("keydown", (event) => {
    if (!ways[event.key]) return;
    event.preventDefault();
    step(...ways[event.key]);
  });
  atlas.addEventListener("focus", () => {
    if (!current && marks.length) step(0, 0);
  });

  document.querySelector(".toggles").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const isOn = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isOn));
    for (const mark of marks) if (mark.dataset.c === button.dataset.c) mark.classList.toggle("off", !isOn);
  });
})();
