"""``python -m retrain compare``: what differs between two runs, photograph by photograph."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from retrain.bundle import BETWEEN, NO_LABEL
from retrain.commands.common import command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import UsageError
from retrain.insight.changes import Change, ClassChange, Flip, compare_runs, sentences
from retrain.insight.predictions import read_predictions
from retrain.publish import beside

_DESCRIPTION = """\
Compare what two runs predict of the same photographs:

    python -m retrain compare before/retrained_graph.pb tf_files/retrained_graph.pb

Photographs are known by their contents, wherever they lie now. Compared are those that both runs have and that were
held out in both: by cross-validation where both runs did it, else those of the final test in both. The labels of the
second run count as the truth. McNemar's exact test says whether chance alone may explain the difference."""
_SHOWN = 10


def compare(words: Sequence[str], console: Console) -> int:
    """Compare two runs."""
    parser = command_parser("compare", _DESCRIPTION)
    parser.add_argument("before", metavar="RUN_A", help="the first model's .pb, or the folder that it lies in")
    parser.add_argument("after", metavar="RUN_B", help="the second one's")
    parser.add_argument("--json", action="store_true", default=False, help="print all of it as JSON")
    given = read_flags(parser, words)
    graphs, problems = _graphs(given.before, given.after)
    if problems:
        raise UsageError(problems)
    change = compare_runs(*map(read_predictions, graphs))
    if given.json:
        console.line(json.dumps(asdict(change), indent=1, ensure_ascii=True))
    else:
        show_change(change, console, by_label=all(map(_has_several, graphs)))
    return 0


def _has_several(graph: Path) -> bool:
    """Whether a run's photographs might have several labels each; one that wrote no metrics is taken not to."""
    try:
        said = json.loads(Path(beside(str(graph), ".metrics.json")).read_text(encoding="utf-8"))
        return bool(said["config"]["multi_label"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _graphs(*given: str) -> tuple[list[Path], list[str]]:
    graphs, problems = [], []
    for name, text in zip(("RUN_A", "RUN_B"), given, strict=True):
        path = Path(text)
        found = sorted(path.glob("*.pb")) if path.is_dir() else [path]
        if not path.exists():
            problems.append(f"expected {name} to be a model's .pb or its folder, but {printable(text)} is not there")
        elif len(found) != 1:
            names = ", ".join(printable(one.name) for one in found) or "none"
            problems.append(f"expected one .pb in {name}, {printable(text)}, got {names}; name the file")
        else:
            graphs.append(found[0])
    return graphs, problems


def show_change(change: Change, console: Console, *, by_label: bool = False) -> None:
    """Print what changed.

    Args:
        change: of two runs.
        console: where to.
        by_label: whether photographs may have several labels: then the table has a row a label, not a set of labels.
    """
    for sentence in sentences(change):
        console.line(sentence)
    if not change.compared:
        return
    what, rows = ("label", _rows_by_label(change)) if by_label else ("class", change.classes)
    width = max(len(what), *(len(printable(row.label)) for row in rows))
    console.line(f"{what:<{width}}  compared  gained  lost")
    for row in rows:
        console.line(f"{printable(row.label):<{width}}  {row.count:>8}  {row.gained:>6}  {row.lost:>4}")
    for what, flips in (("gained", change.gained), ("lost", change.lost), ("wrong otherwise", change.other)):
        _show_flips(what, flips, console)


def _rows_by_label(change: Change) -> tuple[ClassChange, ...]:
    """A row a label: photographs that have it, and those about which the answer was right in one run alone."""
    counts: Counter[str] = Counter()
    for row in change.classes:
        for label in _labels_in(row.label):
            counts[label] += row.count
    gained: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for flip in (*change.gained, *change.lost, *change.other):
        true, before, after = map(_labels_in, (flip.label, flip.before, flip.after))
        gained.update((before ^ true) - (after ^ true))
        lost.update((after ^ true) - (before ^ true))
    labels = sorted(set(counts) | set(gained) | set(lost))
    return tuple(ClassChange(label, counts[label], gained[label], lost[label]) for label in labels)


def _labels_in(text: str) -> frozenset[str]:
    return frozenset() if text == NO_LABEL else frozenset(text.split(BETWEEN))


def _show_flips(what: str, flips: Sequence[Flip], console: Console) -> None:
    for flip in flips[:_SHOWN]:
        before, after = printable(flip.before), printable(flip.after)
        console.line(f"  {what}: {printable(flip.path)}: {before} -> {after}")
    if len(flips) > _SHOWN:
        console.line(f"  {what}: and {len(flips) - _SHOWN} more; --json lists all")
