"""Extraction on this machine: a thread a core that reads, hashes, decodes and runs the backbone.

All four release Python's lock, so a thread a core keeps every core busy. Where files are slow to arrive (a network
disk, an object store), threads of their own read ahead: at 10 ms a file they made 430 photographs a second of 125, on
two cores. From a warm disk they would cost a few percent (586 in place of 601 a second, five rounds in turn), for
being handed from thread to thread, so they are used only once reading has turned out to be slow.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from retrain.engines.budget import ByteBudget
from retrain.engines.pace import Pace
from retrain.engines.work import Contents, extract_contents, read_job
from retrain.extraction import ExtractFunction, Extraction, Job
from retrain.litert import usable_cores

# Threads that wait for the disk; 16 were no faster at 10 ms a file.
READERS = 8
# Answers waited for at a time: enough to never starve a thread, few enough that memory does not grow with the data set.
AHEAD = 48
# Bytes read and not yet extracted.
MAX_READ_AHEAD_BYTES = 200_000_000


class LocalEngine:
    """Extracts with the cores of this machine.

    Args:
        extract_one: bytes of an image file -> float32 (width,); called from several threads at once.
        threads: that decode and extract; 0 means one a core.
        readers: threads that read ahead where files are slow to arrive.
        ahead: jobs that are begun before the first one is answered.
    """

    def __init__(
        self, extract_one: ExtractFunction, threads: int = 0, readers: int = READERS, ahead: int = AHEAD
    ) -> None:
        self._extract_one = extract_one
        self._threads = threads or usable_cores()
        self._readers = readers
        self._ahead = ahead

    def extract(self, jobs: Iterable[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.
        """
        waiting: deque[Callable[[], Extraction]] = deque()
        crew = _Crew(self._extract_one, self._threads, self._readers, known)
        try:
            for job in jobs:
                waiting.append(crew.start(job))
                if len(waiting) >= self._ahead:
                    yield waiting.popleft()()
            while waiting:
                yield waiting.popleft()()
        finally:
            crew.stop()


class _Crew:
    """Two pools. A reader hands on what it has read, so that no extracting thread ever waits for a disk."""

    def __init__(self, extract_one: ExtractFunction, threads: int, readers: int, known: Container[bytes]) -> None:
        self._extract_one, self._known = extract_one, known
        self._pace = Pace()
        self._budget = ByteBudget(MAX_READ_AHEAD_BYTES)
        self._reading = ThreadPoolExecutor(readers, thread_name_prefix="read")
        self._extracting = ThreadPoolExecutor(threads, thread_name_prefix="extract")

    def start(self, job: Job) -> Callable[[], Extraction]:
        """Have a job done; the answer waits for it."""
        if self._pace.is_slow_to_read():
            handed_on = self._reading.submit(self._read_ahead, job)
            return lambda: handed_on.result().result()
        return self._extracting.submit(self._do, job).result

    def _do(self, job: Job) -> Extraction:
        start = time.perf_counter()
        contents = read_job(job)
        return self._extract(contents, time.perf_counter() - start)

    def _read_ahead(self, job: Job) -> Future[Extraction]:
        reserved: list[int] = []

        def reserve(size: int) -> None:
            self._budget.take(size)
            reserved.append(size)

        start = time.perf_counter()
        contents = read_job(job, reserve)
        return self._extracting.submit(self._give_back, contents, time.perf_counter() - start, sum(reserved))

    def _give_back(self, contents: Contents, reading_s: float, reserved: int) -> Extraction:
        try:
            return self._extract(contents, reading_s)
        finally:
            self._budget.give_back(reserved)

    def _extract(self, contents: Contents, reading_s: float) -> Extraction:
        start = time.perf_counter()
        answer = extract_contents(contents, self._known, self._extract_one)
        self._pace.note(reading_s, time.perf_counter() - start)
        return answer

    def stop(self) -> None:
        """Let nothing new begin, and nobody wait."""
        # Readers first: they submit to the others.
        self._budget.close()
        self._reading.shutdown(wait=False, cancel_futures=True)
        self._extracting.shutdown(wait=False, cancel_futures=True)
