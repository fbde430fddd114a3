"""Tells open pages what changed, as server-sent events (WHATWG HTML, section 9.2).

What is told is small: which part is new, and how far a job has come. A page that missed something, because its line
broke or it was too slow, asks for the whole state when it comes back; so nothing is kept for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import threading
from collections.abc import AsyncIterator
from typing import Any

# Events that a page may be behind; what comes after that, it asks for.
_BEHIND = 256
# A comment every so often, so that a broken line is noticed on both sides.
HEARTBEAT_S = 15.0


class Events:
    """Hands events from any thread to all pages that listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners = dict[asyncio.Queue[str], asyncio.AbstractEventLoop]()

    def tell(self, kind: str, /, **facts: Any) -> None:  # noqa: ANN401
        """Tell all pages.

        Args:
            kind: name of the event.
            facts: what JSON can hold; a number that is none becomes null.
        """
        told = {name: None if _is_no_number(value) else value for name, value in facts.items()}
        text = f"event: {kind}\ndata: {json.dumps(told)}\n\n"
        with self._lock:
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            with contextlib.suppress(RuntimeError):  # its loop has been closed
                loop.call_soon_threadsafe(_put, queue, text)

    @property
    def count(self) -> int:
        """How many pages listen."""
        with self._lock:
            return len(self._listeners)

    async def stream(self) -> AsyncIterator[str]:
        """Listen.

        Yields:
            Events as text; the first one at once, so that a page knows that it is heard.
        """
        queue = asyncio.Queue[str](_BEHIND)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield "retry: 1000\nevent: hello\ndata: {}\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._listeners.pop(queue, None)


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _put(queue: asyncio.Queue[str], text: str) -> None:
    if queue.full():
        # A page that does not read: it gets the newest, and is told to ask for everything.
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait("event: missed\ndata: {}\n\n")
    queue.put_nowait(text)
