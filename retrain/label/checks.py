"""What cannot be done as asked, all of it at once, before anything is opened or written."""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path

from retrain.classifier import TF1
from retrain.errors import did_you_mean
from retrain.label.flags import FLAGS, FORMATS, LabelConfig
from retrain.label.pretrained import architecture_problems
from retrain.label.sources import is_one_file, source_problems
from retrain.modelfile.kinds import LABELLED, SAID_FOR_LABELLING, kind_of
from retrain.storage import is_url

# What annotate.py can write.
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find_problems(config: LabelConfig) -> list[str]:
    """Check the values of a command line, against each other and against the disk; nothing is changed.

    Args:
        config: the values.

    Returns:
        One sentence each: what was expected, what came, what to do next.
    """
    problems = _number_problems(config)
    if config.watch is None:
        # What lies in a folder that is read and written at once is a problem of its own, see _place_problems.
        own = [folder for folder in config.own_folders if not any(_holds(folder, word) for word in config.image)]
        problems += source_problems(config.image, own)
    problems += _file_problems(config) + _format_problems(config) + _place_problems(config)
    problems += _sorting_problems(config) + _watch_problems(config) + architecture_problems(config)
    return problems


def _number_problems(config: LabelConfig) -> list[str]:
    problems = []
    for name, flag in FLAGS.items():
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not (math.isfinite(value) and flag.low <= value <= flag.high):
            problems.append(
                f"expected --{name} to be {flag.low:g} to {flag.high:g}, got {value}; leave it away {_otherwise(name)}"
            )
    if config.input_std == 0:
        problems.append("expected --input_std to be other than 0, got 0; leave it away to use the model's own")
    return problems


def _otherwise(name: str) -> str:
    return "to use the model's own" if name.startswith("input_") else f"for {FLAGS[name].shown}"


def _file_problems(config: LabelConfig) -> list[str]:
    problems = []
    # With an architecture, it is made where it is not there yet.
    if config.architecture is None and kind_of(Path(config.graph)) not in LABELLED:
        what = "is none" if Path(config.graph).exists() else "is not there"
        problems.append(
            f"expected --graph to be {SAID_FOR_LABELLING}, but {config.graph} {what}; train one with python -m retrain"
        )
    if config.labels is not None and not Path(config.labels).is_file():
        what = "is a folder" if Path(config.labels).is_dir() else "is not there"
        problems.append(f"expected --labels to be a file, but {config.labels} {what}; leave it away")
    if config.resize not in (None, TF1):
        problems.append(f"expected --resize to be {TF1}, got {config.resize!r}; leave it away for: as the model says")
    return problems


def _format_problems(config: LabelConfig) -> list[str]:
    if config.format not in FORMATS:
        near = did_you_mean(config.format, FORMATS)
        return [f"expected --format to be one of {', '.join(FORMATS)}, got {config.format!r}{near}"]
    problems = []
    if config.format == "parquet" and config.output is None:
        problems.append("expected --output with --format=parquet, which is no text for a terminal; name a file")
    if config.format == "parquet" and importlib.util.find_spec("pyarrow") is None:
        problems.append(
            "expected pyarrow for --format=parquet, found none; python -m pip install 'retrain-photos[parquet]', "
            "or use --format=csv"
        )
    return problems


def _place_problems(config: LabelConfig) -> list[str]:
    given = [
        ("output", config.output, False),
        ("sort_into", config.sort_into, True),
        ("heat_map", config.heat_map, True),
    ]
    given.append(("annotate", config.annotate, not annotates_one_file(config)))
    places = [(name, path, folder) for name, path, folder in given if path is not None]
    if not places:
        return []
    from retrain import fsio

    problems = [
        f"cannot write --{name}={path}: {why}; choose another place"
        for name, path, folder in places
        if (why := fsio.why_not_writable(path, folder=folder)) is not None
    ]
    if config.annotate is not None and not annotates_one_file(config) and _has_picture_suffix(config.annotate):
        problems.append(
            f"expected --annotate to be a folder for several photographs, got {config.annotate}; leave its suffix away"
        )
    problems += [
        f"expected {own}, where photographs are written, not to hold {read}, which is read; choose another folder"
        for read in ([config.watch] if config.watch else config.image)
        for own in config.own_folders
        if _holds(own, read)
    ]
    inputs = [*config.image, config.graph, *([config.labels] if config.labels else [])]
    for name, path in (("output", config.output), ("annotate", config.annotate)):
        if path and any(_same_file(path, other) for other in inputs):
            problems.append(f"expected --{name} to be another file than those that are read, got {path}")
    return problems


def annotates_one_file(config: LabelConfig) -> bool:
    """Tell whether --annotate names a file, not a folder.

    Args:
        config: with annotate.

    Returns:
        True where there is one photograph and the name has the suffix of a picture.
    """
    one = config.watch is None and is_one_file(config.image)
    return one and config.annotate is not None and _has_picture_suffix(config.annotate)


def _has_picture_suffix(path: str) -> bool:
    return path.lower().endswith(PICTURE_SUFFIXES)


def _holds(own: str, word: str) -> bool:
    """Tell whether a folder that is written to holds a folder or pattern that is read: copies would turn up there."""
    if word == "-" or word.startswith("@") or is_url(word) or Path(word).is_file() or Path(own).is_file():
        return False
    return Path(os.path.realpath(word)).is_relative_to(os.path.realpath(own))


def _same_file(path: str, other: str) -> bool:
    try:
        return not Path(path).is_dir() and os.path.samefile(path, other)  # noqa: PTH121 - Path's has no such short form
    except (OSError, ValueError):
        return False


def _sorting_problems(config: LabelConfig) -> list[str]:
    if not config.sort_links:
        return []
    if config.sort_into is None:
        return ["expected --sort_into with --sort_links, got none; name the folder to sort into"]
    if any(word == "-" or is_url(word) for word in config.image):
        return ["expected files with --sort_links, got - or a URL, which no link can point to; leave --sort_links away"]
    return []


def _watch_problems(config: LabelConfig) -> list[str]:
    if config.watch is None:
        return ["expected --watch with --watch_interval_s, got none"] if "watch_interval_s" in config.given else []
    problems = []
    if not Path(config.watch).is_dir():
        what = "is a file" if Path(config.watch).is_file() else "is not there"
        problems.append(f"expected --watch to be a folder, but {config.watch} {what}; make it first")
    if "image" in config.given:
        problems.append("expected --image or --watch, got both; --watch labels what already lies in the folder, too")
    if config.format not in ("text", "csv", "jsonl"):
        problems.append(f"expected --format to be text, csv or jsonl with --watch, got {config.format}")
    elif config.output is not None and config.format == "text":
        problems.append("expected --format=csv or jsonl with --watch and --output, got text")
    elif config.output is not None:
        from retrain.label.remembered import journal_problem

        problem = journal_problem(config)
        problems += [problem] if problem else []
    return problems
