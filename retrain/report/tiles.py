"""Photographs on the page: tiles cut from the sheets, lists of them, and cards with a larger picture."""

from __future__ import annotations

from collections.abc import Sequence

from retrain.report.markup import PATH_SHOWN, Html, counted, join, name, safe, shortened, tag
from retrain.report.thumbnails import Picture, Pictures

# Cards that are shown at once.
FIRST = 10


def tile(row: int, pictures: Pictures) -> Html:
    """Cut a photograph's tile from its sheet; its name stands beside it.

    Args:
        row: of the photograph.
        pictures: tiles.
    """
    if row in pictures.gone:
        return Html('<i class="t gone"></i>')
    sheet, column, line = pictures.places[row]
    return Html(f'<i class="t s{sheet:d} x{column:d} y{line:d}"></i>')  # not by tag: there are thousands, all numbers


def tile_list(
    rows: Sequence[int], words: Sequence[str], names: Sequence[str], pictures: Pictures, *, is_home: bool = False
) -> Html:
    """List photographs with their tiles.

    Args:
        rows: which.
        words: below the name of each; empty for none.
        names: paths of all N.
        pictures: tiles; photographs without one are counted below the list.
        is_home: whether the map points here; once a photograph.
    """
    items = []
    for row, said in zip(rows, words, strict=True):
        if row in pictures.places:
            note = said + ("; cannot be read any more" if row in pictures.gone else "")
            below = f"<small>{safe(note)}</small>" if note else ""
            text = f"<span>{name(names[row].rpartition('/')[2])}{below}</span>"
            home = f' id="p{row:d}"' if is_home else ""
            items.append(Html(f"<li{home}>{tile(row, pictures)}{text}</li>"))
    left = len(rows) - len(items)
    words_left = f"and {counted(left, 'more photograph')} for which there is no room here"
    more = tag("p", words_left, class_="quiet") if left else Html()
    return join([tag("ul", *items, class_="tiles"), more]) if items else more


def card(row: int, path: str, pictures: Pictures, *words: str) -> Html:
    """Show one photograph in a larger picture.

    Args:
        row: of the photograph.
        path: under the image folder.
        pictures: larger ones.
        words: markup or texts below it.
    """
    picture = _large(pictures.large.get(row), f"photograph {shortened(path)}")
    return tag("li", picture, tag("p", name(path, PATH_SHOWN), class_="path"), *words, class_="card")


def heat_card(row: int, path: str, pictures: Pictures, *words: str) -> Html:
    """Show one photograph beside its heat map.

    Args:
        row: of the photograph.
        path: under the image folder.
        pictures: larger ones.
        words: markup or texts below it.
    """
    plain = _large(pictures.large.get(row), f"photograph {shortened(path)}")
    pair = tag("div", plain, _large(pictures.heated.get(row), "the same with its heat map"), class_="pair")
    return tag("li", pair, tag("p", name(path, PATH_SHOWN), class_="path"), *words, class_="card double")


def _large(picture: Picture | None, words: str) -> Html:
    if picture is None:
        return tag("div", "cannot be read any more", class_="picture gone")
    size = {"width": picture.width, "height": picture.height}
    return tag("img", src=Html(picture.uri), **size, alt=words, class_="picture", loading="lazy", decoding="async")


def cards_list(cards: Sequence[Html], most: int = FIRST) -> Html:
    """Show cards, the first at once and the rest when asked.

    Args:
        cards: of ``card``.
        most: shown at once.
    """
    first = tag("ul", *cards[:most], class_="cards")
    if len(cards) <= most:
        return first
    rest = tag("ul", *cards[most:], class_="cards")
    return join([first, tag("details", tag("summary", f"Show {len(cards) - most} more"), rest, class_="second")])


def bar(share: float, kind: str) -> Html:
    """Draw a share as a bar; its number stands beside it.

    Args:
        share: 0 to 1.
        kind: class of the style sheet.
    """
    rect = tag("rect", width=f"{100 * min(max(share, 0.0), 1.0):.1f}", height=6)
    return tag("svg", rect, viewBox="0 0 100 6", preserveAspectRatio="none", class_=f"bar {kind}", aria_hidden="true")
