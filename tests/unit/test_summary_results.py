import io

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from support import tiny_graph
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from retrain.bottlenecks import as_rows
from retrain.summaries import Summaries
from retrain.summaries.charts import confusion_picture, fitting
from retrain.summaries.projector import (
    MAX_POINTS,
    MAX_SPRITE_SIDE,
    SPRITE,
    TABLE,
    VECTORS,
    sample,
    sprite,
    table,
    thumbnail_side,
)
from retrain.summaries.results import MOST_CLASSES, MOST_ERRORS, THRESHOLDS, Outcome, Several, pr_table, write_results

HOSTILE = 'a\tb\nc<script>"\u202e'


def picture(colour, size=(40, 30)):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def outcome(**changes):
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [np.nan, np.nan]], np.float32)
    facts = {
        "names": ("globular cluster", HOSTILE),
        "paths": ("g/1.jpg", "g/2.jpg", HOSTILE, "o/2.jpg"),
        "labels": np.array([0, 0, 1, 1], np.intp),
        "sides": ("training", "testing", "testing", "training"),
        "scores": scores,
        "kind": "cross-validated",
        "step": 3999,
        "settings": {"learning_rate": 0.01, "recursive": True, "architecture": "mobilenet", "seed": 3},
        "metrics": {"results/test_accuracy": 0.5},
        "summary": "**half** of them",
    }
    return Outcome(**{**facts, **changes})


def squares(rows, side):
    return [np.full((side, side, 3), min(60 * row, 255), np.uint8) if row != 3 else None for row in rows]


def written(folder, **changes):
    rows = as_rows(np.arange(12, dtype=np.float32).reshape(4, 3))
    write_results(folder, outcome(**changes), rows, lambda row: picture((row, 0, 0)) if row != 3 else None, squares)
    (file,) = (folder / "results").glob("events.out.tfevents.*")
    return {value.tag: value for event in LegacyEventFileLoader(str(file)).Load() for value in event.summary.value}


def test_every_plugin_gets_what_it_reads(tmp_path):
    values = written(tmp_path)
    plugin = {tag: value.metadata.plugin_data.plugin_name for tag, value in values.items() if value.HasField("tensor")}
    assert plugin["confusion_matrix"] == "images"
    assert plugin["summary"] == "text"
    assert plugin["pr_curve/globular cluster"] == "pr_curves"
    assert plugin["_hparams_/session_start_info"] == plugin["_hparams_/session_end_info"] == "hparams"
    assert values["results/test_accuracy"].simple_value == 0.5
    assert values["summary"].tensor.string_val[0] == b"**half** of them"


def test_settings_keep_their_kinds(tmp_path):
    content = written(tmp_path)["_hparams_/session_start_info"].metadata.plugin_data.content
    said = HParamsPluginData.FromString(content).session_start_info.hparams
    assert said["recursive"].bool_value is True
    assert said["seed"].number_value == 3
    assert said["architecture"].string_value == "mobilenet"


def test_errors_are_shown_the_surest_first_and_only_of_photographs_that_were_held_out(tmp_path):
    values = written(tmp_path)
    wrong = sorted(tag for tag in values if tag.startswith("misclassified/"))
    assert wrong == ["misclassified/01", "misclassified/02"]
    first = values["misclassified/01"]
    assert "0.80" in first.metadata.summary_description
    assert "\n" not in first.metadata.summary_description
    assert first.tensor.string_val[:2] == [b"40", b"30"]
    with Image.open(io.BytesIO(first.tensor.string_val[2])) as shown:
        assert shown.getpixel((0, 0)) == (2, 0, 0)


