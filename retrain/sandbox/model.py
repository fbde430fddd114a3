"""The caller's side of the sandbox: starts the process, asks it, bounds it, and believes nothing that it answers."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from retrain.console import printable
from retrain.errors import ModelError
from retrain.sandbox.bounds import MAX_PICTURE_BYTES, OUTPUT_FLAG, Bounds
from retrain.sandbox.wire import WireError, receive, send

if TYPE_CHECKING:
    import subprocess

    from retrain.images import Floats

DEFAULT = Bounds()
# The module that is started.
CHILD = "retrain.sandbox.child"
# How long a process that closed its pipe may take to end by itself, which tells how it did.
_LAST_WORDS_S = 2.0
# Sentences about limits are short; what the model says comes later.
_MAX_SENTENCES, _MAX_TEXT = 32, 600
# Passed on to the process; everything else of the environment, and with it every secret, is not.
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR")
# TensorFlow's, which no setting silences.
_GREETINGS = (b"I0000 ", b"WARNING: All log messages before absl::InitializeLog()")


class SandboxedModel:
    """A model that may do more than calculate, run by TensorFlow in a process with limits; for several threads.

    Args:
        path: a frozen graph (.pb) or the folder of a SavedModel; not trusted.
        input_node: the node, tensor or signature's input that takes the picture; empty to find it.
        output_node: the same for the scores.
        bounds: how much the process may have.

    Raises:
        ModelError: it is no such model, needs more than it may have, or does something that is refused.
    """

    def __init__(self, path: Path, *, input_node: str = "", output_node: str = "", bounds: Bounds = DEFAULT) -> None:
        self.path, self._bounds = path, bounds
        _check(path, bounds)
        self._lock = threading.Lock()
        self._child = _Child()
        self._threads = 1
        self._end = weakref.finalize(self, self._child.end)
        order = {"path": str(path.resolve()), "input_node": input_node, "output_node": output_node}
        try:
            told, opened = self._start({**order, "bounds": asdict(bounds)})
        except BaseException:
            self.close()
            raise
        self.limits: tuple[str, ...] = (
            *_sentences(told, "limits"),
            f"it has {bounds.load_s:g} s to open the model and {bounds.call_s:g} s a picture",
            "it is told nothing of this process's environment",
        )
        self.unenforced: tuple[str, ...] = _sentences(told, "unenforced")
        self.input_node, self.output_node = (_text(opened.get(key)) for key in ("input_node", "output_node"))
        self.input_shape = _shape(opened.get("shape"))

    def scores(self, batch: Floats) -> Floats:
        """Score one picture.

        Args:
            batch: float32 (1, H, W, 3), scaled as the model wants it.

        Returns:
            float32 (C,).

        Raises:
            ModelError: the model failed, took too long, or did not answer with one row of finite numbers.
            ValueError: the batch is of another type or shape.
        """
        one_picture = batch.ndim == 4 and batch.shape[0] == 1 and batch.shape[3] == 3
        if batch.dtype != np.float32 or not one_picture or not 0 < batch.nbytes <= MAX_PICTURE_BYTES:
            raise ValueError(f"expected float32 (1, H, W, 3) up to 4096 x 4096, got {batch.dtype} {batch.shape}")
        with self._lock:
            self._child.allow_cpu(self._bounds.cpu_s(self._bounds.call_s, self._threads))
            with self._speaking(self._bounds.call_s, "a picture"):
                send(self._child.pictures, {"shape": batch.shape}, np.ascontiguousarray(batch).data.cast("B"))
                facts, payload = receive(self._child.answers, 4 * self._bounds.classes)
        if "error" in facts:
            raise self._failure("to be run", facts)
        return self._believed(_shape(facts.get("shape")), payload)

    def close(self) -> None:
        """End the process: it holds nothing that could be lost."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, order: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the process says before it sees the model, and what the model then says."""
        with self._speaking(self._bounds.load_s, "opening it"):
            send(self._child.pictures, order)
            told, _ = receive(self._child.answers, 0)
            self._threads = max(1, int(told["threads"]))
            opened, _ = receive(self._child.answers, 0)
        if "error" in opened:
            raise self._failure("that TensorFlow opens in the sandbox", opened)
        return told, opened

    @contextlib.contextmanager
    def _speaking(self, most_s: float, what: str) -> Iterator[None]:
        """Kill the process when a message takes too long; say why it is gone."""
        late = threading.Event()

        def end() -> None:
            late.set()
            self._child.kill()

        timer = threading.Timer(most_s, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, EOFError | OSError):
                self._child.wait(_LAST_WORDS_S)
            self.close()
            raise self._ended(late.is_set() and f"{what} took more than {most_s:g} s", error) from error
        except BaseException:
            self.close()  # Ctrl-C in the middle of a message: the next one could not be told from its rest
            raise
        finally:
            timer.cancel()

    def _ended(self, late: str | bool, error: Exception) -> ModelError:
        if isinstance(error, WireError):
            return ModelError(f"{self._name}: the sandbox answered something else than agreed ({error}); {_ADVICE}")
        words = late or f"its process ended ({self._child.how_it_ended()})"
        return ModelError(f"{self._name}: expected an answer from the sandbox, but {words}; {_ADVICE}")

    def _failure(self, what: str, facts: dict[str, Any]) -> ModelError:
        return ModelError(f"expected {self._name} to be a model {what}, got: {_text(facts['error'])}; {_ADVICE}")

    def _believed(self, shape: tuple[int, ...], payload: bytes) -> Floats:
        count = math.prod(shape)
        if not shape or shape[-1] != count or count < 1 or len(payload) != 4 * count:
            raise ModelError(
                f"expected {self._name} to answer a picture with one row of scores, got {list(shape)[:8]} and "
                f"{len(payload)} bytes; name its output with {OUTPUT_FLAG}"
            )
        scores: Floats = np.frombuffer(payload, np.float32)
        if not np.isfinite(scores).all():
            raise ModelError(f"expected {self._name} to answer with finite scores, got NaN or infinity; {_ADVICE}")
        return scores

    @property
    def _name(self) -> str:
        return printable(str(self.path))


