"""The frame of a chart in SVG: axes, ticks, lines, dots. Colours come from the style sheet: dark mode has its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.report.facts import Floats
from retrain.report.markup import Html, join, tag

# Units of the drawing, near to CSS pixels on a telephone, so that its letters stay readable there.
WIDTH, HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 42


@dataclass(frozen=True)
class Axis:
    """One axis.

    Args:
        title: what is on it.
        low: its first value.
        high: its last, above the first.
        ticks: values that are named ...
        names: ... and how.
        is_log: whether equal factors are equally far apart.
    """

    title: str
    low: float
    high: float
    ticks: Sequence[float]
    names: Sequence[str]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Say how far along a value is.

        Args:
            value: of the data.

        Returns:
            0 at the first value, 1 at the last, between even for one outside.
        """
        low, high, at = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return min(max((at - low) / (high - low), 0.0), 1.0)


def percent_axis(title: str, low: float = 0.0) -> Axis:
    """Make an axis that ends at 100 %.

    Args:
        title: what is on it.
        low: where it begins, 0 to 0.8.
    """
    ticks = [tick / 10 for tick in range(round(low * 10), 11, 1 if low >= 0.5 else 2)]
    return Axis(title, low, 1.0, ticks, [f"{100 * tick:.0f}" for tick in ticks])


def even_axis(title: str, low: float, high: float) -> Axis:
    """Make an axis whose ticks are round numbers.

    Args:
        title: what is on it.
        low: of the data.
        high: of the data.
    """
    high = high if high > low else low + 1.0
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = [number * step for number in range(first, last + 1)]
    return Axis(title, ticks[0], ticks[-1], ticks, [f"{tick:g}" for tick in (round(tick, 10) for tick in ticks)])


@dataclass(frozen=True)
class Plot:
    """A chart that is being drawn.

    Args:
        x: the axis below.
        y: the axis on the left.
    """

    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Find the place of a value on the drawing.

        Args:
            x: of the data.
            y: of the data.
        """
        across, up = self.x.share(x), self.y.share(y)
        return _LEFT + across * (WIDTH - _LEFT - _RIGHT), HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)

    def line(self, xs: Floats, ys: Floats, kind: str) -> Html:
        """Draw a line through points.

        Args:
            xs: of the data; points with NaN are left out.
            ys: of the data.
            kind: class of the style sheet.
        """
        points = [self.at(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True) if x == x and y == y]
        return tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points), class_=kind)

    def dots(self, xs: Floats, ys: Floats, kind: str, radii: Floats | None = None) -> Html:
        """Draw points.

        Args:
            xs: of the data; points with NaN are left out.
            ys: of the data.
            kind: class of the style sheet.
            radii: of each, in units of the drawing.
        """
        radii = np.full(len(xs), 4.0) if radii is None else radii
        dots = []
        for x, y, radius in zip(xs.tolist(), ys.tolist(), radii.tolist(), strict=True):
            if x == x and y == y:
                across, down = self.at(x, y)
                dots.append(tag("circle", cx=f"{across:.1f}", cy=f"{down:.1f}", r=f"{radius:.1f}", class_=kind))
        return join(dots)

    def whiskers(self, xs: Floats, lows: Floats, highs: Floats) -> Html:
        """Draw intervals, upright.

        Args:
            xs: of the data.
            lows: one end; those with NaN are left out.
            highs: the other.
        """
        bars = []
        for x, low, high in zip(xs.tolist(), lows.tolist(), highs.tolist(), strict=True):
            if low == low and high == high:
                (across, bottom), (_, top) = self.at(x, low), self.at(x, high)
                left = f"M{across - 3:.1f}"
                bars.append(f"M{across:.1f} {bottom:.1f}V{top:.1f}{left} {top:.1f}h6{left} {bottom:.1f}h6")
        return tag("path", d="".join(bars), class_="whisker")

    def columns(self, edges: Floats, heights: Floats, kind: str) -> Html:
        """Draw the columns of a histogram.

        Args:
            edges: (B + 1,), of the data.
            heights: (B,), of the data; empty ones are left out.
            kind: class of the style sheet.
        """
        columns = []
        for left, right, height in zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True):
            (x, top), (end, bottom) = self.at(left, height), self.at(right, self.y.low)
            if height > 0:
                size = {"width": f"{max(end - x - 1, 0.5):.1f}", "height": f"{bottom - top:.1f}"}
                columns.append(tag("rect", x=f"{x:.1f}", y=f"{top:.1f}", class_=kind, **size))
        return join(columns)

    def upright(self, x: float, words: str) -> Html:
        """Draw a line from top to bottom, and say what it is.

        Args:
            x: of the data.
            words: beside its upper end.
        """
        (across, bottom), (_, top) = self.at(x, self.y.low), self.at(x, self.y.high)
        is_right = across > WIDTH * 0.6
        anchor, shift = ("end", -5) if is_right else ("start", 5)
        label = tag("text", words, x=f"{across + shift:.1f}", y=f"{top + 9:.1f}", text_anchor=anchor, class_="strong")
        return join([tag("path", d=f"M{across:.1f} {top:.1f}V{bottom:.1f}", class_="limit"), label])

    def svg(self, key: str, title: str, description: str, *marks: str) -> Html:
        """Put the chart together.

        Args:
            key: a word that no other chart has.
            title: what it shows.
            description: what can be seen on it, for those who cannot.
            marks: lines, dots and so on, the lowest first.
        """
        told = join([tag("title", title, id=f"{key}-t"), tag("desc", description, id=f"{key}-d")])
        return tag(
            "svg", told, self._frame(), *marks,
            viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_labelledby=f"{key}-t", aria_describedby=f"{key}-d",
            class_="plot",
        )  # fmt: skip

    def _frame(self) -> Html:
        parts: list[Html] = []
        left, bottom = self.at(self.x.low, self.y.low)
        right, top = self.at(self.x.high, self.y.high)
        for tick, name in zip(self.x.ticks, self.x.names, strict=True):
            across, _ = self.at(tick, self.y.low)
            parts.append(tag("path", d=f"M{across:.1f} {bottom:.1f}v4", class_="axis"))
            parts.append(tag("text", name, x=f"{across:.1f}", y=f"{bottom + 17:.1f}", text_anchor="middle"))
        for tick, name in zip(self.y.ticks, self.y.names, strict=True):
            _, up = self.at(self.x.low, tick)
            parts.append(tag("path", d=f"M{left:.1f} {up:.1f}H{right:.1f}", class_="rule"))
            parts.append(tag("text", name, x=f"{left - 6:.1f}", y=f"{up + 4:.1f}", text_anchor="end"))
        parts.append(tag("path", d=f"M{left:.1f} {bottom:.1f}H{right:.1f}", class_="axis"))
        parts.append(tag("text", self.x.title, x=(left + right) / 2, y=HEIGHT - 5, text_anchor="middle"))
        turned = f"rotate(-90 12 {(top + bottom) / 2:.1f})"
        parts.append(
            tag("text", self.y.title, x=12, y=f"{(top + bottom) / 2:.1f}", text_anchor="middle", transform=turned)
        )
        return join(parts)