def test_at_most_so_many_errors_are_shown(tmp_path):
    count = MOST_ERRORS + 9
    scores = np.tile(np.array([[0.1, 0.9]], np.float32), (count, 1))
    facts = {"paths": ["x.jpg"] * count, "labels": np.zeros(count, np.intp), "sides": ["testing"] * count}
    write_results(
        tmp_path, outcome(scores=scores, **facts), as_rows(np.ones((count, 2), np.float32)), lambda row: None, squares
    )
    (file,) = (tmp_path / "results").glob("events.out.tfevents.*")
    tags = [value.tag for event in LegacyEventFileLoader(str(file)).Load() for value in event.summary.value]
    assert not [tag for tag in tags if tag.startswith("misclassified/")]  # no picture is left of any of them
    write_results(
        tmp_path / "b",
        outcome(scores=scores, **facts),
        as_rows(np.ones((count, 2), np.float32)),
        lambda row: picture(0),
        squares,
    )
    (file,) = (tmp_path / "b" / "results").glob("events.out.tfevents.*")
    tags = [value.tag for event in LegacyEventFileLoader(str(file)).Load() for value in event.summary.value]
    assert len([tag for tag in tags if tag.startswith("misclassified/")]) == MOST_ERRORS


def test_a_precision_recall_table_agrees_with_counting():
    rng = np.random.default_rng(5)
    scores, positive = rng.random(500).astype(np.float32), rng.random(500) < 0.3
    found, wrong, left, missed, precision, recall = pr_table(scores, positive)
    for place in (0, 17, 63, THRESHOLDS - 1):
        above = scores >= np.float32(place) / (THRESHOLDS - 1)
        assert found[place] == (above & positive).sum()
        assert wrong[place] == (above & ~positive).sum()
    assert (found + missed == positive.sum()).all()
    assert (wrong + left == (~positive).sum()).all()
    assert recall[0] == 1.0
    assert precision[0] == pytest.approx(positive.mean())


def test_the_projector_gets_vectors_names_and_thumbnails(tmp_path):
    written(tmp_path)
    folder = tmp_path / "results"
    described = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings[0]
    assert list(described.tensor_shape) == [4, 3]
    assert described.tensor_path == VECTORS
    assert np.frombuffer((folder / VECTORS).read_bytes(), "<f4").tolist() == list(range(12))
    lines = (folder / TABLE).read_text("utf-8").splitlines()
    assert lines[0] == "photograph\tlabel\tused for\tguess"
    assert len(lines) == 5
    assert {line.count("\t") for line in lines} == {3}  # the tab and the break in names are none of the table's
    assert lines[4].endswith("training\t ")  # never held out: no guess
    side = described.sprite.single_image_dim[0]
    with Image.open(folder / SPRITE) as canvas:
        assert canvas.size == (2 * side, 2 * side)
        places = [(0, 0), (side, 0), (0, side), (side, side)]
        colours = [canvas.getpixel((x + edge, y + edge)) for x, y in places for edge in (0, side - 1)]
        # A JPEG's blocks never cross from one to the next: each is its own colour up to its edges.
        assert np.abs(np.array(colours) - [[grey] * 3 for grey in (0, 0, 60, 60, 120, 120, 128, 128)]).max() <= 2


def test_of_many_photographs_each_class_keeps_its_share():
    labels = np.array([0] * 9000 + [1] * 1000, np.intp)
    chosen = sample(labels, 1000)
    assert len(chosen) == len(set(chosen.tolist())) == 1000
    assert 99 <= (labels[chosen] == 1).sum() <= 101
    assert sample(labels[:10], 1000).tolist() == list(range(10))


def test_a_sprite_is_never_larger_than_a_texture_may_be():
    side = thumbnail_side(MAX_POINTS)
    assert side >= 32
    with Image.open(io.BytesIO(sprite([None] * MAX_POINTS, side))) as canvas:
        assert max(canvas.size) <= MAX_SPRITE_SIDE


def test_a_table_without_letters_still_has_its_cells():
    assert table({"a": ["", "x"], "b": ["\n", "y"]}, np.array([0, 1])) == "a\tb\n \t \nx\ty\n"


@pytest.mark.parametrize("classes", [2, 5, 24, 25, 200])
def test_a_confusion_matrix_is_drawn_darker_where_more_lie(classes):
    matrix = np.eye(classes, dtype=np.int64) * 7
    with Image.open(
        io.BytesIO(confusion_picture(matrix, tuple(f"{HOSTILE} {i}" * 9 for i in range(classes))))
    ) as drawn:
        grey = np.asarray(drawn.convert("L"), np.int64)
    side = (len(grey) - (150 if classes <= 24 else 0)) // classes
    first = len(grey) - side * classes
    full, empty = grey[first + 1, first + 1], grey[first + 1, first + side + 1]
    assert full < 100 < 250 < empty


