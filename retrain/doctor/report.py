"""What was found, for a terminal, for programs (doctor.json) and for a spreadsheet (bad_images.csv)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from retrain.console import printable, safe_cell
from retrain.doctor.checkup import by_severity
from retrain.doctor.files import FileFacts
from retrain.doctor.timing import Prediction
from retrain.doctor.treatments import GOOD, TREATMENTS
from retrain.survey.findings import Finding

# Of doctor.json; raised when a name in it changes its meaning.
_FORMAT = 1
# Classes that are named one by one on a terminal.
_CLASSES_SHOWN = 30
# Characters of a name that are shown there.
_NAME_SHOWN = 110


@dataclass(frozen=True)
class Report:
    """All that the doctor has to say.

    Args:
        image_dir: the image folder as it was typed.
        labels: of the classes.
        counts: photographs of each class that a run takes.
        readable: those of them that it can read.
        formats: format -> how many of those taken are of it.
        findings: the worst first.
        bad: files that cost accuracy.
        duplicates: CSV of what is there more than once.
        prediction: how long a run takes; None where that could not be measured ...
        unpredicted: ... and why not.
        features: what near duplicates were compared by.
        has_features: whether the photographs' features were, and are cached now.
        split: what the split that a run would draw does to duplicates.
        several: where a photograph may have several labels, how many photographs a run takes and how many of them it
            can read: the counts of the labels then add up to more. None where each has one.
    """

    image_dir: str
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    readable: tuple[int, ...]
    formats: dict[str, int]
    findings: tuple[Finding, ...]
    bad: tuple[FileFacts, ...]
    duplicates: str
    prediction: Prediction | None
    unpredicted: str = ""
    features: str = ""
    has_features: bool = False
    split: str = ""
    several: tuple[int, int] | None = None


def terminal_lines(report: Report) -> list[str]:
    """Lay the report out for a person.

    Args:
        report: what was found.

    Returns:
        Lines that are safe to print, whatever the files are called.
    """
    taken, read = report.several or (sum(report.counts), sum(report.readable))
    lost = f" ({taken - read:,} more cannot be read)" if taken > read else ""
    single, many, where = ("label", "labels", "with") if report.several else ("class", "classes", "in")
    classes = f"1 {single}" if len(report.labels) == 1 else f"{len(report.labels):,} {many}"
    lines = [f"A run would use {read:,} photographs{lost} {where} {classes}:"]
    lines += _class_lines(report)
    for severity, findings in by_severity(report.findings).items():
        lines += ["", f"{severity.upper()}: {_kinds(findings)}"]
        for one in findings:
            lines += _finding_lines(one)
    time = (
        report.prediction.sentence(is_past=report.has_features)
        if report.prediction
        else f"Run time not predicted: {report.unpredicted}."
    )
    return [*lines, "", *map(printable, filter(None, (report.features, report.split, time)))]


def _class_lines(report: Report) -> list[str]:
    rows = list(zip(report.labels, report.counts, report.readable, strict=True))[:_CLASSES_SHOWN]
    more = len(report.labels) - len(rows)
    lines = [
        f"{read:>9,}  {printable(name)}" + (f" ({count - read:,} more cannot be read)" if count > read else "")
        for name, count, read in rows
    ]
    many = "labels" if report.several else "classes"
    return lines + ([f"{'':>9}  and {more:,} more {many}, all in doctor.json"] if more > 0 else [])


def _kinds(findings: Sequence[Finding]) -> str:
    return f"{len(findings)} kind{'s' if len(findings) != 1 else ''} of finding" if findings else "nothing found"


def _finding_lines(one: Finding) -> list[str]:
    lines = [f"{one.count:>9,}  {printable(one.text)}"]
    indent = " " * 11
    if one.examples:
        dots = ", ..." if one.count > len(one.examples) else ""
        lines.append(f"{indent}{', '.join(_short(name) for name in one.examples)}{dots}")
    return lines + ([f"{indent}-> {printable(one.fix)}"] if one.fix else [])


def _short(name: str) -> str:
    """A name that fits a line; doctor.json has it whole."""
    shown = printable(name)
    half = _NAME_SHOWN // 2
    return shown if len(shown) <= _NAME_SHOWN else f"{shown[:half]} ... {shown[-half:]}"


def report_json(report: Report) -> str:
    """Lay the report out for programs.

    Args:
        report: what was found.

    Returns:
        JSON in ASCII: names that are not UTF-8 keep their bytes as lone surrogates, escaped.
    """
    facts: dict[str, Any] = {
        "format": _FORMAT,
        "image_dir": report.image_dir,
        "classes": [
            {"label": name, "photographs": count, "readable": read}
            for name, count, read in zip(report.labels, report.counts, report.readable, strict=True)
        ],
        **({"photographs": dict(zip(("taken", "readable"), report.several, strict=True))} if report.several else {}),
        "formats": report.formats,
        "findings": [asdict(one) for one in report.findings],
        "bad_images": len(report.bad),
        "prediction": asdict(report.prediction) if report.prediction else None,
        "unpredicted": report.unpredicted,
        "features": report.features,
        "split": report.split,
    }
    return json.dumps(facts, indent=2) + "\n"


def bad_images_csv(bad: Iterable[FileFacts]) -> str:
    """List the files that cost accuracy as a table.

    Args:
        bad: which.

    Returns:
        CSV with the columns path, reason, treatment, detail; no cell is a formula for a spreadsheet, and what cannot
        be shown is written as escapes.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["path", "reason", "treatment", "detail"])
    for facts in bad:
        kinds = [kind for kind in facts.kinds if kind != GOOD]
        treatments = "; ".join(TREATMENTS[kind].treatment for kind in kinds)
        table.writerow([safe_cell(cell) for cell in (facts.path, " ".join(kinds), treatments, facts.detail)])
    return text.getvalue()
