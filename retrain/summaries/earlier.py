"""Event files of earlier runs, moved to ``<summaries_dir>/earlier/<when>/``, where TensorBoard shows them apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from retrain import fsio
from retrain.summaries.projector import EARLIER_SPRITE, PROJECTOR_FILES

TRAIN, VALIDATION, RESULTS, FINDER = "train", "validation", "results", "learning_rate_finder"
# Beside the events of a whole network's training: whose they are.
JOB_MARK = "network_job.txt"
_EVENTS = "events.out.tfevents.*"
# What a run writes into each of its folders; anything else is somebody's, and stays.
_OURS = {
    TRAIN: (_EVENTS, JOB_MARK),
    VALIDATION: (_EVENTS,),
    FINDER: (_EVENTS,),
    RESULTS: (_EVENTS, *PROJECTOR_FILES, EARLIER_SPRITE),
}
PARTS = tuple(_OURS)


def put_away(folder: Path, parts: Sequence[str] = PARTS) -> None:
    """Make room for a run; nothing is deleted.

    Args:
        folder: ``--summaries_dir``.
        parts: which of its folders.
    """
    moved_at = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    for part in parts:
        for file in sorted(one for pattern in _OURS[part] for one in (folder / part).glob(pattern)):
            fsio.move(file, folder / "earlier" / moved_at / part / file.name)
