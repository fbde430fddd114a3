"""The process that decodes, seen from outside: started, given jobs, listened to, and asked why it ended."""

from __future__ import annotations

import builtins
import contextlib
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from retrain import errors, leash
from retrain.backbones.prepare import child_environment
from retrain.engines.endings import MEMORY, Ending, ending_of, memory_kills
from retrain.engines.frames import Failure, Order, job_bytes, receive_answer, send_order
from retrain.errors import RetrainError
from retrain.extraction import Extraction, Job

CHILD = "retrain.engines.child"
_LAST_LINES, _LINE_BYTES = 5, 1 << 12
# How long a process whose output ended may take to end itself.
_ENDING_S = 10.0


class EndedError(Exception):
    """The process ended, or ran out of memory, before it had answered all jobs.

    Args:
        ending: how.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.detail)
        self.ending = ending


class DecodingProcess:
    """A running process that decodes and extracts.

    Args:
        order: what it is told first.
        known: digests of contents that need no vector, one behind the other.
    """

    def __init__(self, order: Order, known: bytes) -> None:
        self._kills = memory_kills()
        self._greeted = False
        command = leash.child(CHILD)
        self._process = subprocess.Popen(
            command.words, pass_fds=command.descriptors,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment(),
            **_apart(),
        )  # fmt: skip
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self._listener = threading.Thread(target=self._listen, name="decoding stderr", daemon=True)
        self._listener.start()
        with contextlib.suppress(BrokenPipeError):  # the first answer says why
            send_order(self._pipe("stdin"), order, known)

    def send(self, jobs: Sequence[Job | None]) -> None:
        """Hand jobs over.

        Args:
            jobs: None is the end.
        """
        stream = self._pipe("stdin")
        with contextlib.suppress(BrokenPipeError):  # the next answer says why
            stream.write(b"".join(map(job_bytes, jobs)))
            stream.flush()

    def receive(self) -> Extraction:
        """Wait for an answer.

        Returns:
            Of the first job that has none yet.

        Raises:
            EndedError: the process ended.
            RetrainError: it could not start; or what ended the extraction, as any other exception that did.
        """
        try:
            answer = receive_answer(self._pipe("stdout"))
            if answer is None:
                self._greeted = True
                return self.receive()
        except EOFError:
            raise self._as_ended() from None
        if isinstance(answer, Failure):
            raise _as_raised(answer)
        return answer

    def end(self) -> None:
        """Kill it: it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait()
        self._listener.join(_ENDING_S)
        for name in ("stdin", "stdout", "stderr"):
            with contextlib.suppress(OSError):  # half a frame may be left to be written
                self._pipe(name).close()

    def _as_ended(self) -> Exception:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING_S)
        self._listener.join(_ENDING_S)
        ending = ending_of(self._process.returncode, list(self._said), self._kills, memory_kills())
        if self._greeted:
            return EndedError(ending)
        return RetrainError(
            "expected the process that decodes photographs to start, but "
            f"{ending.detail.removeprefix('the process ')}; try it by itself: {sys.executable} -m {CHILD} < /dev/null"
        )

    def _pipe(self, name: str) -> IO[bytes]:
        pipe: IO[bytes] = getattr(self._process, name)
        return pipe

    def _listen(self) -> None:
        # Warnings of libraries are shown as if they had been said here; the last lines may explain an end.
        stream = self._pipe("stderr")
        while line := stream.readline(_LINE_BYTES):
            text = line.decode(errors="replace").rstrip()
            print(text, file=sys.stderr, flush=True)
            if text:
                self._said.append(text)


def _as_raised(failure: Failure) -> Exception:
    """What the same work would have raised in this process."""
    if failure.kind == "MemoryError":
        return EndedError(Ending(MEMORY, f"memory ran out ({failure.text or 'MemoryError'})"))
    kind = getattr(errors, failure.kind, None) or getattr(builtins, failure.kind, None)
    known = isinstance(kind, type) and issubclass(kind, Exception)
    try:
        error = kind(failure.text) if known and kind is not None else RuntimeError(f"{failure.kind}: {failure.text}")
    except TypeError:  # it takes more than a sentence
        error = RuntimeError(f"{failure.kind}: {failure.text}")
    error.add_note(f"raised in the process that decodes:\n{failure.trace}")
    return error


def _apart() -> dict[str, Any]:
    """Keep the terminal's Ctrl-C from it: the run ends it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
