"""Ctrl-C and SIGTERM: an exception where one does no harm, the end for certain soon after, a second one ends at once.

The handler raises in the main thread, so that everything is unwound: commits, temporary files, child processes. Three
things stand against it. An exception out of the middle of an import comes out as something else, one out of ``__del__``
is swallowed, one out of the writing or removing of files leaves them behind: there it waits until that is over. The
main thread may be in a call that does not return, such as SQLite's wait for a lock: so a thread, which the C side of
the handler wakes, ends the process when the time is over. And a command that needs longer, to write a checkpoint, says
so.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import NoReturn, Self

from retrain.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}
# From the signal to the end, at most; what is unwound usually is in a tenth of it.
GRACE_S = 1.6
_AGAIN_S = 0.01
_OVER = b"\0"
_WAKE = b"\xff"
# Where an exception must not come from: imports, files being written or removed, the beginning and end of a command.
# Waiting for a lock may be interrupted.
_IMPORTING = "<frozen importlib"
_FILES = tuple(os.sep + os.path.join("retrain", *names) for names in (("fsio", "files.py"), ("fsio", "folders.py")))
_FUNCTIONS = ("__del__", "rmtree", "exit_codes")
_IS_POSIX = os.name == "posix"
_SHOW_CURSOR = "\x1b[?25h"


class Terminated(BaseException):
    """SIGTERM arrived."""


class Interrupts:
    """What a command does about signals, inside the block.

    Args:
        last_words: signal number -> what is said where it had to be ended.
    """

    _current: Interrupts | None = None

    def __init__(self, last_words: Callable[[int], str]) -> None:
        self._last_words = last_words
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._start_over()

    def _start_over(self) -> None:
        self._number = 0
        self._deadline = float("inf")
        self._was_raised = self._is_pending = False

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # signals are somebody else's there
        # Ignored by nohup, and where a shell starts something in the background; None: not Python's.
        mine = [number for number in CODES if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        if mine and _IS_POSIX:  # elsewhere the system's call wants a socket; the exception alone must do
            self._watch()
        self._outer, Interrupts._current = Interrupts._current, self
        self._before = {number: signal.signal(number, self._handle) for number in mine}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._is_pending:
            sys.setprofile(None)
        Interrupts._current = self._outer
        if _IS_POSIX:
            signal.set_wakeup_fd(self._woken_before, warn_on_full_buffer=False)
            os.write(self._writer, _OVER)
            self._watcher.join()
            os.close(self._writer)
            os.close(self._reader)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._was_raised and _IS_POSIX:
            return  # it is being unwound; another one is the watcher's
        self._is_pending = _IS_POSIX and _must_wait(frame)
        if not self._is_pending:
            self._raise(number)
        # The next call from somewhere else will do. (The watcher asks again, too: a loop may call nothing.)
        sys.setprofile(lambda frame, event, given: self._before_call(number, frame, event))

    def _before_call(self, number: int, frame: FrameType, event: str) -> None:
        if event in ("call", "c_call") and not _must_wait(frame):
            self._raise(number)

    def _raise(self, number: int) -> NoReturn:
        sys.setprofile(None)
        self._is_pending, self._was_raised = False, True
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    def _watch(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._woken_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._stand_by, name="signals", daemon=True)
        self._watcher.start()

    def _stand_by(self) -> None:
        repeated = 0
        while True:
            waiting = self._number != 0
            ready = select.select([self._reader], [], [], _AGAIN_S if waiting else None)[0]
            for byte in os.read(self._reader, 64) if ready else b"":
                if byte == _OVER[0]:
                    return
                if repeated:
                    repeated -= 1
                elif byte in CODES:
                    self._take(byte)
            if self._number and time.monotonic() > self._deadline:
                self._end()
            if self._number and self._is_pending:
                self._is_pending = False
                repeated += 1
                signal.pthread_kill(threading.main_thread().ident or 0, self._number)

    def _take(self, number: int) -> None:
        if self._number:
            self._end()
        self._deadline = time.monotonic() + GRACE_S
        self._number = number

    def _end(self) -> NoReturn:
        cursor = _SHOW_CURSOR if os.isatty(2) else ""
        with contextlib.suppress(OSError):
            os.write(2, f"{cursor}{self._last_words(self._number)}\n".encode(errors="backslashreplace"))
        os._exit(CODES[signal.Signals(self._number)])

    @classmethod
    @contextlib.contextmanager
    def patiently(cls) -> Iterator[None]:
        """Take the time that an end in good order needs; one more signal ends that as a first one ends others."""
        current = cls._current
        if current is None or not current._before:
            yield
            return
        while _IS_POSIX and current._was_raised and not current._number:
            time.sleep(_AGAIN_S)  # the watcher has not heard yet of what was raised here
        number = current._number
        current._start_over()
        yield
        current._was_raised, current._number, current._deadline = True, number, time.monotonic() + GRACE_S
        if _IS_POSIX:
            os.write(current._writer, _WAKE)


def _must_wait(frame: FrameType | None) -> bool:
    if frame is not None and frame.f_code.co_filename == contextlib.__file__:
        return True  # between a block and its beginning or end
    while frame is not None:
        name = frame.f_code.co_filename
        if frame.f_code.co_name in _FUNCTIONS or name.startswith(_IMPORTING) or name.endswith(_FILES):
            return True
        frame = frame.f_back
    return False


def program(module: str) -> NoReturn:
    """Be a command line: import it, run its ``main``, end.

    Args:
        module: its name.
    """
    from importlib import import_module

    code = import_module(module).main()
    if code in CODES.values():
        # All is unwound; what threads are still at would only be waited for.
        os._exit(code)
    sys.exit(code)
