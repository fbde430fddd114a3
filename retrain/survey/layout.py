"""What is wrong with how the folders lie: found by their names alone, said with the nearest remedy.

Whether a run starts is decided by dataset/scan.py, whose problems are findings here; the rest says why, and what a
run would leave out.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from retrain import storage
from retrain.console import printable
from retrain.dataset import Catalog
from retrain.dataset.scan import HIDDEN, suffixes_for
from retrain.dataset.scan import suffix_of as image_suffix
from retrain.survey.entries import BROKEN, FILE, FOLDER, LOOP, Entry, Survey, suffix_of, survey_top
from retrain.survey.findings import COSTS, NOTE, STOPS, Finding, merged, of_names
from retrain.survey.names import label_findings, name_findings

SPLIT_NAMES = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "holdout"}
)
# Folders and endings that this program and its like write, and nobody names a class by.
OUTPUT_NAMES = frozenset(
    {"bottlenecks", "training_summaries", "retrain_logs", "intermediate_graphs", "intermediate_graph", "tf_files",
     "__pycache__", "__MACOSX", "lost+found", "$RECYCLE.BIN", "@eaDir"}
)  # fmt: skip
OUTPUT_SUFFIXES = frozenset({".pb", ".tflite", ".sqlite", ".onnx", ".h5", ".keras", ".ckpt"})
# Findings that a run begins with.
MAX_LINES = 5
# Of pictures, those of the sky among them: where they lie is judged whether a run would read them or not.
_IMAGES = suffixes_for(sky=True) - {""}
# Folders beside the image folder that are looked into, to see whether the folder above is meant.
_SIBLINGS = 50


def layout_findings(
    catalog: Catalog, survey: Survey, label_style: str, outputs: Mapping[str, str] | None = None
) -> list[Finding]:
    """Say what is wrong with the folders.

    Args:
        catalog: what a run would use.
        survey: all that lies there; empty for a URL, whose listing says less.
        label_style: "folder" or "poets".
        outputs: flag name -> path of what a run writes.

    Returns:
        The worst first.
    """
    found = [Finding(STOPS, "layout", problem, "") for problem in catalog.problems]
    found += label_findings(catalog.labels, label_style)
    found += _output_findings(survey, catalog, outputs or {})
    found += _split_findings(catalog)
    found += _level_findings(survey, catalog)
    found += _left_out_findings(survey)
    found += _link_findings(survey)
    found += name_findings(survey.entries)
    return merged(found)


def start_lines(catalog: Catalog, image_dir: str, image_list: str = "") -> list[str]:
    """Say at the start of a run what costs nothing to know: by the names of classes, and one listing of the folder.

    Args:
        catalog: what the run uses; what it left out, the run says itself.
        image_dir: folder, URL or archive as it was typed.
        image_list: the CSV that names the photographs, if one does.

    Returns:
        Up to MAX_LINES sentences, safe to print, each with its remedy, and how to learn more as the last; nothing for
        a folder without fault.
    """
    place = "" if image_list else storage.local_path(catalog.root)
    top = survey_top(place) if place else Survey(catalog.root)
    found = label_findings(catalog.labels, "folder") + _split_findings(catalog)
    found += _output_findings(top, catalog, {}) + _link_findings(top)
    worse = [one for one in merged(found) if one.severity != NOTE]
    lines = [_in_one_line(one) for one in worse[:MAX_LINES]]
    if not lines and not set(catalog.left_out) - {HIDDEN}:
        return []
    given = (("--image_list", image_list), ("--image_dir", image_dir))
    what = " ".join(f"{flag} {quoted(path)}" for flag, path in given if path)
    return [*lines, f"python -m retrain doctor {what} tells more"]


def _in_one_line(one: Finding) -> str:
    names = ", ".join(one.examples) + (", ..." if one.count > len(one.examples) else "")
    return printable(f"{one.text}: {names}{f'; {one.fix}' if one.fix else ''}")


def quoted(path: str) -> str:
    """Write a path as a shell takes it.

    Args:
        path: as it is on the disk.

    Returns:
        The path, printable, in quotes where it needs them.
    """
    return shlex.quote(printable(path))


def _is_image(entry: Entry) -> bool:
    """Whether it is named as an image is; a name without a suffix counts only in a class folder."""
    return entry.kind == FILE and not entry.is_hidden and image_suffix(entry.name) in _IMAGES


def _output_findings(survey: Survey, catalog: Catalog, outputs: Mapping[str, str]) -> list[Finding]:
    top = [entry for entry in survey.entries if entry.depth == 1]
    written = {os.path.abspath(path) for path in outputs.values()}
    classes = {record.path.split("/", 1)[0] for record in catalog.records}
    names = [
        entry.name
        for entry in top
        if entry.kind == FOLDER
        and (
            os.path.abspath(survey.full_path(entry.path)) in written
            or (entry.name in OUTPUT_NAMES and entry.name not in classes)
        )
    ]
    files = [e.name for e in top if e.kind == FILE and suffix_of(e.name) in OUTPUT_SUFFIXES]
    away = f"move it away: mv {quoted(survey.full_path(names[0] if names else ''))} {quoted(survey.root + '_outputs')}"
    return of_names(
        STOPS,
        "output-folder",
        "folder of a program's output among the class folders, where every folder is a class",
        away,
        names,
    ) + of_names(NOTE, "output-file", "model or cache file in the image folder: left out", "", files)


def _split_findings(catalog: Catalog) -> list[Finding]:
    split = [name for name in catalog.labels if name.casefold() in SPLIT_NAMES]
    if len(split) > 1:
        return [_split_finding(catalog.root, split)]
    tops = {record.path.split("/", 1)[0] for record in catalog.records if record.path.count("/") > 1}
    sides = sorted(top for top in tops if top.casefold() in SPLIT_NAMES)
    text = "sub-folders that decide what is trained on, validated on and tested on"
    return of_names(NOTE, "ready-made-split", text, "", sides) if len(sides) > 1 else []


def _split_finding(root: str, split: Sequence[str]) -> Finding:
    main = next((name for name in split if name.casefold().startswith("train")), split[0])
    return Finding(
        COSTS,
        "split-folders",
        "the folders look like the sides of a ready-made split: a run takes each for a class of its own, and would "
        "learn to tell training photographs from test photographs",
        f"train on one of them, whose sub-folders are the classes: --image_dir {quoted(os.path.join(root, main))}",
        tuple(split[:5]),
        len(split),
    )


def _level_findings(survey: Survey, catalog: Catalog) -> list[Finding]:
    taken = {record.path for record in catalog.records}
    left = [e for e in survey.entries if _is_image(e) and e.path not in taken]
    loose = [e.name for e in left if e.depth == 1]
    deep = [e.path for e in left if e.depth > 2]
    found = of_names(
        COSTS,
        "loose-images",
        "image directly in the image folder, in no class: left out",
        _loose_fix(survey, catalog),
        loose,
    )
    return found + of_names(
        COSTS,
        "too-deep",
        "image in a sub-folder of a class folder: left out, as photographs must lie directly in it",
        _deep_fix(survey, catalog, deep),
        deep,
    )


def _loose_fix(survey: Survey, catalog: Catalog) -> str:
    own = os.path.abspath(survey.root)
    above = str(Path(own).parent)
    if not catalog.records and _has_other_classes(above, own):
        return f"this folder seems to be one class of several; give the one above: --image_dir {quoted(above)}"
    return (
        "move each into the folder of its class; where the names say it (cat.123.jpg), this does it: "
        f"python -m retrain separate {quoted(survey.root)}"
    )


def _has_other_classes(folder: str, own: str) -> bool:
    """Whether another folder beside this one holds an image; a bounded look."""
    try:
        with os.scandir(folder) as found:
            beside = [e.path for e, _ in zip(found, range(_SIBLINGS), strict=False) if e.is_dir() and e.path != own]
        return any(_first_is_image(path) for path in beside)
    except OSError:
        return False


def _first_is_image(folder: str) -> bool:
    try:
        with os.scandir(folder) as found:
            first = [entry.name for entry, _ in zip(found, range(_SIBLINGS), strict=False)]
    except OSError:
        return False
    return any(image_suffix(name) in _IMAGES and not name.startswith(".") for name in first)


def _deep_fix(survey: Survey, catalog: Catalog, deep: Sequence[str]) -> str:
    tops = Counter(path.split("/", 1)[0] for path in deep)
    if not tops:
        return ""
    with_own = {record.path.split("/", 1)[0] for record in catalog.records}
    most = tops.most_common(1)[0][0]
    second = {path.split("/", 2)[1] for path in deep if path.startswith(f"{most}/")}
    if most not in with_own and len(second) > 1:
        place = quoted(survey.full_path(most))
        return f"the class folders seem to lie one level deeper: --image_dir {place}"
    place = quoted(survey.full_path(most))
    up = f"find {place} -mindepth 2 -type f -exec mv -n {{}} {place} ';'"
    return f"take them as well with --recursive, or move them up, never overwriting: {up}"


def _left_out_findings(survey: Survey) -> list[Finding]:
    hidden = [e.path for e in survey.entries if e.is_hidden]
    others = [e for e in survey.entries if e.kind not in (FILE, FOLDER, BROKEN, LOOP)]
    found = of_names(NOTE, "hidden", "hidden (name starts with a dot): left out", "", hidden)
    for kind in sorted({e.kind for e in others}):
        names = [e.path for e in others if e.kind == kind]
        found += of_names(NOTE, "not-a-file", f"{kind}, not a file: left out, never opened", "take it away", names)
    for folder, why in survey.unlisted:
        if folder and "/" in folder:  # the catalog says so of class folders
            text = f"sub-folder cannot be listed ({why}): left out"
            found.append(Finding(NOTE, "unlisted", text, "check its permissions", (folder,)))
    if not survey.is_whole:
        text = f"only the first {len(survey.entries):,} names were looked at: findings on folders are not complete"
        found.append(Finding(NOTE, "not-all-seen", text, "name the folder above the class folders"))
    return found


def _link_findings(survey: Survey) -> list[Finding]:
    links = [e for e in survey.entries if e.is_link and not e.is_hidden]
    root = os.path.realpath(survey.root)
    led = [e for e in links if e.kind in (FILE, FOLDER) and e.depth <= 2]
    within = [e for e in led if Path(os.path.realpath(survey.full_path(e.path))).is_relative_to(root)]
    classes = [e.path for e in within if e.kind == FOLDER and e.depth == 1]
    inside = [e.path for e in within if e.kind != FOLDER or e.depth > 1]
    kept = {e.path for e in within}
    outside = [e.path for e in led if e.path not in kept]
    broken = [e.path for e in links if e.kind == BROKEN]
    loops = [e.path for e in links if e.kind == LOOP]
    gone, twice = "take it away, or mend what it leads to", "take the link away"
    return [
        *of_names(COSTS, "broken-link", "link to nothing: left out", gone, broken),
        *of_names(COSTS, "link-loop", "link that leads back to itself: left out", "take it away", loops),
        *of_names(
            COSTS, "linked-class", "class folder that is a link into the same image folder: its photographs count "
            "twice, under two names", twice, classes,
        ),
        *of_names(NOTE, "inner-link", "link to something in the same image folder: counts twice", twice, inside),
        *of_names(NOTE, "outer-link", "link that leads out of the image folder: followed, not led on below a class "
                  "folder", "", outside),
    ]  # fmt: skip
