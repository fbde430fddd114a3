"""One job, wherever it runs: read, hash, decode, run the backbone; every engine calls this, so that all agree."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Container

from retrain.bottlenecks import ExtractFunction, Extraction, Job, Stamp
from retrain.errors import ImageError
from retrain.images import read_image_file


def extract_job(job: Job, known: Container[bytes], extract_one: ExtractFunction) -> Extraction:
    """Read and hash a file and, unless its content is known, extract its vector.

    Args:
        job: what to do.
        known: digests that need no vector.
        extract_one: bytes of an image file -> float32 (width,).

    Returns:
        What came of it; a file that is no image is an answer, too.
    """
    read_ns = time.time_ns()
    before = _stamp(job.path)
    sha = vector = error = None
    try:
        data = read_image_file(job.path)
        sha = hashlib.sha256(data).digest()
        if sha not in known:
            vector = extract_one(data)
    except ImageError as failure:
        error = failure
    # A file that changed while it was read is used as read, but not remembered by its date.
    stamp = before if before == _stamp(job.path) else None
    return Extraction(job.index, read_ns, sha, vector, error, stamp)


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None  # read_image_file says why
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
