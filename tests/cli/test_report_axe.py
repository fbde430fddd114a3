"""axe-core, the usual checker of accessibility, run on the report in headless Chromium.

Only the script is used of the package that carries it; it is put into the page through the DevTools protocol, which the
page's own policy does not concern.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, browser, chromium_path
from conftest import PHOTOS
from report_facts import HOSTILE, bare, full, photograph, several

from retrain.report import ReportFacts, reader, report_html

FOUND = """
axe.run(document, {resultTypes: ["violations"]}).then((found) => ({
  version: found.testEngine.version,
  passed: found.passes.map((rule) => rule.id),
  violations: found.violations.flatMap((rule) => rule.nodes.map((node) => [rule.id, rule.impact, node.html.slice(0, 200)])),
}))
"""


@pytest.fixture(scope="module")
def script() -> str:
    package = importlib.util.find_spec("axe_core_python")
    assert package is not None, "expected axe-core-python, got none; install the project with .[dev]"
    assert package.origin is not None
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = chromium_path()
    if program is None:
        pytest.skip("Chromium is not on this machine")
    with browser(program, tmp_path_factory.mktemp("profile"), timeout_s=120) as page:
        yield page


def check(page: Page, script: str) -> dict[str, Any]:
    page.run(f"{script}\n; null")
    return page.run(FOUND)


def real(facts: Callable[..., ReportFacts], classes: tuple[str, ...]) -> bytes:
    paths = sorted(PHOTOS.glob("*/*.jpg"))
    return report_html(facts(len(paths), classes, names=tuple(path.name for path in paths)), reader(paths))


def made(facts: ReportFacts) -> bytes:
    data = photograph()
    return report_html(facts, lambda row: data)


REPORTS = {
    "one label": lambda: real(full, ("globular cluster", "open cluster")),
    "several labels": lambda: real(several, ("bright", "globular cluster", "open cluster")),
    "many classes": lambda: made(full(60, tuple(f"class {number}" for number in range(12)))),
    "hostile names": lambda: made(
        full(24, HOSTILE, names=tuple(f"{one}/{n}{one}" for n in range(2) for one in HOSTILE))
    ),
    "no facts": lambda: made(bare()),
}


@pytest.fixture(scope="module", params=REPORTS)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("axe") / "report.html"
    place.write_bytes(REPORTS[request.param]())
    return place.as_uri()


# Each pair of values of the three; all eight would take twice as long.
@pytest.mark.parametrize(
    ("scheme", "width", "is_opened"),
    [("light", 1280, False), ("dark", 1280, True), ("light", 400, True), ("dark", 400, False)],
)
def test_axe_finds_nothing(chromium: Page, script: str, address: str, scheme: str, width: int, is_opened: bool) -> None:
    chromium.size(width, 900, is_mobile=width < 800)
    chromium.scheme(scheme)
    chromium.open(address)
    if is_opened:
        chromium.run("for (const one of document.querySelectorAll('details')) one.open = true")
    found = check(chromium, script)
    assert chromium.run("location.href") == address
    assert {"color-contrast", "document-title", "html-has-lang", "region"} <= set(found["passed"])
    assert found["violations"] == []


def test_axe_would_find_what_is_wrong(chromium: Page, script: str, tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    bad = b'<p class="pale">cannot be read</p><img src="data:," width="20" height="20"><button></button>'
    page = made(bare()).replace(b"<main", bad + b"<main", 1)
    place.write_bytes(page)
    chromium.open(place.as_uri())
    chromium.run(
        "for (const one of document.querySelectorAll('.pale')) Object.assign(one.style, {color: '#bbb', background: '#ccc'})"
    )
    rules = {rule for rule, _, _ in check(chromium, script)["violations"]}
    assert {"color-contrast", "image-alt", "button-name"} <= rules
