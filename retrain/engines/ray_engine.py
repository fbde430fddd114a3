"""Extraction on Ray: blocks of jobs go out to a worker a core, vectors come back to the one writer in this process.

A worker that is lost (a node that went down, memory that ran out, a photograph that crashes a decoder) takes up to two
blocks with it. Their photographs are done again one at a time, each alone on a worker: the one whose worker dies twice
is skipped, with that reason, and every other has its vector.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from retrain.engines.ray_crew import Crew, Member
from retrain.engines.ray_session import session
from retrain.errors import ImageError, RetrainError
from retrain.extraction import ExtractFunction, Extraction, Job
from retrain.litert import usable_cores
from retrain.storage import is_url

# Photographs a block: 0.2 s of work, beside which some milliseconds of Ray are little; and what a lost worker costs.
BLOCK = 64
# Blocks out a worker: one that is done and one that waits, so that it never idles.
_OUT = 2
_TRIES = 2
_WINDOW = 4096


@dataclass(frozen=True)
class Block:
    """Jobs that go out together.

    Args:
        start: place of the first among all jobs.
        jobs: at least one.
        deaths: how many workers died with it, when it is a single job.
        suspect: whether it goes to a worker that has nothing else.
    """

    start: int
    jobs: tuple[Job, ...]
    deaths: int = 0
    suspect: bool = False


class RayEngine:
    """Extracts with the cores of a Ray cluster.

    Args:
        extract_one: bytes of an image file -> float32 (width,); shipped to the workers.
        address: "auto" or host:port of a cluster; empty starts Ray on this machine, for the time of the extraction.
        cores: of this machine, for a Ray that is started; 0 means all.
    """

    def __init__(self, extract_one: ExtractFunction, address: str = "", cores: int = 0) -> None:
        self._extract_one = extract_one
        self._address = address
        self._cores = cores or usable_cores()

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.

        Raises:
            UsageError: Ray cannot be joined, or a node does not see the photographs or runs another version.
            RetrainError: workers keep dying, or there are none.
        """
        if not jobs:
            return
        with session(self._address, self._cores) as ray:
            crew = Crew(ray, self._extract_one, known, _folders(jobs[0]))
            try:
                yield from _Dispatch(ray, crew, jobs).answers()
            finally:
                crew.close()


class _Dispatch:
    """Which blocks are still to go out, which are out and with whom, and answers that wait for their turn."""

    def __init__(self, ray: ModuleType, crew: Crew, jobs: Sequence[Job]) -> None:
        self._ray, self._crew, self._jobs = ray, crew, jobs
        cores = crew.cores()
        # Few photographs are spread over all workers.
        self._size = min(BLOCK, max(1, len(jobs) // (4 * cores)))
        self._starts = deque(range(0, len(jobs), self._size))
        self._suspects: deque[Block] = deque()
        self._out: dict[Any, tuple[Member, Block]] = {}
        # Photographs beyond the first one without an answer: while that is done again, the others go on so far.
        self._window = _WINDOW + 2 * _OUT * BLOCK * cores
        self._early: dict[int, Extraction] = {}
        self._next = 0

    def answers(self) -> Iterator[Extraction]:
        while self._next < len(self._jobs):
            self._crew.fill(len(self._starts) + len(self._suspects) + len(self._out))
            self._hand_out()
            for reference in self._crew.wait(self._out):
                self._settle(reference)
            while self._next in self._early:
                self._next += 1
                yield self._early.pop(self._next - 1)

    def _hand_out(self) -> None:
        for member in self._crew.members:
            while (block := self._next_for(member)) is not None:
                self._out[member.handle.do.remote(block.jobs)] = member, block
                member.load += 1
                member.alone = block.suspect

    def _next_for(self, member: Member) -> Block | None:
        if member.load and (member.alone or self._suspects):
            return None  # a suspect shares its worker with nothing, so that only the culprit is counted
        if self._suspects:
            return self._suspects.popleft()
        if self._starts and member.load < _OUT and self._starts[0] < self._next + self._window:
            start = self._starts.popleft()
            return Block(start, tuple(_shipped(job) for job in self._jobs[start : start + self._size]))
        return None

    def _settle(self, reference: Any) -> None:  # noqa: ANN401
        member, block = self._out.pop(reference)
        member.load -= 1
        lost = self._ray.exceptions
        try:
            answers = self._ray.get(reference)
        except lost.RayTaskError as error:
            raise error.cause from error  # what the local engine would have raised
        except (lost.RayActorError, lost.WorkerCrashedError, lost.ObjectLostError, lost.OutOfMemoryError) as error:
            self._crew.lose(member, error)
            self._after_loss(block)
        except lost.RayError as error:
            raise RetrainError(f"Ray: {' '.join(str(error).split())}; what came back is kept") from error
        else:
            self._crew.praise()
            self._early.update(enumerate(answers, block.start))

    def _after_loss(self, block: Block) -> None:
        if not block.suspect:
            alone = (Block(place, (job,), suspect=True) for place, job in enumerate(block.jobs, block.start))
            self._suspects.extend(alone)
        elif block.deaths + 1 < _TRIES:
            self._suspects.append(replace(block, deaths=block.deaths + 1))
        else:
            reason = ImageError("killed its worker twice", "a process that read it alone ended, two times")
            self._early[block.start] = Extraction(
                block.jobs[0].index, time.time_ns(), sha256=None, vector=None, error=reason, stamp=None
            )


def _folders(job: Job) -> list[str]:
    """What a worker must see: a node without the disk would call all photographs unreadable, and fast."""
    folder = Path(os.path.abspath(job.path)).parent
    return [] if is_url(job.path) or not folder.is_dir() else [str(folder)]


def _shipped(job: Job) -> Job:
    """A worker has a current folder of its own."""
    return job if is_url(job.path) else replace(job, path=os.path.abspath(job.path))
