"""What a run found out, as TensorBoard shows it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
from PIL import Image

from retrain.album import Album
from retrain.bottlenecks import labels_of
from retrain.dataset.sides import SIDE_NAMES
from retrain.evaluate import Numbers
from retrain.head import Floats
from retrain.images import Pixels, resize_rgb
from retrain.judging import Judgement
from retrain.publish import Training
from retrain.report.choosing import MOST_SHOWN
from retrain.report.thumbnails import tile_side
from retrain.summaries.results import Outcome, write_results

# Of a photograph that was taken for something else; pixels.
THUMBNAIL = 96
# Runs are told apart by what shaped the model, not by where its files lie.
SHAPING = (
    "train", "architecture", "head", "optimizer", "epochs", "how_many_training_steps", "learning_rate",
    "train_batch_size", "weight_decay", "seed", "testing_percentage", "validation_percentage", "split_rule",
    "flip_left_right", "random_crop", "random_scale", "random_brightness", "random_quarter_turns", "random_colour",
)  # fmt: skip


def outcome_of(training: Training, found: Judgement) -> Outcome:
    """Gather what TensorBoard shows.

    Args:
        training: what the model is made of.
        found: how good it is.

    Returns:
        The outcome.
    """
    features = training.features
    return Outcome(
        names=features.catalog.labels,
        paths=[record.path for record in features.catalog.records],
        labels=labels_of(features),
        sides=[SIDE_NAMES[side] for side in training.split.sides],
        scores=_held_out_scores(found, len(features.sha256s)),
        kind="final test" if found.cooled is None else "cross-validated",
        step=training.head.step,
        settings=settings_of(training),
        metrics=_metrics(found),
        summary=_summary(found),
    )


def settings_of(training: Training) -> dict[str, float | str]:
    """Name the flags that shaped a model, with what became of those that were left to the head.

    Args:
        training: what the model is made of.

    Returns:
        Flag -> value.
    """
    config = asdict(training.config)
    told, names = training.bundle.training, {"how_many_training_steps": "steps", "train_batch_size": "batch_size"}
    shaped = {name: told[names.get(name, name)] for name in SHAPING if names.get(name, name) in told}
    return {**{name: config[name] for name in SHAPING}, **shaped, "architecture": training.bundle.architecture}


def _held_out_scores(found: Judgement, count: int) -> Floats:
    if found.cooled is not None:
        return found.cooled
    scores = np.full((count, found.scores.shape[1]), np.nan, np.float32)
    scores[found.test_rows] = found.test_scores
    return scores


def _metrics(found: Judgement) -> dict[str, float]:
    told = {"test": found.test, "cross_validated": found.cross_validated}
    return {
        f"results/{name}_{what}": value
        for name, numbers in told.items()
        if numbers is not None and numbers.accuracy.count
        for what, value in (
            ("accuracy", numbers.accuracy.value),
            ("log_loss", numbers.cooled.log_loss.value),
            ("calibration_error", numbers.cooled.error),
        )
    }


def _summary(found: Judgement) -> str:
    rows = [_row("cross-validation", found.cross_validated), _row("final test", found.test)]
    table = "| | accuracy | 95 % interval | photographs |\n|---|---|---|---|\n"
    return f"{found.sentence}\n\n{table}" + "".join(rows)


def _row(name: str, numbers: Numbers | None) -> str:
    if numbers is None or not numbers.accuracy.count:
        return ""
    one = numbers.accuracy
    return f"| {name} | {100 * one.value:.1f} % | {100 * one.low:.1f} to {100 * one.high:.1f} % | {one.count} |\n"


def write_board(training: Training, outcome: Outcome, album: Album) -> None:
    """Write what TensorBoard shows.

    Args:
        training: what the model is made of.
        outcome: what is shown.
        album: the photographs.
    """
    tiles = tile_side(min(len(outcome.paths), MOST_SHOWN))

    def squares(rows: Sequence[int], side: int) -> list[Pixels | None]:
        # Of the size that the report shows, too: they are decoded once for both.
        return [None if one is None else _resized(one, side) for one in album.squares(rows, tiles)]

    folder, vectors = training.config.summaries_dir, training.features.rows
    write_results(folder, outcome, vectors, partial(thumbnail_of, album), squares)


def _resized(pixels: Pixels, side: int) -> Pixels:
    return pixels if len(pixels) == side else resize_rgb(Image.fromarray(pixels), side, side)


def thumbnail_of(album: Album, row: int) -> bytes | None:
    """Make a photograph small.

    Args:
        album: the photographs.
        row: which one.

    Returns:
        A JPEG of at most THUMBNAIL pixels a side; None where it cannot be read any more.
    """
    image = album.upright(row, THUMBNAIL)
    if image is None:
        return None
    width, height = (max(1, round(edge * THUMBNAIL / max(image.size))) for edge in image.size)
    file = io.BytesIO()
    Image.fromarray(resize_rgb(image, height, width)).save(file, "JPEG", quality=80)
    return file.getvalue()
