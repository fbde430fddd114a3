"""Extraction on this machine: threads that read ahead, and a thread a core that hashes, decodes and runs the backbone.

Reading, hashing, decoding (Pillow) and the backbone (LiteRT) all release Python's lock, so a thread a core keeps
every core busy. Readers of their own cost nothing that could be measured on a warm disk (both 0.1 ms of overhead a
photograph), and where a file takes 10 ms to arrive (a network disk, an object store) they made 430 photographs a
second of 125, on two cores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from retrain.bottlenecks import ExtractFunction, Extraction, Job
from retrain.engines.budget import ByteBudget
from retrain.engines.work import Contents, extract_contents, read_job
from retrain.litert import usable_cores

# Threads that wait for the disk; 16 were no faster at 10 ms a file.
READERS = 8
# Answers waited for at a time: enough to never starve a thread, few enough that memory does not grow with the data set.
_QUEUE = 48
# Bytes read and not yet extracted.
MAX_READ_AHEAD_BYTES = 200_000_000


class LocalEngine:
    """Extracts with the cores of this machine.

    Args:
        extract_one: bytes of an image file -> float32 (width,); called from several threads at once.
        threads: that decode and extract; 0 means one a core.
        readers: threads that read ahead.
    """

    def __init__(self, extract_one: ExtractFunction, threads: int = 0, readers: int = READERS) -> None:
        self._extract_one = extract_one
        self._threads = threads or usable_cores()
        self._readers = readers

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.
        """
        waiting: deque[Future[Future[Extraction]]] = deque()
        crew = _Crew(self._extract_one, self._threads, self._readers, known)
        try:
            for job in jobs:
                waiting.append(crew.start(job))
                if len(waiting) >= _QUEUE:
                    yield waiting.popleft().result().result()
            while waiting:
                yield waiting.popleft().result().result()
        finally:
            crew.stop()


class _Crew:
    """Two pools. A reader hands on what it has read, so that no extracting thread ever waits for a disk."""

    def __init__(self, extract_one: ExtractFunction, threads: int, readers: int, known: Container[bytes]) -> None:
        self._extract_one, self._known = extract_one, known
        self._budget = ByteBudget(MAX_READ_AHEAD_BYTES)
        self._reading = ThreadPoolExecutor(readers, thread_name_prefix="read")
        self._extracting = ThreadPoolExecutor(threads, thread_name_prefix="extract")

    def start(self, job: Job) -> Future[Future[Extraction]]:
        return self._reading.submit(self._read, job)

    def _read(self, job: Job) -> Future[Extraction]:
        reserved: list[int] = []

        def reserve(size: int) -> None:
            self._budget.take(size)
            reserved.append(size)

        contents = read_job(job, reserve)
        return self._extracting.submit(self._extract, contents, sum(reserved))

    def _extract(self, contents: Contents, reserved: int) -> Extraction:
        try:
            return extract_contents(contents, self._known, self._extract_one)
        finally:
            self._budget.give_back(reserved)

    def stop(self) -> None:
        # Readers first: they submit to the others.
        self._budget.close()
        self._reading.shutdown(wait=False, cancel_futures=True)
        self._extracting.shutdown(wait=False, cancel_futures=True)
