"""What came of a training, for TensorBoard: curves, confusion, errors, a summary in words and the settings.

``<summaries_dir>/results`` holds one event file and what the projector shows. The formats are those of the plugins in
tensorboard/plugins (metadata.py, plugin_data.proto), whose own helpers would import TensorFlow.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrain.bottlenecks import Rows
from retrain.console import printable
from retrain.head import Floats, Indices
from retrain.summaries.charts import confusion_picture
from retrain.summaries.earlier import RESULTS, put_away
from retrain.summaries.events import EventFile
from retrain.summaries.projector import Squares, write_projector

# As many points of a precision-recall curve as TensorBoard's own summary has; and as many errors as are looked at.
THRESHOLDS, MOST_ERRORS = 127, 24
# With more classes than these, curves and confusion are of those with the most mistakes: 10,000 made a picture of 3.6
# thousand million pixels.
MOST_CLASSES = 300

Setting = str | int | float | bool
# What a row's photograph looks like: the bytes of a small image file, or None where it cannot be read any more.
Thumbnail = Callable[[int], bytes | None]


@dataclass(frozen=True, eq=False)
class Several:
    """What there is of photographs with several labels each.

    Args:
        truth: bool (N, C), which have which.
        texts: all labels of each.
        guesses: all labels that each was given by a head that has not seen it; empty where there is none such.
    """

    truth: npt.NDArray[np.bool_]
    texts: Sequence[str]
    guesses: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Args:
        names: labels, C.
        paths: of the photographs, N.
        labels: intp (N,), the class of each.
        sides: what each was used for, N words.
        scores: float32 (N, C), by a head that has not seen the photograph; rows of NaN where there is none such.
        kind: what those scores are: "cross-validated" or "final test".
        step: at which the head was taken.
        settings: flags and their values.
        metrics: name -> value, what runs are compared by.
        summary: Markdown, a few lines.
        several: where a photograph may have several labels; ``labels`` are the rarest of each then, by which the map is
            coloured, and there is no confusion of one with another.
    """

    names: tuple[str, ...]
    paths: Sequence[str]
    labels: Indices
    sides: Sequence[str]
    scores: Floats
    kind: str
    step: int
    settings: Mapping[str, Setting]
    metrics: Mapping[str, float]
    summary: str
    several: Several | None = None


def write_results(folder: str | Path, outcome: Outcome, rows: Rows, thumbnail: Thumbnail, squares: Squares) -> None:
    """Write what TensorBoard shows of a finished training.

    Args:
        folder: ``--summaries_dir``.
        outcome: what came of it.
        rows: (N, D), the bottleneck vectors.
        thumbnail: gives the picture of a row, for the errors.
        squares: gives the squares of rows, for the map.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    # A run that had nothing to train has not put those of the one before away.
    put_away(Path(folder), [RESULTS])
    place = Path(folder) / RESULTS
    values = [*_settings(outcome), *_curves(outcome), _text("summary", outcome.summary)]
    if outcome.several is None:
        values += [_confusion(outcome), *_errors(outcome, thumbnail)]
    with contextlib.closing(EventFile(place)) as file:
        file.add(outcome.step, outcome.metrics)
        file.write(Event(step=outcome.step, summary=Summary(value=values)))
    texts, guesses = _texts(outcome)
    columns = {"photograph": outcome.paths, "label": texts, "used for": outcome.sides, "guess": guesses}
    write_projector(place, rows, columns, outcome.labels, squares)


def _texts(outcome: Outcome) -> tuple[Sequence[str], Sequence[str]]:
    if outcome.several is not None:
        return outcome.several.texts, outcome.several.guesses
    return [outcome.names[label] for label in outcome.labels], _guesses(outcome)


def _guesses(outcome: Outcome) -> list[str]:
    known = np.isfinite(outcome.scores).all(axis=1)
    best = np.where(known, np.nan_to_num(outcome.scores).argmax(axis=1), -1)
    return [outcome.names[guess] if guess >= 0 else "" for guess in best]


def _held_out(outcome: Outcome) -> Indices:
    return np.flatnonzero(np.isfinite(outcome.scores).all(axis=1))


def _settings(outcome: Outcome) -> list[Any]:
    """The settings, as the page of hyperparameters reads them."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

    start = SessionStartInfo(group_name="")
    for name, value in outcome.settings.items():
        if isinstance(value, bool):  # before int, which it is one of
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = printable(value)
    said = {
        "_hparams_/session_start_info": HParamsPluginData(session_start_info=start),
        "_hparams_/session_end_info": HParamsPluginData(session_end_info=SessionEndInfo(status="STATUS_SUCCESS")),
    }
    return [_tensor(tag, "hparams", data, np.zeros(0, np.float32)) for tag, data in said.items()]


def _curves(outcome: Outcome) -> list[Any]:
    from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData

    held, several = _held_out(outcome), outcome.several
    truth = np.equal.outer(outcome.labels, np.arange(len(outcome.names))) if several is None else several.truth
    scores, own = outcome.scores[held], truth[held]
    data = PrCurvePluginData(num_thresholds=THRESHOLDS)
    return [
        _tensor(f"pr_curve/{printable(name)}", "pr_curves", data, pr_table(scores[:, label], own[:, label]))
        for label, name in ((label, outcome.names[label]) for label in _most_mistaken(outcome).tolist())
        if len(held)
    ]


