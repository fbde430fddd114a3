"""What an engine is asked, and what it answers.

Apart from both sides, the cache (bottlenecks) and the engines, because the process that decodes imports this and
neither SQLite nor the rooms of datasets: it starts in half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from retrain.errors import ImageError

Floats = npt.NDArray[np.float32]
ExtractFunction = Callable[[bytes], Floats]
# Bytes of an image file, their digest, V view numbers -> float32 (V, width).
ViewFunction = Callable[[bytes, bytes, Sequence[int]], Floats]
DIGEST_BYTES = 32


@runtime_checkable
class ViewExtractor(Protocol):
    """An extractor that knows how to distort."""

    def views(self, data: bytes, sha256: bytes, numbers: Sequence[int]) -> Floats:
        """Extract distorted views.

        Args:
            data: the bytes of an image file.
            sha256: their digest.
            numbers: which views, V of them.

        Returns:
            float32 (V, width).
        """


class Description(NamedTuple):
    """How an extractor is made again in another process.

    Args:
        maker: ``module:function``, which that process imports.
        arguments: by name, what JSON can hold.
    """

    maker: str
    arguments: dict[str, Any]


@runtime_checkable
class Describable(Protocol):
    """An extractor that can be made again elsewhere."""

    def __call__(self, data: bytes) -> Floats:
        """Extract; see ExtractFunction."""

    def description(self) -> Description:
        """Say how.

        Returns:
            Who makes it, and of what; an extractor made so gives the same vectors.
        """


@dataclass(frozen=True, slots=True)
class Job:
    """One file to read.

    Args:
        index: its place in the catalog.
        path: where it lies.
        views: numbers of the distorted views to extract; empty for the photograph itself.
    """

    index: int
    path: str
    views: tuple[int, ...] = ()


class Stamp(NamedTuple):
    """What a directory says of a file: bytes, and the times of its last changes in nanoseconds."""

    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Extraction:
    """What came of one file.

    Args:
        index: its place in the catalog.
        read_ns: when its bytes were read, nanoseconds since the epoch.
        sha256: digest of its bytes; None when they could not be read.
        vector: float32 (width,); None when the content was known already, or on an error.
        error: why there is no vector.
        stamp: its state when it was read; None when that changed meanwhile or could not be examined.
        views: float32 (V, width), the job's views in its order; None when it named none, or on an error.
    """

    index: int
    read_ns: int
    sha256: bytes | None
    vector: Floats | None
    error: ImageError | None
    stamp: Stamp | None
    views: Floats | None = None


class Engine(Protocol):
    """Where extraction runs."""

    def extract(self, jobs: Sequence[Job], known: Container[bytes]) -> Iterator[Extraction]:
        """Read, hash and, unless the content is known, extract.

        Args:
            jobs: what to do.
            known: digests that need no vector.

        Yields:
            One answer a job, in order.
        """
