"""A bound on the bytes that are read ahead, so that memory does not grow with the size of the photographs."""

from __future__ import annotations

import threading


class BudgetClosedError(Exception):
    """Nobody will give bytes back any more."""


class ByteBudget:
    """So many bytes may be out at a time; whoever wants more waits.

    Args:
        limit: bytes. One file larger than this may be out alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._out = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        """Wait until there is room, and take it.

        Args:
            size: bytes.

        Raises:
            BudgetClosedError: the budget was closed, before or meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._out == 0 or self._out + size <= self._limit)
            if self._closed:
                raise BudgetClosedError
            self._out += size

    def give_back(self, size: int) -> None:
        """Let others have the room.

        Args:
            size: bytes, as they were taken.
        """
        with self._changed:
            self._out -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Wake all who wait, with BudgetClosedError: at an interrupt, so that no thread is left hanging."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
