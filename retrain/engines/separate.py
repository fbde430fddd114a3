"""Extraction on this machine in a process of its own, which may die: of a decoder that crashes, or for want of memory.

What it held is done again one photograph after the other. The one that ends a process by itself, too, is put aside:
twice it was there when one died, and the second time alone. All others have their vectors, and the run goes on.

Measured (bench/isolation.py, two cores of an EPYC): starting the process takes 0.2 s of processor time (NumPy, Pillow,
LiteRT), its frames cost less than can be told. That is 4 % of a whole run over 84 new photographs, below 5 % of the
extraction of some thousands, and nothing where all vectors are cached. Tried in its place: forking (0.02 s, but Python
warns of it, and rightly, wherever another thread lives: a progress bar, a notebook, a server), and a note of what is in
hand for the next run to read (nothing, but this run would be lost).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from retrain.console import printable
from retrain.engines.digests import packed
from retrain.engines.endings import MEMORY, Ending
from retrain.engines.frames import Order
from retrain.engines.local import AHEAD, LocalEngine
from retrain.engines.process import DecodingProcess, EndedError
from retrain.errors import ImageError, RetrainError
from retrain.extraction import Describable, Extraction, Job
from retrain.litert import usable_cores
from retrain.storage import is_of_this_process

# Jobs out at a time: what the process has begun, and some that lie ready; so many are done again after it died.
_OUT = AHEAD + 16
# How many are handed over together.
_TOGETHER = 8
# So many photographs one after the other are not to blame: it is the machine, or a library.
CRASHES_IN_A_ROW = 20


class SeparateEngine:
    """Extracts with the cores of this machine, in a process of its own.

    What only this process can read (fsspec's memory://) is extracted in it.

    Args:
        extract_one: bytes of an image file -> float32 (width,); made again there.
        threads: that decode and extract; 0 means one a core.
    """

    def __init__(self, extract_one: Describable, threads: int = 0) -> None:
        self._extract_one = extract_one
        self._threads = threads or usable_cores()

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order; for a file that ends its process twice, why it is left out.

        Raises:
            RetrainError: the process cannot be started, or one photograph after the other ends it.
        """
        if not jobs:
            return
        if is_of_this_process(jobs[0].path):
            yield from LocalEngine(self._extract_one, self._threads).extract(jobs, known)
            return
        work = _Work(self._extract_one, self._threads, jobs, known)
        try:
            yield from work.answers()
        finally:
            work.stop()


class _Work:
    """One extraction: which jobs are out, with which process, and what becomes of them when it dies."""

    def __init__(self, extract_one: Describable, threads: int, jobs: Sequence[Job], known: Container[bytes]) -> None:
        self._description, self._threads = extract_one.description(), threads
        self._jobs, self._handed_over = jobs, 0
        self._known, self._digests = known, packed(known)
        self._out: deque[Job] = deque()
        self._process: DecodingProcess | None = None
        self._in_a_row = 0

    def answers(self) -> Iterator[Extraction]:
        while self._out or self._handed_over < len(self._jobs):
            try:
                yield from self._side_by_side()
            except EndedError as died:
                self.stop()
                if died.ending.reason == MEMORY:  # fewer pictures at a time
                    self._threads = max(1, self._threads // 2)
                yield from self._one_by_one()

    def _side_by_side(self) -> Iterator[Extraction]:
        process = self._start(self._threads, AHEAD)
        while True:
            self._hand_over(process)
            if not self._out:
                return
            answer = process.receive()
            self._out.popleft()
            yield self._as_asked(answer)

    def _hand_over(self, process: DecodingProcess) -> None:
        room = _OUT - len(self._out)
        if room < _TOGETHER or self._handed_over == len(self._jobs):
            return
        last = min(self._handed_over + room, len(self._jobs))
        jobs = [self._jobs[place] for place in range(self._handed_over, last)]
        self._out.extend(jobs)
        self._handed_over = last
        process.send([*jobs, None] if last == len(self._jobs) else jobs)

    def _one_by_one(self) -> Iterator[Extraction]:
        """Do again what was out when a process died."""
        while self._out:
            process = self._process or self._start(threads=1, ahead=1)
            job = self._out.popleft()
            process.send([job])
            try:
                answer = process.receive()
            except EndedError as died:
                self.stop()
                answer = self._put_aside(job, died.ending)
            else:
                self._in_a_row = 0
            yield self._as_asked(answer)
        self.stop()

    def _put_aside(self, job: Job, ending: Ending) -> Extraction:
        self._in_a_row += 1
        if self._in_a_row >= CRASHES_IN_A_ROW:
            raise RetrainError(
                f"{self._in_a_row} photographs one after the other ended the process that decodes them; expected that "
                "of a damaged file now and then, so this is rather the machine or a library. The last one: "
                f"{printable(job.path)}: {ending.detail}. What was extracted is kept; try "
                "--threads=1, or install the packages anew"
            )
        error = ImageError(ending.reason, f"{ending.detail}; twice, the second time with no other file at hand")
        return Extraction(job.index, time.time_ns(), sha256=None, vector=None, error=error, stamp=None)

    def _as_asked(self, answer: Extraction) -> Extraction:
        if self._digests is None and answer.vector is not None and answer.sha256 in self._known:
            return replace(answer, vector=None)  # the process could not be told
        return answer

    def _start(self, threads: int, ahead: int) -> DecodingProcess:
        order = Order(self._description.maker, self._description.arguments, threads, ahead)
        self._process = DecodingProcess(order, self._digests or b"")
        return self._process

    def stop(self) -> None:
        """End the process, where there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.end()
