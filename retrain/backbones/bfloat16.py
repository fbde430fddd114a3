"""The frozen backbone in bfloat16, for processors that calculate it faster than float32.

LiteRT has no bfloat16, so this runs the backbone's frozen graph in TensorFlow (oneDNN), in a process of its own
(bfloat16_child.py): its gigabyte and its chatter stay out of the run, and it ends with the run, whatever happens.
Measured (bench/engines.py): it pays for backbones of InceptionV3's size and not for the MobileNets, which
LiteRT runs as fast in float32. bfloat16 has 8 bits of mantissa: InceptionV3's vectors (random weights) came out 0.4 %
off, the bundled MobileNet's 6 %, in OpenVINO just as here. The run measures it and says so.
"""

from __future__ import annotations

import contextlib
import queue
import subprocess
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from retrain import leash
from retrain.backbones.extractor import FrozenBackbone, parts
from retrain.backbones.prepare import PreparedBackbone, child_environment
from retrain.distortions import UNDISTORTED, Distortion
from retrain.errors import NumericalError, RetrainError
from retrain.extraction import Description
from retrain.images import Floats, InputSpec, Pixels, normalise

# oneDNN chooses its kernels by shape, so that every batch has this one, filled up with zeros where photographs are few:
# then a vector cannot depend on which others were computed with it (tests/cli/test_bfloat16_run.py compares them).
BATCH = 8
# Threads that must wait for a vector at a time: one batch is computed while the next one is decoded.
THREADS_WAITING = 2 * BATCH
# How long a batch waits to be filled.
_LINGER_S = 0.1
# The first answer comes after TensorFlow's import; the slowest backbone takes seconds a batch on one core.
ANSWER_TIMEOUT_S = 600.0
# TensorFlow's, which no setting silences.
_GREETINGS = (b"I0000 ", b"WARNING: All log messages before absl::InitializeLog()")
_REMEDY = "run again with --precision float32"


@dataclass(frozen=True)
class FrozenFiles:
    """What is needed of a prepared backbone.

    Args:
        tflite: its LiteRT file.
        graph: its frozen graph.
        input_spec: size and scaling of its input.
        feature_width: length of its vector.
    """

    tflite: Path
    graph: Path
    input_spec: InputSpec
    feature_width: int

    @classmethod
    def of(cls, backbone: PreparedBackbone) -> Self:
        """Take it from one."""
        return cls(backbone.tflite, backbone.graph, backbone.spec.input_spec, backbone.spec.feature_width)


class Bfloat16Backbone(FrozenBackbone):
    """Turns photographs into bottleneck vectors in bfloat16; may be called from any number of threads.

    The child process is started by the first photograph, so that a run whose vectors are cached has none.

    Args:
        backbone: its files present and whole.
        threads: cores to calculate with.
        distortion: what ``views`` draws from; by default nothing is distorted.
    """

    def __init__(
        self, backbone: PreparedBackbone | FrozenFiles, threads: int, distortion: Distortion = UNDISTORTED
    ) -> None:
        files = backbone if isinstance(backbone, FrozenFiles) else FrozenFiles.of(backbone)
        super().__init__(files.tflite, files.input_spec, distortion)
        self._files, self._threads = files, threads
        self._batches = _Batches(files, threads)

    def description(self) -> Description:
        """Say how another process of this machine makes the same extractor.

        Returns:
            Who makes it, and of what.
        """
        files = self._files
        own = {"graph": str(files.graph.absolute()), "width": files.feature_width, "threads": self._threads}
        return Description(f"{__name__}:described", {**super().description().arguments, **own})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batches.close()

    def features(self, pixels: Pixels | Floats) -> Floats:
        """Run the backbone on one picture.

        Args:
            pixels: uint8 or, when distorted, float32 (H, W, 3), RGB, 0 to 255, of the backbone's input size.

        Returns:
            float32 (feature_width,).

        Raises:
            NumericalError: a feature is not a finite number.
            RetrainError: the process that calculates ended or does not answer.
        """
        vector = self._batches.ask(normalise(pixels, self._input_spec)[0])
        if not np.isfinite(vector).all():
            raise NumericalError(f"the backbone gave a feature that is not a finite number in bfloat16; {_REMEDY}")
        return vector


