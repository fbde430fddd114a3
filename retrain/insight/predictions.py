"""What a run predicted of each photograph, read from the table beside its model (publish/predictions.py writes it)."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retrain.dataset.sides import SIDE_NAMES, TESTING
from retrain.dataset.tables import lines_of
from retrain.errors import ModelError

ENDING = ".predictions.csv"
_HEX = re.compile(r"[0-9a-f]{64}")
_MAX_BYTES = 1 << 30
# By whom a photograph was judged that no head had been trained on.
FINAL_TEST, CROSS_VALIDATION = "the final test", "cross-validation"
_COLUMNS = ("path", "label", "split", "sha256", "predicted", "out_of_fold")


@dataclass(frozen=True)
class Answer:
    """What a run said of one photograph.

    Args:
        path: below the image folder, as the table has it: printable, and no formula.
        label: that it had.
        predicted: the label that the run gave it.
    """

    path: str
    label: str
    predicted: str


@dataclass(frozen=True)
class Predictions:
    """What a run said of photographs; keys are the SHA-256 of their contents, so that moving and renaming change none.

    Args:
        name: of the model, for messages.
        labels: contents -> label, of all photographs.
        held_out: FINAL_TEST or CROSS_VALIDATION -> contents -> the answer of a head that had not seen it.
    """

    name: str
    labels: Mapping[str, str]
    held_out: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)


def read_predictions(graph: str | Path) -> Predictions:
    """Read what the run that wrote a model predicted.

    Args:
        graph: path of the model, ``.../retrained_graph.pb``; its .predictions.csv stands beside it.

    Returns:
        The predictions.

    Raises:
        ModelError: the file is not there, or is not one that a run writes.
    """
    path = Path(str(Path(graph).with_suffix("")) + ENDING)
    rows = _read(path)
    odd = next((row["sha256"] for row in rows if not _HEX.fullmatch(row["sha256"])), None)
    if odd is not None:
        raise ModelError(f"{path}: expected 64 hexadecimal digits as sha256, got {odd!r}; train again")
    held_out = {
        FINAL_TEST: _answers(rows, "predicted", SIDE_NAMES[TESTING]),
        CROSS_VALIDATION: _answers(rows, "out_of_fold"),
    }
    return Predictions(str(graph), {row["sha256"]: row["label"] for row in rows}, held_out)


def earlier_predictions(graph: str | Path) -> Predictions | None:
    """Read what the model that a run is about to replace predicted.

    Args:
        graph: where the run will write its model.

    Returns:
        The predictions; None where there are none, as before a first run.

    Raises:
        ModelError: there are some that cannot be read.
    """
    path = Path(str(Path(graph).with_suffix("")) + ENDING)
    return read_predictions(graph) if path.exists() else None


def _answers(rows: list[dict[str, str]], column: str, side: str = "") -> dict[str, Answer]:
    # Of exact copies, which lie on one side and get one answer, each is counted once.
    return {
        row["sha256"]: Answer(row["path"], row["label"], row[column])
        for row in reversed(rows)
        if row[column] and (not side or row["split"] == side)
    }


def _read(path: Path) -> list[dict[str, str]]:
    try:
        if not path.is_file():
            raise ModelError(f"expected {path}, which a run writes beside its model; train again to have it written")
        if path.stat().st_size > _MAX_BYTES:
            raise ModelError(f"expected {path} to have at most {_MAX_BYTES} bytes, got {path.stat().st_size}")
        text = path.read_bytes().decode("utf-8-sig")
        table = csv.DictReader(lines_of(text), strict=True)
        missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise ModelError(
                f"expected {path} to have the columns {', '.join(_COLUMNS)}, it lacks {', '.join(missing)}"
            )
        rows = list(table)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; check its permissions") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ModelError(
            f"{path} is no CSV that a run writes ({error}); train again to have it written anew"
        ) from error
    if any(None in row or None in row.values() for row in rows):
        raise ModelError(f"{path} has a row with too many or too few cells; train again to have it written anew")
    return rows
