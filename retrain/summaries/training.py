"""What grows while the layer is trained, under the tags that the original wrote.

``<summaries_dir>/train`` holds scalars, histograms and the graph, ``<summaries_dir>/validation`` scalars. Written every
``--eval_step_interval`` steps (the original wrote the training ones every step). No folder is ever deleted: event
files of earlier runs are moved to ``<summaries_dir>/earlier/<when>/``, where TensorBoard shows them as runs of their
own.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from retrain import fsio
from retrain.summaries.events import EventFile
from retrain.summaries.projector import EARLIER_SPRITE, PROJECTOR_FILES
from retrain.summaries.results import RESULTS

# Constants longer than this are left out of the drawn graph: TensorBoard shows their shape, not their values.
_MAX_DRAWN_CONSTANT_BYTES = 1024
_EVENTS = "events.out.tfevents.*"
# What a run writes into each of its folders; anything else is somebody's, and stays.
_OURS = {
    "train": (_EVENTS,),
    "validation": (_EVENTS,),
    RESULTS: (_EVENTS, *PROJECTOR_FILES, EARLIER_SPRITE),
}


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


def _put_earlier_runs_away(folder: Path) -> None:
    moved_at = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    for part, files in _OURS.items():
        for file in sorted(one for pattern in files for one in (folder / part).glob(pattern)):
            fsio.move(file, folder / "earlier" / moved_at / part / file.name)


def _drawable(graph: bytes) -> bytes:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    definition = GraphDef.FromString(graph)
    for node in definition.node:
        if node.op == "Const" and node.attr["value"].ByteSize() > _MAX_DRAWN_CONSTANT_BYTES:
            node.attr["value"].tensor.ClearField("tensor_content")
    drawn: bytes = definition.SerializeToString()
    return drawn
