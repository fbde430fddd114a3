import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from label_support import BY_COLOUR, COLOURS, by_colour, patch, write_model
from PIL import Image
from support import encode

from retrain.bottlenecks import MemoryMatrix
from retrain.insight.heat import CELLS, log_odds, occlusion_map, overlay, png
from retrain.insight.memory import make_memory
from retrain.insight.sets import LAC, SetRule
from retrain.insight.unknown import Unknown
from retrain.label import main

# As the tiny backbone gives them: the four pixels of a patch in -1 to 1.
TRAINED = np.stack([np.tile(np.where(np.arange(3) == colour, 1, -1), 4) for colour in (0, 0, 1, 2)]).astype(np.float32)
NAMES = ("red/m13.jpg", "red/m14.jpg", "green/\x1b1.jpg", "blue/1.jpg")


def yellow():
    pixels = patch("red")
    pixels[..., 1] = 255
    return pixels


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a model that tells colours and remembers four patches; yellow is none of its own."""
    monkeypatch.chdir(tmp_path)
    memory = make_memory(MemoryMatrix(TRAINED), np.array([0, 0, 1, 2]), NAMES, np.arange(4)).to_bytes()
    Path("m.memory.npz").write_bytes(memory)
    # Of red's three nearest, one is of another colour: (1 + 1 - 1/3) / 3 = 0.56; yellow has (1/3 + 1/3 + 1/3) / 3.
    unknown = Unknown(0.5, 0.05, 84, hashlib.sha256(memory).hexdigest(), 4)
    rule = SetRule(LAC, 0.9, 0.9, 84)
    write_model(tmp_path, BY_COLOUR, COLOURS, unknown=unknown.facts(), sets=rule.facts())
    Path("red.png").write_bytes(encode(patch("red")))
    Path("yellow.png").write_bytes(encode(yellow()))
    return tmp_path


def run(*words):
    return main(["--graph=m.pb", *words])


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_what_is_like_no_training_photograph_is_unknown_and_the_nearest_is_named(place, capsys):
    assert run("--image=yellow.png") == 0
    lines = capsys.readouterr().out.splitlines()[3:]
    assert lines[0] == "unknown (nearest: m13.jpg, 0.33)"
    assert lines[1].startswith("red (score=")


def test_what_is_like_them_is_named_as_ever(place, capsys):
    assert run("--image=red.png") == 0
    assert capsys.readouterr().out.splitlines()[3].startswith("red (score=")


def test_min_cosine_takes_the_place_of_the_models_own(place, capsys):
    assert run("--image=yellow.png", "--min_cosine=0") == 0
    assert "unknown" not in capsys.readouterr().out
    assert run("--image=red.png", "--min_cosine=0.9") == 0
    assert "unknown (nearest: m13.jpg, 1.00)" in capsys.readouterr().out


def test_either_of_the_two_thresholds_makes_a_photograph_unknown(place, capsys):
    assert run("--image=red.png", "--min_score=1") == 0
    assert capsys.readouterr().out.splitlines()[3] == "unknown"
    assert run("--image=yellow.png", "--min_score=1") == 0
    assert capsys.readouterr().out.splitlines()[3] == "unknown (nearest: m13.jpg, 0.33)"


def test_where_none_is_ever_unknown_there_is_evidence_all_the_same(place, capsys):
    digest = hashlib.sha256(Path("m.memory.npz").read_bytes()).hexdigest()
    write_model(place, BY_COLOUR, COLOURS, unknown=Unknown(-1.0, 0.0, 8, digest, 4).facts())
    assert run("--image=yellow.png", "--evidence") == 0
    out = capsys.readouterr().out
    assert "unknown" not in out
    assert out.count("nearest: ") == 3


def test_evidence_lists_the_three_nearest(place, capsys):
    assert run("--image=red.png", "--evidence") == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "nearest: red/m13.jpg (red, cosine=1.00)",
        "nearest: red/m14.jpg (red, cosine=1.00)",
        r"nearest: green/\x1b1.jpg (green, cosine=-0.33)",
    ]


def test_sets_hold_all_labels_down_to_the_threshold(place, capsys):
    assert run("--image=yellow.png", "--sets") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "set: red, green"
    assert run("--image=red.png", "--sets") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "set: red"


def test_tables_get_columns_only_where_they_are_asked_for(place, capsys):
    assert run("--image", "red.png", "yellow.png", "--format=csv", "--top_k=1") == 0
    plain = rows_of(capsys.readouterr().out)
    assert [list(row) for row in plain] == [["path", "label", "score", "error"]] * 2
    assert [row["label"] for row in plain] == ["red", "unknown"]
    Path("broken.png").write_bytes(b"x")
    words = ["--image", "red.png", "yellow.png", "broken.png", "--format=csv", "--top_k=1", "--evidence", "--sets"]
    assert run(*words) == 9
    rows = rows_of(capsys.readouterr().out)
    assert list(rows[0])[3:] == ["nearest", "cosine", "nearest_2", "cosine_2", "nearest_3", "cosine_3", "set", "error"]
    assert rows[0]["nearest"] == "red/m13.jpg"
    assert float(rows[0]["cosine"]) == pytest.approx(1)
    assert json.loads(rows[1]["set"]) == ["red", "green"]
    assert (rows[2]["nearest"], rows[2]["set"], rows[2]["error"][:5]) == ("", "", "not a")


def test_json_has_lists(place, capsys):
    assert run("--image", "yellow.png", "--format=json", "--evidence", "--sets") == 0
    (fact,) = json.loads(capsys.readouterr().out)
    assert fact["set"] == ["red", "green"]
    assert [one["label"] for one in fact["nearest"]] == ["red", "red", "green"]
    assert set(fact["nearest"][0]) == {"path", "label", "cosine"}
    assert run("--image", "yellow.png", "--format=json") == 0
    assert not {"set", "nearest"} & set(json.loads(capsys.readouterr().out)[0])


def test_parquet_has_the_same_columns(place):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert run("--image", "red.png", "yellow.png", "--output=x.parquet", "--evidence", "--sets") == 0
    table = parquet.read_table("x.parquet")
    assert str(table.schema.field("cosine_2").type) == "float"
    assert table.column("label").to_pylist() == ["red", "unknown"]


def test_photographs_are_sorted_by_what_they_count_as(place):
    assert run("--image", "red.png", "yellow.png", "--sort_into=sorted") == 0
    assert sorted(path.as_posix() for path in Path("sorted").rglob("*.png")) == [
        "sorted/red/red.png", "sorted/unknown/yellow.png",
    ]  # fmt: skip


def test_without_the_memory_the_model_works_and_evidence_is_missed_only_when_asked_for(place, capsys):
    Path("m.memory.npz").unlink()
    assert run("--image=yellow.png") == 0
    out, err = capsys.readouterr()
    assert "unknown" not in out
    assert err == ""
    for flag in ("--evidence", "--min_cosine=0.5"):
        assert run("--image=yellow.png", flag) == 6
        assert "expected m.memory.npz, which the run wrote beside the model" in capsys.readouterr().err


def test_a_memory_of_another_run_is_refused(place, capsys):
    Path("m.memory.npz").write_bytes(b"x")
    assert run("--image=red.png") == 6
    assert "m.memory.npz is not the file that the model was written with" in capsys.readouterr().err
    assert run("--image=red.png", "--min_cosine=0") == 0  # it is not asked


def test_a_model_that_promises_nothing_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path, BY_COLOUR, COLOURS)
    Path("red.png").write_bytes(encode(patch("red")))
    for flag, said in (("--evidence", "remembers its training"), ("--sets", "promises a coverage")):
        assert run("--image=red.png", flag) == 2
        assert said in capsys.readouterr().err
    assert run("--image=red.png") == 0


@pytest.mark.parametrize("facts", [{"unknown": {"method": 1}}, {"sets": {"method": "lac"}}])
def test_a_damaged_description_is_a_model_error(tmp_path, monkeypatch, capsys, facts):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path, BY_COLOUR, COLOURS, **facts)
    Path("red.png").write_bytes(encode(patch("red")))
    assert run("--image=red.png", *(["--sets"] if "sets" in facts else [])) == 6
    assert "is damaged" in capsys.readouterr().err


def test_a_format_without_vectors_says_once_that_likeness_is_not_told(place, capsys, monkeypatch):
    from retrain.classifier import Classifier

    monkeypatch.setattr(Classifier, "scores_and_bottleneck", lambda self, image: (self.scores(image), None))
    assert run("--image", "red.png", "yellow.png") == 0
    assert capsys.readouterr().err.count("none is called unknown for being unlike them") == 1
    assert run("--image", "yellow.png", "--evidence") == 2
    assert "use the .pb with its .tflite" in capsys.readouterr().err


def test_heat_maps_are_written_beside_each_other(place):
    Path("more").mkdir()
    Path("more/red.png").write_bytes(encode(patch("red")))
    assert run("--image", "red.png", "more", "--heat_map=maps") == 0
    assert sorted(path.name for path in Path("maps").iterdir()) == ["red-2.png", "red.png"]
    with Image.open("maps/red.png") as picture:
        assert picture.size == (8, 8)


def test_a_folder_of_heat_maps_is_not_named_itself(place, capsys):
    Path("in").mkdir()
    Path("in/red.png").write_bytes(encode(patch("red")))
    for _ in range(2):
        assert run("--image", "in", "--heat_map=in/maps", "--format=csv") == 0
        assert len(rows_of(capsys.readouterr().out)) == 1
    assert run("--image=in", "--heat_map=in") == 2


# Heat maps


def share_of_red_above(pictures):
    """A model whose score is how red the upper left quarter is."""
    for picture in pictures:
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        red = picture[:height, :width, 0].mean() / 255
        yield np.array([0.1 + 0.8 * red, 0.9 - 0.8 * red], np.float32)


def test_the_map_is_hot_where_the_label_comes_from():
    pixels = np.zeros((56, 42, 3), np.uint8)
    pixels[:28, :21, 0] = 255
    heat = occlusion_map(share_of_red_above, pixels, 0)
    assert heat.shape == (CELLS, CELLS)
    assert (heat[1:6, 1:6] > 0).all()
    np.testing.assert_allclose(heat[9:, 9:], 0, atol=1e-9)
    np.testing.assert_allclose(occlusion_map(share_of_red_above, pixels, 1), -heat, atol=1e-5)


def test_every_pixel_is_covered_and_the_photograph_itself_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 200, (31, 33, 3), np.uint8)
    pixels[0, 0] = 255  # so that the mean colour is no pixel's own
    before, seen = pixels.copy(), []

    def look(pictures):
        for picture in pictures:
            seen.append((picture != pixels).any(axis=2))
            yield np.array([0.5], np.float32)

    occlusion_map(look, pixels, 0, cells=7)
    assert len(seen) == 50
    assert not seen[0].any()
    assert np.any(seen[1:], axis=0).mean() > 0.99
    np.testing.assert_array_equal(pixels, before)


def test_log_odds_are_finite_and_show_a_loss_near_one():
    assert log_odds(0.5) == 0
    assert np.isfinite([log_odds(0.0), log_odds(1.0)]).all()
    assert log_odds(0.9999) - log_odds(0.99) > 4


def test_the_overlay_is_red_for_and_blue_against_and_pale_where_nothing_matters():
    grey = Image.fromarray(np.full((60, 40, 3), 128, np.uint8))
    heat = np.zeros((CELLS, CELLS))
    np.testing.assert_array_equal(np.asarray(overlay(grey, heat)), 128)
    heat[:7], heat[7:] = 2, -2
    top, bottom = (np.asarray(overlay(grey, heat))[row, 20].astype(int) for row in (5, 55))
    assert top[0] - top[2] > 60
    assert bottom[2] - bottom[0] > 60
    faint = np.asarray(overlay(grey, heat / 1000)).astype(int)
    assert abs(faint - 128).max() <= 2


def test_the_overlay_is_of_a_bounded_size_and_the_same_bytes_each_time():
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (900, 1600, 3), np.uint8))
    heat = np.random.default_rng(2).normal(size=(CELLS, CELLS))
    drawn = overlay(picture, heat)
    assert drawn.size == (768, 432)
    assert png(drawn) == png(overlay(picture, heat))


def test_a_classifier_scores_covered_photographs():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0, 0] = 255
    classifier = by_colour()
    heat = occlusion_map(lambda pictures: map(classifier.scores, pictures), pixels, 0, cells=2)
    assert heat.shape == (2, 2)
    assert np.isfinite(heat).all()
