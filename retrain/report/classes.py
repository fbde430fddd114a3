"""Each class by itself: how many of it are found, how many of the answers are right, each with its interval."""

from __future__ import annotations

import math

from retrain.report.facts import ClassNumbers, Floats
from retrain.report.markup import Html, join, name, percent, table, tag

_HEADS = ("class", "photographs", "found (recall)", "answers right (precision)", "F1")


def class_bars(classes: tuple[str, ...], facts: ClassNumbers) -> Html:
    """Show recall, precision and F1 of each class as bars with intervals.

    Args:
        classes: names of the C classes.
        facts: measured.

    Returns:
        A table: what the bars show can be read.
    """
    columns, heads = [facts.recall, facts.precision, facts.f1], [*_HEADS]
    if facts.average_precision is not None:
        columns, heads = [*columns, facts.average_precision], ["label", *heads[1:], "average precision"]
    rows = []
    for number, label in enumerate(classes):
        measured = [values[number] for values in columns]
        cells = [join([_bar(values), _numbers(values)]) for values in measured]
        rows.append([name(label), f"{facts.counts[number]:,}", *cells])
    return join([tag("p", facts.sentence), table("Each class, with its intervals", heads, rows, class_="classes")])


def _numbers(values: Floats) -> Html:
    value, low, high = values.tolist()
    if math.isnan(value):
        return tag("span", "–")
    span = "" if math.isnan(low) else f" {100 * low:.0f} to {100 * high:.0f}"
    return tag("span", tag("b", percent(value)), tag("small", span))


def _bar(values: Floats) -> Html:
    value, low, high = (100 * v for v in values.tolist())
    if math.isnan(value):
        return Html()
    marks = [
        tag("rect", class_="ground", width=100, height=12),
        tag("rect", class_="value", width=f"{value:.1f}", height=12),
    ]
    if not math.isnan(low):
        marks.append(tag("rect", class_="span", x=f"{low:.1f}", y=4.5, width=f"{max(high - low, 0.5):.1f}", height=3))
    return tag("svg", *marks, viewBox="0 0 100 12", preserveAspectRatio="none", class_="interval", aria_hidden="true")
