"""What grows while the layer is trained, under the tags that the original wrote.

``<summaries_dir>/train`` holds scalars, histograms and the graph, ``<summaries_dir>/validation`` scalars. Written every
``--eval_step_interval`` steps (the original wrote the training ones every step). No folder is ever deleted: event
files of earlier runs are moved to ``<summaries_dir>/earlier/<when>/``, where TensorBoard shows them as runs of their
own.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from retrain.summaries.earlier import TRAIN, VALIDATION, put_away
from retrain.summaries.events import EventFile

# Constants longer than this are left out of the drawn graph: TensorBoard shows their shape, not their values.
_MAX_DRAWN_CONSTANT_BYTES = 1024


class Summaries:
    """The two event files of a run.

    Args:
        folder: ``--summaries_dir``.
        graph: serialised GraphDef to draw.
    """

    def __init__(self, folder: str | Path, graph: bytes) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        folder = Path(folder)
        put_away(folder)
        with contextlib.ExitStack() as opened:  # a disk that is full half way leaves neither open
            self.train = EventFile(folder / TRAIN)
            opened.callback(self.train.close)
            self.validation = EventFile(folder / VALIDATION)
            opened.callback(self.validation.close)
            self.train.write(Event(graph_def=_drawable(graph)))
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()


def _drawable(graph: bytes) -> bytes:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    definition = GraphDef.FromString(graph)
    for node in definition.node:
        if node.op == "Const" and node.attr["value"].ByteSize() > _MAX_DRAWN_CONSTANT_BYTES:
            node.attr["value"].tensor.ClearField("tensor_content")
    drawn: bytes = definition.SerializeToString()
    return drawn
