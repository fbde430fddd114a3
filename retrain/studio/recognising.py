"""Photographs that were moved are known by their content: the engine, and its process, is for new ones alone.

A file that has another name is another file to the cache's index, so it is read again. What starts then costs more
than all else of a correction but the training: 0.15 s for a process that may die of a decoder. Nothing is decoded here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Sequence

from retrain.engines.work import read_job
from retrain.extraction import Engine, Extraction, Job

# More than these at a time are a folder that was added, whose photographs are new.
MOST_MOVED = 64


class Recognising:
    """Reads and hashes a few files itself, and hands on those whose content nobody knows.

    Args:
        engine: extracts.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, have it extracted.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.
        """
        if len(jobs) > MOST_MOVED:
            yield from self._engine.extract(jobs, known)
            return
        recognised = [_recognised(job, known) for job in jobs]
        strangers = [job for job, answer in zip(jobs, recognised, strict=True) if answer is None]
        extracted = iter(self._engine.extract(strangers, known) if strangers else ())
        for answer in recognised:
            yield next(extracted) if answer is None else answer


def _recognised(job: Job, known: Container[bytes]) -> Extraction | None:
    contents = read_job(job)
    if contents.data is None or job.views:
        return None  # the engine says what is wrong with it
    sha = hashlib.sha256(contents.data).digest()
    if sha not in known:
        return None
    return Extraction(job.index, contents.read_ns, sha, None, None, contents.stamp)
