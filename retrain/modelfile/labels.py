"""The labels of a model that does not hold them: of a file that was named, or of one that lies beside it and fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrain.errors import ModelError, UsageError
from retrain.modelfile.files import MAX_TEXT_BYTES, read_model_file

# What retrain.py, its forks and the codelab called it.
_USUAL = ("retrained_labels.txt", "output_labels.txt", "labels.txt")
_WITHOUT = "_graph"


@dataclass(frozen=True)
class Labels:
    """Names of classes.

    Args:
        names: in the order of the scores.
        source: where they are from, for messages; empty where a program gave them.
    """

    names: tuple[str, ...]
    source: str = ""


def given_labels(labels: str | Path | Sequence[str]) -> Labels:
    """Take labels that a person or a program gave.

    Args:
        labels: a file of labels, a line each, or the labels.

    Returns:
        The labels.

    Raises:
        ModelError: the file cannot be read.
    """
    if isinstance(labels, str | Path):
        return Labels(_lines(Path(labels)), str(labels))
    return Labels(tuple(labels))


def check_count(labels: Labels, classes: int, model: str) -> None:
    """Hold labels that were given against the number of classes.

    Args:
        labels: of given_labels.
        classes: that the model has.
        model: its path, for messages.

    Raises:
        UsageError: they do not fit.
    """
    if len(labels.names) != classes:
        place = f" in {labels.source}" if labels.source else ""
        raise UsageError(
            f"expected labels to have {classes} lines, one a class of {model}, got {len(labels.names)}{place}; "
            "give those that the model was trained with, or none where it knows them itself"
        )


def labels_beside(model: Path, classes: int) -> Labels:
    """Find the labels of a stranger's model.

    Args:
        model: its file or folder.
        classes: that it has.

    Returns:
        Those of the first file beside it, or in its folder, that has a line for each class.

    Raises:
        ModelError: there is none; the text says what was looked at.
    """
    seen = []
    for path in _candidates(model):
        if path.is_file():
            names = _lines(path)
            if len(names) == classes:
                return Labels(names, str(path))
            seen.append(f"{path.name} has {len(names)} lines")
    looked = "; ".join(seen) or f"no {model.stem}_labels.txt, {', '.join(_USUAL)} lies beside it"
    raise ModelError(
        f"{model} does not hold its {classes} labels, and no file beside it does ({looked}); give a file with "
        f"{classes} lines as --labels"
    )


def _candidates(model: Path) -> Iterator[Path]:
    stem = model.stem if model.suffix else model.name
    names = [f"{stem}_labels.txt", f"{stem.removesuffix(_WITHOUT)}_labels.txt", f"{stem}.txt", *_USUAL]
    folders = [model, model / "assets", model.parent] if model.is_dir() else [model.parent]
    for folder in folders:
        yield from (folder / name for name in dict.fromkeys(names))


def _lines(path: Path) -> tuple[str, ...]:
    text = read_model_file(path, "a file of labels", MAX_TEXT_BYTES, "a line each").decode(errors="replace")
    return tuple(line.rstrip() for line in text.splitlines())
