import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import numpy as np
import pytest
from report_facts import HOSTILE, bare, full, photograph

from retrain.config import RunConfig
from retrain.dataset.sides import TESTING, TRAINING
from retrain.report import Copies, Judged, report_html
from retrain.report.markup import Html, name, percent, safe, shortened, tag
from retrain.report.page import SECTIONS

PHOTO = photograph()


def read(row):
    return PHOTO


class Reader(HTMLParser):
    """What a browser makes of the page: elements with their attributes, and texts by element."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.path = [], [], []
        self.feed(page)

    def handle_starttag(self, element, attributes):
        self.elements.append((element, dict(attributes)))
        if element not in ("meta", "img", "br", "input"):
            self.path.append(element)

    def handle_endtag(self, element):
        assert self.path.pop() == element, f"</{element}> closes nothing"

    def handle_data(self, text):
        self.texts.append((self.path[-1] if self.path else "", text))

    def of(self, element):
        return [attributes for found, attributes in self.elements if found == element]

    def text(self):
        return " ".join(" ".join(text for kind, text in self.texts if kind not in ("style", "script")).split())


def page_of(facts, photographs=read):
    return report_html(facts, photographs).decode()


@pytest.fixture(scope="module")
def page():
    return page_of(full())


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text(hostile):
    facts = full(
        classes=(hostile, "open"), names=tuple(f"{hostile}/{at}{hostile}" for at in range(12)), title=hostile,
        sentence=hostile, notes=(hostile,), missing={},
    )  # fmt: skip
    plain, seen = Reader(page_of(full())), Reader(page_of(facts))
    assert [element for element, _ in seen.elements] == [element for element, _ in plain.elements]
    assert [set(attributes) for _, attributes in seen.elements] == [set(attributes) for _, attributes in plain.elements]
    assert len(seen.of("script")) == 1
    shown = seen.text()
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert shortened(hostile)[:20] in shown


def test_lone_surrogates_and_controls_become_escapes():
    assert safe("\udcff\x1b\u202e") == r"\udcff\x1b\u202e"
    assert name("a" * 300) == tag("bdi", "a" * 24 + " … " + "a" * 24)


def test_markup_is_made_of_text_and_never_of_attributes_alone():
    assert (
        tag("p", "<b>", Html("<i></i>"), title='"', hidden=True, id=None)
        == '<p title="&quot;" hidden>&lt;b&gt;<i></i></p>'
    )
    assert tag("img", src=Html("data:,a&b")) == '<img src="data:,a&b">'


def test_the_policy_names_this_style_and_this_script_and_nothing_else(page):
    seen = Reader(page)
    (policy,) = (one["content"] for one in seen.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"style-src 'sha256-{hashes[0]}'" in policy
    assert f"script-src 'sha256-{hashes[1]}'" in policy
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_nothing_is_fetched_and_nothing_is_styled_or_run_in_attributes(page):
    for element, attributes in Reader(page).elements:
        assert element not in ("link", "iframe", "object", "embed", "base", "form")
        assert "style" not in attributes
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("src", "href"):
            assert attributes.get(key, "#").startswith(("#", "data:image/jpeg;base64,"))
    assert set(re.findall(r"url\((.{11})", page)) == {"data:image/"}
    assert not re.search(r"https?://", page)


def test_equal_facts_give_equal_bytes_whatever_the_threads():
    assert report_html(full(), read, threads=1) == report_html(full(), read, threads=3)


def test_every_section_is_there_and_linked(page):
    seen = Reader(page)
    assert [one["id"] for one in seen.of("section")] == list(SECTIONS)
    links = [one["href"] for one in seen.of("a") if one["href"][1:] in SECTIONS]
    assert links == [f"#{key}" for key in SECTIONS]
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {one["href"][1:] for one in seen.of("a")} <= set(ids)


def test_what_is_missing_says_how_to_get_it():
    text = Reader(page_of(bare())).text()
    for key in set(SECTIONS) - {"origin"}:
        assert SECTIONS[key][2] in text
    told = Reader(page_of(replace(bare(), missing={"learning": "Ask the moon."}))).text()
    assert "Ask the moon." in told
    assert SECTIONS["learning"][2] not in told


def test_flags_that_are_named_exist():
    config, label_image = RunConfig(image_dir="x"), {"heat_map", "image"}
    for _, _, remedy in SECTIONS.values():
        for flag in re.findall(r"--(\w+)", remedy):
            assert flag in label_image or hasattr(config, flag)


def test_each_cell_links_to_its_photographs(page):
    seen = Reader(page)
    cells = {one["href"][1:]: one["aria-label"] for one in seen.of("a") if one.get("class") == "cell"}
    assert cells["m0-0-0"] == "is globular, called globular: 6 photographs, 100 %"
    assert cells["m0-1-0"] == "is open, called globular: 2 photographs, 33 %"
    inside = page.split('id="m0-1-0"')[1].split("</div>")[0]
    assert re.findall(r"<bdi>(.*?)</bdi>", inside) == ["5.jpg", "11.jpg"]


def test_every_photograph_is_on_the_page_once_as_a_place_for_the_map(page):
    homes = re.findall(r'<li id="p(\d+)"', page)
    assert sorted(map(int, homes)) == list(range(12))
    assert sorted(map(int, re.findall(r'data-p="(\d+)"', page))) == list(range(12))


def test_photographs_that_no_head_judged_have_their_place_too():
    facts = full()
    page = page_of(replace(facts, judged=facts.judged[1:]))
    assert sorted(map(int, re.findall(r'<li id="p(\d+)"', page))) == list(range(12))
    assert "not judged" in page


def test_the_mistake_of_which_the_model_was_surest_comes_first(page):
    mistakes = page.split('id="mistakes"')[1].split("</section>")[0]
    assert re.findall(r'class="path"><bdi>(.*?)</bdi>', mistakes) == ["open/5.jpg", "open/11.jpg"]


def test_no_mistakes_is_good_news():
    facts = full()
    perfect = np.eye(2, dtype=np.float32)[facts.photographs.labels]
    text = Reader(page_of(replace(facts, judged=(Judged("Cross-validation", "", np.arange(12), perfect),)))).text()
    assert "None: all 12 photographs were classified rightly." in text


def test_copies_on_both_sides_and_under_two_labels_are_marked():
    facts = full()
    sides = facts.photographs.sides
    groups = (Copies(np.array([0, 3]), "near"), Copies(np.array([0, 2, 5]), "exact"))
    assert (sides[0], sides[3], sides[2]) == (TRAINING, TRAINING, TESTING)
    text = Reader(page_of(replace(facts, copies=groups[1:]))).text()
    assert "leak: in training and testing" in text
    assert "labels differ" in text
    assert "leak" not in Reader(page_of(replace(facts, copies=groups[:1]))).text().split("Duplicates and leaks")[-1]


def test_no_copies_are_good_news_as_far_as_was_looked():
    none = replace(full(), copies=(), copies_sentence="Of exact copies.")
    assert "None found. Of exact copies." in Reader(page_of(none)).text()


def test_without_a_split_no_copy_is_a_leak():
    facts = full()
    text = Reader(page_of(replace(facts, photographs=replace(facts.photographs, sides=None)))).text()
    assert "none on both sides of the split" in text


def test_headings_charts_tables_and_pictures_are_named(page):
    seen = Reader(page)
    levels = [int(element[1]) for element, _ in seen.elements if re.fullmatch("h[1-6]", element)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    assert all(one["alt"] for one in seen.of("img"))
    charts = [one for one in seen.of("svg") if one.get("aria-hidden") != "true"]
    assert len(charts) == 5
    assert all(one["role"] == "img" and one["aria-labelledby"] for one in charts)
    assert page.count("<caption>") == page.count("<table")
    assert all("scope" in one for one in seen.of("th"))
    assert seen.of("html")[0]["lang"] == "en"


def test_a_threshold_of_likeness_refuses_what_is_below_it():
    facts = full()
    unknown = replace(facts.unknown, known=np.array([0.9, 0.95, 0.7, 0.99]), others=np.array([0.5, 0.9]), threshold=0.8)
    text = Reader(page_of(replace(facts, unknown=unknown))).text()
    assert "25.0 % of 4 photographs of the classes are below the threshold, and 50.0 % of 2 others." in text
    far = replace(unknown, is_likeness=False)
    assert "75.0 % of 4 photographs of the classes are above" in Reader(page_of(replace(facts, unknown=far))).text()


def test_many_classes_show_those_with_the_most_mistakes():
    classes = tuple(f"class {number}" for number in range(60))
    facts = full(240, classes)
    page = page_of(facts)
    assert "The table has the 40 classes of 60 with the most mistakes" in page
    assert len(set(re.findall(r'id="m0-(\d+)-', page))) == 60


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_few_photographs_are_no_reason_to_fail(count):
    page = page_of(replace(full(6), **_first(count)))
    assert ('id="atlas"' in page) == (count >= 4)


def _first(count):
    facts = full(6)
    photographs = replace(
        facts.photographs, names=facts.photographs.names[:count], labels=np.arange(count) % 2, sides=None
    )
    judged = (Judged("Cross-validation", "", np.arange(count), facts.judged[0].scores[:count]),)
    nothing = {"suspects": None, "copies": None, "heat": None}
    return {"photographs": photographs, "judged": judged, "vectors": facts.vectors[:count], **nothing}


def test_an_empty_final_test_is_an_empty_matrix():
    facts = bare()
    empty = Judged("Final test", "Nothing was kept for it.", np.zeros(0, np.intp), np.zeros((0, 2), np.float32))
    text = Reader(page_of(replace(facts, judged=(empty,)))).text()
    assert "Final test: 0 mistakes among 0 photographs." in text
    assert SECTIONS["mistakes"][2] in text


def test_equal_vectors_make_a_map_of_one_place():
    page = page_of(replace(full(), vectors=np.zeros((12, 4), np.float32)))
    assert page.count("left:") >= 12
    assert "nan" not in page.lower().split("<script>")[0].split("@media print")[1].split("</style>")[0].split("\n")[-1]


def test_percent_of_nothing_is_a_dash():
    assert percent(float("nan")) == "–"
    assert percent(0.256, 1) == "25.6 %"
