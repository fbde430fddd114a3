"""The charts of a network's training: loss and accuracy against epochs, of training and validation."""

from __future__ import annotations

import math

import numpy as np

from retrain.report.facts import Floats, History
from retrain.report.markup import Html, as_table, join, percent, tag
from retrain.report.plot import Axis, Plot, even_axis, percent_axis

# Dots are told apart up to so many epochs; beyond, there is only the line.
_MOST_DOTS = 60
_KINDS = (("before", "training photographs, as they were trained on"), ("after", "validation photographs"))


def history_charts(facts: History) -> Html:
    """Draw loss and accuracy of each epoch.

    Args:
        facts: measured.

    Returns:
        Two charts side by side, their legends and one table.
    """
    highest = float(np.nanmax(facts.loss, initial=0.0))
    lowest = float(np.nanmin(facts.accuracy, initial=1.0))
    axes = even_axis("loss, nats", 0.0, highest), percent_axis("accuracy, %", min(math.floor(10 * lowest) / 10, 0.8))
    named = (("loss", facts.loss, axes[0]), ("accuracy", facts.accuracy, axes[1]))
    charts = [_chart(name, values, axis, facts.kept) for name, values, axis in named]
    return join([tag("div", *charts, class_="two"), _table(facts)])


def _chart(name: str, values: Floats, axis: Axis, kept: int) -> Html:
    epochs = np.arange(1.0, len(values) + 1)
    plot = Plot(_epoch_axis(len(values)), axis)
    marks, legend = [], []
    for (kind, words), column in zip(_KINDS, values.T, strict=True):
        if np.isfinite(column).any():
            marks.append(plot.line(epochs, column, f"line {kind}"))
            if len(values) <= _MOST_DOTS:
                marks.append(plot.dots(epochs, column, f"dot {kind}", np.full(len(values), 2.5)))
            legend.append(tag("span", tag("i", class_=f"key {kind}", aria_hidden="true"), words))
    # Where accuracy is, its line is in the way of words.
    marks.append(plot.upright(float(kept), f"kept: epoch {kept}" if name == "loss" else ""))
    said = f"{name} of training and validation at the end of {len(values)} epochs"
    chart = plot.svg(f"history-{name}", name.capitalize(), f"{said}; the table below has the numbers.", *marks)
    return tag("figure", chart, tag("figcaption", *legend, class_="legend"))


def _epoch_axis(count: int) -> Axis:
    step = max(1, next(step for step in _round_steps() if count / step <= 8))
    ticks = [1.0, *(float(tick) for tick in range(step, count + 1, step) if tick > 1)]
    if step > 1 and len(ticks) > 1 and ticks[1] - 1 < step / 2:
        ticks.pop(0)
    return Axis("epoch", 1.0, float(max(count, 2)), ticks, [f"{tick:,.0f}" for tick in ticks])


def _round_steps() -> list[int]:
    return [factor * 10**power for power in range(9) for factor in (1, 2, 5)]


def _table(facts: History) -> Html:
    heads = ["epoch", "loss", "validation loss", "accuracy", "validation accuracy"]
    rows = []
    for number, (loss, accuracy) in enumerate(zip(facts.loss.tolist(), facts.accuracy.tolist(), strict=True), 1):
        epoch = f"{number}, kept" if number == facts.kept else str(number)
        rows.append([epoch, *(_plain(value) for value in loss), *(percent(value, 1) for value in accuracy)])
    return as_table("Epochs", heads, rows)


def _plain(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
