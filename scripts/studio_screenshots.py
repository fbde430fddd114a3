"""Take the pictures of the studio that docs/img holds, of the star clusters that are in this repository.

    python scripts/studio_screenshots.py

Needs Playwright and Chromium. Trains once in a temporary folder (about ten seconds), then opens each page.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "studio")]

from PIL import Image  # noqa: E402
from studio_pages import Watched, chromium, lay, settled, studio, train, watched  # type: ignore[import-not-found]  # noqa: E402

from retrain import fsio  # noqa: E402

MOST_BYTES = 245_000
_COLOURS = 256


def data(view: Watched) -> None:
    """Show the gallery with a few photographs selected."""
    page = view.go("/")
    page.wait_for_selector("#photo-23 img")
    page.click("#photo-1")
    page.click("#photo-3", modifiers=["Shift"])


def training(view: Watched) -> None:
    """Show the settings, the figures and the learning curve."""
    view.go("/train").wait_for_selector("#curve svg")


def review(view: Watched) -> None:
    """Show a doubtful label with the photographs it is most like."""
    page = view.go("/review")
    settled(page)
    page.wait_for_selector("#suspect .near img")


def trying(view: Watched) -> None:
    """Show what the model says of a photograph."""
    page = view.go("/try")
    page.set_input_files("#file", str(ROOT / "tf_files" / "test_photos" / "1.jpg"))
    page.wait_for_selector("#said .near img")


def using(view: Watched) -> None:
    """Show the formats with their rows."""
    view.go("/use").wait_for_selector("#exports tr")


PAGES: dict[str, Callable[[Watched], None]] = {
    "data": data, "train": training, "review": review, "try": trying, "use": using,
}  # fmt: skip


def small(png: bytes) -> bytes:
    """Write a PNG with fewer colours, which a page of text and small photographs does not show.

    Raises:
        ValueError: it is larger than the documentation should carry all the same.
    """
    for colours in (_COLOURS, _COLOURS // 2, _COLOURS // 4):
        file = io.BytesIO()
        Image.open(io.BytesIO(png)).convert("RGB").quantize(colours).save(file, "PNG", optimize=True)
        if file.tell() < MOST_BYTES:
            return file.getvalue()
    raise ValueError(f"expected a picture below {MOST_BYTES} bytes, got {file.tell()}; show less on it")


def still(view: Watched) -> None:
    """Wait until every picture in view has come; those further down are asked for when they are scrolled to."""
    view.page.wait_for_selector("#dot[data-state=good]")
    view.page.wait_for_function(
        "() => [...document.images].every((one) => one.complete || one.offsetParent === null ||"
        " one.getBoundingClientRect().top > innerHeight || one.getBoundingClientRect().left > innerWidth)"
    )


def main() -> None:
    """Take all of them."""
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        lay(folder, swapped=1)
        train(folder)
        with studio(folder) as address:
            for kind, prepare in PAGES.items():
                with watched(browser, address, reduced_motion="reduce") as view:
                    prepare(view)
                    still(view)
                    picture = small(view.page.screenshot())
                    fsio.write_bytes(ROOT / "docs" / "img" / f"studio-{kind}.png", picture)
                    sys.stdout.write(f"studio-{kind}.png {len(picture) / 1000:.0f} kB\n")


if __name__ == "__main__":
    main()
