"""The loop without a mouse: every step from the folder to the answer by keys alone, and where the focus is afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from studio_pages import (
    GLOBULAR,
    OPEN,
    Watched,
    ask_dialog,
    chromium,
    counts,
    run_in,
    settled,
    studio,
    wait_counts,
    watched,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("keys")
    run_in(folder)
    with studio(folder) as one:
        yield one


@pytest.fixture
def view(browser: Any, address: str) -> Iterator[Watched]:
    with watched(browser, address) as one:
        yield one


def focused(page: Any, what: str = "id") -> str:
    """Name what the next key would go to."""
    return page.evaluate(
        "(what) => document.activeElement[what] || document.activeElement.getAttribute(what) || ''", what
    )


def tab_to(page: Any, test: str, most: int = 60) -> None:
    """Press Tab until what has the focus fits, as a person looks for it."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(test):
            return
    raise AssertionError(f"{test}: not reached within {most} presses of Tab; the last was {focused(page)!r}")


def test_photographs_are_chosen_moved_and_brought_back(view: Watched) -> None:
    page = view.go("/")
    page.wait_for_selector("#photo-1 img")
    sizes = counts(page)
    tab_to(page, "() => document.activeElement.id === 'photo-0'")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function("() => document.getElementById('selected').textContent === '3 photographs selected'")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function("() => document.getElementById('selected').textContent === '2 photographs selected'")
    assert focused(page) == "photo-1"
    page.keyboard.press("m")
    ask_dialog(page, OPEN)
    wait_counts(page, open_cluster=sizes[OPEN] + 2)
    page.wait_for_function("() => document.activeElement.classList.contains('cell')")
    page.keyboard.press("u")
    wait_counts(page, open_cluster=sizes[OPEN])
    page.wait_for_function("() => document.activeElement.classList.contains('cell')")
    page.keyboard.press("End")
    page.wait_for_function("() => document.activeElement.id === 'photo-83'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lightbox[open]")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => document.activeElement.closest('#lightbox')")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.getElementById('lightbox').open")
    page.keyboard.press("Control+a")
    page.wait_for_function("() => document.getElementById('selected').textContent === '84 photographs selected'")
    page.keyboard.press("Escape")
    assert page.is_hidden("#selection")


def test_a_class_is_made_and_taken_away(view: Watched) -> None:
    page = view.go("/")
    page.keyboard.press("c")
    ask_dialog(page, "by keys")
    wait_counts(page, by_keys=0)
    tab_to(page, "() => document.activeElement.getAttribute('aria-label') === 'Change the class by keys'")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("() => !document.getElementById('classes').textContent.includes('by keys')")


def test_training_is_started_and_cancelled(view: Watched) -> None:
    page = view.go("/train")
    page.wait_for_selector("#architecture option", state="attached")
    page.fill("#steps", "5000000")  # so that it is not done before it is cancelled
    tab_to(page, "() => document.activeElement.id === 'start'")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.id === 'cancel' && !document.activeElement.disabled")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('stage').textContent.startsWith('Cancelled')")
    page.wait_for_function("() => document.activeElement.id === 'start'")


def test_doubts_are_answered_and_taken_back(view: Watched) -> None:
    page = view.go("/review")
    revision = settled(page)
    doubts = int(page.inner_text("#suspects-count"))
    first = page.get_attribute("#suspect img.main", "alt")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#suspect img.main", "alt") != first
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    page.wait_for_function(
        "(most) => Number(document.getElementById('suspects-count').textContent) === most", arg=doubts - 1
    )
    page.keyboard.press("u")
    page.wait_for_function(
        "(most) => Number(document.getElementById('suspects-count').textContent) === most", arg=doubts
    )
    tab_to(page, "() => document.activeElement.matches('#suspect .primary')")
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.matches('#suspect .primary')")
    settled(page, revision)
    page.keyboard.press("4")
    assert focused(page) == "tab-flips"
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "tab-unknown"
    revision = page.get_attribute("body", "data-examined")
    page.keyboard.press("u")
    settled(page, revision)


@pytest.mark.parametrize("path", ["/", "/train", "/review", "/try", "/use"])
def test_keys_are_listed(view: Watched, path: str) -> None:
    page = view.go(path)
    page.keyboard.press("?")
    page.wait_for_selector("#dialog[open] >> text=show these keys")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement !== document.body")


def test_the_loop_stays_in_view_with_still_pictures(browser: Any, address: str) -> None:
    with watched(browser, address, reduced_motion="reduce") as view:
        page = view.go("/")
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.className") == "skip"
        assert page.evaluate("() => document.activeElement.getBoundingClientRect().left") >= 0
        assert page.evaluate("() => getComputedStyle(document.getElementById('dot')).animationName") == "none"
        assert counts(page)[GLOBULAR] > 0
