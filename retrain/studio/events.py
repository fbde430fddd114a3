"""Tells open pages what changed, as server-sent events (WHATWG HTML, section 9.2).

What is told is small: which part is new, and how far a job has come. A page that missed something, because its line
broke or it was too slow, asks for the whole state when it comes back; so nothing is kept for it. The same goes for
what was told between a page's first question and the moment it was heard: answers and events both say how much had
been told by then, so that a page knows which of two is the newer.
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
        self._told = 0

    def tell(self, kind: str, /, **facts: Any) -> None:  # noqa: ANN401
        """Tell all pages.

        Args:
            kind: name of the event.
            facts: what JSON can hold; a number that is none becomes null.
        """
        data = json.dumps({name: None if _is_no_number(value) else value for name, value in facts.items()})
        with self._lock:
            self._told += 1
            text = f"id: {self._told}\nevent: {kind}\ndata: {data}\n\n"
            listeners = list(self._listeners.items())
        for queue, loop in listeners:
            with contextlib.suppress(RuntimeError):  # its loop has been closed
                loop.call_soon_threadsafe(_put, queue, text)

    @property
    def count(self) -> int:
        """How many pages listen."""
        with self._lock:
            return len(self._listeners)

    @property
    def so_far(self) -> int:
        """How many events there have been; to be read before the facts that are answered with it."""
        with self._lock:
            return self._told

    async def stream(self) -> AsyncIterator[str]:
        """Listen.

        Yields:
            Events as text; the first one at once, so that a page knows that it is heard.
        """
        queue = asyncio.Queue[str](_BEHIND)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
            told = self._told
        try:
            yield f'retry: 1000\nevent: hello\ndata: {{"told": {told}}}\n\n'
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
