import sys

import numpy as np
import pytest
from support import tiny_graph
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain import summaries
from retrain.head import Head
from retrain.observe import _write_histograms, _write_scalars
from retrain.summaries import EventFile, Summaries, layer_histograms, layer_scalars

WEIGHTS = np.array([[1.0, -3.0], [2.0, 4.0]], np.float32)
BIASES = np.array([0.5, -0.5], np.float32)
LOGITS = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32)

# Section 10 of the specification: the original's tags, as a rebuilt TensorFlow 1 graph gives them.
STATISTICS = {f"final_training_ops/{name}/summaries/{tag}" for name in ("weights", "biases")
              for tag in ("mean_1", "stddev_1", "max_1", "min_1")}  # fmt: skip
HISTOGRAMS = {
    "final_training_ops/weights/summaries/histogram",
    "final_training_ops/biases/summaries/histogram",
    "final_training_ops/Wx_plus_b/pre_activations",
    "activations",
}


def events(folder):
    (file,) = folder.glob("events.out.tfevents.*")
    return list(LegacyEventFileLoader(str(file)).Load())


def values(folder):
    return {(event.step, value.tag): value for event in events(folder) for value in event.summary.value}


class Report:
    """What _write_scalars and _write_histograms look at."""

    def __init__(self, step, validation=True):
        self.step, self.cross_entropy, self.train_accuracy = step, 0.25, 0.75
        self.validation_accuracy = 0.5 if validation else None
        self.validation_cross_entropy = 0.125 if validation else None
        self.weights, self.biases, self.logits = WEIGHTS, BIASES, LOGITS
        self.head = lambda: Head(WEIGHTS, BIASES, step)


def test_the_tags_are_exactly_the_originals(tmp_path):
    with Summaries(tmp_path, tiny_graph()) as written:
        for step in (0, 10):
            _write_scalars(written, Report(step))
            _write_histograms(written, Report(step))
    train, validation = values(tmp_path / "train"), values(tmp_path / "validation")
    assert {tag for _, tag in train} == {"cross_entropy_1", "accuracy_1"} | STATISTICS | HISTOGRAMS
    assert {tag for _, tag in validation} == {"cross_entropy_1", "accuracy_1"}
    assert {step for step, _ in train} == {step for step, _ in validation} == {0, 10}
    assert {tag for (_, tag), value in train.items() if value.HasField("histo")} == HISTOGRAMS
    assert train[10, "accuracy_1"].simple_value == 0.75
    assert train[10, "cross_entropy_1"].simple_value == 0.25
    assert validation[10, "accuracy_1"].simple_value == 0.5
    assert validation[10, "cross_entropy_1"].simple_value == 0.125
    assert sys.modules["tensorflow"] is None  # as conftest.py left it: tensorboard read and wrote by itself


def test_without_validation_photographs_nothing_is_written_of_them(tmp_path):
    with Summaries(tmp_path, tiny_graph()) as written:
        _write_scalars(written, Report(0, validation=False))
    assert values(tmp_path / "validation") == {}
    assert (0, "accuracy_1") in values(tmp_path / "train")


def test_the_layers_statistics_are_those_of_its_variables():
    scalars = layer_scalars(WEIGHTS, BIASES)
    scope = "final_training_ops/weights/summaries"
    assert scalars[f"{scope}/mean_1"] == 1.0
    assert scalars[f"{scope}/stddev_1"] == pytest.approx(WEIGHTS.std())
    assert (scalars[f"{scope}/max_1"], scalars[f"{scope}/min_1"]) == (4.0, -3.0)
    assert scalars["final_training_ops/biases/summaries/mean_1"] == 0.0


def test_a_histogram_counts_every_value(tmp_path):
    file = EventFile(tmp_path)
    file.add(3, {}, layer_histograms(WEIGHTS, BIASES, LOGITS, LOGITS / 10))
    file.close()
    histogram = values(tmp_path)[3, "final_training_ops/weights/summaries/histogram"].histo
    assert (histogram.num, histogram.min, histogram.max, histogram.sum) == (4, -3, 4, 4)
    assert histogram.sum_squares == 30
    assert sum(histogram.bucket) == 4
    assert len(histogram.bucket) == len(histogram.bucket_limit) == 30
    assert histogram.bucket_limit[-1] == 4
    assert values(tmp_path)[3, "activations"].histo.num == 6


