"""The report in the real thing: headless Chromium, from the disk, with the star clusters of this repository.

tests/browser.py drives it over a pipe. Names of everything that can be reached and contrast of everything that can be
read are checked here by hand, also where axe-core (test_report_axe.py) leaves them open.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Page, browser, chromium_path
from conftest import PHOTOS
from PIL import Image
from report_facts import HOSTILE, bare, full, photograph, several

from retrain.report import Photographs, ReportFacts, reader, report_html

# Every text that is seen: its colour against what lies below it, by WCAG 2.2, 1.4.3. Pictures are passed over.
CONTRAST = """
(() => {
  const channel = (value) => { value /= 255; return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => top.length < 4 || top[3] === 1 ? top : top.slice(0, 3).map((v, i) => v * top[3] + below[i] * (1 - top[3]));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.length === 4 && own[3] === 0 ? ground(element.parentElement) : over(own, ground(element.parentElement));
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, title, desc")) continue;
    const style = getComputedStyle(element), isDrawn = element.closest("svg");
    const below = ground(element), ink = over(parse(isDrawn ? style.fill : style.color), below);
    const [high, low] = [light(ink), light(below)].sort((a, b) => b - a);
    seen += 1;
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) poor.push([walker.currentNode.data.trim().slice(0, 40), ratio.toFixed(2)]);
  }
  return {seen, poor};
})()
"""
WAIT = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = chromium_path()
    if program is None:
        pytest.skip("Chromium is not on this machine")
    with browser(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


def clusters() -> tuple[ReportFacts, list[Path]]:
    """All sections over the real photographs."""
    paths = sorted(PHOTOS.glob("*/*.jpg"))
    names = tuple(str(path.relative_to(PHOTOS)) for path in paths)
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    facts = full(len(paths), classes, names=names)
    labels = np.array([classes.index(name.split("/")[0]) for name in names], np.intp)
    return replace(facts, photographs=Photographs(names, labels, facts.photographs.sides)), paths


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    facts, paths = clusters()
    place = tmp_path_factory.mktemp("report") / "report.html"
    place.write_bytes(report_html(facts, reader(paths)))
    return place.as_uri()


@pytest.fixture
def opened(chromium: Page, report: str) -> Page:
    chromium.size(1280, 900)
    chromium.scheme("light")
    chromium.open(report)
    chromium.run("document.documentElement.style.scrollBehavior = 'auto'")
    return chromium


def write(folder: Path, content: bytes) -> str:
    (folder / "report.html").write_bytes(content)
    return (folder / "report.html").as_uri()


def test_a_cell_that_is_clicked_shows_its_photographs(opened: Page) -> None:
    facts, _ = clusters()
    judged, labels = facts.judged[0], facts.photographs.labels
    expected = int(((labels == 1) & (judged.predicted == 0)).sum())
    assert expected
    wanted = "document.querySelector('#m0-1-0')"
    if opened.run(f"{wanted}.checkVisibility()"):
        opened.click('a[href="#m0-0-1"]')
    assert not opened.run(f"{wanted}.checkVisibility()")
    opened.click('a[href="#m0-1-0"]')
    opened.run(WAIT)
    seen = opened.run(
        f"""[...{wanted}.querySelectorAll('li')].filter((one) => one.checkVisibility()).map((one) => {{
              const tile = one.firstElementChild, style = getComputedStyle(tile), box = tile.getBoundingClientRect();
              return [style.backgroundImage.slice(0, 27), box.width, box.height, one.innerText.split('\\n')[0]];
            }})"""
    )
    assert len(seen) == expected
    assert all(
        kind == 'url("data:image/jpeg;base64' and width >= 64 and height >= 64 for kind, width, height, _ in seen
    )
    names = {Path(facts.photographs.names[row]).name for row in np.flatnonzero((labels == 1) & (judged.predicted == 0))}
    assert {name for *_, name in seen} == names
    # What is painted there is a photograph and no empty square.
    box = opened.run(
        f"(() => {{ const b = {wanted}.querySelector('i').getBoundingClientRect(); return [b.x, b.y, b.width]; }})()"
    )
    assert is_painted(opened, *box)


def is_painted(page: Page, x: float, y: float, width: float) -> bool:
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    part = np.asarray(shot.crop((round(x) + 2, round(y) + 2, round(x + width) - 2, round(y + width) - 2)))
    return len(np.unique(part.reshape(-1, 3), axis=0)) > 200


def test_nothing_is_asked_of_anybody_and_nothing_is_complained_of(opened: Page, report: str) -> None:
    assert [address for address in opened.requested() if not address.startswith("data:")] == [report]
    assert opened.complaints() == []


def test_a_script_that_got_into_the_page_would_not_run(chromium: Page, report: str, tmp_path: Path) -> None:
    page = Path(report.removeprefix("file://")).read_bytes()
    bad = b"<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\"><p style='color:red' id=styled>"
    chromium.open(write(tmp_path, page.replace(b"<main", bad + b"<main", 1)))
    assert chromium.run("document.title") == "photos: report"
    assert chromium.run("getComputedStyle(styled).color") != "rgb(255, 0, 0)"
    assert "Content Security Policy" in " ".join(chromium.complaints())
    failed = [event["params"] for event in chromium.events if event.get("method") == "Network.loadingFailed"]
    assert [one["blockedReason"] for one in failed] == ["csp"]


def test_hostile_names_are_seen_as_text(chromium: Page, tmp_path: Path) -> None:
    facts = full(24, tuple(HOSTILE), names=tuple(f"{HOSTILE[at % 12]}/{at}{HOSTILE[at % 12]}" for at in range(24)))
    data = photograph()
    chromium.open(write(tmp_path, report_html(facts, lambda row: data)))
    assert chromium.complaints() == []
    assert [address for address in chromium.requested() if not address.startswith("data:")] == [
        chromium.run("location.href")
    ]
    shown = chromium.run("document.querySelector('.matrix').innerText")
    assert "<script>" in shown
    assert chromium.run("document.querySelectorAll('script').length") == 1


@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_narrow_window_is_not_scrolled_sideways(opened: Page, width: int) -> None:
    opened.size(width, 740, is_mobile=True)
    opened.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert opened.run("document.documentElement.scrollWidth") <= width
    assert opened.run("getComputedStyle(document.body).fontSize") == "16px"


def test_long_names_do_not_widen_a_narrow_window(chromium: Page, tmp_path: Path) -> None:
    facts = full(12, ("w" * 255, "open"), title="t" * 255, sentence="s" * 300)
    chromium.size(360, 740, is_mobile=True)
    chromium.open(write(tmp_path, report_html(facts, lambda row: None)))
    chromium.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert chromium.run("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_lies_below_it(opened: Page, scheme: str) -> None:
    opened.scheme(scheme)
    opened.run("for (const one of document.querySelectorAll('details')) one.open = true")
    found = opened.run(CONTRAST)
    assert found["seen"] > 300
    assert found["poor"] == []


def test_shades_of_every_strength_can_be_read(chromium: Page, tmp_path: Path) -> None:
    """Twelve classes whose cells have every shade."""
    count, width = 1200, 12
    facts = full(count, tuple(f"class {number}" for number in range(width)))
    labels = facts.photographs.labels
    draw = np.random.default_rng(5)
    certain = np.array([0.1, 0.3, 0.45, 0.5, 0.65, 0.7, 0.82, 0.85, 0.91, 0.93, 0.97, 1.0])[labels]
    called = np.where(draw.random(count) < certain, labels, (labels + draw.geometric(0.5, count)) % width)
    judged = replace(facts.judged[0], scores=np.eye(width, dtype=np.float32)[called])
    content = report_html(replace(facts, judged=(judged,)), lambda row: None)
    shades = {f"{kind} q{shade}" for kind in ("right", "wrong") for shade in range(6)}
    assert {shade for shade in shades if shade.encode() not in content} == set()
    address = write(tmp_path, content)
    for scheme in ("light", "dark"):
        chromium.size(1280, 900)
        chromium.scheme(scheme)
        chromium.open(address)
        assert chromium.run(CONTRAST)["poor"] == []


def test_dark_is_dark_and_light_is_light(opened: Page) -> None:
    sums = []
    for scheme in ("light", "dark"):
        opened.scheme(scheme)
        sums.append(sum(map(int, opened.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"))))
    assert sums[0] > 600
    assert sums[1] < 150


def test_whatever_can_be_reached_has_a_name(opened: Page) -> None:
    opened.run("for (const one of document.querySelectorAll('details')) one.open = true")
    opened.send("Accessibility.enable")
    nodes = opened.send("Accessibility.getFullAXTree")["nodes"]
    opened.send("Accessibility.disable")
    nameless, reached = [], 0
    for node in nodes:
        role = node.get("role", {}).get("value")
        is_focusable = any(one["name"] == "focusable" and one["value"]["value"] for one in node.get("properties", []))
        if node["ignored"] or not (is_focusable or role in ("image", "img", "table", "region", "navigation")):
            continue
        reached += 1
        if role not in ("RootWebArea", "generic", "main", "DisclosureTriangle", "code", "pre") and not node.get(
            "name", {}
        ).get("value"):
            nameless.append((role, node.get("backendDOMNodeId")))
    assert reached > 40
    assert nameless == []


def test_the_keyboard_opens_a_cell_and_comes_back(opened: Page) -> None:
    opened.run("document.querySelector('a[href=\"#m0-1-0\"]').focus()")
    opened.press("Enter")
    opened.run(WAIT)
    assert opened.run("document.querySelector('#m0-1-0').checkVisibility()")
    assert opened.run("document.activeElement.tagName") == "SUMMARY"
    assert opened.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    opened.press("Escape")
    assert not opened.run("document.querySelector('#m0-1-0').checkVisibility()")
    assert opened.run("document.activeElement.getAttribute('href')") == "#m0-1-0"


def test_the_first_stop_of_the_keyboard_skips_to_the_report(opened: Page) -> None:
    opened.press("Tab")
    assert opened.run("document.activeElement.innerText") == "Skip to the report"
    assert opened.run("document.activeElement.getBoundingClientRect().x") >= 0


def test_arrow_keys_walk_the_map_and_name_what_they_find(opened: Page) -> None:
    opened.run("document.querySelector('#atlas').focus()")
    names = {opened.run("document.querySelector('#spot').innerText")}
    places = []
    for _ in range(4):
        places.append(opened.run("document.querySelector('#atlas .on').offsetLeft"))
        opened.press("ArrowRight")
        names.add(opened.run("document.querySelector('#spot').innerText"))
    assert places == sorted(places)
    assert len(names) >= 2
    facts, _ = clusters()
    files = {Path(name).name for name in facts.photographs.names}
    assert all(name.split("\n")[0].split("called")[0].strip() in files for name in names)


def test_a_class_can_be_left_out_of_the_map(opened: Page) -> None:
    count = "[...document.querySelectorAll('#atlas > i')].filter((one) => one.checkVisibility()).length"
    before = opened.run(count)
    opened.click('.toggles button[data-c="0"]')
    after = opened.run(count)
    assert opened.run("document.querySelector('.toggles button').getAttribute('aria-pressed')") == "false"
    facts, _ = clusters()
    assert (before, after) == (84, int((facts.photographs.labels == 1).sum()))
    opened.click('.toggles button[data-c="0"]')
    assert opened.run(count) == before


def test_the_link_below_the_map_opens_the_photographs_list(opened: Page) -> None:
    opened.click("#atlas > i.t")
    link = json.loads(
        opened.run(
            "JSON.stringify([document.querySelector('#spot a').hash, document.querySelector('#spot a').innerText])"
        )
    )
    opened.click("#spot a")
    opened.run(WAIT)
    assert opened.run(f"document.querySelector('{link[0]}').checkVisibility()")


def test_without_its_script_everything_can_still_be_read(chromium: Page, report: str) -> None:
    chromium.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(report)
        chromium.click('a[href="#m0-0-1"]')
        end = time.monotonic() + 10
        while not chromium.run("document.querySelector('#m0-0-1').checkVisibility()"):
            assert time.monotonic() < end, "the link did not open the list"
        lists = "[...document.querySelectorAll('.photos > summary')].filter((one) => one.checkVisibility()).length"
        assert chromium.run(lists) >= 4
    finally:
        chromium.send("Emulation.setScriptExecutionDisabled", value=False)


def test_four_thousand_photographs_of_noise_with_the_longest_names_stay_under_ten_megabytes(
    chromium: Page, tmp_path: Path
) -> None:
    noise = [photograph(seed, 128, 128) for seed in range(64)]
    names = tuple(f"{at:04}{'&' * 247}.jpg" for at in range(4000))
    facts = full(4000, tuple("&" * 250 + str(number) for number in range(10)), names=names)
    content = report_html(facts, lambda row: noise[row % 64])
    assert len(content) < 10_000_000
    chromium.open(write(tmp_path, content))
    assert chromium.complaints() == []
    assert chromium.run("document.querySelectorAll('#atlas > i').length") == 4000


def test_a_page_without_any_facts_says_how_to_get_them(chromium: Page, tmp_path: Path) -> None:
    chromium.open(write(tmp_path, report_html(bare(), lambda row: None)))
    assert chromium.complaints() == []
    assert chromium.run("document.querySelectorAll('.missing').length") == 10


@pytest.fixture
def labelled(chromium: Page, tmp_path: Path) -> Page:
    """A report on the real photographs as if each might have several labels."""
    paths = sorted(PHOTOS.glob("*/*.jpg"))
    facts = several(len(paths), names=tuple(str(path.relative_to(PHOTOS)) for path in paths))
    chromium.size(1280, 900)
    chromium.scheme("light")
    chromium.open(write(tmp_path, report_html(facts, reader(paths))))
    return chromium


def test_mistakes_with_several_labels_are_seen_label_by_label(labelled: Page) -> None:
    assert labelled.complaints() == []
    assert [one for one in labelled.requested() if not one.startswith("data:")] == [labelled.run("location.href")]
    lists = "[...document.querySelectorAll('#mistakes .photos')]"
    assert labelled.run(f"{lists}.map((one) => one.open)") == [True, False]
    hidden = "document.querySelector('#mistakes .photos:nth-of-type(2) .card')"
    assert not labelled.run(f"{hidden}.checkVisibility()")
    labelled.click("#mistakes .photos:nth-of-type(2) > summary")
    labelled.run(WAIT)
    assert labelled.run(f"{hidden}.checkVisibility()")
    labelled.run(f"{hidden}.scrollIntoView({{block: 'start', behavior: 'instant'}}); scrollBy(0, -80)")
    # The picture is fetched when it comes into sight.
    labelled.run(f"{hidden}.querySelector('img').decode()")
    labelled.run(WAIT)
    x, y, width, height = labelled.run(
        f"(() => {{ const b = {hidden}.querySelector('img').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()"
    )
    assert is_painted(labelled, x, y, min(width, height))
    assert labelled.run(f"{hidden}.innerText.includes('has ') && {hidden}.innerText.includes('got ')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_mistakes_with_several_labels_can_be_read_on_a_narrow_window(labelled: Page, scheme: str) -> None:
    labelled.scheme(scheme)
    labelled.size(320, 740, is_mobile=True)
    labelled.run("for (const one of document.querySelectorAll('details')) one.open = true")
    assert labelled.run("document.documentElement.scrollWidth") <= 320
    assert labelled.run(CONTRAST)["poor"] == []
