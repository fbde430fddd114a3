"""How the process that decodes is talked to: frames of fixed heads and raw bytes, never anything that could be code.

First goes the order (what extractor, how many threads, which contents are known), then jobs, then an end. Back come a
greeting, an answer a job in their order, and at most one failure. Both sides are of one version: one starts the other.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import asdict, dataclass
from typing import IO, NamedTuple

import numpy as np

from retrain.errors import ImageError
from retrain.extraction import DIGEST_BYTES, Description, Extraction, Floats, Job, Stamp

_ORDER = struct.Struct("<IQ")  # bytes of JSON, bytes of digests
_JOB = struct.Struct("<qII")  # index, bytes of path, views
_VIEW = np.dtype("<u4")
# What this is, index, when it was read, what is in it, stamp; floats a row, rows of views, bytes of reason and detail.
_ANSWER = struct.Struct("<BqqBqqqIIII")
_FLOAT = np.dtype("<f4")
_END = -1
_GREETING, _RESULT, _FAILURE = range(3)
_SHA, _STAMP, _VECTOR, _VIEWS, _ERROR = (1 << bit for bit in range(5))


@dataclass(frozen=True)
class Order:
    """What a process is told before its first job.

    Args:
        maker: ``module:function`` that makes the extractor.
        arguments: of it.
        threads: that extract.
        ahead: jobs that are begun before the first is answered.
    """

    maker: str
    arguments: dict[str, object]
    threads: int
    ahead: int

    @property
    def description(self) -> Description:
        """Of the extractor."""
        return Description(self.maker, self.arguments)


class Failure(NamedTuple):
    """An error that ends the extraction.

    Args:
        kind: the name of its class.
        text: what it says.
        trace: where it was raised, for who looks for a mistake.
    """

    kind: str
    text: str
    trace: str


def send_order(stream: IO[bytes], order: Order, known: bytes) -> None:
    """Write the order.

    Args:
        stream: to the process.
        order: what it says.
        known: digests, one behind the other.
    """
    text = json.dumps(asdict(order)).encode()
    stream.write(_ORDER.pack(len(text), len(known)) + text)
    stream.write(known)
    stream.flush()


def receive_order(stream: IO[bytes]) -> tuple[Order, bytes]:
    """Read the order.

    Args:
        stream: buffered.

    Returns:
        What send_order was given.

    Raises:
        EOFError: nobody is there any more.
    """
    length, known = _ORDER.unpack(_exactly(stream, _ORDER.size))
    return Order(**json.loads(_exactly(stream, length))), _exactly(stream, known)


def job_bytes(job: Job | None) -> bytes:
    """Write a job down.

    Args:
        job: None is the end.

    Returns:
        Its frame.
    """
    if job is None:
        return _JOB.pack(_END, 0, 0)
    path = os.fsencode(job.path)
    return _JOB.pack(job.index, len(path), len(job.views)) + path + np.array(job.views, _VIEW).tobytes()


def receive_job(stream: IO[bytes]) -> Job | None:
    """Read a job.

    Args:
        stream: buffered.

    Returns:
        The job; None: there are no more.

    Raises:
        EOFError: nobody is there any more.
    """
    index, length, views = _JOB.unpack(_exactly(stream, _JOB.size))
    if index == _END:
        return None
    path = os.fsdecode(_exactly(stream, length))
    numbers = np.frombuffer(_exactly(stream, views * _VIEW.itemsize), _VIEW)
    return Job(index, path, tuple(numbers.tolist()))


def greeting_bytes() -> bytes:
    """Say that the process is ready.

    Returns:
        The frame.
    """
    return _ANSWER.pack(_GREETING, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def failure_bytes(failure: Failure) -> bytes:
    """Write an error down that ends the extraction.

    Args:
        failure: which.

    Returns:
        Its frame.
    """
    parts = [_text(part) for part in failure]
    return _ANSWER.pack(_FAILURE, 0, 0, 0, 0, 0, 0, 0, *map(len, parts)) + b"".join(parts)


def answer_bytes(answer: Extraction) -> bytes:
    """Write an answer down.

    Args:
        answer: what came of a job.

    Returns:
        Its frame.
    """
    present = (answer.sha256, answer.stamp, answer.vector, answer.views, answer.error)
    holds = sum(1 << bit for bit, part in enumerate(present) if part is not None)
    numbers = answer.views if answer.vector is None else answer.vector
    width, rows = (0, 0) if numbers is None else (numbers.shape[-1], len(numbers) if numbers.ndim == 2 else 0)
    error = answer.error
    reason, detail = (b"", b"") if error is None else (_text(error.reason), _text(error.detail))
    stamp = answer.stamp or Stamp(0, 0, 0)
    head = _ANSWER.pack(_RESULT, answer.index, answer.read_ns, holds, *stamp, width, rows, len(reason), len(detail))
    body = b"" if numbers is None else np.ascontiguousarray(numbers, _FLOAT).tobytes()
    return b"".join((head, answer.sha256 or b"", body, reason, detail))


def receive_answer(stream: IO[bytes]) -> Extraction | Failure | None:
    """Read an answer.

    Args:
        stream: buffered.

    Returns:
        What came of a job; or an error that ends the extraction; None is the greeting.

    Raises:
        EOFError: the process has ended.
    """
    kind, index, read_ns, holds, *rest = _ANSWER.unpack(_exactly(stream, _ANSWER.size))
    *stamp, width, rows, reason, detail = rest
    if kind == _GREETING:
        return None
    if kind == _FAILURE:
        return Failure(*(_exactly(stream, length).decode() for length in (rows, reason, detail)))
    sha = _exactly(stream, DIGEST_BYTES) if holds & _SHA else None
    vector = _floats(stream, (width,)) if holds & _VECTOR else None
    views = _floats(stream, (rows, width)) if holds & _VIEWS else None
    said = (_exactly(stream, reason).decode(), _exactly(stream, detail).decode())
    error = ImageError(*said) if holds & _ERROR else None
    return Extraction(index, read_ns, sha, vector, error, Stamp(*stamp) if holds & _STAMP else None, views)


def _floats(stream: IO[bytes], shape: tuple[int, ...]) -> Floats:
    count = int(np.prod(shape))
    return np.frombuffer(_exactly(stream, count * _FLOAT.itemsize), _FLOAT).reshape(shape)


def _text(text: str) -> bytes:
    # A name that is no UTF-8 has lone surrogates.
    return text.encode("utf-8", "backslashreplace")


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data
