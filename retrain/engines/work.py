"""One job, wherever it runs: read, hash, decode, run the backbone; every engine calls this, so that all agree."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Container
from dataclasses import dataclass

from retrain import storage
from retrain.console import printable
from retrain.errors import ImageError, NumericalError
from retrain.extraction import ExtractFunction, Extraction, Job, Stamp, ViewExtractor, ViewFunction
from retrain.images import read_image_file
from retrain.storage import is_url


@dataclass(frozen=True, slots=True)
class Contents:
    """What was read of one file.

    Args:
        job: what was asked for.
        read_ns: when its bytes were read, nanoseconds since the epoch.
        data: its bytes; None when they could not be read.
        error: why not.
        stamp: its state when it was read; None when that changed meanwhile or could not be examined.
    """

    job: Job
    read_ns: int
    data: bytes | None
    error: ImageError | None
    stamp: Stamp | None


def extract_job(job: Job, known: Container[bytes], extract_one: ExtractFunction) -> Extraction:
    """Read and hash a file and, unless its content is known, extract its vector.

    Args:
        job: what to do; when it names views, these are extracted in place of the photograph itself.
        known: digests that need no vector.
        extract_one: bytes of an image file -> float32 (width,); a ViewExtractor when jobs name views.

    Returns:
        What came of it; a file that is no image is an answer, too.
    """
    return extract_contents(read_job(job), known, extract_one)


def read_job(job: Job, reserve: Callable[[int], object] = lambda size: None) -> Contents:
    """Read a file.

    Args:
        job: which.
        reserve: told how many bytes it has, before they are read; may wait until there is room.

    Returns:
        Its bytes, or why there are none.
    """
    read_ns = time.time_ns()
    before = _stamp(job.path)
    data = error = None
    reserve(before.size if before else 0)
    try:
        data = read_image_file(job.path)
    except ImageError as failure:
        error = failure
    # A file that changed while it was read is used as read, but not remembered by its date.
    # An object of a store is replaced whole or not at all; it was read after it was asked for, so it is no older.
    stamp = before if is_url(job.path) or before == _stamp(job.path) else None
    return Contents(job, read_ns, data, error, stamp)


def extract_contents(contents: Contents, known: Container[bytes], extract_one: ExtractFunction) -> Extraction:
    """Hash what was read and, unless it is known, extract its vector.

    Args:
        contents: of one file.
        known: digests that need no vector.
        extract_one: bytes of an image file -> float32 (width,); a ViewExtractor when jobs name views.

    Returns:
        What came of it.

    Raises:
        NumericalError: a feature of it is not a finite number; says of which file.
    """
    job, data, error = contents.job, contents.data, contents.error
    sha = vector = views = None
    if data is not None:
        sha = hashlib.sha256(data).digest()
        try:
            if job.views:
                views = _views_of(extract_one)(data, sha, job.views)
            elif sha not in known:
                vector = extract_one(data)
        except ImageError as failure:
            error = failure
        except NumericalError as failure:
            raise NumericalError(f"{printable(job.path)}: {failure}") from failure
    return Extraction(job.index, contents.read_ns, sha, vector, error, contents.stamp, views)


def _views_of(extract_one: ExtractFunction) -> ViewFunction:
    if not isinstance(extract_one, ViewExtractor):
        raise TypeError(f"expected an extractor with a method views, got {type(extract_one).__name__}")
    return extract_one.views


def _stamp(path: str) -> Stamp | None:
    try:
        if is_url(path):
            remote = storage.stat(path)
            return Stamp(remote.size, remote.mtime_ns, remote.tag) if remote.is_told_apart else None
        status = os.stat(path)
    except (OSError, ValueError):
        return None  # read_image_file says why
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
