"""The map of all photographs: alike lies near, a colour a class, with tiles where there is room for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows, as_rows
from retrain.report.facts import Indices, ReportFacts
from retrain.report.markup import Html, join, name, percent, table, tag
from retrain.report.neighbours import NEIGHBOURS, condensed, flat_map, nearest
from retrain.report.thumbnails import Pictures

# Colours of the style sheet, and shapes that go with them when there are more classes.
COLOURS, SHAPES = 10, 3
# Squares of the map, across and down, each with at most one tile.
_ACROSS, _DOWN = 15, 11
# Photographs from which on dots are small.
_DENSE = 250
# Classes whose neighbours are told.
_TOLD = 60


@dataclass(frozen=True, eq=False)
class Atlas:
    """Where each photograph lies.

    Args:
        rows: intp (M,), which photographs.
        places: float (M, 2), 0 to 1.
        neighbours: intp (M, K), positions in ``rows`` of the most alike.
    """

    rows: Indices
    places: npt.NDArray[np.float64]
    neighbours: Indices


def make_atlas(vectors: Rows | npt.NDArray[np.float32], rows: Indices) -> Atlas | None:
    """Lay photographs out on a plane.

    Args:
        vectors: float32 (N, D), or rows that are read from a file.
        rows: intp (M,), which of them.

    Returns:
        Their map; None for fewer than four, which make none.
    """
    if len(rows) < 4:
        return None
    with threadpool_limits(1, user_api="blas"):  # more are slower on matrices this small, and add up in another order
        points = condensed(as_rows(vectors).take(rows))
        found, far = nearest(points, min(NEIGHBOURS, len(rows) - 1))
        return Atlas(rows, flat_map(points, found, far), found)


def place_rules(atlas: Atlas) -> str:
    """Write the places as style rules: the page allows no style attributes.

    Args:
        atlas: places.
    """
    percents = np.round(5 + 90 * atlas.places, 1).tolist()
    return "".join(f".a{at}{{left:{x:g}%;top:{y:g}%}}" for at, (x, y) in enumerate(percents))


def atlas_section(facts: ReportFacts, atlas: Atlas, pictures: Pictures) -> Html:
    """Show the map, its legend, and who lies beside whom in words.

    Args:
        facts: of the report.
        atlas: places.
        pictures: tiles.
    """
    labels = facts.photographs.labels[atlas.rows]
    tiled = _tiled(atlas.places)
    marks = []
    for at, (row, label) in enumerate(zip(atlas.rows.tolist(), labels.tolist(), strict=True)):
        kind = f"a{at} {_look(label)}"
        if at in tiled and row in pictures.places and row not in pictures.gone:
            sheet, column, line = pictures.places[row]
            kind = f"t s{sheet} x{column} y{line} {kind}"
        else:
            kind = f"d {kind}"
        # Not by tag: there are thousands, and nothing in them but numbers and names of ours.
        marks.append(Html(f'<i class="{kind}" data-p="{row:d}" data-c="{label:d}"></i>'))
    said = "Map of the photographs. Arrow keys go from one to the next; the one that is marked is shown below."
    kind = "atlas dense" if len(marks) > _DENSE else "atlas"
    whole = tag("div", *marks, class_=kind, id="atlas", tabindex=0, role="application", aria_label=said)
    toggles = [_toggle(label, facts.classes[label]) for label in np.unique(labels).tolist()]
    hint = tag("p", "Point at a photograph, or move with the arrow keys.", class_="quiet")
    parts = [
        tag("p", "Photographs that the model finds alike lie together. The axes mean nothing; only what is near does."),
        tag("div", *toggles, class_="toggles", role="group", aria_label="Classes shown on the map"),
        whole,
        tag("div", hint, id="spot", aria_live="polite"),
        _beside(facts, atlas, labels),
    ]
    return join(parts)


def _look(label: int) -> str:
    return f"k{label % COLOURS} h{label // COLOURS % SHAPES}"


def _toggle(label: int, text: str) -> Html:
    key = tag("i", class_=f"d {_look(label)}", aria_hidden="true")
    return tag("button", key, name(text), type="button", data_c=label, aria_pressed="true")


def _tiled(places: npt.NDArray[np.float64]) -> set[int]:
    """Choose for each square the photograph nearest to its middle."""
    at = places * [_ACROSS, _DOWN]
    square = np.minimum(at.astype(np.intp), [_ACROSS - 1, _DOWN - 1])
    off = np.square(at - square - 0.5).sum(axis=1)
    key = square[:, 0] * _DOWN + square[:, 1]
    order = np.lexsort((off, key))
    first = np.ones(len(order), np.bool_)
    first[1:] = key[order][1:] != key[order][:-1]
    return set(order[first].tolist())


def _beside(facts: ReportFacts, atlas: Atlas, labels: Indices) -> Html:
    """Say in words what the map shows: of whom the nearest neighbours of each class are."""
    rows = []
    for label in np.unique(labels).tolist()[:_TOLD]:
        near = labels[atlas.neighbours[labels == label]].ravel()
        shares = np.bincount(near, minlength=len(facts.classes)) / len(near)
        shares[label], own = 0.0, float(shares[label])
        other = int(shares.argmax())
        next_ = join([name(facts.classes[other]), f", {percent(float(shares[other]))}"]) if shares[other] else Html("–")
        rows.append([name(facts.classes[label]), percent(own), next_])
    heads = ["class", "neighbours of the same class", "next"]
    inside = table(f"Of the {atlas.neighbours.shape[1]} most alike photographs", heads, rows)
    return tag("details", tag("summary", "The map in words"), inside, class_="numbers")
