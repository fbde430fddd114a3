"""Whole fake runs on folders that nobody would make: each ends with a valid model or in sentences, and in time."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType

import numpy as np
from PIL import Image

from retrain.classifier import Classifier

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "faults")]
fake_run = import_module("fake_run")

# What a run may end with on a folder, whatever lies in it: done, something cannot be done, too few images can be read.
EXIT_CODES = (0, 2, 3)
MOST_S = 120


@dataclass(frozen=True)
class Ended:
    """What a run came to.

    Args:
        code: its exit code.
        out: what it printed.
        err: what it complained of.
    """

    code: int
    out: str
    err: str


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Break off what hangs.

    Args:
        seconds: that it may take; generous, as it is no measure of speed.

    Raises:
        AssertionError: it hung.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"hung for {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Runs:
    """Runs on one folder after another, with one converted backbone.

    Args:
        place: a folder for all that is needed; made.

    Attributes:
        place: below which the photographs lie and a run writes.
        photos: the image folder.
        flags: of a run.
    """

    def __init__(self, place: Path) -> None:
        self.place, self.photos = place / "run", place / "run" / "photos"
        flags = fake_run.prepare(place / "made", photographs=2, classes=2)
        shutil.rmtree(place / "made" / "photos")
        kept = ("--architecture=", "--weights=", "--model_dir=")
        self.flags = [
            word if word.startswith(kept) else word.replace(str(place / "made"), str(self.place)) for word in flags
        ]

    def fresh(self) -> Path:
        """Empty the folder of photographs and outputs.

        Returns:
            The image folder, which is there.
        """
        if self.place.exists():
            _give_rights(self.place)
            shutil.rmtree(self.place)
        self.photos.mkdir(parents=True)
        return self.photos

    def run(self, *more: str, seconds: int = MOST_S) -> Ended:
        """Run on what lies there now, and see that it ended as it may.

        Args:
            more: flags.
            seconds: after which it hangs.

        Returns:
            What it came to.

        Raises:
            AssertionError: it ended in another way, or left something that it should not have.
        """
        out, err = io.StringIO(), io.StringIO()
        # Heads that are not trained by steps refuse to be told how many.
        stepped = ("--how_many_training_steps=", "--train_batch_size=")
        is_solved = any(word.startswith("--head=") for word in more)
        flags = [word for word in self.flags if not (is_solved and word.startswith(stepped))]
        # Anything but a sentence comes out of this as an exception.
        with no_longer_than(seconds), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = fake_run.run_here([*flags, *more])
        ended = Ended(code, out.getvalue(), err.getvalue())
        assert code in EXIT_CODES, ended
        assert all(line.isprintable() for line in (ended.out + ended.err).split("\n")), ended
        # Long runs say on standard error how far they are, too.
        assert any(line.startswith("retrain: ") for line in ended.err.split("\n")) == (code != 0), ended
        assert not list(self.place.rglob("*.tmp"))
        self._judge(code)
        return ended

    def _judge(self, code: int) -> None:
        graph = self.place / "out" / "model.pb"
        assert graph.exists() == (code == 0)
        if code:
            return
        labels = (self.place / "out" / "labels.txt").read_text("utf-8").split("\n")[:-1]
        with Classifier.open(graph) as model:
            guesses = model.classify(Image.new("RGB", (9, 7), (200, 10, 10)), top_k=len(labels))
        assert sorted(guess.label for guess in guesses) == sorted(labels)
        assert abs(sum(guess.score for guess in guesses) - 1) < 1e-4
        assert all(np.isfinite(guess.score) for guess in guesses)


def _give_rights(place: Path) -> None:
    for folder, names, _ in os.walk(place):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755)


def photograph(seed: int, size: tuple[int, int] = (16, 12), colour: Sequence[int] = (128, 128, 128)) -> bytes:
    """Make a small photograph.

    Args:
        seed: of its noise.
        size: width and height.
        colour: about which it lies.

    Returns:
        PNG.
    """
    random = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + random.integers(-60, 60, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
