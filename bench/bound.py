"""What the machine could do at best: how fast extraction would be if nothing but arithmetic and decoding took time.

    bound.py THREADS SECONDS        prints the peak of sgemm, floating-point operations a second

Two bounds, each of two rates that share the same cores and so add up as times a photograph:
the physical one, the backbone's floating-point operations at the measured peak of sgemm, and decoding alone;
and the one of the parts, the engine alone on decoded pixels, and decoding alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")

GEMM_SIDE = 2048
BARRIER_S = 60.0
# What OpenBLAS' kernels of that name need of the processor.
_AVX512 = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@dataclass(frozen=True)
class Rates:
    """One round, all cores busy.

    Args:
        gemm_flops_per_s: peak of sgemm, floating-point operations a second.
        flops: floating-point operations that the backbone takes for one photograph.
        decode_per_s: photographs a second, decoding and resizing alone.
        engine_per_s: photographs a second, the backbone alone on decoded pixels.
        extraction_per_s: photographs a second, the whole extraction.
    """

    gemm_flops_per_s: float
    flops: float
    decode_per_s: float
    engine_per_s: float
    extraction_per_s: float

    @property
    def physical_per_s(self) -> float:
        """Photographs a second at the peak of sgemm, decoding included."""
        return in_turn(self.gemm_flops_per_s / self.flops, self.decode_per_s)

    @property
    def parts_per_s(self) -> float:
        """Photographs a second if extraction were no more than its two parts."""
        return in_turn(self.engine_per_s, self.decode_per_s)

    @property
    def share_of_physical(self) -> float:
        """Which share of the physical bound extraction reaches, 0 to 1."""
        return self.extraction_per_s / self.physical_per_s

    @property
    def share_of_parts(self) -> float:
        """Which share of the bound of the parts extraction reaches, 0 to 1."""
        return self.extraction_per_s / self.parts_per_s


def in_turn(*rates: float) -> float:
    """Combine rates of stages that take the same cores in turn: the reciprocal of the sum of their times."""
    return 1 / sum(1 / rate for rate in rates)


def gemm_peak(threads: int, seconds: float) -> float:
    """Measure sgemm of square matrices; the best of all that fit into ``seconds``, at least two.

    Returns:
        Floating-point operations a second.
    """
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(0)
    a, b = (random.normal(size=(GEMM_SIDE, GEMM_SIDE)).astype(np.float32) for _ in range(2))
    product, walls, end = np.empty_like(a), [], time.perf_counter() + seconds
    with threadpool_limits(threads, user_api="blas"):
        while len(walls) < 2 or time.perf_counter() < end:
            start = time.perf_counter()
            np.matmul(a, b, out=product)
            walls.append(time.perf_counter() - start)
    return 2 * GEMM_SIDE**3 / min(walls)


def gemm_kernels(flags: set[str]) -> tuple[str, ...]:
    """List the kernels of OpenBLAS to try, "" its own choice: on some processors with AVX-512 it takes those for AVX2.

    Args:
        flags: what the processor can do, as /proc/cpuinfo calls it.
    """
    return ("", "SkylakeX") if flags >= _AVX512 else ("",)


def cpu_flags() -> set[str]:
    """Read what the processor can do; empty where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def best_gemm_peak(threads: int, seconds: float) -> float:
    """Measure sgemm with each kind of kernels, each in a process of its own, and keep the best.

    Returns:
        Floating-point operations a second.
    """
    peaks = []
    for kernels in gemm_kernels(cpu_flags()):
        environment = os.environ | ({"OPENBLAS_CORETYPE": kernels} if kernels else {})
        words = [sys.executable, __file__, str(threads), str(seconds)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"measuring sgemm failed with {done.returncode}:\n{done.stderr[-2000:]}")
        peaks.append(float(done.stdout))
    return max(peaks)


def rate(work: Callable[[T], object], items: Sequence[T], threads: int) -> float:
    """Do work on all items in threads; each thread does the first one beforehand, which does not count.

    Returns:
        Items a second.
    """
    barrier, shared = threading.Barrier(threads + 1), iter(items)

    def loop() -> None:
        try:
            work(items[0])
        except BaseException:
            barrier.abort()
            raise
        barrier.wait(BARRIER_S)
        for item in shared:
            work(item)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(loop) for _ in range(threads)]
        with suppress(threading.BrokenBarrierError):
            barrier.wait(BARRIER_S)
        start = time.perf_counter()
        failures = [failure for future in futures if (failure := future.exception())]
        wall_s = time.perf_counter() - start
    if failures:
        # A broken barrier is only the echo of what failed.
        raise min(failures, key=lambda failure: isinstance(failure, threading.BrokenBarrierError))
    return len(items) / wall_s


if __name__ == "__main__":
    print(gemm_peak(int(sys.argv[1]), float(sys.argv[2])))
