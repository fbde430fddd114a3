"""Whose turn it is and when: one request at a time a host, with a pause between, and so many a second in all.

Workers never sleep for one host while another could be asked. A request that is to be tried again comes back here, and
its host is left alone for as long as it wants.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Turns(Generic[_T]):
    """Hands out jobs.

    Args:
        gap_s: seconds from the end of a request to the next one to its host.
        per_s: requests a second in all.
        clock: seconds, never going back.
    """

    def __init__(self, gap_s: float, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap_s, self._between_s, self._clock = gap_s, 1 / per_s, clock
        self._jobs: defaultdict[str, deque[_T]] = defaultdict(deque)
        self._ready: list[tuple[float, int, str]] = []  # hosts that have jobs and are not being asked
        self._free_at: dict[str, float] = {}
        self._busy: set[str] = set()
        self._next_at = 0.0
        self._order = itertools.count()
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, host: str, job: _T) -> None:
        """Add a job.

        Args:
            host: that it asks.
            job: behind the others of that host.
        """
        with self._changed:
            self._jobs[host].append(job)
            if len(self._jobs[host]) == 1 and host not in self._busy:
                self._line_up(host)
            self._changed.notify_all()

    def done(self, host: str, *, gap_s: float = 0.0) -> None:
        """Say that the request that was handed out has ended.

        Args:
            host: that was asked.
            gap_s: how long it is to be left alone; at least the usual pause is kept.
        """
        with self._changed:
            self._busy.discard(host)
            self._free_at[host] = self._clock() + max(gap_s, self._gap_s)
            if self._jobs[host]:
                self._line_up(host)
            else:
                del self._jobs[host]
            self._changed.notify_all()

    def _line_up(self, host: str) -> None:
        heapq.heappush(self._ready, (self._free_at.get(host, 0.0), next(self._order), host))

    def take(self) -> tuple[str, _T] | None:
        """Wait for a turn.

        Returns:
            Host and job; None once all is done, or stopped.
        """
        with self._changed:
            while not self._stopped:
                found = self.poll()
                if found is None or isinstance(found, tuple):
                    return found
                self._changed.wait(found or None)
        return None

    def poll(self) -> tuple[str, _T] | float | None:
        """Take a turn if there is one now.

        Returns:
            Host and job; or the seconds to wait, 0 where it depends on what is under way; or None: all is done.
        """
        if not self._ready:
            return 0.0 if self._busy else None
        now = self._clock()
        wait_s = max(self._ready[0][0], self._next_at) - now
        if wait_s > 0:
            return wait_s
        host = heapq.heappop(self._ready)[2]
        self._next_at = now + self._between_s
        self._busy.add(host)
        return host, self._jobs[host].popleft()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
