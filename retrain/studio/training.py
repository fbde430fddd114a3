"""A whole run, or further formats of its model, started from a page: in a process of its own, told as it goes.

The process ends with the studio, however that ends, and can be ended at any moment: what it writes, it writes whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from retrain import leash
from retrain.config import RunConfig
from retrain.engines.endings import ending_of, memory_kills
from retrain.errors import RetrainError, UsageError
from retrain.studio.events import Events
from retrain.studio.telling import Pace

CHILD = "retrain.studio.child"
RUN, EXPORT = "run", "export"
_LINES, _COMPLAINTS = 400, 40
# What a run that was cancelled may take to put things in order before it is killed.
_GRACE_S = 5.0
_STAGE = {"stage": str, "done": int, "total": int, "unit": str}


@dataclass(frozen=True)
class Progress:
    """How a run is doing.

    Args:
        state: "idle", "running", "done", "cancelled" or "failed".
        job: RUN, or EXPORT where no head is trained.
        stage: what it is doing, in two or three words.
        done: items of the stage that are done.
        total: items of the stage.
        unit: what an item is called, in the plural.
        left_s: seconds until the stage ends, as far as can be said; None: it cannot.
        lines: what it said, the latest last.
        error: why it failed.
        seconds: how long it took, or has taken so far.
    """

    state: str = "idle"
    job: str = RUN
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    left_s: float | None = None
    lines: tuple[str, ...] = ()
    error: str = ""
    seconds: float = 0.0


class Trainer:
    """Starts runs, one at a time.

    Args:
        events: told how it goes, as "training".
        when_done: called with the config of a run that ended well, in the thread that watched it.
        child: module that a run is.
    """

    def __init__(self, events: Events, when_done: Callable[[RunConfig], object], child: str = CHILD) -> None:
        self.progress = Progress()
        self._events, self._when_done, self._child = events, when_done, child
        self._lock = threading.Lock()
        self._running: _Running | None = None
        # A run of many steps speaks a thousand times a second, which no page could show.
        self._unsaid = deque[str](maxlen=_LINES)
        self._pace = Pace(self._say)

    @property
    def is_running(self) -> bool:
        """Whether a run is going on; its photographs must stay where they are."""
        return self._running is not None

    def start(self, config: RunConfig, formats: Sequence[str] = ()) -> None:
        """Start a run.

        Args:
            config: already checked.
            formats: those that the model on the disk is to be written in, without a run; none: a run.

        Raises:
            UsageError: one is running, or the machine has no room for a further process.
        """
        job = EXPORT if formats else RUN
        with self._lock:
            if self._running is not None:
                raise UsageError("a run is going on already; wait for it, or cancel it")
            try:
                running = self._running = _Running(self._child, config, job)
            except OSError as error:
                raise UsageError(f"no process could be started: {error.strerror}; end other programs first") from error
            self.progress = Progress(state="running", job=job, stage="Starting")
        self._pace.now()
        order = json.dumps({"config": asdict(config), "formats": list(formats)}).encode()
        threading.Thread(target=self._watch, args=(running, order), name="trainer", daemon=True).start()

    def cancel(self) -> bool:
        """End the run as Ctrl-C would.

        Returns:
            Whether there was one.
        """
        running = self._running
        if running is None:
            return False
        running.cancel()
        return True

    def close(self) -> None:
        """End the run, if there is one, and wait for it."""
        running = self._running
        if running is not None:
            running.cancel()
            running.over.wait(_GRACE_S + 2)

    def _watch(self, running: _Running, order: bytes) -> None:
        flaw = "an error of the studio itself; what it was stands in the terminal"
        ended = Progress(state="failed", job=running.job, error=flaw)
        try:
            running.tell(order)
            for line in running.lines():
                self._hear(line)
            ended = self._ended(running, running.end())
        finally:
            self._running, self.progress = None, ended
            running.over.set()
            self._pace.now()

    def _ended(self, running: _Running, code: int) -> Progress:
        error = "" if code == 0 or running.is_cancelled else self.progress.error or running.ending(code)
        if code == 0 and running.job == RUN:
            try:
                self._when_done(running.config)
            except RetrainError as failure:  # the folder has vanished meanwhile, perhaps
                error = f"the run ended well; then {failure}"
        state = "cancelled" if running.is_cancelled and code else "failed" if error else "done"
        return replace(self.progress, state=state, error=error, left_s=None, seconds=running.seconds)

    def _hear(self, line: bytes) -> None:
        facts = _facts_of(line)
        said = facts.get("line")
        now = replace(self.progress, seconds=self._running.seconds if self._running else 0.0)
        if said is not None:
            now = replace(now, lines=(*now.lines, said)[-_LINES:])
            self._unsaid.append(said)
        elif "error" in facts:
            now = replace(now, error=facts["error"])
        else:
            now = replace(now, **{name: facts[name] for name in (*_STAGE, "left_s")})
        is_new = now.stage != self.progress.stage
        self.progress = now
        (self._pace.now if is_new else self._pace.ask)()

    def _say(self) -> None:
        facts = asdict(self.progress)
        facts["lines"] = [self._unsaid.popleft() for _ in range(len(self._unsaid))]
        self._events.tell("training", **facts)


class _Running:
    """A process that a run is."""

    def __init__(self, module: str, config: RunConfig, job: str) -> None:
        self.config, self.job = config, job
        self.is_cancelled, self.over = False, threading.Event()
        self._begun, self._kills = time.monotonic(), memory_kills()
        self._killer: threading.Timer | None = None
        command = leash.child(module)
        self._process = subprocess.Popen(
            command.words, pass_fds=command.descriptors,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # Ctrl-C in the terminal is the studio's, which ends the run in good order, once.
            start_new_session=True,
        )  # fmt: skip
        self._complaints = _Complaints(self._process)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._begun, 1)

    def tell(self, order: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended already; how, is told by its code
            self._stream("stdin").write(order)
        with contextlib.suppress(OSError):
            self._stream("stdin").close()

    def lines(self) -> Any:  # noqa: ANN401
        return self._stream("stdout")

    def cancel(self) -> None:
        self.is_cancelled = True
        self._process.send_signal(signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
        if self._killer is None:
            self._killer = threading.Timer(_GRACE_S, self._process.kill)
            self._killer.daemon = True
            self._killer.start()

    def end(self) -> int:
        code = self._process.wait()
        if self._killer is not None:
            self._killer.cancel()
        self._complaints.wait()
        self._stream("stdout").close()
        return code

    def ending(self, code: int) -> str:
        """Say how it ended, where it did not say itself why."""
        said = self._complaints.said
        if code > 0 and said:
            return "\n".join(said)
        return (
            f"the run did not end by itself: {ending_of(code, said, self._kills, memory_kills()).detail}; train again"
        )

    def _stream(self, name: str) -> Any:  # noqa: ANN401
        stream = getattr(self._process, name)
        if stream is None:
            raise RuntimeError("the run has no pipes")
        return stream


def _facts_of(line: bytes) -> Mapping[str, Any]:
    """Read what a run told; what a library printed among it is a line like others."""
    text = line.decode(errors="replace").rstrip()
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return {"line": text}
    if not isinstance(facts, dict):
        return {"line": text}
    if isinstance(facts.get("line"), str) or isinstance(facts.get("error"), str):
        return facts
    is_stage = all(isinstance(facts.get(name), kind) for name, kind in _STAGE.items())
    return facts if is_stage and isinstance(facts.get("left_s"), float | int | None) else {"line": text}


class _Complaints:
    """Reads standard error in a thread of its own, so that a full pipe never stops the run."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.said: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._thread.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        if process.stderr is None:
            raise RuntimeError("the run has no pipes")
        with process.stderr as pipe:
            for line in pipe:
                self.said = [*self.said, line.decode(errors="replace").rstrip()][-_COMPLAINTS:]

    def wait(self) -> None:
        self._thread.join(timeout=1)
