"""What differs between two runs: which photographs flipped, what each class gained and lost, whether it is chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retrain.console import printable
from retrain.insight.predictions import CROSS_VALIDATION, FINAL_TEST, Answer, Predictions

# Below it a difference is called one that chance does not explain.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Flip:
    """A photograph that two runs answer differently.

    Args:
        path: where it lies now.
        label: that it has now.
        before: what the first run said.
        after: what the second one said.
    """

    path: str
    label: str
    before: str
    after: str


@dataclass(frozen=True)
class ClassChange:
    """How one class fared.

    Args:
        label: its name.
        count: photographs compared.
        gained: wrong before, right after.
        lost: right before, wrong after.
    """

    label: str
    count: int
    gained: int
    lost: int


@dataclass(frozen=True)
class Change:
    """How two runs differ.

    Args:
        before: name of the first model.
        after: name of the second.
        judged_by: FINAL_TEST or CROSS_VALIDATION: what kept the photographs from the heads that judged them.
        compared: photographs that are in both and were held out in both.
        right_before: of these, how many the first run had right, by the labels of the second.
        right_after: how many the second one has right.
        gained: wrong before, right after.
        lost: right before, wrong after.
        other: wrong in both, in two ways.
        p_value: McNemar's exact test, two-sided.
        classes: a row a class with photographs compared.
        relabelled: photographs in both whose label changed.
        new_labels: classes that only the second run has.
        old_labels: classes that only the first run had.
        new_photographs: contents that only the second run has.
        old_photographs: contents that only the first run had.
    """

    before: str
    after: str
    judged_by: str
    compared: int
    right_before: int
    right_after: int
    gained: tuple[Flip, ...]
    lost: tuple[Flip, ...]
    other: tuple[Flip, ...]
    p_value: float
    classes: tuple[ClassChange, ...]
    relabelled: int
    new_labels: tuple[str, ...]
    old_labels: tuple[str, ...]
    new_photographs: int
    old_photographs: int


def mcnemar_p(gained: int, lost: int) -> float:
    """Say how often chance alone would tip the balance of flips at least so far.

    Args:
        gained: photographs that only the second run has right.
        lost: photographs that only the first run had right.

    Returns:
        0 to 1, two-sided, exact: a coin tossed for each flip. McNemar, "Note on the sampling error of the difference
        between correlated proportions or percentages", 1947, Psychometrika 12(2).
    """
    flips, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    whole = math.lgamma(flips + 1) - flips * math.log(2)
    tail = math.fsum(math.exp(whole - math.lgamma(k + 1) - math.lgamma(flips - k + 1)) for k in range(fewer + 1))
    return min(1.0, 2 * tail)


def compare_runs(before: Predictions, after: Predictions) -> Change:
    """Compare what two runs predicted of the same photographs.

    Args:
        before: the first.
        after: the second; its labels count as the truth for both.

    Returns:
        The change. Photographs are compared that both runs have, known by their contents, and that were held out in
        both: by cross-validation where both tables have its answers, else those of the final test in both.
    """
    judged_by = CROSS_VALIDATION if _both_have(before, after, CROSS_VALIDATION) else FINAL_TEST
    old, new = before.held_out.get(judged_by, {}), after.held_out.get(judged_by, {})
    pairs = [(old[key], answer) for key, answer in sorted(new.items(), key=lambda one: one[1].path) if key in old]
    gained: list[Flip] = []
    lost: list[Flip] = []
    other: list[Flip] = []
    for was, now in pairs:
        if was.predicted == now.predicted:
            continue
        flip = Flip(now.path, now.label, was.predicted, now.predicted)
        kind = gained if now.predicted == now.label else lost if was.predicted == now.label else other
        kind.append(flip)
    both = before.labels.keys() & after.labels.keys()
    had, has = set(before.labels.values()), set(after.labels.values())
    return Change(
        before=before.name,
        after=after.name,
        judged_by=judged_by,
        compared=len(pairs),
        right_before=sum(was.predicted == now.label for was, now in pairs),
        right_after=sum(now.predicted == now.label for _, now in pairs),
        gained=tuple(gained),
        lost=tuple(lost),
        other=tuple(other),
        p_value=mcnemar_p(len(gained), len(lost)),
        classes=_classes(pairs, gained, lost),
        relabelled=sum(before.labels[key] != after.labels[key] for key in both),
        new_labels=tuple(sorted(has - had)),
        old_labels=tuple(sorted(had - has)),
        new_photographs=len(after.labels.keys() - both),
        old_photographs=len(before.labels.keys() - both),
    )


def _both_have(before: Predictions, after: Predictions, kind: str) -> bool:
    return all(run.held_out.get(kind) for run in (before, after))


def _classes(
    pairs: Sequence[tuple[Answer, Answer]], gained: Sequence[Flip], lost: Sequence[Flip]
) -> tuple[ClassChange, ...]:
    def count(labels: Sequence[str]) -> Mapping[str, int]:
        return {label: labels.count(label) for label in set(labels)}

    counts = count([now.label for _, now in pairs])
    won, gone = count([one.label for one in gained]), count([one.label for one in lost])
    return tuple(ClassChange(label, counts[label], won.get(label, 0), gone.get(label, 0)) for label in sorted(counts))


def sentences(change: Change) -> list[str]:
    """Say what changed, for a person who has no statistics.

    Args:
        change: of two runs.

    Returns:
        A sentence a fact.
    """
    lines = _content_sentences(change)
    if not change.compared:
        return [*lines, "No photograph was held out in both runs, so that their accuracy cannot be compared."]
    n = change.compared
    lines.append(
        f"On the {n} photographs that are in both runs and were held out in both (by {change.judged_by}), "
        f"{change.right_before} were right before ({change.right_before / n:.1%}) and {change.right_after} are now "
        f"({change.right_after / n:.1%}): {len(change.gained)} gained, {len(change.lost)} lost."
    )
    verdict = "chance does not explain that" if change.p_value < SIGNIFICANT else "chance alone may explain that"
    lines.append(f"McNemar's exact test: p = {change.p_value:.3g}, so {verdict}.")
    return lines


def _content_sentences(change: Change) -> list[str]:
    lines = []
    if change.new_labels:
        lines.append(f"New classes: {', '.join(map(printable, change.new_labels))}.")
    if change.old_labels:
        lines.append(f"Classes that are gone: {', '.join(map(printable, change.old_labels))}.")
    if change.new_photographs or change.old_photographs:
        lines.append(f"{change.new_photographs} photographs are new, {change.old_photographs} are gone.")
    if change.relabelled:
        lines.append(
            f"{change.relabelled} photographs have another label than before; both runs are judged by today's labels."
        )
    return lines


def what_changed(before: Predictions | None, after: Predictions) -> tuple[str, ...]:
    """Say what a run changed that replaces an earlier model.

    Args:
        before: of the model that it replaced; None where there was none.
        after: of the run.

    Returns:
        Sentences; none where there was no earlier model, or the same photographs got the same answers.
    """
    if before is None:
        return ()
    change = compare_runs(before, after)
    same_contents = not _content_sentences(change)
    if same_contents and not (change.gained or change.lost or change.other):
        return ()
    return tuple(sentences(change))
