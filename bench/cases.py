"""The cases of bench/run.py: which figures they have, which goals, how measurements become lines of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bound import Rates
from common import median, ratios, span
from sides import Sample

LARGE_SIZE = (3000, 2000)
PEERS = {
    "codelab": "the codelab's scripts, TensorFlow 1.15",
    "codelab kept": "the codelab's label_image.py, TensorFlow 2",
    "Keras": "the Keras idiom",
    "torchvision": "torchvision and scikit-learn",
}
# Who has a part in one case only, and in which.
_ONLY = {"codelab kept": "label"}


@dataclass(frozen=True)
class Goal:
    """How many times as long a peer should take as ours; None: no goal."""

    wall: float | None = None
    cpu: float | None = None

    def __str__(self) -> str:
        parts = ((self.wall, "wall"), (self.cpu, "CPU"))
        return ", ".join(f">= {value:g} x {unit}" for value, unit in parts if value is not None)

    def reached(self, wall: float, cpu: float) -> str:
        """Say whether all of it was reached; nothing when there is no goal."""
        wanted = [(goal, got) for goal, got in ((self.wall, wall), (self.cpu, cpu)) if goal is not None]
        return ("yes" if all(got >= goal for goal, got in wanted) else "no") if wanted else ""


@dataclass(frozen=True)
class Figure:
    """One figure of a case.

    Args:
        key: what answers call it.
        title: what the table calls it; {photographs}, {large} and {steps} are filled in.
        goals: side -> goal.
        items: field of Sizes that says of how many things it is a rate; empty for a time.
    """

    key: str
    title: str
    goals: Mapping[str, Goal] = field(default_factory=dict)
    items: str = ""


@dataclass(frozen=True)
class Case:
    """One case: its name on the command line, its rounds, its figures, and what its first round takes, about."""

    name: str
    title: str
    rounds: int
    figures: tuple[Figure, ...] = ()
    expected_s: float = 0.0

    def takes_part(self, side: str, number: int) -> bool:
        """Say whether a side has its turn in a round; after the first, only those with a goal, where there is any."""
        if _ONLY.get(side, self.name) != self.name:
            return False
        goals = {name for figure in self.figures for name in figure.goals}
        return number == 0 or not goals or side in goals | {"ours"}


@dataclass(frozen=True)
class Sizes:
    """How much was measured: photographs, large photographs, steps of each case."""

    photographs: int
    large: int
    steps: Mapping[str, int]


@dataclass(frozen=True)
class Line:
    """One line of the table, and what it was made of."""

    figure: str
    goal: str
    reached: str
    measured: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def cells(self) -> tuple[str, str, str, str]:
        """Give what is printed."""
        return self.figure, self.goal, self.reached, self.measured


CASES = (
    Case("help", "start-up: --help", 5, (Figure("help", "start-up: --help"),)),
    Case(
        "label",
        "one photograph labelled",
        5,
        (
            Figure(
                "label",
                "one photograph labelled, whole process",
                {"codelab": Goal(wall=3), "codelab kept": Goal(wall=8)},
            ),
        ),
    ),
    Case(
        "extract",
        "cold extraction",
        3,
        (
            Figure(
                "extract",
                "cold extraction, {photographs:,} photographs",
                {"codelab": Goal(wall=6), "Keras": Goal(wall=3, cpu=2)},
                "photographs",
            ),
        ),
    ),
    Case(
        "large",
        "large photographs",
        3,
        (Figure("extract", "{large:,} photographs of 3000x2000", {"codelab": Goal(wall=5)}, "large"),),
    ),
    Case("bound", "shares of the bound", 5),
    Case(
        "run4000",
        "whole run, 4,000 steps",
        2,
        (
            Figure("cold", "whole run, {photographs:,} photographs, {steps:,} steps, cold", {"codelab": Goal(wall=25)}),
            Figure("warm", "whole run, {photographs:,} photographs, {steps:,} steps, warm", {"codelab": Goal(wall=60)}),
        ),
    ),
    Case(
        "run500",
        "whole run, 500 steps",
        2,
        (
            Figure("cold", "whole run, {photographs:,} photographs, {steps:,} steps, cold"),
            Figure("warm", "whole run, {photographs:,} photographs, {steps:,} steps, warm"),
        ),
        expected_s=90.0,
    ),
)


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        photographs: in the set of most cases.
        few: in the set of the labelling case.
        large: large photographs.
        steps: case -> steps.
        bound_rounds: rounds of the bound.
        most_rounds: no case has more.
    """

    photographs: int
    few: int
    large: int
    steps: Mapping[str, int]
    bound_rounds: int
    most_rounds: int

    @classmethod
    def full(cls) -> Scale:
        """Measure."""
        return cls(1000, 100, 100, {"run500": 500, "run4000": 4000}, bound_rounds=5, most_rounds=5)

    @classmethod
    def quick(cls) -> Scale:
        """See that it works."""
        return cls(100, 50, 20, {"run500": 20, "run4000": 40}, bound_rounds=1, most_rounds=1)

    def rounds(self, case: Case) -> int:
        """Say how many rounds a case has."""
        return min(case.rounds, self.most_rounds)


