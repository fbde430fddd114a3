"""How many requests that cost something are served at a time, how many wait, and how long.

Triton and TensorFlow Serving bound all three: a server that takes on everything answers nothing in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):  # noqa: N818
    """As many are waiting as may."""


class Late(Exception):  # noqa: N818
    """It took longer than it may."""


class Turns:
    """Runs functions in threads, a few at a time.

    Args:
        at_once: functions that run at a time.
        waiting: functions that may wait for their turn.
        timeout_s: how long a caller waits for the answer, waiting for the turn included.
    """

    def __init__(self, at_once: int = 2, waiting: int = 16, timeout_s: float = 30.0) -> None:
        self._most, self._timeout_s, self._taken, self._is_closed = at_once + waiting, timeout_s, 0, False
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="studio")

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function when its turn comes.

        Args:
            function: takes nothing.

        Returns:
            What it returned.

        Raises:
            Busy: as many wait as may.
            Late: it took too long; it goes on in its thread, and its place is free when it is done.
        """
        if self._is_closed:
            raise Busy("the studio is being closed")
        if self._taken >= self._most:
            raise Busy(f"{self._taken} requests are being served or wait; ask again in a moment")
        self._taken += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, function)
        future.add_done_callback(self._give_back)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._timeout_s)
        except TimeoutError as error:
            raise Late(f"no answer within {self._timeout_s:g} s") from error

    def _give_back(self, future: asyncio.Future[T]) -> None:
        self._taken -= 1
        if not future.cancelled():
            future.exception()  # seen: nobody may be waiting for it any more

    def close(self) -> None:
        """Begin nothing new."""
        self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
