// A gallery of any length: only the tiles that are in view exist, and only their photographs are asked for.

import { Listing, PAGE } from "./listing.js";
import { blank, dragImage, fill, give } from "./thumbs.js";
import { make, tried } from "./ui.js";

const TILE = { width: 148, height: 172 };
// Rows above and below what is in view.
const SPARE = 2;
// A list that flies by is drawn without pictures until it has been still for so long.
const STILL_MS = 90;

export class Grid {
  constructor(box, { onSelection, onOpen, onShown }) {
    Object.assign(this, { box, on: { onSelection, onOpen, onShown }, listing: new Listing({}), tiles: new Map() });
    this.inside = make("div", { class: "inside", role: "presentation" });
    box.append(this.inside);
    this.selected = new Map();
    this.base = new Map();
    this.current = this.anchor = this.asked = this.top = 0;
    this.isCalm = true;
    new ResizeObserver(() => this.draw()).observe(box);
    box.addEventListener("scroll", () => this.soon(), { passive: true });
    box.addEventListener("click", (event) => this.clicked(event));
    box.addEventListener("dblclick", (event) => this.open(this.indexOf(event)));
    box.addEventListener("contextmenu", (event) => this.held(event));
    box.addEventListener("keydown", (event) => this.pressed(event));
    box.addEventListener("dragstart", (event) => this.dragged(event));
  }

  get total() {
    return this.listing.total;
  }

  item(index) {
    return this.listing.item(index);
  }

  // Shows other photographs, or (`keep`) the same list anew: place, focus and selection stay with their photographs.
  async show(query, keep = false) {
    const asked = ++this.asked;
    const next = new Listing(query);
    const [from, to] = keep ? this.inView() : [0, 0];
    const first = Math.floor(from / PAGE);
    const wanted = keep ? [first, Math.floor(Math.max(from, to - 1) / PAGE)] : [0];
    const isThere = await tried(async () => {
      for (const number of new Set(wanted)) await next.load(number);
      return true;
    });
    if (!isThere || asked !== this.asked) return;
    const held = keep ? this.holding(from) : null;
    this.listing.forget(1, 0);
    this.listing = next;
    if (!keep) this.selected.clear();
    this.resume(held);
    for (const [index, tile] of this.tiles) if (index >= this.total) this.drop(index, tile);
    this.draw();
    this.fillAll();
    if (held && held.hadFocus && this.total) this.focus(this.current);
    if (keep) await this.prune();
    this.tellSelection();
    this.on.onShown(this.total);
  }

  // What must stay where it is when the list changes: the row that is looked at, and the tile that has the focus.
  holding(from) {
    const start = Math.min(this.total - 1, from + SPARE * this.columns());
    const paths = [];
    for (let index = start; index < start + 200 && this.item(index); index++) paths.push([index, this.item(index).path]);
    const current = this.item(this.current);
    return { paths, current: current && current.path, hadFocus: this.box.contains(document.activeElement) };
  }

  resume(held) {
    if (!held) {
      this.box.scrollTop = this.current = this.anchor = 0;
      return;
    }
    const again = held.paths.map(([before, path]) => [before, this.listing.indexOf(path)]).find(([, now]) => now >= 0);
    if (again) {
      const rows = Math.floor(again[1] / this.columns()) - Math.floor(again[0] / this.columns());
      this.stretch();
      this.box.scrollTop += rows * TILE.height;
    }
    const now = held.current === undefined ? -1 : this.listing.indexOf(held.current);
    this.current = this.anchor = now >= 0 ? now : Math.max(0, Math.min(this.current, this.total - 1));
  }

  // Photographs that were selected and are in this list no longer are not selected any more.
  async prune() {
    const missing = [...this.selected.keys()].filter((path) => this.listing.indexOf(path) < 0);
    if (!missing.length) return;
    const listing = this.listing;
    const all = await tried(() => listing.between(0, listing.total - 1));
    if (!all || listing !== this.listing) return;
    const there = new Set(all.map((one) => one.path));
    for (const path of missing) if (!there.has(path)) this.selected.delete(path);
    this.base = new Map(this.selected);
  }

  columns() {
    return Math.max(1, Math.floor(this.box.clientWidth / TILE.width));
  }

  stretch() {
    this.inside.style.height = `${Math.ceil(this.total / this.columns()) * TILE.height}px`;
  }

  inView() {
    const top = Math.floor(this.box.scrollTop / TILE.height) - SPARE;
    const rows = Math.ceil(this.box.clientHeight / TILE.height) + 2 * SPARE;
    const columns = this.columns();
    return [Math.max(0, top * columns), Math.max(0, Math.min(this.total, (top + rows) * columns))];
  }

