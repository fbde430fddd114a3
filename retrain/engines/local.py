"""Extraction on this machine: a pool of threads that each read, hash, decode and run the backbone.

Reading, hashing, decoding (Pillow) and the backbone (LiteRT) all release Python's lock, so a thread a core keeps
every core busy, and one image is one task: nothing has to be handed from thread to thread.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from retrain.bottlenecks import ExtractFunction, Extraction, Job
from retrain.engines.work import extract_job

# Tasks waiting a thread: enough to never starve one, few enough that memory does not grow with the data set.
_QUEUE_PER_THREAD = 8


class LocalEngine:
    """Extracts with the cores of this machine.

    Args:
        extract_one: bytes of an image file -> float32 (width,); called from several threads at once.
        threads: how many; 0 means one a core.
    """

    def __init__(self, extract_one: ExtractFunction, threads: int = 0) -> None:
        self._extract_one = extract_one
        self._threads = threads or usable_cores()

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.
        """
        waiting: deque[Future[Extraction]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="extract") as pool:
            try:
                for job in jobs:
                    waiting.append(pool.submit(extract_job, job, known, self._extract_one))
                    if len(waiting) >= self._threads * _QUEUE_PER_THREAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def usable_cores() -> int:
    """Count the cores this process may use.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
