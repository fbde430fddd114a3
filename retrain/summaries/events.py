"""Event files, written without TensorFlow."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain import fsio

Floats = npt.NDArray[np.float32]

_HISTOGRAM_BUCKETS = 30


class EventFile:
    """One event file, readable while it grows.

    Args:
        folder: the run's folder, made when it is not there.
        after: the last step that counts of the files that are there, which this one goes on from: TensorBoard drops
            what a killed process wrote behind it. None: this one begins.
    """

    def __init__(self, folder: Path, after: int | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._records = RecordWriter(fsio.open_log(folder / name))
        self.write(Event(file_version="brain.Event:2"))
        if after is not None:
            self.write(Event(step=after + 1, session_log=SessionLog(status=SessionLog.START)))

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

    def flush(self) -> None:
        """Hand all to the system, which keeps it though this process be killed."""
        self._records.flush()

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._records.close()


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
