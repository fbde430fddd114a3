import io
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from report_facts import bare, full, photograph

from retrain.report import Heat, report_html
from retrain.report.choosing import CARDS, Chosen, choose
from retrain.report.neighbours import condensed, flat_map, nearest, principal
from retrain.report.thumbnails import make_pictures, reader


def flat(colour, width=48, height=40):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


def opened(uri):
    return np.asarray(Image.open(io.BytesIO(b64decode(uri.partition("base64,")[2]))))


def distances(points):
    return np.linalg.norm(points[:, None] - points, axis=2)


def chosen(count, large=()):
    return Chosen(np.arange(count), frozenset(large))


def test_each_tile_lies_where_it_is_said_to_lie():
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (240, 240, 20), (20, 240, 240)]
    pictures = make_pictures(chosen(5), (), lambda row: flat(colours[row]))
    assert (pictures.grid, len(pictures.sheets)) == (3, 1)
    sheet = opened(pictures.sheets[0])
    for row, (number, column, line) in pictures.places.items():
        middle = [pictures.side * at + pictures.side // 2 for at in (line, column)]
        assert number == 0
        assert np.abs(sheet[middle[0], middle[1]].astype(int) - colours[row]).max() <= 6


def test_more_photographs_than_a_sheet_holds_go_on_the_next():
    data = flat((1, 2, 3))
    pictures = make_pictures(chosen(300), (), lambda row: data)
    assert (pictures.grid, len(pictures.sheets)) == (16, 2)
    assert pictures.places[256] == (1, 0, 0)


@pytest.mark.parametrize("content", [None, b"", b"no image", photograph()[:200]])
def test_a_photograph_that_cannot_be_read_any_more_is_grey(content):
    pictures = make_pictures(chosen(2, [1]), (), lambda row: content if row else photograph())
    assert pictures.gone == {1}
    assert not pictures.large
    page = report_html(bare(), lambda row: content).decode()
    assert page.count('class="t gone"') == 12
    assert "cannot be read any more" in page


def test_a_suspect_that_is_gone_keeps_its_card():
    page = report_html(full(), lambda row: None).decode()
    assert page.count('class="picture gone"') == 8  # two mistakes, two suspects, two heat maps of two pictures
    assert "<img" not in page


def test_reader_reads_what_is_there(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"content")
    read = reader([tmp_path / "a.jpg", tmp_path / "gone.jpg"])
    assert (read(0), read(1)) == (b"content", None)


def test_larger_pictures_keep_their_shape_and_are_not_enlarged():
    pictures = make_pictures(chosen(2, [0, 1]), (), lambda row: flat((9, 9, 9), 600, 300) if row else flat((9, 9, 9)))
    assert [(one.width, one.height) for one in pictures.large.values()] == [(48, 40), (288, 144)]
    assert opened(pictures.large[1].uri).shape == (144, 288, 3)


def test_heat_is_laid_over_a_larger_picture():
    weights = np.zeros((14, 14))
    weights[:, :7] = 4.0
    pictures = make_pictures(chosen(1, [0]), (Heat(0, weights),), lambda row: flat((90, 90, 90)))
    red, _, blue = opened(pictures.heated[0].uri).astype(int)[20, 8]
    assert red > blue + 60
    assert np.ptp(opened(pictures.heated[0].uri)[20, 40]) <= 8


def test_sheets_get_coarser_until_they_fit():
    noise = [photograph(seed, 96, 96) for seed in range(40)]
    fine = make_pictures(chosen(40), (), noise.__getitem__)
    coarse = make_pictures(chosen(40), (), noise.__getitem__, max_bytes=100_000)
    assert sum(map(len, fine.sheets)) > 2 * 100_000
    assert sum(map(len, coarse.sheets)) <= 100_000


def test_a_larger_picture_of_noise_is_bounded():
    data = photograph(1, 900, 900)
    (large,) = make_pictures(chosen(1, [0]), (), lambda row: data).large.values()
    assert len(large.uri) < 33_000


def test_no_photographs_are_no_sheets():
    assert make_pictures(chosen(0), (), lambda row: None).sheets == ()


def test_what_is_spoken_of_is_shown_when_there_is_no_room_for_all(monkeypatch):
    monkeypatch.setattr("retrain.report.choosing.MOST_SHOWN", 20)
    facts = full(90)
    shown = set(choose(facts).shown.tolist())
    wrong = np.flatnonzero(facts.judged[0].predicted != facts.photographs.labels)
    assert len(shown) == 20
    assert set(wrong[:15].tolist()) <= shown
    assert {0, 2, 1, 4} <= shown
    page = report_html(facts, lambda row: photograph()).decode()
    assert "for which there is no room here" in page
    assert len(re.findall(r"data-p=", page)) == 20


def test_the_rest_is_chosen_evenly(monkeypatch):
    monkeypatch.setattr("retrain.report.choosing.MOST_SHOWN", 5)
    assert choose(bare(41)).shown.tolist() == [0, 10, 20, 30, 40]
    assert choose(bare(3)).shown.tolist() == [0, 1, 2]


def test_only_cards_get_larger_pictures():
    facts = full(600)
    assert len(choose(facts).large) <= 2 * CARDS + len(facts.heat)
    assert choose(bare()).large == frozenset()


def test_axes_are_those_of_the_largest_spread():
    draw = np.random.default_rng(0)
    tall = draw.normal(size=(30, 6)) * [9, 4, 1, 1, 1, 1]
    wide = draw.normal(size=(5, 40))
    turned = principal(tall, 2)
    assert np.abs(np.corrcoef(turned[:, 0], tall[:, 0])[0, 1]) > 0.99
    assert np.abs(np.corrcoef(turned[:, 1], tall[:, 1])[0, 1]) > 0.95
    centred = wide - wide.mean(axis=0)
    whole = principal(wide, 5)
    assert np.allclose(distances(whole), distances(centred), atol=1e-6)


def test_nearest_neighbours_are_those_of_all_distances():
    points = np.random.default_rng(1).normal(size=(700, 5))
    found, far = nearest(points, 4)
    every = distances(points)
    np.fill_diagonal(every, np.inf)
    assert np.allclose(np.sort(far, axis=1), np.sort(every, axis=1)[:, :4])
    assert np.allclose(np.take_along_axis(every, found, axis=1), far)


def test_the_map_keeps_groups_apart_and_is_the_same_each_time():
    draw = np.random.default_rng(2)
    labels = np.arange(90) % 3
    vectors = (draw.normal(size=(90, 20)) + 6 * np.eye(20)[labels]).astype(np.float32)
    points = condensed(vectors)
    found, far = nearest(points, 15)
    places = flat_map(points, found, far)
    assert (places.min(), places.max()) == (0.0, 1.0)
    near, _ = nearest(places, 5)
    assert (labels[near] == labels[:, None]).mean() > 0.97
    assert np.array_equal(places, flat_map(points, found, far))


def test_the_map_does_not_look_at_labels():
    facts = full(40)
    other = replace(facts, photographs=replace(facts.photographs, labels=np.zeros(40, np.intp)))
    rules = [re.findall(r"\.a\d+\{.*?\}", report_html(one, lambda row: None).decode()) for one in (facts, other)]
    assert rules[0] == rules[1]
    assert len(rules[0]) == 40
