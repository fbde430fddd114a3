"""What a run says of each photograph, as a table: the model's scores, and those of a head that had not seen it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from retrain.bundle import BETWEEN, NO_LABEL
from retrain.console import printable, safe_cell
from retrain.dataset import Catalog, Split
from retrain.dataset.sides import SIDE_NAMES
from retrain.images import Floats

# Beyond this many scores only those of the first guesses are written: nobody reads a table of gigabytes.
MOST_SCORES = 5_000_000
_COLUMNS = ("path", "label", "split", "sha256", "predicted", "score", "out_of_fold", "out_of_fold_score")


Said = npt.NDArray[np.bool_]
# Out-of-fold scores, and which labels follow from them.
Crossed = tuple[Floats, Said]


def predictions_csv(
    catalog: Catalog, sha256s: Sequence[bytes], split: Split, scores: Floats, crossed: Floats | None
) -> str:
    """Write what the model says of each photograph, those it was trained on too.

    Args:
        catalog: the photographs.
        sha256s: the hash of each; names are made safe to open, so this is what to join tables by.
        split: the side of each.
        scores: float32 (N, C), of the model.
        crossed: float32 (N, C), out-of-fold; None where cross-validation was left out.

    Returns:
        CSV with the columns path, label, split, sha256, predicted, score, out_of_fold, out_of_fold_score (empty
        without cross-validation), and the score of each class unless those are more than MOST_SCORES in all. No cell
        is a formula for a spreadsheet.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = [safe_cell(label) for label in catalog.labels]
    spelt_out = scores.size <= MOST_SCORES
    table.writerow([*_COLUMNS, *(f"score {printable(label)}" for label in catalog.labels if spelt_out)])
    given, held_out = _guesses(scores, names), _guesses(crossed, names)
    rows = zip(catalog.records, sha256s, split.sides.tolist(), given, held_out, strict=False)
    for index, (record, sha, side, guess, other) in enumerate(rows):
        more = [f"{score:.6f}" for score in scores[index].tolist()] if spelt_out else []
        table.writerow(
            [safe_cell(record.path), names[record.label], SIDE_NAMES[side], sha.hex(), *guess, *other, *more]
        )
    return text.getvalue()


def label_predictions_csv(
    catalog: Catalog, sha256s: Sequence[bytes], split: Split, scores: Floats, said: Said, crossed: Crossed | None
) -> str:
    """Write what the model says of each photograph, where each may have several labels.

    Args:
        catalog: the photographs.
        sha256s: the hash of each.
        split: the side of each.
        scores: float32 (N, C), of the model.
        said: bool (N, C), which labels it gives.
        crossed: the same two of heads that had not seen the photograph; None where cross-validation was left out.

    Returns:
        CSV with the columns of predictions_csv: label, predicted and out_of_fold hold all labels with ';' between, and
        NO_LABEL where none was given; score and out_of_fold_score are the best score, given or not.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    spelt_out = scores.size <= MOST_SCORES
    table.writerow([*_COLUMNS, *(f"score {printable(label)}" for label in catalog.labels if spelt_out)])
    given, held_out = _several((scores, said), catalog), _several(crossed, catalog)
    rows = zip(catalog.records, sha256s, split.sides.tolist(), given, held_out, strict=False)
    for index, (record, sha, side, guess, other) in enumerate(rows):
        more = [f"{score:.6f}" for score in scores[index].tolist()] if spelt_out else []
        own = safe_cell(catalog.label_text(record))
        table.writerow([safe_cell(record.path), own, SIDE_NAMES[side], sha.hex(), *guess, *other, *more])
    return text.getvalue()


def _several(both: Crossed | None, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """Each photograph's labels and its best score, or empty cells for ever."""
    while both is None:
        yield "", ""
    scores, said = both
    for row, best in zip(said, np.max(scores, axis=1).tolist(), strict=True):
        yield safe_cell(labels_text(row, catalog.labels)), f"{best:.6f}"


def labels_text(said: Said, names: Sequence[str]) -> str:
    """Write the labels that a photograph was given.

    Args:
        said: bool (C,).
        names: of the labels.

    Returns:
        Them with ';' between, or NO_LABEL.
    """
    return BETWEEN.join(names[label] for label in np.flatnonzero(said).tolist()) or NO_LABEL


def _guesses(scores: Floats | None, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each photograph's first guess and its score, or empty cells for ever."""
    while scores is None:
        yield "", ""
    for guess, best in zip(scores.argmax(axis=1).tolist(), np.max(scores, axis=1).tolist(), strict=True):
        yield names[guess], f"{best:.6f}"
