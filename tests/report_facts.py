"""Facts of a report, made up: every section filled, or none, of as many photographs as a test wants."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from retrain.report import (
    Calibration,
    ClassNumbers,
    Copies,
    Figure,
    Heat,
    History,
    Judged,
    LabelJudged,
    LearningCurve,
    Origin,
    Photographs,
    Reliability,
    ReportFacts,
    Suspects,
    Unknown,
)  # fmt: skip

HOSTILE = (
    "<script>alert(1)</script>", "a\" onmouseover=\"alert(2)", "x'><img src=x onerror=alert(3)>", "</style><b>",
    "]]>--><!--", "&lt;b&gt;", "\u202egpj.exe", "tab\tnew\nline\x1b[31m", "lone \udcff surrogate", "n" * 251 + ".jpg",
    "javascript:alert(4)", "שלום.jpg",
)  # fmt: skip


def photograph(seed: int = 0, width: int = 48, height: int = 40) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def bare(count: int = 12, classes: tuple[str, ...] = ("globular", "open"), names: tuple[str, ...] = ()) -> ReportFacts:
    """Only what every run has."""
    labels = np.arange(count) % len(classes)
    made = tuple(f"{classes[label]}/{at}.jpg" for at, label in enumerate(labels.tolist()))
    photographs = Photographs(names or made, labels)
    return ReportFacts("photos", "It works.", classes, photographs, Origin("python -m retrain --image_dir photos"))


def full(count: int = 12, classes: tuple[str, ...] = ("globular", "open"), **changes: Any) -> ReportFacts:
    """Every section. One photograph in six is called by the name of the next class."""
    facts = bare(count, classes, changes.pop("names", ()))
    labels, width = facts.photographs.labels, len(classes)
    draw = np.random.default_rng(3)
    called = np.where(np.arange(count) % 6 == 5, (labels + 1) % width, labels)
    sure = np.linspace(0.95, 0.6, count, dtype=np.float32)
    scores = np.repeat(((1 - sure) / (width - 1))[:, None], width, axis=1)
    scores[np.arange(count), called] = sure
    wrong = np.flatnonzero(called != labels)
    thirds = np.tile(np.array([0.8, 0.6, 0.9]), (width, 1))
    bins = Reliability(np.array([0.4, np.nan, 0.9]), np.array([0.5, np.nan, 0.8]), np.array([4, 0, 8]), 0.1)
    whole = replace(
        facts,
        photographs=replace(facts.photographs, sides=(np.arange(count) % 3).astype(np.uint8)),
        origin=replace(facts.origin, settings=(("seed", "1"),), hashes=(("weights", "ab" * 32),), versions=(("numpy", "2"),)),
        figures=(Figure("Accuracy", "83.3 %", "55 to 95 %, N=12"),),
        notes=("One photograph could not be read.",),
        judged=(
            Judged("Cross-validation", "By heads that had not seen them.", np.arange(count), scores),
            Judged("Final test", "By the model itself.", np.arange(0, count, 3), scores[::3]),
        ),
        class_numbers=ClassNumbers("Wilson.", np.bincount(labels, minlength=width), thirds, thirds, thirds),
        calibration=Calibration("Good enough.", bins, replace(bins, error=0.02), 1.3),
        learning=LearningCurve(
            "Twice as many bring 3 points.", np.array([2.0, 4.0, 8.0]), np.array([0.6, 0.7, 0.8]),
            np.array([0.5, 0.6, 0.7]), np.array([0.7, 0.8, 0.9]), np.array([2.0, 8.0, 16.0]), np.array([0.6, 0.8, 0.85]),
        ),
        history=History("Trained for 3 epochs.", np.array([[2.0, 2.1], [1.0, 1.5], [0.5, 1.6]]), np.array([[0.4, 0.3], [0.6, 0.5], [0.9, 0.5]]), 2),
        suspects=Suspects("By confident learning.", wrong, called[wrong], np.full(len(wrong), 0.9), "python -m retrain fix"),
        copies=(Copies(np.array([0, 2]), "exact"), Copies(np.array([1, 4]), "near")),
        vectors=draw.normal(size=(count, 16)).astype(np.float32) + 3 * np.eye(16, dtype=np.float32)[labels % 16],
        unknown=Unknown("5 % false alarms.", "cosine", draw.uniform(0.8, 1, 50), 0.82, draw.uniform(0.4, 0.8, 30), is_likeness=True),
        heat=tuple(Heat(int(row), draw.normal(size=(14, 14)), "for open") for row in wrong[:2]),
    )  # fmt: skip
    return replace(whole, **changes)


def several(count: int = 24, classes: tuple[str, ...] = ("bright", "globular", "open"), **changes: Any) -> ReportFacts:
    """Photographs that may have several labels: of the first label some are given wrongly, of the second some missed."""
    facts = bare(count, classes, changes.pop("names", ()))
    at, width = np.arange(count), len(classes)
    truth = np.eye(width, dtype=np.bool_)[facts.photographs.labels]
    truth[at % 4 == 0, 1] = True
    said = truth.copy()
    said[~truth[:, 0] & (at % 5 == 1), 0] = True
    said[truth[:, 1] & (at % 6 == 4), 1] = False
    sure = np.linspace(0.95, 0.6, count, dtype=np.float32)[:, None]
    thirds = np.tile(np.array([0.8, 0.6, 0.9]), (width, 1))
    words = "By heads and thresholds that had not seen them."
    whole = replace(
        facts,
        label_judged=LabelJudged("Cross-validation", words, at, np.where(said, sure, 1 - sure), truth, said),
        class_numbers=ClassNumbers("Wilson.", truth.sum(axis=0), thirds, thirds, thirds, thirds),
        missing={"confusion": "None is taken for another."},
        shown_as="the rarest of their labels",
    )
    return replace(whole, **changes)