def _most_mistaken(outcome: Outcome) -> Indices:
    """Choose the classes that are shown, intp in their order: all, or those with the most mistakes."""
    classes, held = len(outcome.names), _held_out(outcome)
    if classes <= MOST_CLASSES:
        return np.arange(classes)
    scores = outcome.scores[held]
    if outcome.several is None:
        true, guess = outcome.labels[held], scores.argmax(axis=1)
        mistakes = sum(np.bincount(side[true != guess], minlength=classes) for side in (true, guess))
    else:
        mistakes = ((scores > 0.5) != outcome.several.truth[held]).sum(axis=0)
    return np.sort(np.argsort(-np.asarray(mistakes), kind="stable")[:MOST_CLASSES])


def pr_table(scores: Floats, positive: npt.NDArray[np.bool_]) -> Floats:
    """Count at every threshold what a class's score finds and what it wrongly finds.

    Args:
        scores: float32 (N,), 0 to 1.
        positive: bool (N,), which photographs are of the class.

    Returns:
        float32 (6, THRESHOLDS): true positives, false positives, true negatives, false negatives, precision, recall
        from threshold 0 to 1, as TensorBoard's plugin of precision-recall curves wants them.
    """
    bucket = np.clip(np.floor(scores * (THRESHOLDS - 1)), 0, THRESHOLDS - 1).astype(np.intp)

    def from_above(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.cumsum(np.bincount(bucket[chosen], minlength=THRESHOLDS)[::-1])[::-1].astype(np.float64)

    found, wrong = from_above(positive), from_above(~positive)
    missed, left = found[0] - found, wrong[0] - wrong
    precision = found / np.maximum(found + wrong, np.finfo(np.float32).tiny)
    recall = found / np.maximum(found + missed, np.finfo(np.float32).tiny)
    return np.stack([found, wrong, left, missed, precision, recall]).astype(np.float32)


def _confusion(outcome: Outcome) -> Any:  # noqa: ANN401 - a protobuf
    held, shown = _held_out(outcome), _most_mistaken(outcome)
    place = np.full(len(outcome.names), -1)
    place[shown] = np.arange(len(shown))
    true, guess = place[outcome.labels[held]], place[outcome.scores[held].argmax(axis=1)]
    matrix = np.zeros((len(shown), len(shown)), np.int64)
    both = (true >= 0) & (guess >= 0)
    np.add.at(matrix, (true[both], guess[both]), 1)
    totals = np.bincount(outcome.labels[held], minlength=len(outcome.names))[shown]
    about = f"{outcome.kind}, {len(held)} photographs: a row a true class, a column a guess"
    if len(shown) < len(outcome.names):
        about += f"; the {len(shown)} of {len(outcome.names)} classes with the most mistakes"
    names = tuple(outcome.names[label] for label in shown.tolist())
    return image_value("confusion_matrix", confusion_picture(matrix, names, totals), about)


def _errors(outcome: Outcome, thumbnail: Thumbnail) -> list[Any]:
    """The photographs that were taken for something else, the surest errors first."""
    held = _held_out(outcome)
    best = outcome.scores[held].argmax(axis=1)
    wrong = np.flatnonzero(best != outcome.labels[held])
    sure = outcome.scores[held][wrong, best[wrong]]
    values = []
    for rank, number in enumerate(wrong[np.argsort(-sure, kind="stable")][:MOST_ERRORS]):
        row, guess = int(held[number]), int(best[number])
        data = thumbnail(row)
        if data is not None:
            true = outcome.names[outcome.labels[row]]
            about = f"{outcome.paths[row]}: {true}, taken for {outcome.names[guess]} ({outcome.scores[row, guess]:.2f})"
            values.append(image_value(f"misclassified/{rank + 1:02d}", data, about))
    return values


def image_value(tag: str, data: bytes, about: str) -> Any:  # noqa: ANN401 - a protobuf
    """Make a picture that TensorBoard shows.

    Args:
        tag: its name.
        data: a PNG or JPEG file.
        about: what is on it, Markdown.

    Returns:
        A Summary.Value.
    """
    from tensorboard.plugins.image.plugin_data_pb2 import ImagePluginData

    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
    return _strings(tag, "images", ImagePluginData(), [str(width).encode(), str(height).encode(), data], about)


def _text(tag: str, markdown: str) -> Any:  # noqa: ANN401 - a protobuf
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

    return _strings(tag, "text", TextPluginData(), [markdown.encode("utf-8", "backslashreplace")], "")


def _strings(tag: str, plugin: str, data: Any, cells: list[bytes], about: str) -> Any:  # noqa: ANN401
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    tensor = TensorProto(dtype=DT_STRING, string_val=cells)
    tensor.tensor_shape.dim.add(size=len(cells))
    return _value(tag, plugin, data, tensor, about)


def _tensor(tag: str, plugin: str, data: Any, numbers: Floats) -> Any:  # noqa: ANN401
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_FLOAT

    tensor = TensorProto(dtype=DT_FLOAT, tensor_content=np.ascontiguousarray(numbers, "<f4").tobytes())
    for size in numbers.shape:
        tensor.tensor_shape.dim.add(size=size)
    return _value(tag, plugin, data, tensor, "")


def _value(tag: str, plugin: str, data: Any, tensor: Any, about: str) -> Any:  # noqa: ANN401
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata

    kept = SummaryMetadata.PluginData(plugin_name=plugin, content=data.SerializeToString())
    metadata = SummaryMetadata(summary_description=printable(about), plugin_data=kept)
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
