"""axe-core, the usual checker of accessibility, on every page of the studio, as it stands and with what can be opened."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_pages import Watched, chromium, run_in, settled, studio, watched

FOUND = """() => axe.run(document, { resultTypes: ["violations"] }).then((found) => ({
  passed: found.passes.map((rule) => rule.id),
  violations: found.violations.flatMap((rule) => rule.nodes.map((node) => [rule.id, rule.impact, node.html.slice(0, 160)])),
}))"""
SERIOUS = ("serious", "critical")
# Each value of the two once; colours hang on the scheme alone, and what is there on the width.
LOOKS = [("light", 1280, 800), ("dark", 360, 740)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def script() -> str:
    package = importlib.util.find_spec("axe_core_python")
    assert package is not None, "expected axe-core-python, got none; install the project with .[dev]"
    assert package.origin is not None
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("axe")
    run_in(folder)
    with studio(folder) as address:
        yield address


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[str]:
    with studio(tmp_path_factory.mktemp("axe_empty")) as address:
        yield address


def check(page: Any, script: str) -> list[Any]:
    """Let axe look at the page as it stands; what moves is let come to rest before."""
    page.evaluate(
        "() => Promise.all(document.getAnimations().filter((one) => !(one.effect.getTiming().iterations > 1)).map((one) => one.finished))"
    )
    page.evaluate(script)
    found = page.evaluate(FOUND)
    assert "html-has-lang" in found["passed"]
    return [one for one in found["violations"] if one[1] in SERIOUS]


def data(view: Watched) -> Iterator[None]:
    page = view.go("/")
    page.wait_for_selector("#photo-1 img")
    page.click("#photo-0")
    yield
    page.click("#large")
    page.wait_for_selector("#lightbox[open] img")
    yield
    page.keyboard.press("Escape")
    page.click("#make")
    yield


def training(view: Watched) -> Iterator[None]:
    page = view.go("/train")
    page.wait_for_selector("#curve svg")
    yield
    page.click("#keys")
    yield


def review(view: Watched) -> Iterator[None]:
    page = view.go("/review")
    settled(page)
    yield
    page.click("#tab-confusion")
    page.click("#confusion button >> nth=0")
    page.wait_for_selector("#cell .tile")
    yield
    page.click("#cell .tile >> nth=0")
    page.wait_for_selector("#lightbox[open] select")
    yield
    page.keyboard.press("Escape")
    page.click("#tab-unknown")
    yield


def trying(view: Watched) -> Iterator[None]:
    page = view.go("/try")
    yield
    page.set_input_files("#file", str(next((Path(__file__).parents[2] / "tf_files" / "test_photos").glob("*.jpg"))))
    page.wait_for_selector("#said .verdict")
    yield


def using(view: Watched) -> Iterator[None]:
    page = view.go("/use")
    page.wait_for_selector("#exports tr")
    yield


PAGES = {"data": data, "train": training, "review": review, "try": trying, "use": using}


@pytest.mark.parametrize(("scheme", "width", "height"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(
    browser: Any, script: str, trained: str, name: str, scheme: str, width: int, height: int
) -> None:
    steps: Callable[[Watched], Iterator[None]] = PAGES[name]
    size = {"width": width, "height": height}
    # The page's own policy would keep axe out; this one context passes it by.
    with watched(browser, trained, viewport=size, color_scheme=scheme, bypass_csp=True) as view:
        for _ in steps(view):
            assert check(view.page, script) == []
            wide = view.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} pixels wide where {width} are there"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_where_there_is_nothing_yet(browser: Any, script: str, empty: str, scheme: str) -> None:
    size = {"width": 360, "height": 740}
    with watched(browser, empty, viewport=size, color_scheme=scheme, bypass_csp=True) as view:
        for path in ("/", "/train", "/review", "/try", "/use"):
            view.go(path)
            assert check(view.page, script) == [], path


def test_axe_would_find_what_is_wrong(browser: Any, script: str, empty: str) -> None:
    with watched(browser, empty, bypass_csp=True) as view:
        page = view.go("/")
        page.evaluate("() => document.querySelector('main').append(document.createElement('button'))")
        assert "button-name" in {one[0] for one in check(page, script)}
