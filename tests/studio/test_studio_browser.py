"""The studio in Debian's Chromium: what a person does with the mouse, on real photographs and the bundled backbone."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import PHOTOS
from studio_pages import (
    GLOBULAR,
    OPEN,
    Watched,
    ask_dialog,
    chromium,
    counts,
    drop_files,
    lay,
    run_in,
    settled,
    studio,
    wait_counts,
    watched,
)

TEST_PHOTO = PHOTOS.parent / "test_photos" / "1.jpg"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_in(folder)
    return folder


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    with studio(place) as one:
        yield one


@pytest.fixture
def view(browser: Any, address: str) -> Iterator[Watched]:
    with watched(browser, address) as one:
        yield one


def photographs(folder: Path) -> dict[str, bytes]:
    found = sorted((folder / "photos").glob("*/*.jpg"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_from_an_empty_folder_to_a_model(browser: Any, tmp_path: Path) -> None:
    with studio(tmp_path) as address, watched(browser, address) as view:
        page = view.go("/train")
        assert page.is_visible("text=There are no photographs to learn from yet")
        page = view.go("/")
        assert page.is_visible("text=No photographs here yet")
        for name in ("round", "loose"):
            page.click("#make")
            ask_dialog(page, name)
            wait_counts(page, **{name: 0})
        page.click("#classes .class:has-text('round')")
        with page.expect_file_chooser() as chooser:
            page.click("#add")
        chooser.value.set_files(sorted((PHOTOS / GLOBULAR).iterdir())[:24])  # more than one request may have
        wait_counts(page, round=24)
        drop_files(page, "#classes li:has-text('loose')", sorted((PHOTOS / OPEN).iterdir())[:12])
        wait_counts(page, loose=12)
        page.wait_for_selector(".cell img")
        page = view.go("/train")
        page.click("#start")
        page.wait_for_function("() => document.getElementById('dot').dataset.state === 'work'")
        page.wait_for_function("() => document.getElementById('log').textContent.length > 0")
        page.wait_for_function(
            "() => ['Done', 'It failed'].includes(document.getElementById('stage').textContent)", timeout=180_000
        )
        assert page.inner_text("#stage") == "Done", page.inner_text("#detail")
        page.wait_for_function("() => document.getElementById('crossed').textContent.includes('%')")
        page.click("text=Review the mistakes")
        settled(page)
    assert (tmp_path / "tf_files" / "retrained_graph.pb").stat().st_size > 1_000_000


def test_camera_adds_to_a_class(view: Watched) -> None:
    page = view.go("/")
    page.click("#camera")
    ask_dialog(page, "filmed")
    page.wait_for_function(
        "() => document.querySelector('#dialog video') && document.querySelector('#dialog video').videoWidth > 0"
    )
    page.click("text=Take a photograph")
    page.wait_for_selector("#dialog >> text=1 photograph added to filmed")
    page.click("#dialog >> text=Done")
    wait_counts(page, filmed=1)
    page.click("#classes .class:has-text('filmed')")
    page.wait_for_selector(".cell img")
    page.wait_for_function("() => document.getElementById('heading').textContent === 'filmed'")
    page.click(".cell")
    page.click("#out")
    wait_counts(page, filmed=0)
    page.click("[aria-label='Change the class filmed']")
    page.click("#dialog >> text=Take it away")
    page.wait_for_function("() => !document.getElementById('classes').textContent.includes('filmed')")


def test_classes_are_made_renamed_split_and_merged(view: Watched, place: Path) -> None:
    before = sorted(photographs(place).values())
    page = view.go("/")
    sizes = counts(page)
    page.click(f"#classes .class:has-text('{OPEN}')")
    page.wait_for_function(f"() => document.getElementById('heading').textContent === '{OPEN}'")
    page.wait_for_selector("#photo-2 img")
    page.click("#photo-0")
    page.click("#photo-2", modifiers=["Shift"])
    assert page.inner_text("#selected") == "3 photographs selected"
    page.click("#split")
    ask_dialog(page, "faint")
    wait_counts(page, faint=3, open_cluster=sizes[OPEN] - 3)
    page.click("[aria-label='Change the class faint']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#dialog input")
    page.fill("#dialog input", "weak & dim عنقود")
    page.keyboard.press("Enter")
    wait_counts(page, **{"weak & dim عنقود": 3})
    assert (
        page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Change the class weak & dim عنقود"
    )
    page.click("[aria-label='Change the class weak & dim عنقود']")
    page.click("#dialog >> text=Merge it")
    page.wait_for_selector("#dialog select")
    page.select_option("#dialog select", label=OPEN)
    page.click("#dialog button.primary")
    wait_counts(page, open_cluster=sizes[OPEN])
    assert sorted(photographs(place).values()) == before


def test_tiles_are_dragged_onto_a_class_and_back(view: Watched, place: Path) -> None:
    before = photographs(place)
    page = view.go("/")
    sizes = counts(page)
    page.click(f"#classes .class:has-text('{GLOBULAR}')")
    page.wait_for_function(f"() => document.getElementById('heading').textContent === '{GLOBULAR}'")
    page.wait_for_selector("#photo-3 img")
    page.click("#photo-1")
    page.click("#photo-3", modifiers=["Control"])
    page.drag_and_drop("#photo-3", f"#classes li:has-text('{OPEN}')")
    wait_counts(page, open_cluster=sizes[OPEN] + 2, globular_cluster=sizes[GLOBULAR] - 2)
    page.click("#undo")
    wait_counts(page, open_cluster=sizes[OPEN], globular_cluster=sizes[GLOBULAR])
    assert photographs(place) == before


def test_gallery_finds_selects_all_and_shows_large(view: Watched) -> None:
    page = view.go("/")
    page.wait_for_selector("#photo-1 img")
    page.click("#all")
    page.wait_for_function("() => document.getElementById('selected').textContent === '84 photographs selected'")
    page.click("#none")
    assert page.is_hidden("#selection")
    page.fill("#find", "m1")
    page.wait_for_function(
        "() => document.querySelectorAll('.cell').length && document.querySelectorAll('.cell').length < 20"
    )
    assert all(
        "m1" in name for name in page.eval_on_selector_all(".cell .name", "(all) => all.map((one) => one.title)")
    )
    page.dblclick("#photo-0")
    page.wait_for_selector("#lightbox[open] img")
    first = page.get_attribute("#lightbox img", "alt")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(first) => document.querySelector('#lightbox img').alt !== first", arg=first)
    page.keyboard.press("Escape")
    page.fill("#find", "no such name")
    page.wait_for_selector("text=No name has that in it")


def test_names_that_are_no_utf8_have_their_pictures(browser: Any, tmp_path: Path) -> None:
    for folder in (b"b\xfcsche", "עברית".encode()):
        place = tmp_path / "photos" / os.fsdecode(folder)
        place.mkdir(parents=True)
        shutil.copy(TEST_PHOTO, place / os.fsdecode(b"\xff " + folder + b".jpg"))
    with studio(tmp_path) as address, watched(browser, address) as view:
        page = view.go("/")
        page.wait_for_function(
            "() => document.querySelectorAll('.cell img').length === 2 &&"
            " [...document.querySelectorAll('.cell img')].every((one) => one.naturalWidth > 0)"
        )
        page.click("#classes .class >> nth=1")
        page.wait_for_function(
            "() => document.querySelectorAll('.cell').length === 1 && document.querySelector('.cell img')?.naturalWidth"
        )


def test_doctor_says_what_it_finds(view: Watched) -> None:
    page = view.go("/")
    page.click("summary")
    page.click("#examine")
    page.wait_for_function("() => document.getElementById('findings').textContent.length > 0")


def test_a_correction_moves_the_numbers_and_undo_brings_them_back(view: Watched, place: Path) -> None:
    before = photographs(place)
    page = view.go("/review")
    revision = settled(page)
    numbers = (page.inner_text("#crossed"), page.inner_text("#suspects-count"))
    doubt = page.get_attribute("#suspect img.main", "alt")
    page.keyboard.press("y")
    revision = settled(page, revision)
    assert (page.inner_text("#crossed"), page.inner_text("#suspects-count")) != numbers
    assert page.get_attribute("#suspect img.main", "alt") != doubt
    assert "changed" in page.inner_text("#flipped")
    assert photographs(place) != before
    page.keyboard.press("u")
    settled(page, revision)
    page.wait_for_function("(was) => document.getElementById('crossed').textContent === was", arg=numbers[0])
    assert photographs(place) == before


SPEAK_TO = """async ([path, facts]) => {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`/studio/${path}`, facts && { method: "POST", headers, body: JSON.stringify(facts) });
  return answer.json();
}"""


def is_examined(facts: dict[str, Any], before: str) -> bool:
    return bool(facts["examined"]) and not facts["stale"] and str(facts["revision"]) != before


def test_what_changed_before_the_page_was_heard_is_not_missed(view: Watched) -> None:
    held: list[Any] = []
    view.context.route("**/studio/events", lambda line: held.append(line))
    page = view.go("/review")
    revision = settled(page)
    doubt = page.get_attribute("#suspect img.main", "alt")
    suggested = page.inner_text("#suspect .primary bdi")
    page.evaluate(SPEAK_TO, ["move", {"paths": [doubt], "to": suggested}])
    deadline = time.monotonic() + 30
    while not is_examined(now := page.evaluate(SPEAK_TO, ["review", None]), revision):
        assert time.monotonic() < deadline, now
        page.wait_for_timeout(50)
    assert page.get_attribute("body", "data-examined") == revision
    assert page.get_attribute("#suspect img.main", "alt") == doubt
    [line] = held
    line.continue_()
    revision = settled(page, revision)
    assert page.get_attribute("#suspect img.main", "alt") != doubt
    page.keyboard.press("u")
    settled(page, revision)


def test_an_answer_right_behind_a_change_of_the_photograph_is_not_taken(view: Watched) -> None:
    page = view.go("/review")
    settled(page)
    doubt = page.get_attribute("#suspect img.main", "alt")
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url.rsplit("/", 1)[1]) if one.method == "POST" else None)
    page.evaluate(
        """() => new MutationObserver((changes, observer) => {
          observer.disconnect();
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
        }).observe(document.getElementById("suspect"), { attributeFilter: ["data-held"] })"""
    )

    def without_it(route: Any) -> None:
        answer = route.fetch()
        facts = answer.json()
        examined = facts["examined"] or {"suspects": []}
        examined["suspects"] = [one for one in examined["suspects"] if one["path"] != doubt]
        route.fulfill(response=answer, json=facts)

    view.context.route("**/studio/review", without_it)
    page.evaluate(SPEAK_TO, ["rescan", {}])
    page.wait_for_selector("#toasts >> text=came up by itself")
    assert asked == ["rescan"]
    assert page.get_attribute("#suspect img.main", "alt") not in (None, doubt)
    settled(page)
    page.keyboard.press("n")
    page.wait_for_function("() => !document.documentElement.hasAttribute('data-busy')")
    assert asked == ["rescan", "confirm"]
    page.keyboard.press("u")


def test_mistakes_open_their_photographs_and_doubts_their_heat(view: Watched) -> None:
    page = view.go("/review")
    settled(page)
    page.click("#suspect .heat")
    page.wait_for_selector("#suspect img.main[alt^='What speaks']")
    page.click("#tab-confusion")
    page.click("#confusion .wrong button >> nth=0")
    page.wait_for_selector("#cell .tile")
    assert page.evaluate("() => document.activeElement.id") == "cell-title"
    page.click("#cell .tile >> nth=0")
    page.wait_for_selector("#lightbox[open] select")
    page.keyboard.press("Escape")
    page.click("#tab-unknown")
    page.wait_for_selector("#unknown li")


def test_try_names_a_file_a_paste_and_the_camera(view: Watched) -> None:
    page = view.go("/try")
    page.set_input_files("#file", str(TEST_PHOTO))
    page.wait_for_selector("#said .verdict")
    assert page.locator("#said .score").count() == 2
    page.click("#said .heat")
    page.wait_for_selector("#shown img[alt^='What speaks']")
    page.evaluate("() => document.getElementById('said').replaceChildren()")
    page.evaluate(
        """async (address) => {
          const blob = await (await fetch(address)).blob();
          const transfer = new DataTransfer();
          transfer.items.add(new File([blob], "pasted.jpg", { type: "image/jpeg" }));
          document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }""",
        page.evaluate(
            "() => document.querySelector('#shown img') && '/studio/picture?path=globular%20cluster/m10.jpg'"
        ),
    )
    page.wait_for_selector("#said .verdict")
    page.click("#camera")
    page.wait_for_selector("#shown video")
    page.wait_for_selector("#said .verdict")
    page.click("#camera")
    assert page.get_attribute("#camera", "aria-pressed") == "false"
    drop_files(page, "#target", [TEST_PHOTO])
    page.wait_for_selector("#said .heat")


def test_an_export_is_made_and_taken_along(view: Watched, address: str) -> None:
    view.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page = view.go("/use")
    page.click("[aria-label='Make tflite_fp16']")
    page.wait_for_selector("[aria-label='Download tflite_fp16']", timeout=180_000)
    with page.expect_download() as download:
        page.click("[aria-label='Download tflite_fp16']")
    assert Path(download.value.path()).stat().st_size > 500_000
    page.click("[aria-label='Copy the label_image line']")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("() => navigator.clipboard.readText()").startswith("python -m label_image")


def test_two_pages_agree_and_come_back_after_the_studio_was_away(browser: Any, place: Path, tmp_path: Path) -> None:
    lay(tmp_path, each=3)
    with studio(tmp_path) as address:
        port = int(address.rsplit(":", 1)[1])
        one = Watched(browser, address)
        first, second = one.go("/"), one.another()
        second.goto(address)
        wait_counts(second, open_cluster=3)
        first.click("#make")
        ask_dialog(first, "seen by both")
        wait_counts(second, seen_by_both=0)
    first.wait_for_function("() => document.getElementById('dot').dataset.state === 'bad'")
    (tmp_path / "photos" / "made meanwhile").mkdir()
    with studio(tmp_path, port=port):
        wait_counts(first, made_meanwhile=0)
        wait_counts(second, made_meanwhile=0)
        one.context.close()
    assert all("ERR_CONNECTION_REFUSED" in text or "ERR_INCOMPLETE" in text for text in one.complaints), json.dumps(
        one.complaints
    )
