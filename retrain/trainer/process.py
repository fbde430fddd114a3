"""The training process seen from outside: started, listened to, asked to stop, ended."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from retrain import fsio
from retrain.backbones.prepare import child_environment
from retrain.console import printable

Event = dict[str, Any]

# The module that is started, with the job's folder as its one word.
CHILD = "retrain.trainer.child"
# Of what it says on its way out.
_LAST_LINES, _LAST_BYTES, _LINE_BYTES = 5, 4000, 1 << 20
# How long a process whose output ended may take to end itself.
_ENDING_S = 10.0
_UNSAID = {"SIGKILL": ", perhaps because memory ran out"}


class TrainingProcess:
    """A running training; ended with the block, whatever happens.

    Args:
        folder: of the job, which is written.
    """

    def __init__(self, folder: Path) -> None:
        self._errors = fsio.scratch(folder)
        self._chatter: deque[str] = deque(maxlen=_LAST_LINES)
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", CHILD, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=_environment(),
                **_apart(),
            )  # fmt: skip
        except BaseException:
            self._errors.close()
            raise
        self._listener = threading.Thread(target=self._listen, name="training", daemon=True)
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def events(self, most_s: float = float("inf")) -> Iterator[Event]:
        """Listen.

        Args:
            most_s: for so long.

        Yields:
            What the process says, until it says no more or the time is over.
        """
        until = time.monotonic() + most_s
        while (left_s := until - time.monotonic()) > 0:
            try:
                # Trap: without a time limit Windows does not interrupt the wait for Ctrl-C.
                line = self._lines.get(timeout=min(left_s, 1.0))
            except queue.Empty:
                continue
            if not line:
                self._lines.put(b"")  # for who asks again
                return
            event = _event(line)
            if event is not None:
                yield event
            elif line.strip():
                self._chatter.append(line.decode(errors="replace").strip())

    def ask_to_stop(self, number: int) -> None:
        """Ask for a checkpoint and the end.

        Args:
            number: SIGINT or SIGTERM.
        """
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if sys.platform == "win32":
                self._process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                self._process.send_signal(number)

    def last_words(self) -> str:
        """Say how it ended.

        Returns:
            By which signal or code, and the last lines that it left, safe to print.
        """
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            return "it closed its output and went on"
        how = f"exit code {code}"
        if code < 0:
            name = signal.Signals(-code).name
            how = name + _UNSAID.get(name, "")
        return "\n".join([how, *map(printable, [*self._chatter, *self._tail()])])

    def _tail(self) -> list[str]:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _LAST_BYTES))
        said = self._errors.read().decode(errors="replace")
        return [line for line in said.splitlines() if line.strip()][-_LAST_LINES:]

    def _listen(self) -> None:
        stream: IO[bytes] | None = self._process.stdout
        while stream is not None and (line := stream.readline(_LINE_BYTES)):
            self._lines.put(line)
        self._lines.put(b"")


def _event(line: bytes) -> Event | None:
    """Tell what the process says from what its libraries print."""
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(line)
        if isinstance(said, dict) and isinstance(said.get("event"), str):
            return said
    return None


def _environment() -> dict[str, str]:
    return {"TF_CPP_MIN_LOG_LEVEL": "2", **child_environment()}


def _apart() -> dict[str, Any]:
    """Keep the terminal's Ctrl-C from it: this process passes it on, once."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}
