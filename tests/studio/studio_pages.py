"""A studio in a process of its own, and a Chromium before it that lets nothing pass: no complaint, no other host."""

from __future__ import annotations

import base64
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium_path
from commands import PHOTOS, environment, python

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip
GLOBULAR, OPEN = "globular cluster", "open cluster"


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium under Playwright; skip where one of the two is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    program = chromium_path()
    if program is None:
        pytest.skip("Chromium is not on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def studio(folder: Path, *words: str, port: int = 0) -> Iterator[str]:
    """Serve ``folder``/photos; gives the address, and ends the process it started."""
    (folder / "photos").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "retrain", "studio", "--image_dir", "photos", "--port", str(port), "--no_browser"]
    with (folder / "studio.err").open("wb") as errors:
        process = subprocess.Popen(
            [*command, *words], cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, (line, (folder / "studio.err").read_text())
            yield line.split(" open at ")[1].split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise


def lay(folder: Path, each: int | None = None, swapped: int = 0) -> None:
    """Copy the clusters, so many a class; the last ``swapped`` of each lie in the wrong one."""
    for name, other in ((GLOBULAR, OPEN), (OPEN, GLOBULAR)):
        paths = sorted((PHOTOS / name).iterdir())[:each]
        for place, path in enumerate(paths):
            target = folder / "photos" / (other if place >= len(paths) - swapped else name)
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target / path.name)


def train(folder: Path) -> None:
    """Run the command over the folder's photographs."""
    done = python("-m", "retrain", "--image_dir", "photos", "--offline", "--learning_curve", cwd=folder)
    assert done.returncode == 0, done.stderr


_trained: list[Path] = []


def run_in(folder: Path) -> None:
    """Lay a finished run over all clusters, two of each mislabelled, into a folder; it is made once a session."""
    if not _trained:
        made = Path(tempfile.mkdtemp(prefix="run-", dir=folder.parent))
        lay(made, swapped=2)
        train(made)
        _trained.append(made)
    shutil.copytree(_trained[0], folder, dirs_exist_ok=True)


class Watched:
    """A page, and all that it did which no page of the studio may do."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.address, self.complaints, self.has_changed = address, list[str](), False
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **options}
        )
        self.page = self.another()

    def another(self) -> Any:
        """Open a further page of the same browser."""
        page = self.context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("request", self._asked)
        return page

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning") and not self._was_late(message):
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _was_late(self, message: Any) -> bool:
        """Whether it is of a picture that waited its turn while its photograph was moved; the page asks again."""
        return self.has_changed and "404" in message.text and "/studio/picture?" in message.location.get("url", "")

    def _asked(self, request: Any) -> None:
        self.has_changed = self.has_changed or request.method == "POST"
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.complaints.append(f"another host: {request.url}")

    def go(self, path: str) -> Any:
        """Open one of the pages and wait until it knows how the studio stands."""
        self.page.goto(self.address + path)
        self.page.wait_for_function(
            "() => !document.getElementById('standing-text').textContent.startsWith('Looking at')"
        )
        return self.page


@contextlib.contextmanager
def watched(browser: Any, address: str, **options: Any) -> Iterator[Watched]:
    """Give a page; afterwards it must not have complained, nor asked anyone else."""
    one = Watched(browser, address, **options)
    try:
        yield one
        assert one.complaints == []
    finally:
        one.context.close()


def settled(page: Any, after: str | None = None) -> str:
    """Wait until head and cross-validation are of the folder as it is; ``after`` another revision than this one.

    And until the page takes answers: one that comes right behind a change of the photograph is taken for a slip.
    """
    page.wait_for_function(
        "(before) => document.body.dataset.examined && document.body.dataset.examined !== before"
        " && !document.querySelector('#suspect[data-held]')",
        arg=after,
    )
    return str(page.get_attribute("body", "data-examined"))


def counts(page: Any) -> dict[str, int]:
    """Read the list of classes."""
    rows = page.query_selector_all("#classes .class")
    return {row.query_selector(".name").inner_text(): int(row.query_selector(".count").inner_text()) for row in rows}


def wait_counts(page: Any, **wanted: int) -> None:
    """Wait until classes (underscores stand for spaces) have so many photographs."""
    named = {name.replace("_", " "): number for name, number in wanted.items()}
    page.wait_for_function(
        "(wanted) => Object.entries(wanted).every(([name, number]) => [...document.querySelectorAll('#classes .class')]"
        ".some((one) => one.querySelector('.name').textContent === name && one.querySelector('.count').textContent"
        " === String(number)))",
        arg=named,
    )


def drop_files(page: Any, selector: str, paths: list[Path]) -> None:
    """Drop files onto an element, as a person does from the desktop."""
    files = [(path.name, base64.b64encode(path.read_bytes()).decode()) for path in paths]
    page.locator(selector).first.evaluate(
        """(target, files) => {
          const transfer = new DataTransfer();
          for (const [name, text] of files) {
            const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
          }
          for (const kind of ["dragenter", "dragover", "drop"]) {
            target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
          }
        }""",
        files,
    )


def ask_dialog(page: Any, text: str) -> None:
    """Answer the question that stands open."""
    field = page.wait_for_selector("#dialog[open] input")
    field.fill(text)
    page.keyboard.press("Enter")
    # Trap: the camera's dialog opens at once behind a question, so that none may ever be seen closed.
    page.wait_for_function("(field) => !field.isConnected || !field.closest('dialog').open", arg=field)
