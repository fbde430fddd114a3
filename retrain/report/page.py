"""The page itself: one file that asks nobody for anything, the same bytes for the same facts."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrain.report.atlas import Atlas, atlas_section, make_atlas, place_rules
from retrain.report.cards import copies, heat, mistakes, suspects
from retrain.report.charts import calibration_chart, learning_chart, unknown_chart
from retrain.report.choosing import choose
from retrain.report.classes import class_bars
from retrain.report.facts import Judged, Origin, ReportFacts
from retrain.report.labels import label_mistakes
from retrain.report.markup import Html, counted, join, name, table, tag
from retrain.report.matrix import matrix, mistakes_sentence, unjudged
from retrain.report.thumbnails import Pictures, ReadPhotograph, make_pictures
from retrain.report.training import history_charts

_HERE = Path(__file__).parent
_SEEN = "Cross-validation makes it: --cross_validation_folds 5, the default where a new layer is trained."
_CALIBRATED = "Cross-validation and --calibrate make it: leave both at their defaults."
_LEARNING = "Run it again with --learning_curve: it says how many more photographs are needed, and of which class."
_UNKNOWN = "--unknown_false_alarms=0.05, the default, finds it where there are photographs enough to promise that."
_HEAT = "python -m label_image --heat_map=FOLDER --image PHOTOGRAPH shows it for any photograph."
_COPIES = "Not looked for in this run: python -m retrain doctor --image_dir FOLDER does."

# Every section: its key, its heading, its name in the row of links, and how to get it where its facts are None; without
# such a sentence it is left out.
SECTIONS = {
    "confusion": ("What is taken for what", "Confusion", _SEEN),
    "mistakes": ("Worst mistakes", "Mistakes", _SEEN),
    "suspects": ("Labels that may be wrong", "Suspects", _SEEN),
    "copies": ("Duplicates and leaks", "Duplicates", _COPIES),
    "classes": ("Each class", "Classes", _SEEN),
    "history": ("How the network was trained", "Training", ""),
    "calibration": ("Are scores probabilities?", "Calibration", _CALIBRATED),
    "learning": ("Would more photographs help?", "Learning curve", _LEARNING),
    "unknown": ("When the model does not know", "Unknown", _UNKNOWN),
    "map": ("Map of the photographs", "Map", "Drawn from four photographs on, of the vectors that a run caches."),
    "heat": ("Where the model looks", "Heat maps", _HEAT),
    "origin": ("How this was made", "Origin", ""),
}


@dataclass(frozen=True, eq=False)
class _Material:
    facts: ReportFacts
    pictures: Pictures
    atlas: Atlas | None


def report_html(facts: ReportFacts, photograph: ReadPhotograph, threads: int = 0) -> bytes:
    """Make the report.

    Args:
        facts: what it says.
        photograph: row -> the bytes of its file, or None where it cannot be read any more; called from threads, and
            only for the photographs that are shown: thumbnails.reader makes one of paths.
        threads: how many; 0: one a core.

    Returns:
        HTML in UTF-8, under 10 MB whatever the number of photographs; the same for the same facts and photographs.
    """
    chosen = choose(facts)
    pictures = make_pictures(chosen, facts.heat or (), photograph, threads=threads)
    atlas = None if facts.vectors is None else make_atlas(facts.vectors, chosen.shown)
    material = _Material(facts, pictures, atlas)
    style = _style(pictures, atlas)
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{facts.title}: report"),
        tag("style", Html(style)),
    )
    body = tag("body", *_body(material), tag("script", Html(script)))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".encode()


def _policy(style: str, script: str) -> str:
    """Forbid everything but this very style sheet, this very script and pictures inside the page."""
    style_hash, script_hash = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _style(pictures: Pictures, atlas: Atlas | None) -> str:
    rules = [(_HERE / "page.css").read_text(encoding="utf-8")]
    last = max(pictures.grid - 1, 1)
    shown = min(max(pictures.side * 2 // 3, 64), 104)
    rules.append(f":root{{--tile:{shown}px}}.t{{background-size:{100 * pictures.grid}% auto}}")
    rules += [f".s{number}{{background-image:url({uri})}}" for number, uri in enumerate(pictures.sheets)]
    for step in range(pictures.grid):
        share = f"{100 * step / last:.4g}%"
        rules.append(f".x{step}{{background-position-x:{share}}}.y{step}{{background-position-y:{share}}}")
    if atlas is not None:
        rules.append(place_rules(atlas))
    return "\n".join(rules)


def _body(material: _Material) -> list[Html]:
    facts = material.facts
    shown = [key for key in SECTIONS if key != "history" or facts.history is not None]
    links = [tag("li", tag("a", SECTIONS[key][1], href=f"#{key}")) for key in shown]
    sections = [_section(key, material) for key in shown]
    return [
        tag("a", "Skip to the report", href="#main", class_="skip"),
        tag("header", *_top(facts)),
        tag("nav", tag("ul", *links), aria_label="Sections"),
        tag("main", *sections, id="main", tabindex=-1),
        tag("footer", tag("p", "Made by retrain. This page is one file; it asks no server for anything.")),
    ]


def _top(facts: ReportFacts) -> list[Html]:
    figures = [
        tag("div", tag("dt", one.name), tag("dd", tag("b", one.value), tag("small", one.detail)))
        for one in facts.figures
    ]
    classes = f"in {len(facts.classes):,} class{'' if len(facts.classes) == 1 else 'es'}"
    if facts.label_judged is not None:
        classes = f"with {counted(len(facts.classes), 'label')}"
    total = tag("p", f"{counted(len(facts.photographs.names))} {classes}", class_="quiet")
    parts = [total, tag("h1", name(facts.title, 120)), tag("p", facts.sentence, class_="lead")]
    if figures:
        parts.append(tag("dl", *figures, class_="figures"))
    if facts.notes:
        parts.append(tag("ul", *(tag("li", note) for note in facts.notes), class_="notes"))
    return parts


def _section(key: str, material: _Material) -> Html:
    title, _, remedy = SECTIONS[key]
    inside = _INSIDE[key](material)
    if inside is None:
        inside = tag("p", material.facts.missing.get(key, remedy), class_="missing")
    return tag("section", tag("h2", title, id=f"{key}-h"), inside, id=key, aria_labelledby=f"{key}-h")


def _first(facts: ReportFacts) -> Judged | None:
    return next((judged for judged in facts.judged if len(judged.rows)), None)


def _confusion(one: _Material) -> Html | None:
    facts = one.facts
    if not facts.judged:
        rest = unjudged(facts, one.pictures)
        return join([tag("p", facts.missing.get("confusion", SECTIONS["confusion"][2]), class_="missing"), rest])
    parts = [tag("p", mistakes_sentence(facts)), tag("p", facts.judged[0].sentence), matrix(facts, 0, one.pictures)]
    for number, judged in enumerate(facts.judged[1:], 1):
        head = tag("summary", f"{judged.title}: {counted(len(judged.rows))}")
        said = tag("p", judged.sentence)
        parts.append(tag("details", head, said, matrix(facts, number, one.pictures), class_="second"))
    return join([*parts, unjudged(facts, one.pictures)])


def _mistakes(one: _Material) -> Html | None:
    if one.facts.label_judged is not None:
        return label_mistakes(one.facts, one.facts.label_judged, one.pictures)
    judged = _first(one.facts)
    return None if judged is None else mistakes(one.facts, judged, one.pictures)


def _suspects(one: _Material) -> Html | None:
    return None if one.facts.suspects is None else suspects(one.facts, one.facts.suspects, one.pictures)


def _copies(one: _Material) -> Html | None:
    return None if one.facts.copies is None else copies(one.facts, one.facts.copies, one.pictures)


def _classes(one: _Material) -> Html | None:
    facts = one.facts
    return None if facts.class_numbers is None else class_bars(facts.classes, facts.class_numbers)


def _calibration(one: _Material) -> Html | None:
    facts = one.facts.calibration
    return None if facts is None else join([tag("p", facts.sentence), calibration_chart(facts)])


def _history(one: _Material) -> Html | None:
    facts = one.facts.history
    return None if facts is None else join([tag("p", facts.sentence), history_charts(facts)])


def _learning(one: _Material) -> Html | None:
    facts = one.facts.learning
    return None if facts is None else join([tag("p", facts.sentence), learning_chart(facts)])


def _map(one: _Material) -> Html | None:
    return None if one.atlas is None else atlas_section(one.facts, one.atlas, one.pictures)


def _unknown(one: _Material) -> Html | None:
    facts = one.facts.unknown
    return None if facts is None else join([tag("p", facts.sentence), unknown_chart(facts)])


def _heat(one: _Material) -> Html | None:
    return None if one.facts.heat is None else heat(one.facts, one.facts.heat, one.pictures)


def _origin(one: _Material) -> Html:
    origin: Origin = one.facts.origin
    parts = [tag("p", "This repeats the run:"), tag("pre", tag("code", origin.command), tabindex=0)]
    lists = (("Settings", origin.settings), ("SHA-256", origin.hashes), ("Versions", origin.versions))
    for title, pairs in lists:
        if pairs:
            rows = [[key, tag("code", value)] for key, value in pairs]
            whole = table(title, ["name", "value"], rows, class_="origin")
            parts.append(tag("details", tag("summary", f"{title} ({len(pairs)})"), whole, class_="numbers"))
    return join(parts)


_INSIDE: dict[str, Callable[[_Material], Html | None]] = {
    "confusion": _confusion,
    "mistakes": _mistakes,
    "suspects": _suspects,
    "copies": _copies,
    "classes": _classes,
    "calibration": _calibration,
    "history": _history,
    "learning": _learning,
    "map": _map,
    "unknown": _unknown,
    "heat": _heat,
    "origin": _origin,
}
