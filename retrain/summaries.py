"""What TensorBoard shows, under the tags that the original wrote, without importing TensorFlow.

``<summaries_dir>/train`` holds scalars, histograms and the graph, ``<summaries_dir>/validation`` scalars. Written every
``--eval_step_interval`` steps (the original wrote the training ones every step). No folder is ever deleted: event
files of earlier runs are moved to ``<summaries_dir>/earlier/<when>/``, where TensorBoard shows them as runs of their
own.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from retrain import fsio

Floats = npt.NDArray[np.float32]

_HISTOGRAM_BUCKETS = 30
# Constants longer than this are left out of the drawn graph: TensorBoard shows their shape, not their values.
_MAX_DRAWN_CONSTANT_BYTES = 1024
# Histograms of at most this many steps a run: more than the plot can tell apart, at a tenth of the time.
MAX_HISTOGRAM_STEPS = 100


class Summaries:
    """The two event files of a run.

    Args:
        folder: ``--summaries_dir``.
        graph: serialised GraphDef to draw.
    """

    def __init__(self, folder: str | Path, graph: bytes) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        folder = Path(folder)
        _put_earlier_runs_away(folder)
        self.train = EventFile(folder / "train")
        self.validation = EventFile(folder / "validation")
        self.train.write(Event(graph_def=_drawable(graph)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.train.close()
        self.validation.close()


class EventFile:
    """One event file, readable while it grows.

    Args:
        folder: the run's folder, made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._records = RecordWriter(fsio.open_log(folder / name))
        self.write(Event(file_version="brain.Event:2"))

    def add(self, step: int, scalars: Mapping[str, float], histograms: Mapping[str, Floats] | None = None) -> None:
        """Write what was measured at a step.

        Args:
            step: counted from 0.
            scalars: tag -> value.
            histograms: tag -> values of any shape.
        """
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        values += [Summary.Value(tag=tag, histo=_histogram(v)) for tag, v in (histograms or {}).items()]
        self.write(Event(step=step, summary=Summary(value=values)))

    def write(self, event: Any) -> None:  # noqa: ANN401 - a protobuf
        """Append one event.

        Args:
            event: an Event; its time is set here. A GraphDef in it is written as its bytes.
        """
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def close(self) -> None:
        """Flush and close."""
        self._records.flush()
        self._records.close()


def layer_scalars(weights: Floats, biases: Floats) -> dict[str, float]:
    """Summarise the layer's variables under the original's tags.

    Args:
        weights: float32 (D, C).
        biases: float32 (C,).

    Returns:
        tag -> value. The ``_1`` is the original's: a scope of the bare name exists beside each.
    """
    return {tag: value for name, v in (("weights", weights), ("biases", biases)) for tag, value in _statistics(name, v)}


def _statistics(name: str, values: Floats) -> Iterator[tuple[str, float]]:
    scope = f"final_training_ops/{name}/summaries"
    yield f"{scope}/mean_1", float(values.mean())
    yield f"{scope}/stddev_1", float(values.std())
    yield f"{scope}/max_1", float(values.max())
    yield f"{scope}/min_1", float(values.min())


def layer_histograms(weights: Floats, biases: Floats, logits: Floats, probabilities: Floats) -> dict[str, Floats]:
    """Name the layer's values as the original's histograms do.

    Args:
        weights: float32 (D, C).
        biases: float32 (C,).
        logits: float32 (B, C).
        probabilities: float32 (B, C).

    Returns:
        tag -> values.
    """
    return {
        "final_training_ops/weights/summaries/histogram": weights,
        "final_training_ops/biases/summaries/histogram": biases,
        "final_training_ops/Wx_plus_b/pre_activations": logits,
        "activations": probabilities,
    }


def _histogram(values: Floats) -> Any:  # noqa: ANN401 - a HistogramProto
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    flat = values.ravel().astype(np.float64)
    counts, edges = np.histogram(flat, bins=_HISTOGRAM_BUCKETS)
    return HistogramProto(
        min=flat.min(),
        max=flat.max(),
        num=flat.size,
        sum=flat.sum(),
        sum_squares=flat @ flat,
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )


def _put_earlier_runs_away(folder: Path) -> None:
    moved_at = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    for part in ("train", "validation"):
        for file in sorted((folder / part).glob("events.out.tfevents.*")):
            fsio.move(file, folder / "earlier" / moved_at / part / file.name)


def _drawable(graph: bytes) -> bytes:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    definition = GraphDef.FromString(graph)
    for node in definition.node:
        if node.op == "Const" and node.attr["value"].ByteSize() > _MAX_DRAWN_CONSTANT_BYTES:
            node.attr["value"].tensor.ClearField("tensor_content")
    drawn: bytes = definition.SerializeToString()
    return drawn
