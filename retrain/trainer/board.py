"""What TensorBoard shows of a whole network while it is trained, in the folders that a new layer's training uses."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrain import fsio
from retrain.summaries.earlier import FINDER, JOB_MARK, TRAIN, VALIDATION, put_away
from retrain.summaries.events import EventFile
from retrain.summaries.layer import MAX_HISTOGRAM_STEPS
from retrain.summaries.results import image_value
from retrain.trainer.job import Job

if TYPE_CHECKING:
    from retrain.trainer.trainable import Trainable

Floats = npt.NDArray[np.float32]
Pictures = npt.NDArray[np.uint8]

# So many arrays of weights get histograms, and so many values of each are counted.
MOST_HISTOGRAMS, MOST_VALUES = 40, 1 << 16
# Pictures of a batch that are shown, and their longer side in pixels.
MOST_PICTURES, PICTURE_SIDE = 36, 128
_SCALARS = ("loss", "accuracy", "learning_rate", "images_a_second")


class Board:
    """The event files of one training; what a killed process wrote after its last checkpoint is not shown twice.

    Args:
        job: what is trained; without a folder for summaries nothing is written at all.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._folder = job, Path(job.summaries) if job.summaries else None
        self._train: EventFile | None = None
        self._validation: EventFile | None = None
        self._begun_at = 0

    def start(self, trainable: Trainable, example: Pictures, step: int = 0) -> None:
        """Open the files, show the network and a batch as it is trained on.

        Args:
            trainable: what is trained.
            example: uint8 (B, H, W, 3), a batch after augmentation.
            step: steps that were done before; 0: files of earlier runs are put away.
        """
        if self._folder is None:
            return
        goes_on = step > 0 and self._is_mine(self._folder)
        if not goes_on:
            put_away(self._folder)
            fsio.write_text(self._folder / TRAIN / JOB_MARK, self._job.digest)
        after = step if goes_on else None
        self._begun_at = step
        self._train = EventFile(self._folder / TRAIN, after)
        self._validation = EventFile(self._folder / VALIDATION, after)
        if not goes_on:
            self._show_graph(trainable, example.shape[1:])
            self._write_weights(trainable, step)
            self._show_batch(example, step)
        self._flush()

    def step(self, facts: Mapping[str, Any]) -> None:
        """Write what was measured at a step.

        Args:
            facts: of the event: step, loss, accuracy, learning_rate, images_a_second.
        """
        if self._train is not None and facts["step"] > self._begun_at:
            self._train.add(int(facts["step"]), {tag: float(facts[tag]) for tag in _SCALARS})
            self._train.flush()

    def epoch(self, facts: Mapping[str, Any], trainable: Trainable) -> None:
        """Write what was measured at the end of an epoch, and the weights.

        Args:
            facts: of the event: epoch, step, loss, accuracy, validation_loss, validation_accuracy.
            trainable: what is trained.
        """
        step = int(facts["step"])
        if self._train is None or self._validation is None or step < self._begun_at:
            return
        self._train.add(step, _epoch_scalars(facts["loss"], facts["accuracy"]))
        if facts["validation_loss"] is not None:
            loss, accuracy = facts["validation_loss"], facts["validation_accuracy"]
            # Under the step's tags as well: there they lie over the curves of the steps.
            by_step = {"loss": float(loss), "accuracy": float(accuracy)}
            self._validation.add(step, {**by_step, **_epoch_scalars(loss, accuracy)})
        if int(facts["epoch"]) % -(-self._job.settings.epochs // MAX_HISTOGRAM_STEPS) == 0:
            self._write_weights(trainable, step)
        self._flush()

    def rate(self, curve: Sequence[Sequence[float]]) -> None:
        """Write what the search for a learning rate saw, as a run of its own.

        Args:
            curve: learning rate and loss of each of its steps.
        """
        if self._folder is None:
            return
        # Whatever a killed search has left goes.
        file = EventFile(self._folder / FINDER, after=-1)
        for number, (rate, loss) in enumerate(curve):
            file.add(number, {"learning_rate": float(rate), "loss": float(loss)})
        file.close()

    def close(self) -> None:
        """Close the files."""
        for file in (self._train, self._validation):
            if file is not None:
                file.close()
        self._train = self._validation = None

    def _is_mine(self, folder: Path) -> bool:
        try:
            return (folder / TRAIN / JOB_MARK).read_text() == self._job.digest
        except (OSError, ValueError):
            return False

    def _flush(self) -> None:
        for file in (self._train, self._validation):
            if file is not None:
                file.flush()

    def _write_weights(self, trainable: Trainable, step: int) -> None:
        if self._train is not None:
            self._train.add(step, {}, dict(_weights(trainable)))

    def _show_graph(self, trainable: Trainable, shape: tuple[int, ...]) -> None:
        import tensorflow as tf
        from tensorboard.compat.proto.event_pb2 import Event

        pictures = tf.TensorSpec((None, *shape), tf.float32, name="pictures")
        traced = tf.function(lambda batch: trainable.forward(batch, training=False)).get_concrete_function(pictures)
        if self._train is not None:
            self._train.write(Event(graph_def=traced.graph.as_graph_def().SerializeToString()))

    def _show_batch(self, example: Pictures, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        shown = example[:MOST_PICTURES]
        about = f"{len(shown)} of {len(example)} pictures of a batch, as they are trained on"
        if self._train is not None:
            value = image_value("batch", batch_picture(shown), about)
            self._train.write(Event(step=step, summary=Summary(value=[value])))


def batch_picture(pictures: Pictures) -> bytes:
    """Put pictures side by side, as many rows as columns.

    Args:
        pictures: uint8 (B, H, W, 3), at least one.

    Returns:
        A PNG file.
    """
    count, height, width, _ = pictures.shape
    scale = min(1.0, PICTURE_SIDE / max(height, width))
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    across = math.ceil(math.sqrt(count))
    sheet = Image.new("RGB", (across * size[0], -(-count // across) * size[1]))
    for number, pixels in enumerate(pictures):
        small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        sheet.paste(small, (number % across * size[0], number // across * size[1]))
    file = io.BytesIO()
    sheet.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _epoch_scalars(loss: float, accuracy: float) -> dict[str, float]:
    return {"epoch/loss": float(loss), "epoch/accuracy": float(accuracy)}


def _weights(trainable: Trainable) -> Iterator[tuple[str, Floats]]:
    """The kernels, from the picture up, evenly chosen where there are many; of each evenly chosen values."""
    kernels = list(trainable.decayed)
    count = min(len(kernels), MOST_HISTOGRAMS)
    for place in np.linspace(0, len(kernels) - 1, count).round().astype(int).tolist() if count else []:
        values = np.asarray(kernels[place].numpy(), np.float32).ravel()
        stride = -(-values.size // MOST_VALUES)
        yield f"weights/{place:03d}_{_name(kernels[place])}", values[::stride]


def _name(variable: Any) -> str:  # noqa: ANN401 - of Keras, or of TensorFlow
    return str(getattr(variable, "path", "") or variable.name).split(":")[0]
