"""Run folders for tests of the studio: a real run over coloured squares, without TensorFlow, and a workshop on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from fake_run import prepare, run_here

from retrain.cli import read_config
from retrain.config import RunConfig
from retrain.studio.events import Events
from retrain.studio.workshop import Standing, Workshop, config_of

PATIENCE_S = 60.0
# What makes a run's cross-validation the studio's.
AS_STUDIO = ("--cross_validation_folds=5", "--cross_validation_repeats=1")


class Heard(Events):
    """Keeps what was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, **facts: Any) -> None:
        self.told.append((kind, facts))
        super().tell(kind, **facts)

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]


def trained(folder: Path, *words: str, photographs: int = 45, classes: int = 3) -> RunConfig:
    """Make photographs and run over them; gives the config that the studio starts with."""
    flags = [*prepare(folder, photographs, classes), *words]
    assert run_here(flags) == 0
    return config_of(str(folder / "out" / "model.pb"), "")


def untrained(folder: Path, photographs: int = 45, classes: int = 3) -> RunConfig:
    """Make photographs only."""
    config, problems = read_config(prepare(folder, photographs, classes))
    assert not problems
    return config


def run_again(config: RunConfig, place: Path) -> Path:
    """Run over the same folder by the same flags, into another place; gives its model."""
    from unittest import mock

    import fake_run

    from retrain import gather, run
    from retrain.engines import LocalEngine

    graph = place / "model.pb"
    other = replace(
        config, output_graph=str(graph), output_labels=str(place / "labels.txt"), summaries_dir=str(place / "s")
    )
    with (
        mock.patch.object(run, "TensorFlowWorker", fake_run.NumpyWorker),
        mock.patch.object(gather, "SeparateEngine", LocalEngine),
    ):
        run.run(other)
    return graph


@contextmanager
def working(config: RunConfig, *, look: bool = True) -> Iterator[Workshop]:
    """A workshop that is closed at the end."""
    workshop = Workshop(config, Heard())
    try:
        if look:
            workshop.look_again()
        yield workshop
    finally:
        workshop.close()
        workshop._thread.join(PATIENCE_S)
        assert not workshop._thread.is_alive()


def wait_for(workshop: Workshop, ready: Callable[[Standing], object]) -> Standing:
    """Wait until something is known."""
    end = time.monotonic() + PATIENCE_S
    while not ready(workshop.standing):
        assert time.monotonic() < end, f"waited in vain: {workshop.standing.trouble or workshop.events.kinds()}"
        time.sleep(0.002)
    return workshop.standing


def examined(standing: Standing) -> bool:
    """Whether all is known of the folder as it is."""
    return standing.fitted_revision == standing.revision and standing.examined is not None


def in_trouble(standing: Standing) -> bool:
    return bool(standing.trouble)


def move(config: RunConfig, name: str, old: str, new: str) -> None:
    """Correct a label by hand."""
    place = Path(config.image_dir) / new
    place.mkdir(exist_ok=True)
    (Path(config.image_dir) / old / name).rename(place / name)


def add(config: RunConfig, path: str, seed: int) -> None:
    """Add a photograph that no cache knows."""
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    place = Path(config.image_dir) / path
    place.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(place)
