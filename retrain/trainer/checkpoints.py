"""Checkpoints: all that a training needs to go on as if nothing had happened, in one .npz each, written beside it.

A file is whole or not there (fsio), its checksum is inside, and nothing in it is code. The last few are kept, and those
of the best epochs that they name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from retrain import fsio
from retrain.errors import RetrainError
from retrain.trainer.progress import Progress

Arrays = list[npt.NDArray[Any]]

_NAME = re.compile(r"checkpoint-([0-9]{10})\.npz")
_FACTS, _SHA256 = "facts", "sha256"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A moment of a training.

    Args:
        progress: how far it is.
        arrays: of the variables, in their order.
    """

    progress: Progress
    arrays: Arrays


class Checkpoints:
    """The checkpoints of a job; writes in a thread of its own, in the order given, and has written all when left.

    Args:
        folder: of the job.
        digest: of the job; those of another are not taken up.
        kept: so many of the last stay.
        written: told step and path of each that is on the disk; called in the writing thread.
    """

    def __init__(self, folder: Path, digest: str, kept: int, written: Callable[[int, Path], None]) -> None:
        self._folder, self._digest, self._kept, self._written = folder, digest, kept, written
        # One waits while another is being written: more would only need memory.
        self._waiting: queue.Queue[Checkpoint | None] = queue.Queue(maxsize=1)
        self._failure: Exception | None = None
        # Step of a checkpoint -> step of the best epoch that it names.
        self._bests: dict[int, int] = {}
        self._thread = threading.Thread(target=self._write_all, name="checkpoints", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if error is None:
            self._complain()

    def write(self, progress: Progress, arrays: Arrays) -> None:
        """Have a checkpoint written; returns before it is on the disk.

        Args:
            progress: how far the training is; copied.
            arrays: the caller's no longer.

        Raises:
            RetrainError: one before it could not be written.
        """
        self._complain()
        self._waiting.put(Checkpoint(Progress.from_facts(json.loads(json.dumps(progress.facts()))), arrays))

    def settle(self) -> None:
        """Wait until all that was given is on the disk.

        Raises:
            RetrainError: it could not be written.
        """
        self._waiting.join()
        self._complain()

    def latest(self, fits: Callable[[Arrays], str], damaged: Callable[[str], None]) -> Checkpoint | None:
        """Read the last checkpoint that is whole.

        Args:
            fits: says what is wrong with the arrays, or nothing.
            damaged: told of each that cannot be used; it is moved aside.

        Returns:
            The checkpoint; None where there is none.
        """
        for step in sorted(self._steps(), reverse=True):
            try:
                checkpoint = self.read(step)
                problem = fits(checkpoint.arrays)
                best = checkpoint.progress.best_step
                if not problem and best not in (0, step):
                    self.read(best)  # which the end of the training may need
            except RetrainError as error:
                problem = str(error)
            if not problem:
                return checkpoint
            self._set_aside(step)
            damaged(f"{self._path(step).name} cannot be used, going on from the one before: {problem}")
        return None

    def read(self, step: int) -> Checkpoint:
        """Read a checkpoint.

        Args:
            step: its number.

        Returns:
            The checkpoint.

        Raises:
            RetrainError: it is not there, not whole, or of another job.
        """
        path = self._path(step)
        try:
            facts, arrays = _read(path)
            if facts["digest"] != self._digest:
                raise ValueError("it belongs to another training")
            progress = Progress.from_facts(facts["progress"])
            if progress.step != step:
                raise ValueError(f"it is of step {progress.step}")
        except _UNREADABLE as error:
            raise RetrainError(f"cannot read the checkpoint {path}: {error}") from error
        self._bests[step] = progress.best_step
        return Checkpoint(progress, arrays)

    def _complain(self) -> None:
        if self._failure is not None:
            error = self._failure
            raise RetrainError(
                f"cannot write a checkpoint to {self._folder}: {error}; make room there and run the same command again"
            ) from error

    def _write_all(self) -> None:
        while (checkpoint := self._waiting.get()) is not None:
            try:
                if self._failure is None:
                    self._write(checkpoint)
            except Exception as error:  # noqa: BLE001 - raised again where the next is given
                self._failure = error
            self._waiting.task_done()

    def _write(self, checkpoint: Checkpoint) -> None:
        step = checkpoint.progress.step
        facts = {"digest": self._digest, "progress": checkpoint.progress.facts()}
        with fsio.replacing(self._path(step)) as file:
            np.savez(file, allow_pickle=False, **_members(facts, checkpoint.arrays))
        self._bests[step] = checkpoint.progress.best_step
        self._tidy()
        self._written(step, self._path(step))

    def _tidy(self) -> None:
        last = sorted(self._steps())[-self._kept :]
        needed = {*last, *(self._best_of(step) for step in last)}
        for step in self._steps():
            if step not in needed:
                fsio.remove(self._path(step))

    def _best_of(self, step: int) -> int:
        if step not in self._bests:
            with contextlib.suppress(RetrainError):  # then nothing that it names can be needed
                self.read(step)
        return self._bests.get(step, step)

    def _steps(self) -> list[int]:
        found = (_NAME.fullmatch(path.name) for path in self._folder.glob("checkpoint-*.npz"))
        return [int(name[1]) for name in found if name]

    def _path(self, step: int) -> Path:
        return self._folder / f"checkpoint-{step:010d}.npz"

    def _set_aside(self, step: int) -> None:
        path = self._path(step)
        fsio.move(path, path.with_name(f"{path.name}.damaged"))


def _members(facts: dict[str, Any], arrays: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    written = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    members = {_FACTS: written, **{f"arr_{number}": array for number, array in enumerate(arrays)}}
    return {**members, _SHA256: np.frombuffer(_digest([written, *arrays]), np.uint8)}


def _digest(arrays: Sequence[npt.NDArray[Any]]) -> bytes:
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(f"{array.dtype.str} {array.shape}\n".encode())
        sha256.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha256.digest()


def _read(path: Path) -> tuple[dict[str, Any], Arrays]:
    with path.open("rb") as file:
        # Before anything in it is believed, such as how much memory an array needs.
        with zipfile.ZipFile(file) as archive:
            torn = archive.testzip()
        if torn is not None:
            raise ValueError(f"{torn} is damaged")
        file.seek(0)
        with np.load(file, allow_pickle=False) as members:
            facts = members[_FACTS]
            arrays = [members[f"arr_{number}"] for number in range(len(members.files) - 2)]
            if members[_SHA256].tobytes() != _digest([facts, *arrays]):
                raise ValueError("its checksum is wrong")
    told: dict[str, Any] = json.loads(facts.tobytes())
    return told, arrays


@contextlib.contextmanager
def alone(folder: Path, waiting: Callable[[], None], stopping: Callable[[], bool]) -> Iterator[bool]:
    """Keep other processes of this machine from training the same job.

    Args:
        folder: of the job.
        waiting: called once where another process is at it.
        stopping: whether to wait no longer.

    Yields:
        Whether this process is the one; False where stopping said so.
    """
    told = False
    while not stopping():
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(fsio.locked(folder / "training", timeout_s=0.5 if told else 0.0))
            except RetrainError:
                if not told:
                    waiting()
                told = True
                continue
            yield True
            return
    yield False
