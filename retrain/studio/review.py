"""What there is to look at again: mistakes, doubtful labels, photographs like no other, what a correction flipped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from retrain.backbones import FrozenBackbone
from retrain.dataset import TESTING, Catalog, ImageRecord
from retrain.dataset.sides import SIDE_NAMES
from retrain.errors import UsageError
from retrain.evaluate import Accuracy, Numbers
from retrain.head import Floats, Indices
from retrain.images import Pixels, decode_rgb, decode_upright, read_image_file
from retrain.insight.heat import occlusion_map, overlay, png
from retrain.judging import tested_rows
from retrain.publish.told import metrics_path
from retrain.studio.refitting import Examined, Fitted
from retrain.studio.workshop import Standing

# Of a list that a page shows at once.
MOST = 300
TEST, CROSSED = "test", "crossed"
_HEAT_EDGE = 480


def accuracy_facts(accuracy: Accuracy) -> dict[str, float | int | None]:
    """Spell an accuracy out.

    Args:
        accuracy: with its interval of 95 %.

    Returns:
        Shares, 0 to 1, and counts.
    """
    share = accuracy.right / accuracy.count if accuracy.count else None
    return {
        "right": accuracy.right,
        "count": accuracy.count,
        "share": share,
        "low": accuracy.low,
        "high": accuracy.high,
    }


def overview(standing: Standing, rejected: dict[str, str]) -> dict[str, Any]:
    """Say what there is to look at.

    Args:
        standing: what is known.
        rejected: suspects that were found right.

    Returns:
        JSON's types only.
    """
    fitted, examined = standing.fitted, standing.examined
    if fitted is None:
        return {"ready": False, "revision": standing.revision, "trouble": standing.trouble}
    facts: dict[str, Any] = {
        "ready": True,
        "revision": standing.fitted_revision,
        "stale": standing.fitted_revision != standing.revision,
        "labels": list(fitted.catalog.labels),
        "test": _numbers(fitted.test),
        "seconds": fitted.seconds,
        "flips": [{**asdict(one), "side": SIDE_NAMES[one.side]} for one in standing.flips[:MOST]],
        "flips_in_all": len(standing.flips),
        "examined": None,
        "trouble": standing.trouble,
    }
    if examined is not None:
        facts["examined"] = {
            **_numbers(examined.numbers),
            "seconds": examined.seconds,
            **_suspects(fitted, examined, rejected),
            "unknown": _unlike(fitted, examined),
            "notes": list(examined.insight.notes),
        }
    return facts


def _numbers(numbers: Numbers) -> dict[str, Any]:
    return {
        "accuracy": accuracy_facts(numbers.accuracy),
        "confusion": numbers.confusion.tolist(),
        "recall": [None if one.recall is None else asdict(one.recall) for one in numbers.classes],
        "notes": list(numbers.notes),
    }


def _suspects(fitted: Fitted, examined: Examined, rejected: dict[str, str]) -> dict[str, Any]:
    doubts, names = examined.insight.doubts, fitted.catalog.labels
    if doubts is None:
        return {"suspects": [], "suspects_in_all": 0, "rejected": 0}
    found, passed = [], 0
    for one in doubts.suspects:
        sha = fitted.features.sha256s[one.photograph].hex()
        if rejected.get(sha) == names[one.label]:
            passed += 1
            continue
        facts = {"label": names[one.label], "suggested": names[one.suggested], "score": one.score, "likely": one.likely}
        found.append({**_photograph(fitted, one.photograph, examined.scores), **facts})
    return {"suspects": found[:MOST], "suspects_in_all": len(found), "rejected": passed}


def _unlike(fitted: Fitted, examined: Examined) -> list[dict[str, Any]]:
    """Photographs of the folder that are less like the others than the threshold of the unknown."""
    insight = examined.insight
    cosines = np.where(insight.nearest.found, insight.nearest.cosines, np.nan)[:, :3]
    if not len(cosines):
        return []
    alike = np.where(np.isnan(cosines).all(axis=1), 1.0, np.nan_to_num(cosines, nan=0.0).mean(axis=1))
    places = np.argsort(alike, kind="stable")
    places = places[alike[places] < insight.unknown.min_cosine][:MOST]
    return [
        {**_photograph(fitted, int(insight.measured[place]), examined.scores), "cosine": float(alike[place])}
        for place in places
    ]


def cell(standing: Standing, truth: int, guess: int, of: str = "") -> list[dict[str, Any]]:
    """List the photographs of one cell of a confusion matrix.

    Args:
        standing: what is known.
        truth: index of the label of their folder.
        guess: index of the label that they are given.
        of: TEST or CROSSED; empty: cross-validation where it is done, else the test.

    Returns:
        One each, those that the head is surest of first.

    Raises:
        UsageError: there is no such cell, or cross-validation is not done yet.
    """
    fitted, examined = _fitted(standing), standing.examined
    classes = len(fitted.catalog.labels)
    if not (0 <= truth < classes and 0 <= guess < classes):
        raise UsageError(f"expected labels from 0 to {classes - 1}, got {truth} and {guess}; reload the page")
    if of not in ("", TEST, CROSSED):
        raise UsageError(f"expected {TEST} or {CROSSED}, got {of[:20]!r}")
    if of == CROSSED and examined is None:
        raise UsageError("cross-validation is not done yet; wait a moment")
    if examined is not None and of != TEST:
        rows, scores, guesses = np.arange(len(fitted.labels)), examined.scores, examined.crossed.mean_scores
    else:
        rows, scores, guesses = tested_once(fitted), fitted.scores, fitted.scores
    chosen = rows[(fitted.labels[rows] == truth) & (guesses[rows].argmax(axis=1) == guess)]
    chosen = chosen[np.argsort(-scores[chosen, guess], kind="stable")][:MOST]
    return [_photograph(fitted, int(row), scores) for row in chosen]


def tested_once(fitted: Fitted) -> Indices:
    """List the photographs of the final test, each once even where a batch of them was drawn.

    Args:
        fitted: whose test.

    Returns:
        intp (M,), their rows.
    """
    rows: Indices = np.unique(tested_rows(fitted.config, fitted.labels, fitted.split.indices(TESTING)))
    return rows


def neighbours(standing: Standing, path: str) -> list[dict[str, Any]]:
    """List the training photographs that are most alike to a photograph.

    Args:
        standing: what is known.
        path: of the photograph, below the image folder.

    Returns:
        One each, nearest first; none before cross-validation is done.
    """
    fitted, examined = _fitted(standing), standing.examined
    row = row_of(fitted, path)
    if examined is None or row not in set(examined.insight.measured.tolist()):
        return []
    return [
        {**_photograph(fitted, other, examined.scores), "cosine": cosine}
        for other, cosine in examined.insight.neighbours_of(row, 8)
    ]


def heat_png(standing: Standing, path: str, label: str) -> bytes:
    """Show what in a photograph speaks for a label.

    Args:
        standing: what is known.
        path: of the photograph, below the image folder.
        label: one of the run's.

    Returns:
        A PNG: the photograph, red where it speaks for the label.

    Raises:
        UsageError: there is no such label or photograph.
        ImageError: it cannot be read any more.
    """
    fitted = _fitted(standing)
    record = fitted.catalog.records[row_of(fitted, path)]
    return heat_of(fitted, read_image_file(fitted.catalog.full_path(record)), label)


def heat_of(fitted: Fitted, data: bytes, label: str) -> bytes:
    """Show what in any picture speaks for a label.

    Args:
        fitted: the head and its backbone.
        data: bytes of an image file.
        label: one of the run's.

    Returns:
        As heat_png.

    Raises:
        UsageError: there is no such label.
        ImageError: it is no image that is read.
    """
    names = fitted.catalog.labels
    if label not in names:
        raise UsageError(f"expected a label that there is, got {label[:80]!r}")
    spec = fitted.backbone.spec.input_spec
    frozen, head = FrozenBackbone(fitted.backbone.tflite, spec), fitted.head

    def score_many(pictures: Iterable[Pixels]) -> Iterator[Floats]:
        return (head.probabilities(frozen.features(one)[None])[0] for one in pictures)

    heat = occlusion_map(score_many, decode_rgb(data, spec), names.index(label))
    picture = decode_upright(data, _HEAT_EDGE, _HEAT_EDGE, sky=spec.sky)
    picture.thumbnail((_HEAT_EDGE, _HEAT_EDGE))
    return png(overlay(picture, heat))


def learning_curve(output_graph: str) -> dict[str, Any] | None:
    """Read the learning curve that the last whole run found.

    Args:
        output_graph: path of its model.

    Returns:
        As its metrics have it; None where there is none.
    """
    try:
        found = json.loads(metrics_path(output_graph).read_text(encoding="utf-8")).get("learning_curve")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def row_of(fitted: Fitted, path: str) -> int:
    """Find a photograph's row.

    Args:
        fitted: whose rows.
        path: below the image folder.

    Returns:
        Its row.

    Raises:
        UsageError: the head knows no such photograph.
    """
    for row, record in enumerate(fitted.catalog.records):
        if record.path == path:
            return row
    raise UsageError(f"expected a photograph that the model knows, got {path[:120]!r}; reload the page")


def _fitted(standing: Standing) -> Fitted:
    if standing.fitted is None:
        raise UsageError("nothing has been trained on these photographs yet; train first")
    return standing.fitted


def _photograph(fitted: Fitted, row: int, scores: Floats) -> dict[str, Any]:
    record, names = fitted.catalog.records[row], fitted.catalog.labels
    guess = int(scores[row].argmax())
    return {
        **photograph_facts(record, fitted.catalog),
        "side": SIDE_NAMES[int(fitted.split.sides[row])],
        "guess": names[guess],
        "confidence": float(scores[row, guess]),
    }


def folder_of(catalog: Catalog, name: str) -> str:
    """Find the class folder that a page means, which knows classes by their labels.

    Args:
        catalog: the folder as it is.
        name: of a class folder, or a label; with --labels_as poets they are spelt differently.

    Returns:
        The class folder of that label; the name itself where it is no label.
    """
    if name not in catalog.labels:
        return name
    label = catalog.labels.index(name)
    folders = (catalog.path_of_class(one).split("/", 1)[0] for one in catalog.records if one.label == label)
    return next(folders, name)


def photograph_facts(record: ImageRecord, catalog: Catalog) -> dict[str, Any]:
    """Say which photograph it is.

    Args:
        record: of it.
        catalog: that it is in.

    Returns:
        Path, label and a version that changes with the file; pictures.py says why the inode's time is in it.
    """
    version = f"{record.mtime_ns:x}-{record.ctime_ns:x}-{record.size:x}"
    return {"path": record.path, "truth": catalog.labels[record.label], "version": version}