class _Batches:
    """Gathers pictures of many threads into batches; a thread of its own hands them to the child, one at a time."""

    def __init__(self, files: FrozenFiles, threads: int) -> None:
        self._files, self._threads = files, threads
        self._asked: queue.Queue[tuple[Floats, Future[Floats]] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._over: RetrainError | None = None

    def ask(self, picture: Floats) -> Floats:
        """Wait for one picture's vector."""
        answer: Future[Floats] = Future()
        with self._lock:
            if self._over is not None:
                raise self._over
            if self._child is None:
                self._child = _Child(self._files, self._threads)
                threading.Thread(target=self._serve, args=(self._child,), name="bfloat16", daemon=True).start()
            self._asked.put((picture, answer))
        try:
            return answer.result(timeout=ANSWER_TIMEOUT_S)
        except TimeoutError as error:
            failure = RetrainError(f"the bfloat16 process gave no answer within {ANSWER_TIMEOUT_S:g} s; {_REMEDY}")
            self._end(failure)
            raise failure from error

    def close(self) -> None:
        """End the child, and let nobody wait for it any longer."""
        self._end(RetrainError("the bfloat16 process was ended with the run"))

    def _end(self, reason: RetrainError) -> None:
        with self._lock:
            self._over = self._over or reason
            child, self._child = self._child, None
            if child is not None:
                child.end()
                self._asked.put(None)

    def _serve(self, child: _Child) -> None:
        batch: list[tuple[Floats, Future[Floats]]] = []
        try:
            while batch := self._next_batch():
                vectors = child.run([picture for picture, _ in batch])
                for vector, (_, answer) in zip(vectors, batch, strict=False):  # the rest is filling
                    answer.set_result(vector)
        except (OSError, ValueError, EOFError):
            self._end(RetrainError(f"the bfloat16 process ended:\n{child.last_words()}\n{_REMEDY}"))
        for _, answer in [*batch, *self._drain()]:
            answer.set_exception(self._over or RetrainError("the bfloat16 process ended"))

    def _next_batch(self) -> list[tuple[Floats, Future[Floats]]]:
        """Wait for a picture, and a little longer for others; empty: the end."""
        batch: list[tuple[Floats, Future[Floats]]] = []
        deadline = float("inf")
        while len(batch) < BATCH:
            try:
                asked = self._asked.get(timeout=max(0.0, deadline - time.monotonic()) if batch else None)
            except queue.Empty:
                return batch
            if asked is None:
                self._asked.put(None)  # for the next call
                return batch
            if not batch:
                deadline = time.monotonic() + _LINGER_S
            batch.append(asked)
        return batch

    def _drain(self) -> list[tuple[Floats, Future[Floats]]]:
        left = []
        with self._lock:  # nobody asks any more once _over is set
            while not self._asked.empty():
                asked = self._asked.get_nowait()
                if asked is not None:
                    left.append(asked)
        return left


class _Child:
    """The process that calculates: batches in, vectors out, both of a fixed size."""

    def __init__(self, files: FrozenFiles, threads: int) -> None:
        spec = files.input_spec
        self._shape = (BATCH, spec.height, spec.width, 3)
        self._answer = (BATCH, files.feature_width)
        module = "retrain.backbones.bfloat16_child"
        words = [str(files.graph), *map(str, self._shape[:3]), str(files.feature_width), str(threads)]
        command = leash.child(module, *words)
        self._process = subprocess.Popen(
            command.words, pass_fds=command.descriptors,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment(),
        )  # fmt: skip
        self._said: deque[str] = deque(maxlen=8)
        self._listener = threading.Thread(target=self._listen, name="bfloat16 stderr", daemon=True)
        self._listener.start()

    def run(self, pictures: list[Floats]) -> Floats:
        """Run one batch.

        Raises:
            EOFError, OSError, ValueError: the process has ended.
        """
        batch = np.zeros(self._shape, np.float32)
        batch[: len(pictures)] = pictures
        self._pipe("stdin").write(batch.data)
        self._pipe("stdin").flush()
        answer = np.empty(self._answer, np.float32)
        got = self._pipe("stdout").readinto(answer.data.cast("B"))  # type: ignore[attr-defined]
        if got != answer.nbytes:
            raise EOFError
        return answer

    def last_words(self) -> str:
        """What it wrote to its standard error in the end."""
        self._listener.join(timeout=5)
        return "\n".join(self._said) or "it said nothing"

    def end(self) -> None:
        """Kill it: it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        self._listener.join(timeout=5)
        for name in ("stdin", "stdout", "stderr"):
            with contextlib.suppress(OSError):  # half a batch may be left to be written
                self._pipe(name).close()

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] = getattr(self._process, name)
        return pipe

    def _listen(self) -> None:
        for line in self._pipe("stderr"):
            if not line.startswith(_GREETINGS):
                self._said.append(line.decode(errors="replace").rstrip())


def described(graph: str, width: int, threads: int, **frozen: Any) -> Bfloat16Backbone:  # noqa: ANN401
    """Make an extractor of its description.

    Args:
        graph: path of the frozen graph.
        width: length of its vector.
        threads: cores to calculate with.
        frozen: what extractor.describe wrote.

    Returns:
        The extractor.
    """
    tflite, input_spec, distortion = parts(**frozen)
    return Bfloat16Backbone(FrozenFiles(tflite, Path(graph), input_spec, width), threads, distortion)


def threads_for(precision: str, threads: int) -> int:
    """Say how many threads must extract at a time.

    Args:
        precision: "float32" or "bfloat16".
        threads: ``--threads``; 0 means one a core.

    Returns:
        As many as given; for bfloat16 enough to fill batches, most of which wait.
    """
    return THREADS_WAITING if precision == "bfloat16" else threads
