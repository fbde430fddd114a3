"""HTML and SVG that cannot be broken into: every text is escaped unless this module made it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from retrain.console import printable

# Characters of a name in a list, so that 4,000 names of 255 bytes do not fill the page; and of a path on a card.
NAME_SHOWN, PATH_SHOWN = 48, 300
_VOID = {"meta", "img", "input", "br", "hr"}


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Value = str | int | float | bool | None


def safe(text: str) -> Html:
    """Make any text markup that shows it.

    Args:
        text: Html is left as it is. Of all else control characters, direction overrides and lone surrogates become
            visible escapes, and what HTML would read becomes entities.

    Returns:
        Markup, for between tags and for quoted attributes.
    """
    if isinstance(text, Html):
        return text
    return Html(escape(text if text.isprintable() else printable(text), quote=True))


def tag(element: str, *children: str, **attributes: Value) -> Html:
    """Make an element.

    Args:
        element: its name.
        children: texts, escaped, or markup.
        attributes: ``class_`` is class and ``aria_label`` is aria-label; None and False leave one out, True has no
            value.

    Returns:
        The element with its end tag, where it has one.
    """
    words = [element]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        key = name.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{safe(value if isinstance(value, str) else str(value))}"')
    start = f"<{' '.join(words)}>"
    return Html(start if element in _VOID else f"{start}{join(children)}</{element}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Put texts and markup together.

    Args:
        parts: texts are escaped.
        between: put between them, escaped as well.
    """
    return Html(safe(between).join(safe(part) for part in parts))


def shortened(text: str, most: int = NAME_SHOWN) -> str:
    """Leave out the middle of a long text.

    Args:
        text: any.
        most: characters that are kept, about.

    Returns:
        Printable text.
    """
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most // 2]} … {shown[-(most // 2) :]}"


def name(text: str, most: int = NAME_SHOWN) -> Html:
    """Show the name of a file or class, which may run from right to left.

    Args:
        text: the name.
        most: characters shown, about.
    """
    return tag("bdi", shortened(text, most))


def percent(share: float, places: int = 0) -> str:
    """Write a share.

    Args:
        share: 0 to 1, or NaN.
        places: digits behind the point.
    """
    return "–" if math.isnan(share) else f"{100 * share:.{places}f} %"


def counted(count: int, thing: str = "photograph") -> str:
    """Write how many there are.

    Args:
        count: of them.
        thing: one of them; more get an s.
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], **attributes: Value) -> Html:
    """Make a table whose first column names the row.

    Args:
        caption: what it shows.
        heads: of the columns.
        rows: cells, texts or markup.
        attributes: of the table.
    """
    head = tag("tr", *(tag("th", cell, scope="col") for cell in heads))
    body = (tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest)) for first, *rest in rows)
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), **attributes)
    return tag("div", whole, class_="wide", tabindex=0, role="region", aria_label=caption)


def as_table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """Make the table that says what a chart shows, folded away.

    Args:
        caption: what it shows.
        heads: of the columns.
        rows: cells.
    """
    return tag("details", tag("summary", f"{caption}, as a table"), table(caption, heads, rows), class_="numbers")
