"""The three charts: are scores probabilities, what would more photographs bring, how far is too far."""

from __future__ import annotations

import numpy as np

from retrain.report.facts import Calibration, Floats, LearningCurve, Reliability, Unknown
from retrain.report.markup import Html, as_table, join, percent, tag
from retrain.report.plot import Axis, Plot, even_axis, percent_axis

# Of the histogram of distances.
_BINS = 24


def calibration_chart(facts: Calibration) -> Html:
    """Draw how often the model is right when it is that sure, before and after the temperature.

    Args:
        facts: measured.

    Returns:
        Chart, legend and table.
    """
    plot = Plot(percent_axis("how sure the model is, %"), percent_axis("how often it is right, %"))
    marks = [plot.line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "ideal"), _reliability(plot, facts.before, "before")]
    said = f"Calibration error {percent(facts.before.error, 1)} before"
    legend = [_key("before", f"as trained: error {percent(facts.before.error, 1)}")]
    rows = _reliability_rows("as trained", facts.before)
    if facts.after is not None:
        marks.append(_reliability(plot, facts.after, "after"))
        said += f", {percent(facts.after.error, 1)} after temperature {facts.temperature:.2f}"
        legend.append(_key("after", f"with temperature {facts.temperature:.2f}: error {percent(facts.after.error, 1)}"))
        rows += _reliability_rows("with temperature", facts.after)
    legend.append(_key("ideal", "a perfect model"))
    chart = plot.svg("calibration-chart", "Reliability diagram", f"{said}.", *marks)
    heads = ["scores", "mean score", "right", "photographs"]
    return join([_figure(chart, legend), as_table("Reliability", heads, rows)])


def _reliability(plot: Plot, one: Reliability, kind: str) -> Html:
    radii = 2.5 + 5.5 * np.sqrt(one.counts / max(int(one.counts.max(initial=1)), 1))
    line = plot.line(one.confidence, one.accuracy, f"line {kind}")
    return join([line, plot.dots(one.confidence, one.accuracy, f"dot {kind}", radii)])


def _reliability_rows(words: str, one: Reliability) -> list[list[str]]:
    bins = zip(one.confidence.tolist(), one.accuracy.tolist(), one.counts.tolist(), strict=True)
    return [[words, percent(sure), percent(right), f"{count:,}"] for sure, right, count in bins if count]


def learning_chart(facts: LearningCurve) -> Html:
    """Draw accuracy against photographs a class, and where it is going.

    Args:
        facts: measured and fitted.

    Returns:
        Chart, legend and table.
    """
    every = np.concatenate([facts.sizes, facts.fitted_sizes])
    lowest = np.concatenate([facts.low, facts.accuracy, facts.fitted])
    begin = max(np.floor(10 * float(np.nanmin(lowest, initial=0.8))) / 10, 0.0)
    plot = Plot(_size_axis(float(every.min()), float(every.max())), percent_axis("accuracy, %", begin))
    last = float(facts.sizes.max())
    inside = facts.fitted_sizes <= last
    beyond = facts.fitted_sizes >= facts.fitted_sizes[inside].max(initial=0.0)
    chart = plot.svg(
        "learning-chart", "Learning curve", facts.sentence,
        plot.line(facts.fitted_sizes[inside], facts.fitted[inside], "line after"),
        plot.line(facts.fitted_sizes[beyond], facts.fitted[beyond], "line after dashed"),
        plot.whiskers(facts.sizes, facts.low, facts.high),
        plot.dots(facts.sizes, facts.accuracy, "dot after"),
    )  # fmt: skip
    legend = [_key("after", "measured, with its interval")]
    legend += [_key("dashed", "where the fitted curve goes")] if beyond.sum() > 1 else []
    measured = zip(facts.sizes.tolist(), facts.accuracy.tolist(), facts.low.tolist(), facts.high.tolist(), strict=True)
    rows = [[f"{size:g}", percent(a, 1), f"{percent(low, 1)} to {percent(high, 1)}"] for size, a, low, high in measured]
    rows += [
        [f"{size:g}", f"{percent(accuracy, 1)}, by the fitted curve", ""]
        for size, accuracy in zip(facts.fitted_sizes[~inside].tolist(), facts.fitted[~inside].tolist(), strict=True)
    ]
    heads = ["photographs a class", "accuracy", "interval"]
    return join([_figure(chart, legend), as_table("Learning curve", heads, rows)])


def _size_axis(low: float, high: float) -> Axis:
    low = max(low, 1.0)
    high = max(high, low * 1.5)
    steps = [factor * 10**power for power in range(7) for factor in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high] or [low, high]
    return Axis("training photographs a class", low, high, ticks, [f"{tick:,.0f}" for tick in ticks], is_log=True)


def unknown_chart(facts: Unknown) -> Html:
    """Draw how far photographs of the classes are, and from where on one is unknown.

    Args:
        facts: measured.

    Returns:
        Chart, legend and table.
    """
    others = facts.others if facts.others is not None else np.zeros(0)
    every = np.concatenate([facts.known, others, [facts.threshold]]).astype(np.float64)
    x = even_axis(facts.measure, float(every.min()), float(every.max()))
    edges = np.linspace(x.low, x.high, _BINS + 1)
    known, strange = (np.histogram(part, edges)[0] / max(len(part), 1) for part in (facts.known, others))
    y = even_axis("share of photographs, %", 0.0, 100 * float(max(known.max(), strange.max())))
    plot = Plot(x, y)
    side = "below" if facts.is_likeness else "above"
    refused = percent(_beyond(facts.known, facts), 1)
    said = f"{refused} of {len(facts.known):,} photographs of the classes are {side} the threshold"
    legend = [_key("known", "held-out photographs of the classes")]
    if len(others):
        said += f", and {percent(_beyond(others, facts), 1)} of {len(others):,} others"
        legend.append(_key("strange", "photographs of none of them"))
    chart = plot.svg(
        "unknown-chart", "Distances and threshold", f"{said}.",
        plot.columns(edges, 100 * known, "known"), plot.columns(edges, 100 * strange, "strange"),
        plot.upright(facts.threshold, f"threshold {facts.threshold:.3g}"),
    )  # fmt: skip
    spans = zip(edges[:-1].tolist(), edges[1:].tolist(), known.tolist(), strange.tolist(), strict=True)
    rows = [[f"{a:.3g} to {b:.3g}", percent(k, 1), percent(s, 1)] for a, b, k, s in spans if k or s]
    numbers = as_table(facts.measure, ["from ... to", "classes", "others"], rows)
    return join([_figure(chart, legend), tag("p", f"{said}."), numbers])


def _beyond(values: Floats, facts: Unknown) -> float:
    if not len(values):
        return float("nan")
    return float((values < facts.threshold if facts.is_likeness else values > facts.threshold).mean())


def _figure(chart: Html, legend: list[Html]) -> Html:
    return tag("figure", chart, tag("figcaption", *legend, class_="legend"))


def _key(kind: str, words: str) -> Html:
    return tag("span", tag("i", class_=f"key {kind}", aria_hidden="true"), words)