@pytest.mark.parametrize("array", [np.zeros((4, 2)), np.ones(1), np.full(3, -7.5)])
def test_a_histogram_of_equal_values_is_no_problem(tmp_path, array):
    file = EventFile(tmp_path)
    file.add(0, {}, {"tag": array.astype(np.float32)})
    file.close()
    histogram = values(tmp_path)[0, "tag"].histo
    assert sum(histogram.bucket) == histogram.num == array.size


def test_an_event_file_starts_as_tensorboard_wants_it(tmp_path):
    with Summaries(tmp_path, tiny_graph()):
        pass
    first = events(tmp_path / "train")[0]
    assert first.file_version == "brain.Event:2"
    assert first.wall_time > 1.6e9


def test_the_graph_is_drawn_without_the_values_of_its_large_constants(tmp_path):
    graph = GraphDef.FromString(tiny_graph())
    for name, size in (("large", 5000), ("small", 10)):
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.tensor_content = bytes(size)
        node.attr["value"].tensor.tensor_shape.dim.add(size=size)
    with Summaries(tmp_path, graph.SerializeToString()):
        pass
    (drawn,) = [GraphDef.FromString(e.graph_def) for e in events(tmp_path / "train") if e.graph_def]
    assert [node.name for node in drawn.node] == ["input", "bottleneck", "large", "small"]
    assert len(drawn.node[2].attr["value"].tensor.tensor_content) == 0
    assert drawn.node[2].attr["value"].tensor.tensor_shape.dim[0].size == 5000
    assert len(drawn.node[3].attr["value"].tensor.tensor_content) == 10


def test_an_event_file_may_be_read_while_it_grows(tmp_path):
    file = EventFile(tmp_path)
    file.add(0, {"tag": 1.0})
    file._records.flush()
    assert values(tmp_path)[0, "tag"].simple_value == 1.0
    file.close()


def write_run(folder, value):
    with Summaries(folder, tiny_graph()) as written:
        written.train.add(0, {"tag": value})
        written.validation.add(0, {"tag": value})


def test_earlier_runs_are_moved_and_not_deleted(tmp_path):
    for value in (1.0, 2.0, 3.0):
        write_run(tmp_path, value)
    assert values(tmp_path / "train")[0, "tag"].simple_value == 3.0
    earlier = sorted((tmp_path / "earlier").iterdir())
    assert [values(run / part)[0, "tag"].simple_value for run in earlier for part in ("train", "validation")] == [
        1.0, 1.0, 2.0, 2.0,
    ]  # fmt: skip


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    # The original deletes the whole folder.
    mine = ["thesis.txt", "train/notes.txt", "validation/photo.jpg", "other run/events.out.tfevents.1.host", ".hidden"]
    for name in mine:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    for value in (1.0, 2.0):
        write_run(tmp_path, value)
    assert [(tmp_path / name).read_text() for name in mine] == ["mine"] * len(mine)


def test_two_event_files_of_one_second_have_two_names(tmp_path):
    files = [EventFile(tmp_path) for _ in range(5)]
    for file in files:
        file.close()
    assert len(list(tmp_path.iterdir())) == 5


def test_histograms_are_written_for_at_most_so_many_steps():
    from retrain.config import RunConfig
    from retrain.observe import _histogram_interval

    for steps, interval in ((4000, 10), (500, 10), (20, 10), (1, 10), (10**6, 1), (999, 7)):
        every = _histogram_interval(RunConfig(eval_step_interval=interval), steps)
        assert every % interval == 0
        assert len(range(0, steps, every)) <= summaries.MAX_HISTOGRAM_STEPS + 1


def test_a_file_that_goes_on_from_a_step_takes_back_what_was_written_behind_it(tmp_path):
    first = EventFile(tmp_path)
    for step in (1, 2, 3):
        first.add(step, {"tag": 1.0})
    first.flush()  # and killed
    second = EventFile(tmp_path, after=1)
    second.add(2, {"tag": 2.0})
    second.close()
    found = EventAccumulator(str(tmp_path)).Reload().Scalars("tag")
    assert [(one.step, one.value) for one in found] == [(1, 1.0), (2, 2.0)]
    first.close()


def test_what_is_flushed_can_be_read_while_the_file_is_open(tmp_path):
    file = EventFile(tmp_path)
    file.add(1, {"tag": 1.0})
    file.flush()
    assert (1, "tag") in values(tmp_path)
    file.close()