  soon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const moved = Math.abs(this.box.scrollTop - this.top);
      this.top = this.box.scrollTop;
      if (moved > this.box.clientHeight / 2) this.rush();
      this.draw();
    });
  }

  rush() {
    this.isCalm = false;
    clearTimeout(this.still);
    this.still = setTimeout(() => {
      this.isCalm = true;
      this.draw();
      this.fillAll();
    }, STILL_MS);
  }

  draw() {
    const columns = this.columns();
    this.stretch();
    const [from, to] = this.inView();
    for (const [index, tile] of this.tiles) if (index < from || index >= to) this.drop(index, tile);
    for (let index = from; index < to; index++) {
      let tile = this.tiles.get(index);
      if (!tile) {
        tile = blank(index, this.total);
        if (index === this.current) tile.tabIndex = 0;
        this.tiles.set(index, tile);
        this.inside.append(tile);
        this.fill(index);
      }
      const [column, row] = [index % columns, Math.floor(index / columns)];
      tile.style.transform = `translate(${column * TILE.width}px, ${row * TILE.height}px)`;
    }
    // Whoever comes by Tab must find one tile, whichever are in view.
    if (to > from && !this.tiles.has(this.current)) this.tiles.get(Math.min(to - 1, from + SPARE * columns)).tabIndex = 0;
    if (to > from && this.isCalm) this.loadView(Math.floor(from / PAGE), Math.floor((to - 1) / PAGE));
  }

  drop(index, tile) {
    give(tile);
    // A tile that has the focus hands it to the list, so that the next key still moves from its place.
    if (tile === document.activeElement) this.box.focus({ preventScroll: true });
    tile.remove();
    this.tiles.delete(index);
  }

  loadView(first, last) {
    this.listing.forget(first, last);
    for (let number = first; number <= last; number++) this.loadPage(this.listing, number);
  }

  async loadPage(listing, number) {
    if (await tried(() => listing.load(number))) if (listing === this.listing) this.fillAll();
  }

  fill(index) {
    const [tile, item] = [this.tiles.get(index), this.item(index)];
    if (tile && item) fill(tile, item, { total: this.total, isSelected: this.selected.has(item.path), isCalm: this.isCalm });
  }

  fillAll() {
    for (const index of this.tiles.keys()) this.fill(index);
  }

  indexOf(event) {
    const tile = event.target.closest(".cell");
    return tile ? Number(tile.dataset.index) : -1;
  }

  clicked(event) {
    const index = this.indexOf(event);
    if (index < 0) return;
    // A finger has no Ctrl: each touch adds one, or takes it away.
    if (event.shiftKey) this.selectTo(index);
    else this.toggle(index, event.ctrlKey || event.metaKey || event.pointerType === "touch");
    this.focus(index);
  }

  held(event) {
    if (event.pointerType !== "touch") return;
    event.preventDefault();
    this.open(this.indexOf(event));
  }

  open(index) {
    const item = this.item(index);
    if (!item) return;
    this.current = index;
    this.on.onOpen(item);
  }

  toggle(index, together) {
    const item = this.item(index);
    if (!item) return;
    const was = this.selected.has(item.path);
    if (!together) this.selected.clear();
    if (was && together) this.selected.delete(item.path);
    else this.selected.set(item.path, item);
    this.anchor = index;
    this.base = new Map(this.selected);
    this.mark();
  }

  // From the one that was chosen last to this one; a range that becomes shorter lets go of the rest.
  async selectTo(index) {
    const [listing, anchor] = [this.listing, this.anchor];
    const found = await tried(() => listing.between(Math.min(anchor, index), Math.max(anchor, index)));
    if (!found || listing !== this.listing || anchor !== this.anchor) return;
    this.selected = new Map(this.base);
    for (const item of found) this.selected.set(item.path, item);
    this.mark();
  }

  async selectAll() {
    if (!this.total) return;
    this.anchor = 0;
    await this.selectTo(this.total - 1);
  }

  clear() {
    this.selected.clear();
    this.base.clear();
    this.mark();
  }

  mark() {
    this.fillAll();
    this.tellSelection();
  }

  tellSelection() {
    this.on.onSelection(this.selected.size);
  }

  focus(index) {
    for (const tile of this.tiles.values()) if (tile.tabIndex === 0) tile.tabIndex = -1;
    this.current = index;
    const row = Math.floor(index / this.columns());
    const [top, bottom] = [row * TILE.height, (row + 1) * TILE.height];
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (bottom > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = bottom - this.box.clientHeight;
    this.draw();
    const tile = this.tiles.get(index);
    if (!tile) return;
    tile.tabIndex = 0;
    tile.focus({ preventScroll: true });
  }

  // Goes to the one before or the next, and gives it where it is known.
  async step(by) {
    const index = Math.max(0, Math.min(this.total - 1, this.current + by));
    await tried(() => this.listing.between(index, index));
    this.focus(index);
    return this.item(index);
  }

  pressed(event) {
    const columns = this.columns();
    const page = columns * Math.max(1, Math.floor(this.box.clientHeight / TILE.height));
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page, PageDown: page, Home: -this.total, End: this.total };
    const isCommand = event.ctrlKey || event.metaKey;
    if (event.key in steps && this.total) {
      const index = Math.max(0, Math.min(this.total - 1, this.current + steps[event.key]));
      if (event.shiftKey) this.selectTo(index);
      this.focus(index);
    } else if (event.key === " ") this.toggle(this.current, true);
    else if (event.key === "Enter") this.open(this.current);
    else if (event.key === "a" && isCommand) this.selectAll();
    else return;
    event.preventDefault();
  }

  dragged(event) {
    const item = this.item(this.indexOf(event));
    if (!item) return;
    if (!this.selected.has(item.path)) this.toggle(this.indexOf(event), false);
    const paths = [...this.selected.keys()];
    event.dataTransfer.setData("text/x-retrain-paths", JSON.stringify(paths));
    event.dataTransfer.setDragImage(dragImage(paths, event.target.closest(".cell")), 20, 20);
    event.dataTransfer.effectAllowed = "move";
  }
}