_ADVICE = "python -m retrain show prints what it holds"


class _Child:
    """The process and its pipes."""

    def __init__(self) -> None:
        import subprocess

        self._leash: int | None = None
        words: list[str] = []
        given: tuple[int, ...] = ()
        if os.name == "posix":
            held, self._leash = os.pipe()
            words, given = [str(held)], (held,)
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-B", "-m", CHILD, *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(),
                pass_fds=given, start_new_session=True,
            )  # fmt: skip
        finally:
            for descriptor in given:
                os.close(descriptor)
        # An abort says why in its first line, an exception in its last.
        self._said: tuple[list[str], deque[str]] = ([], deque(maxlen=2))
        self._listener = threading.Thread(target=self._listen, name="sandbox stderr", daemon=True)
        self._listener.start()

    @property
    def pictures(self) -> IO[bytes]:
        return self._pipe("stdin")

    @property
    def answers(self) -> IO[bytes]:
        return self._pipe("stdout")

    def allow_cpu(self, seconds: int) -> None:
        """Let it use so many processor seconds more; the process itself cannot."""
        if sys.platform != "linux":
            return  # it was said to be unenforced
        import resource

        # The kernel's name for the clock of another process: see clock_getcpuclockid(3).
        with contextlib.suppress(OSError):  # it has ended; the message that follows says so
            used = time.clock_gettime((~self._process.pid << 3) | 2)
            most = resource.prlimit(self._process.pid, resource.RLIMIT_CPU)[1]
            wanted = math.ceil(used) + seconds
            soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (soft, most))

    def kill(self) -> None:
        self._process.kill()

    def wait(self, most_s: float) -> None:
        import subprocess

        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(most_s)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join(timeout=5)
        for name in ("stdin", "stdout", "stderr"):
            with contextlib.suppress(OSError):  # half a message may be left to be written
                self._pipe(name).close()
        if self._leash is not None:
            os.close(self._leash)

    def how_it_ended(self) -> str:
        """By which signal or code, and what it said last."""
        import signal

        code = self._process.returncode
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = signal.Signals(-code).name
            how += {"SIGXCPU": ", out of processor time", "SIGABRT": ", perhaps out of memory"}.get(how, "")
        return "; ".join([how, *self._said[0], *self._said[1]])

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] = getattr(self._process, name)
        return pipe

    def _listen(self) -> None:
        stream = self._pipe("stderr")
        first, last = self._said
        while line := stream.readline(1 << 12):
            if not line.startswith(_GREETINGS) and line.strip():
                (first if len(first) < 2 else last).append(_text(line.decode(errors="replace").strip())[:200])


def _environment() -> dict[str, str]:
    """What Python and TensorFlow need to start, and nothing of what this process was told."""
    import site

    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root,
        "PYTHONUSERBASE": site.getuserbase(),
        "OPENBLAS_NUM_THREADS": "1",  # Trap: a thread that is there before the lockdown is not reached by Landlock
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def _check(path: Path, bounds: Bounds) -> None:
    """Everything that can be known of the files before a process is started."""
    if path.is_file():
        sizes = [path.stat().st_size]
    elif (path / "saved_model.pb").is_file():
        inside = [one for one in path.rglob("*") if one.is_symlink() or one.is_file()]
        for one in inside:
            if not one.resolve().is_relative_to(path.resolve()):
                raise ModelError(f"{printable(str(one))} is a link that leads out of the model's folder; not opened")
        sizes = [one.stat().st_size for one in inside if one.is_file()]
    else:
        raise ModelError(
            f"expected a frozen graph (.pb) or a folder with saved_model.pb, but {printable(str(path))} is neither"
        )
    if sum(sizes) > bounds.file_bytes:
        raise ModelError(f"expected at most {bounds.file_bytes} bytes, {printable(str(path))} has {sum(sizes)}")


def _sentences(facts: dict[str, Any], key: str) -> tuple[str, ...]:
    return tuple(_text(one) for one in list(facts.get(key, ()))[:_MAX_SENTENCES])


def _text(value: object) -> str:
    return printable(str(value)[:_MAX_TEXT])


def _shape(value: object) -> tuple[int, ...]:
    sizes = value if isinstance(value, list) and len(value) <= 8 else []
    return tuple(size for size in sizes if type(size) is int) if all(type(size) is int for size in sizes) else ()
