"""What there is to look at again: cells, doubts and their answers, neighbours, heat; over requests and by themselves."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from studio_rooms import app_of, client_of
from studio_runs import examined, move, trained, wait_for, working

from retrain.dataset import find_photographs
from retrain.errors import ImageError, UsageError
from retrain.studio import review
from retrain.studio.confirming import Rejected


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """A run whose folder has photographs in the wrong class."""
    config = trained(tmp_path_factory.mktemp("left") / "run", "--how_many_training_steps=200", photographs=90)
    for number in (0, 3, 6):
        move(config, f"{number:04d}.png", "class_0", "class_1")
    return config


@pytest.fixture(scope="module")
def standing(left):
    with working(left) as shop:
        return wait_for(shop, examined)


@pytest.fixture
def config(left, tmp_path):
    """The same, to be changed."""
    out = Path(shutil.copytree(Path(left.output_graph).parent, tmp_path / "out"))
    photos = shutil.copytree(left.image_dir, tmp_path / "photos")
    return replace(left, image_dir=str(photos), output_graph=str(out / "model.pb"))


def test_an_overview_is_json_and_says_all(standing):
    facts = review.overview(standing, {})
    assert json.loads(json.dumps(facts)) == facts
    assert facts["labels"] == ["class_0", "class_1", "class_2"]
    assert not facts["stale"]
    assert facts["examined"]["accuracy"]["count"] == 90
    assert facts["examined"]["suspects_in_all"] >= 3


@pytest.mark.parametrize("of", ["test", "crossed"])
def test_the_photographs_of_each_cell_are_as_many_as_its_number(standing, of):
    facts = review.overview(standing, {})
    confusion = (facts["test"] if of == "test" else facts["examined"])["confusion"]
    assert np.sum(confusion) > 0
    for truth, row in enumerate(confusion):
        for guess, number in enumerate(row):
            items = review.cell(standing, truth, guess, of)
            assert len(items) == number
            assert all(one["truth"] == facts["labels"][truth] for one in items)
            if of == "test":
                assert all(one["side"] == "testing" for one in items)
            shares = [one["confidence"] for one in items]
            assert shares == sorted(shares, reverse=True)


def test_a_cell_is_of_cross_validation_where_that_is_done_else_of_the_test(standing):
    before = replace(standing, examined=None)
    assert review.cell(before, 0, 0) == review.cell(before, 0, 0, "test")
    assert review.cell(standing, 0, 0) == review.cell(standing, 0, 0, "crossed")
    with pytest.raises(UsageError, match="not done yet"):
        review.cell(before, 0, 0, "crossed")
    with pytest.raises(UsageError, match="expected test or crossed"):
        review.cell(standing, 0, 0, "whatever")
    for truth, guess in ((-1, 0), (0, 3), (3, 0)):
        with pytest.raises(UsageError, match="from 0 to 2"):
            review.cell(standing, truth, guess)


def test_photographs_in_the_wrong_class_are_doubted_until_a_person_confirms_them(standing, tmp_path):
    rejected = Rejected(str(tmp_path / "model.pb"))
    found = review.overview(standing, rejected.read())["examined"]
    wrong = {f"class_1/{number:04d}.png" for number in (0, 3, 6)}
    assert wrong <= {one["path"] for one in found["suspects"]}
    fitted = standing.fitted
    sha = fitted.features.sha256s[review.row_of(fitted, "class_1/0000.png")]
    rejected.add(sha, "class_1")
    again = Rejected(str(tmp_path / "model.pb")).read()  # as after a restart
    left = review.overview(standing, again)["examined"]
    assert {one["path"] for one in found["suspects"]} - {one["path"] for one in left["suspects"]} == {
        "class_1/0000.png"
    }
    assert (left["rejected"], left["suspects_in_all"]) == (1, found["suspects_in_all"] - 1)
    # The answer was to this label: of another one it says nothing.
    assert review.overview(standing, {sha.hex(): "class_0"})["examined"]["rejected"] == 0
    rejected.drop(sha)
    assert review.overview(standing, rejected.read())["examined"] == found


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "null", '{"00": 3}', "\udcff"])
def test_answers_that_are_damaged_are_no_answers(tmp_path, text):
    rejected = Rejected(str(tmp_path / "model.pb"))
    (tmp_path / "model.reviewed.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert rejected.read() == {}
    rejected.add(b"\1" * 32, "class_0")
    assert rejected.read() == {"01" * 32: "class_0"}


def test_the_likest_are_training_photographs_and_never_the_photograph_itself(standing):
    path = standing.fitted.catalog.records[0].path
    found = review.neighbours(standing, path)
    assert found
    assert path not in {one["path"] for one in found}
    cosines = [one["cosine"] for one in found]
    assert cosines == sorted(cosines, reverse=True)
    assert review.neighbours(replace(standing, examined=None), path) == []
    with pytest.raises(UsageError, match="reload the page"):
        review.neighbours(standing, "class_0/none.png")


def test_a_heat_map_is_a_png_and_strange_ones_are_sentences(standing, left):
    path = standing.fitted.catalog.records[0].path
    assert review.heat_png(standing, path, "class_0").startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="expected a label"):
        review.heat_png(standing, path, "class_9")
    with pytest.raises(ImageError):
        review.heat_of(standing.fitted, b"no photograph", "class_0")


def test_a_page_without_a_head_is_told_why(standing):
    nothing = replace(standing, fitted=None, examined=None, trouble="the folder is gone")
    assert review.overview(nothing, {}) == {"ready": False, "revision": 1, "trouble": "the folder is gone"}
    with pytest.raises(UsageError, match="train first"):
        review.cell(nothing, 0, 0)


def test_labels_of_the_poets_are_found_by_their_folders(config):
    root = Path(config.image_dir)
    (root / "class_0").rename(root / "Class Zero!")
    problems, catalog = find_photographs(replace(config, label_style="poets"))
    assert not problems
    assert "class zero " in catalog.labels
    assert review.folder_of(catalog, "class zero ") == "Class Zero!"
    assert review.folder_of(catalog, "Class Zero!") == "Class Zero!"
    assert review.folder_of(catalog, "new") == "new"


def test_the_whole_loop_over_requests(config):
    app = app_of(config)
    with client_of(app) as ask:
        state = wait_until(ask, lambda now: now["crossed"])
        assert state["trained"]
        assert state["unsaved"]  # three photographs were moved since the run
        overview = ask.get("/studio/review").json()
        doubt = next(one for one in overview["examined"]["suspects"] if one["path"] == "class_1/0000.png")
        assert ask.get(f"/studio/review/near?path={doubt['path']}").json()["items"]
        assert ask.get(f"/studio/review/heat?path={doubt['path']}&label=class_0").content.startswith(b"\x89PNG")
        assert ask.post("/studio/review/confirm", json={"path": "class_1/0003.png", "right": True}).status_code == 200
        moved = ask.post("/studio/move", json={"paths": [doubt["path"]], "to": doubt["suggested"]})
        assert moved.json()["moved"] == 1
        revision = moved.json()["revision"]
        wait_until(ask, lambda now: now["fitted_revision"] == revision and now["crossed"])
        later = ask.get("/studio/review").json()
        paths = {one["path"] for one in later["examined"]["suspects"]}
        assert not paths & {"class_1/0000.png", "class_0/0000.png", "class_1/0003.png"}
        assert later["examined"]["rejected"] == 1
        assert ask.get("/studio/review/cell?truth=0&guess=0&of=test").status_code == 200
        assert ask.get("/studio/review/cell?truth=x&guess=0").status_code == 400
        undone = ask.post("/studio/undo", json={}).json()["revision"]
        wait_until(ask, lambda now: now["fitted_revision"] == undone)
        refused = ask.post("/studio/train", json={"learning_rate": -5})
        assert refused.status_code == 400
        assert "learning_rate" in refused.text
        assert ask.post("/studio/use/export", json={"format": "paper"}).status_code == 400


def wait_until(ask, ready):
    end = time.monotonic() + 60
    while True:
        state = ask.get("/studio/state").json()
        if ready(state):
            return state
        assert time.monotonic() < end, state
        time.sleep(0.01)