@pytest.mark.parametrize("several", [False, True])
def test_of_very_many_classes_those_with_the_most_mistakes_are_shown(several, tmp_path):
    classes = MOST_CLASSES + 100
    labels = np.arange(classes)
    scores = np.eye(classes, dtype=np.float32)
    scores[:50] = np.roll(scores[:50], 1, axis=1)  # the first 50 are taken for the next one
    many = {
        "names": tuple(f"class {one:03}" for one in labels), "labels": labels, "scores": scores,
        "paths": [f"{one}.jpg" for one in labels], "sides": ["testing"] * classes,
    }  # fmt: skip
    if several:
        truth = np.eye(classes, dtype=bool)
        many["several"] = Several(truth, [""] * classes, [""] * classes)
    rows = as_rows(np.zeros((classes, 3), np.float32))
    write_results(tmp_path, outcome(**many), rows, lambda row: None, lambda rows, side: [None] * len(rows))
    (file,) = (tmp_path / "results").glob("events.out.tfevents.*")
    values = {value.tag: value for event in LegacyEventFileLoader(str(file)).Load() for value in event.summary.value}
    curves = [tag for tag in values if tag.startswith("pr_curve/")]
    assert len(curves) == MOST_CLASSES
    assert {f"pr_curve/class {one:03}" for one in range(51)} <= set(curves)
    assert ("confusion_matrix" in values) != several
    if not several:
        told = values["confusion_matrix"]
        assert "the 300 of 400 classes with the most mistakes" in told.metadata.summary_description
        with Image.open(io.BytesIO(told.tensor.string_val[2])) as drawn:
            assert drawn.size == (6 * MOST_CLASSES, 6 * MOST_CLASSES)


def test_a_row_is_as_dark_as_its_share_of_all_photographs():
    halves = confusion_picture(np.array([[5, 0], [0, 5]]), ("a", "b"), np.array([10, 5]))
    with Image.open(io.BytesIO(halves)) as drawn:
        grey = np.asarray(drawn.convert("L"), np.int64)
    assert grey[151, 151] > grey[207, 207] + 50


def test_a_name_that_does_not_fit_is_cut():
    from PIL import ImageFont

    font = ImageFont.load_default(14)
    assert fitting("short\n", font, 200) == "short"
    cut = fitting("w" * 300, font, 100)
    assert cut.endswith("...")
    assert font.getlength(cut) <= 100


def test_results_of_an_earlier_run_are_moved_away_whole_and_strange_files_stay(tmp_path):
    written(tmp_path)
    (tmp_path / "results" / "notes.txt").write_text("mine")
    with Summaries(tmp_path, tiny_graph()):
        pass
    assert [one.name for one in (tmp_path / "results").iterdir()] == ["notes.txt"]
    (earlier,) = (tmp_path / "earlier").iterdir()
    assert {SPRITE, TABLE, VECTORS} < {one.name for one in (earlier / "results").iterdir()}
    assert (earlier / "results" / "projector_config.pbtxt").exists()


def test_of_several_labels_there_are_curves_of_each_and_no_confusion(tmp_path):
    truth = np.array([[1, 1], [0, 1], [1, 0], [1, 1]], np.bool_)
    several = Several(truth, ("both", "one", "other", "both"), ("x;y", "x", "(none)", ""))
    values = written(tmp_path, several=several)
    assert not [tag for tag in values if tag.startswith(("confusion", "misclassified"))]
    curve = np.frombuffer(values["pr_curve/globular cluster"].tensor.tensor_content, "<f4").reshape(6, THRESHOLDS)
    assert curve[0, 0] == 2  # of the three that have a score, two have the label
    rows = (tmp_path / "results" / TABLE).read_text(encoding="utf-8").splitlines()
    assert rows[1].split("\t")[1] == "both"
    assert rows[3].split("\t")[3] == "(none)"
