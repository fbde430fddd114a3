"""What a person waits for in the studio's pages, for bench/studio.py: measured in Chromium by the page's own clock.

The page is not changed for it: what listens is put in by the browser's debugger, which the page's policy does not bind.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from common import ROOT, say
from studio_serve import Studio

sys.path.insert(0, str(ROOT / "tests"))

from browser import chromium_path
from playwright.sync_api import Page, sync_playwright

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WINDOW = {"width": 1280, "height": 800}
_PATIENCE_MS = 120_000

# The tiles in view, and which of them have their photograph.
_IN_VIEW = """
window.__inView = () => {
  const box = document.getElementById("grid");
  if (!box) return { cells: [], filled: [] };
  const inside = box.getBoundingClientRect();
  const bottom = Math.min(inside.bottom, innerHeight);
  const cells = [...box.querySelectorAll(".cell")].filter((one) => {
    const place = one.getBoundingClientRect();
    return place.top < bottom && place.bottom > inside.top;
  });
  const filled = cells.filter((one) => {
    const image = one.querySelector("img");
    return image && image.complete && image.naturalWidth;
  });
  return { cells, filled };
};
"""

# Milliseconds since the navigation began at which one tile, and all tiles in view, had their photograph: the frame
# after the one that drew it.
_WATCH_TILES = (
    _IN_VIEW
    + """
window.__tiles = {};
const watch = (now) => {
  const { cells, filled } = window.__inView();
  if (filled.length && !window.__tiles.first) requestAnimationFrame((after) => { window.__tiles.first = after; });
  if (cells.length && filled.length === cells.length) {
    requestAnimationFrame((after) => Object.assign(window.__tiles, { all: after, count: cells.length }));
  } else {
    requestAnimationFrame(watch);
  }
};
requestAnimationFrame(watch);
"""
)

# From the key to the numbers of the head that was fitted after it; then to those of its cross-validation.
_WATCH_NUMBERS = """() => {
  const numbers = { key: 0, fitted: 0, examined: 0, revision: document.body.dataset.revision };
  window.__numbers = numbers;
  const painted = (name) =>
    requestAnimationFrame(() => requestAnimationFrame(() => { numbers[name] = performance.now(); }));
  addEventListener("keydown", () => { numbers.key = performance.now(); }, { capture: true, once: true });
  const watching = new MutationObserver(() => {
    const { revision, examined } = document.body.dataset;
    const isNew = revision && revision !== numbers.revision;
    if (isNew && !numbers.sawFitted) { numbers.sawFitted = true; painted("fitted"); }
    if (isNew && examined === revision) { watching.disconnect(); painted("examined"); }
  });
  watching.observe(document.body, { attributes: true });
}"""

# Scrolls the photographs from frame to frame, and keeps what each frame took and which share of the tiles in view had
# no photograph in it; then how long it takes until all of them have theirs.
_SCROLL = """([seconds, speed]) => new Promise((done) => {
  const box = document.getElementById("grid");
  const [height, took, empty] = [box.scrollHeight - box.clientHeight, [], []];
  const start = performance.now();
  let before = start;
  const settle = (since, last) => requestAnimationFrame((now) => {
    const { cells, filled } = window.__inView();
    if (cells.length && cells.length === filled.length) done({ took, empty, last, settled_ms: now - since });
    else settle(since, last);
  });
  const step = (now) => {
    if (now > before) took.push(now - before);
    before = now;
    const { cells, filled } = window.__inView();
    empty.push(cells.length ? 1 - filled.length / cells.length : 1);
    const gone = (now - start) / 1000;
    if (gone >= seconds) { settle(now, Number(cells.at(-1)?.dataset.index)); return; }
    box.scrollTop = speed ? gone * speed : height * gone / seconds;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


@contextlib.contextmanager
def chromium() -> Iterator[Page]:
    """Open a page in a Chromium that has nothing in its cache."""
    program = chromium_path()
    if program is None:
        raise SystemExit("expected chromium on the PATH, which Debian's package chromium brings")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=list(FLAGS))
        page = browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]
        page.set_default_timeout(_PATIENCE_MS)
        yield page
        browser.close()


def first_tiles(server: Studio) -> dict[str, float]:
    """Open the first page, and say after how many ms photographs were seen."""
    with chromium() as page:
        page.add_init_script(_WATCH_TILES)
        page.goto(server.address)
        page.wait_for_function("() => window.__tiles.all")
        found: dict[str, float] = page.evaluate("() => window.__tiles")
    return found


def scroll(server: Studio, seconds: float, speed: float) -> dict[str, Any]:
    """Scroll through the photographs for so long, so many CSS pixels a second; 0: from end to end."""
    with chromium() as page:
        page.add_init_script(_WATCH_TILES)
        page.goto(server.address)
        page.wait_for_function("() => window.__tiles.all")
        found: dict[str, Any] = page.evaluate(_SCROLL, [seconds, speed])
        shown = int(page.evaluate("() => document.querySelector('.cell').ariaSetSize"))
    least = speed and seconds * speed / 500  # rows of less than 500 pixels, and more than one photograph in each
    if found["last"] < (least or 0.95 * shown):
        raise SystemExit(f"expected to have scrolled further than to photograph {found['last']} of {shown}")
    empty = sum(found["empty"]) / len(found["empty"])
    return {
        **found,
        "fps": 1000 * len(found["took"]) / sum(found["took"]),
        "longest_ms": max(found["took"]),
        "empty": empty,
    }


def corrections(server: Studio, number: int) -> list[dict[str, float]]:
    """Answer as many doubts with one key; ms from the key until the numbers that follow from it are painted."""
    found = []
    with chromium() as page:
        page.goto(f"{server.address}/review")
        for turn in range(number):
            page.wait_for_selector('body[data-examined]:not([data-examined=""]) #suspect img.main')
            page.evaluate(_WATCH_NUMBERS)
            page.keyboard.press("y")
            page.wait_for_function("() => window.__numbers.fitted && window.__numbers.examined")
            said = page.evaluate("() => window.__numbers")
            found.append({name: said[name] - said["key"] for name in ("fitted", "examined")})
            say(f"correction {turn + 1} of {number}: {found[-1]['fitted']:.0f} ms, {found[-1]['examined']:.0f} ms")
    return found
