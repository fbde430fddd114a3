"""What the doctor says: one Finding a kind of thing, with how bad it is, how often it is there and what mends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

STOPS = "stops a run"
COSTS = "costs accuracy"
NOTE = "worth knowing"
SEVERITIES = (STOPS, COSTS, NOTE)
# Names that are kept of each kind of thing: 100,000 bad files take no more memory than five.
MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is there, once or many times.

    Args:
        severity: one of SEVERITIES.
        kind: a short name that never changes, for programs: "empty-class".
        text: what it is, and what a run does with it; a sentence without its full stop. May hold names as they are
            on the disk: whoever prints it makes it printable.
        fix: the nearest remedy, a command or a sentence; empty where nothing need be done.
        examples: up to MAX_EXAMPLES names or paths, as they are on the disk.
        count: how many there are.
    """

    severity: str
    kind: str
    text: str
    fix: str
    examples: tuple[str, ...] = ()
    count: int = 1


def merged(found: Iterable[Finding]) -> list[Finding]:
    """Put findings of one kind and text together.

    Args:
        found: any number, in the order in which they were met.

    Returns:
        One a severity, kind and text, with all counts added and the first examples; the worst first, then as met.
    """
    kept: dict[tuple[str, str, str], Finding] = {}
    for one in found:
        key = (one.severity, one.kind, one.text)
        if key in kept:
            earlier = kept[key]
            examples = (earlier.examples + one.examples)[:MAX_EXAMPLES]
            kept[key] = replace(earlier, examples=examples, count=earlier.count + one.count)
        else:
            kept[key] = replace(one, examples=one.examples[:MAX_EXAMPLES])
    return sorted(kept.values(), key=lambda one: SEVERITIES.index(one.severity))


def of_names(severity: str, kind: str, text: str, fix: str, names: Sequence[str]) -> list[Finding]:
    """Make a finding of the names that it is about.

    Args:
        severity: one of SEVERITIES.
        kind: a short name for programs.
        text: what it is.
        fix: what mends it.
        names: all that it is about.

    Returns:
        One finding, or none where there are no names.
    """
    return [Finding(severity, kind, text, fix, tuple(names[:MAX_EXAMPLES]), len(names))] if names else []
