// The list behind the gallery: which photographs there are, got in parts, as far as they are looked at.

import { get } from "./net.js";

export const PAGE = 200;
// The most that is asked for at once, where many are needed that are not in view.
const LARGE = 1000;

export class Listing {
  constructor(query) {
    this.query = query;
    this.total = 0;
    this.pages = new Map();
    this.asking = new Map();
  }

  item(index) {
    const page = this.pages.get(Math.floor(index / PAGE));
    return page ? page[index % PAGE] : undefined;
  }

  // Gets one part; an abort is passed on, and the part is then simply not there.
  async load(number) {
    if (this.pages.has(number) || this.asking.has(number)) return false;
    const stop = new AbortController();
    this.asking.set(number, stop);
    try {
      this.take(number * PAGE, await this.ask(number * PAGE, PAGE, stop.signal));
      return true;
    } finally {
      this.asking.delete(number);
    }
  }

  async ask(start, size, signal) {
    return get("photographs", { ...this.query, start, count: size }, signal);
  }

  take(start, found) {
    this.total = found.total;
    this.revision = found.revision;
    for (let at = 0; at < found.items.length || at === 0; at += PAGE) this.pages.set((start + at) / PAGE, found.items.slice(at, at + PAGE));
  }

  // What was asked for and has scrolled out of view meanwhile is not waited for.
  forget(from, to) {
    for (const [number, stop] of this.asking) if (number < from || number > to) stop.abort();
  }

  // Gives all from one index to another, both included.
  async between(from, to) {
    for (let start = Math.floor(from / PAGE) * PAGE; start <= to; ) {
      if (this.pages.has(start / PAGE)) start += PAGE;
      else {
        this.take(start, await this.ask(start, LARGE));
        start += LARGE;
      }
    }
    const found = [];
    for (let index = from; index <= to; index++) if (this.item(index)) found.push(this.item(index));
    return found;
  }

  // Finds where a photograph is, among those that are here.
  indexOf(path) {
    for (const [number, page] of this.pages) {
      const place = page.findIndex((one) => one.path === path);
      if (place >= 0) return number * PAGE + place;
    }
    return -1;
  }
}