class Clock:
    """Keeps the whole within a number of seconds."""

    def __init__(self, budget_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self.budget_s, self._now, self._start = budget_s, now, now()

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._now() - self._start

    def allows(self, cost_s: float) -> bool:
        """Say whether something of that cost would end in time."""
        return self.elapsed_s() + cost_s <= self.budget_s


def lines_of(
    case: Case,
    sizes: Sizes,
    measured: Mapping[str, Mapping[str, Sequence[Sample]]],
    whys: Mapping[str, Mapping[str, str]],
) -> Iterator[Line]:
    """Turn a case's measurements into lines: ours, then each peer's, measured or not.

    Args:
        case: which.
        sizes: how much was measured.
        measured: side -> figure -> a sample a round.
        whys: side -> figure -> why it is missing; the figure "" stands for all.
    """
    for figure in case.figures:
        items = getattr(sizes, figure.items) if figure.items else 0
        title = figure.title.format(
            photographs=sizes.photographs, large=sizes.large, steps=sizes.steps.get(case.name, 0)
        )
        ours = measured["ours"][figure.key]
        yield Line(title, "", "", _describe(ours, items), _facts("ours", ours))
        for name, peer in PEERS.items():
            if not case.takes_part(name, 0):
                continue
            theirs = measured.get(name, {}).get(figure.key, ())
            why = whys.get(name, {})
            yield _peer_line(name, f"  {peer}", figure, items, ours, theirs, why.get(figure.key) or why.get("", ""))


def _peer_line(
    name: str,
    title: str,
    figure: Figure,
    items: int,
    ours: Sequence[Sample],
    theirs: Sequence[Sample],
    why: str,
) -> Line:
    goal = figure.goals.get(name, Goal())
    if not theirs:
        return Line(title, str(goal), "", why or "not measured")
    wall = ratios([sample.wall_s for sample in theirs], [sample.wall_s for sample in ours])
    cpu = ratios([sample.cpu_s for sample in theirs], [sample.cpu_s for sample in ours])
    text = f"{span(wall, 'x', 1)}, {median(cpu):.1f} x CPU: {_describe(theirs, items)}"
    facts = {**_facts(name, theirs), "times_ours_wall": wall, "times_ours_cpu": cpu}
    return Line(title, str(goal), goal.reached(median(wall), median(cpu)), text, facts)


def _facts(name: str, samples: Sequence[Sample]) -> dict[str, Any]:
    return {"side": name, "samples": [asdict(sample) for sample in samples]}


def _describe(samples: Sequence[Sample], items: int) -> str:
    """Say what something took; a rate when it was of so many items."""
    walls, cpus = [sample.wall_s for sample in samples], [sample.cpu_s for sample in samples]
    if items:
        a_cpu = median([items / cpu for cpu in cpus])
        return f"{span([items / wall for wall in walls], 'images/s', 0)}, {a_cpu:.0f} a CPU-second"
    return f"{span(walls, 's')}, CPU {median(cpus):.1f} s"


def bound_lines(rounds: Sequence[Rates]) -> Iterator[Line]:
    """Turn the rounds of the bound into lines."""
    facts = {"rounds": [asdict(each) for each in rounds]}
    gemm = [each.gemm_flops_per_s / 1e9 for each in rounds]
    yield Line("bound: sgemm peak, all cores", "", "", span(gemm, "GFLOP/s", 0), facts)
    for title, values in (
        ("  decode alone, all cores", [each.decode_per_s for each in rounds]),
        ("  engine alone, all cores", [each.engine_per_s for each in rounds]),
        ("  extraction", [each.extraction_per_s for each in rounds]),
        ("  bound: sgemm peak and decode", [each.physical_per_s for each in rounds]),
        ("  bound: engine and decode", [each.parts_per_s for each in rounds]),
    ):
        yield Line(title, "", "", span(values, "images/s", 0))
    yield _share("  share of sgemm peak and decode", 0.75, [each.share_of_physical for each in rounds])
    yield _share("  share of engine and decode", 0.9, [each.share_of_parts for each in rounds])


def _share(title: str, goal: float, values: Sequence[float]) -> Line:
    return Line(title, f">= {goal:g}", "yes" if median(values) >= goal else "no", span(values, "of the bound"))
