"""What TensorBoard shows of a network's training, read back as TensorBoard reads it."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image
from support import noise
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from trainer_jobs import job_of

from retrain.summaries import MAX_HISTOGRAM_STEPS, EventFile
from retrain.summaries.earlier import put_away
from retrain.trainer import board
from retrain.trainer.board import Board, batch_picture

EXAMPLE = np.stack([noise(20, 30, seed) for seed in range(5)])


class Variable:
    def __init__(self, path, values):
        self.path, self.values = path, np.asarray(values, np.float32)

    def numpy(self):
        return self.values


class Trainable:
    """What the board looks at, but for the graph, which TensorFlow would make."""

    def __init__(self, kernels=2):
        self.decayed = [Variable(f"conv{n}/kernel", np.linspace(-n, n + 1, 10)) for n in range(kernels)]


@pytest.fixture(autouse=True)
def _without_tensorflow(monkeypatch):
    def show_graph(self, trainable, shape):
        from tensorboard.compat.proto.event_pb2 import Event

        assert shape == (20, 30, 3)
        graph = GraphDef()
        graph.node.add(name="pictures", op="Placeholder")
        self._train.write(Event(graph_def=graph.SerializeToString()))

    monkeypatch.setattr(Board, "_show_graph", show_graph)


def step(number, loss=0.5):
    return {
        "event": "step",
        "step": number,
        "epoch": 1,
        "loss": loss,
        "accuracy": 0.25,
        "learning_rate": 0.125,
        "images_a_second": 99.0,
    }


def epoch(number, at, validation=0.75):
    return {
        "event": "epoch",
        "epoch": number,
        "step": at,
        "loss": 0.5,
        "accuracy": 0.25,
        "validation_loss": validation,
        "validation_accuracy": validation,
    }


def begun(tmp_path, at=0, trainable=None, **changes):
    one = Board(job_of(summaries=str(tmp_path), **changes))
    one.start(trainable or Trainable(), EXAMPLE, at)
    return one


def read(folder):
    accumulator = EventAccumulator(str(folder), size_guidance=dict.fromkeys(("tensors", "scalars", "histograms"), 0))
    return accumulator.Reload()


def curve(folder, tag):
    return [(one.step, one.value) for one in read(folder).Scalars(tag)]


def test_curves_of_training_and_validation_have_the_same_tags(tmp_path):
    one = begun(tmp_path)
    for number in (1, 2, 3):
        one.step(step(number, number / 4))
    one.epoch(epoch(1, 3), Trainable())
    one.close()
    train, validation = read(tmp_path / "train").Tags(), read(tmp_path / "validation").Tags()
    shared = {"loss", "accuracy", "epoch/loss", "epoch/accuracy"}
    assert set(train["scalars"]) == shared | {"learning_rate", "images_a_second"}
    assert set(validation["scalars"]) == shared
    assert curve(tmp_path / "train", "loss") == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert curve(tmp_path / "train", "epoch/loss") == [(3, 0.5)]
    assert curve(tmp_path / "validation", "loss") == curve(tmp_path / "validation", "epoch/accuracy") == [(3, 0.75)]
    assert train["graph"] is True


def test_what_was_written_can_be_read_while_training_goes_on(tmp_path):
    one = begun(tmp_path)
    one.step(step(1))
    assert curve(tmp_path / "train", "loss") == [(1, 0.5)]
    one.epoch(epoch(1, 3), Trainable())
    assert curve(tmp_path / "validation", "loss") == [(3, 0.75)]
    one.close()


def test_without_validation_photographs_nothing_is_written_of_them(tmp_path):
    one = begun(tmp_path)
    one.epoch(epoch(1, 3, None), Trainable())
    one.close()
    assert read(tmp_path / "validation").Tags()["scalars"] == []
    assert curve(tmp_path / "train", "epoch/loss") == [(3, 0.5)]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = Board(job_of(summaries=""))
    one.start(Trainable(), EXAMPLE)
    one.step(step(1))
    one.epoch(epoch(1, 3), Trainable())
    one.rate([[0.1, 2.0]])
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_training_doubles_nothing(tmp_path):
    killed = begun(tmp_path)
    for number in range(1, 8):
        killed.step(step(number, 0.25))
        if number in (3, 6):
            killed.epoch(epoch(number // 3, number, 0.25), Trainable())
    # Not closed: it was killed after step 7, its last checkpoint was that of step 4.
    resumed = begun(tmp_path, 4)
    for number in range(5, 10):
        resumed.step(step(number, 0.75))
        if number in (6, 9):
            resumed.epoch(epoch(number // 3, number, 0.75), Trainable())
    resumed.close()
    expected = [(number, 0.25 if number <= 4 else 0.75) for number in range(1, 10)]
    assert curve(tmp_path / "train", "loss") == expected
    assert curve(tmp_path / "validation", "loss") == [(3, 0.25), (6, 0.75), (9, 0.75)]
    histograms = [one.step for one in read(tmp_path / "train").Histograms("weights/000_conv0/kernel")]
    assert histograms == [0, 3, 6, 9]
    assert len(read(tmp_path / "train").Tensors("batch")) == 1
    assert not (tmp_path / "earlier").exists()
    killed.close()


def test_a_torn_end_of_the_killed_files_hides_nothing(tmp_path):
    killed = begun(tmp_path)
    killed.step(step(1))
    killed.step(step(2))
    (file,) = (tmp_path / "train").glob("events*")
    file.write_bytes(file.read_bytes()[:-9])
    resumed = begun(tmp_path, 1)
    resumed.step(step(2, 0.75))
    resumed.close()
    assert curve(tmp_path / "train", "loss") == [(1, 0.5), (2, 0.75)]
    killed.close()


def test_an_epoch_whose_last_step_was_the_last_of_the_process_before_is_shown(tmp_path):
    first = begun(tmp_path)
    first.step(step(3))
    first.close()
    again = begun(tmp_path, 3)
    again.step(step(3))
    again.epoch(epoch(1, 3), Trainable())
    again.close()
    assert curve(tmp_path / "train", "loss") == [(3, 0.5)]
    assert curve(tmp_path / "validation", "loss") == [(3, 0.75)]


def test_an_epoch_of_before_is_not_shown_again(tmp_path):
    first = begun(tmp_path)
    first.epoch(epoch(1, 3), Trainable())
    first.close()
    again = begun(tmp_path, 4)
    again.epoch(epoch(1, 3), Trainable())
    again.close()
    assert curve(tmp_path / "validation", "loss") == [(3, 0.75)]


def test_a_new_training_puts_the_earlier_one_away(tmp_path):
    for _ in range(2):
        one = begun(tmp_path)
        one.step(step(1))
        one.rate([[0.1, 2.0]])
        one.close()
    assert curve(tmp_path / "train", "loss") == [(1, 0.5)]
    (earlier,) = (tmp_path / "earlier").iterdir()
    assert curve(earlier / "train", "loss") == [(1, 0.5)]
    assert curve(earlier / "learning_rate_finder", "loss") == [(0, 2.0)]


@pytest.mark.parametrize("between", ["another job", "a layer", "deleted", "damaged"])
def test_a_training_goes_on_only_in_its_own_files(tmp_path, between):
    one = begun(tmp_path)
    one.step(step(1))
    one.close()
    if between == "another job":
        begun(tmp_path, settings={"seed": 1}).close()
    elif between == "a layer":
        put_away(tmp_path)
        file = EventFile(tmp_path / "train")
        file.add(7, {"loss": 7.0})
        file.close()
    elif between == "deleted":
        shutil.rmtree(tmp_path / "train")
    else:
        (tmp_path / "train" / "network_job.txt").write_bytes(b"\xff")
    resumed = begun(tmp_path, 1)
    resumed.step(step(2, 0.75))
    resumed.close()
    assert curve(tmp_path / "train", "loss") == [(2, 0.75)]
    assert read(tmp_path / "train").Tags()["graph"] is True


def test_the_weights_are_shown_once_an_epoch(tmp_path):
    one = begun(tmp_path)
    one.epoch(epoch(1, 3), Trainable())
    one.close()
    found = read(tmp_path / "train").Histograms("weights/001_conv1/kernel")
    assert [entry.step for entry in found] == [0, 3]
    assert (found[0].histogram_value.min, found[0].histogram_value.max, found[0].histogram_value.num) == (-1, 2, 10)


def test_histograms_are_few_in_number_and_size(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "MOST_VALUES", 4)
    one = begun(tmp_path, trainable=Trainable(100), settings={"epochs": 3 * MAX_HISTOGRAM_STEPS})
    for number in range(1, 7):
        one.epoch(epoch(number, 3 * number), Trainable(100))
    one.close()
    tags = sorted(read(tmp_path / "train").Tags()["histograms"])
    assert len(tags) == board.MOST_HISTOGRAMS
    assert (tags[0], tags[-1]) == ("weights/000_conv0/kernel", "weights/099_conv99/kernel")
    kept = read(tmp_path / "train").Histograms(tags[0])
    assert [entry.step for entry in kept] == [0, 9, 18]
    assert kept[0].histogram_value.num == 4


def test_a_network_without_kernels_has_no_histograms(tmp_path):
    begun(tmp_path, trainable=Trainable(0)).close()
    assert read(tmp_path / "train").Tags()["histograms"] == []


def test_the_batch_is_shown_as_it_is_trained_on(tmp_path):
    begun(tmp_path).close()
    (entry,) = read(tmp_path / "train").Tensors("batch")
    width, height, data = entry.tensor_proto.string_val
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    assert (int(width), int(height)) == (90, 40)
    for number, (top, left) in enumerate([(0, 0), (0, 30), (0, 60), (20, 0), (20, 30)]):
        np.testing.assert_array_equal(pixels[top : top + 20, left : left + 30], EXAMPLE[number])
    assert not pixels[20:, 60:].any()


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 300, 400), (128, 96)), ((4, 1, 500), (256, 2)), ((2, 128, 128), (256, 128))]
)
def test_large_pictures_are_shown_smaller(shape, size):
    with Image.open(io.BytesIO(batch_picture(np.zeros((*shape, 3), np.uint8)))) as picture:
        assert picture.size == size


def test_the_search_for_a_learning_rate_is_a_run_of_its_own(tmp_path):
    one = begun(tmp_path)
    one.rate([[0.25, 3.0], [0.5, 2.0], [1.0, 4.0]])  # and it was killed before that was kept
    one.rate([[0.25, 2.0], [0.5, 1.0]])
    one.close()
    assert curve(tmp_path / "learning_rate_finder", "learning_rate") == [(0, 0.25), (1, 0.5)]
    assert curve(tmp_path / "learning_rate_finder", "loss") == [(0, 2.0), (1, 1.0)]
