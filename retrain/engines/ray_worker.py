"""What lives on a node of Ray: one core's worth of extraction, by the same code as on one machine. Imports no Ray."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections import deque
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from retrain.engines.work import Contents, extract_contents, read_job
from retrain.extraction import ExtractFunction, Extraction, Job

# Files read ahead of the one that is extracted; one core of a node needs no more, even at 10 ms a file.
READ_AHEAD = 8
# What decides the bits of a vector.
_CODE = (
    "images/spec.py",
    "images/opening.py",
    "images/decoding.py",
    "distortions.py",
    "litert.py",
    "backbones/extractor.py",
    "engines/work.py",
    "extraction.py",
)
_PACKAGES = ("numpy", "pillow", "cykooz-resizer", "ai-edge-litert")


@dataclass(frozen=True)
class Introduction:
    """What a worker says of itself.

    Args:
        host: name of its machine.
        versions: what it runs: name -> version.
        unseen: folders that it was asked for and does not have.
    """

    host: str
    versions: dict[str, str]
    unseen: tuple[str, ...]


class Worker:
    """Holds the backbone in a process of its own, and does blocks of jobs one after the other.

    Args:
        extract_one: bytes of an image file -> float32 (width,).
        known: digests that need no vector.
    """

    def __init__(self, extract_one: ExtractFunction, known: Container[bytes]) -> None:
        self._extract_one, self._known = extract_one, known
        self._readers = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="read")

    def introduce(self, folders: Sequence[str]) -> Introduction:
        """Say what runs here, before any work is handed out.

        Args:
            folders: that must be seen from here.

        Returns:
            Versions, and which of the folders are missing.
        """
        return Introduction(platform.node(), versions(), tuple(f for f in folders if not os.path.isdir(f)))  # noqa: PTH112

    def do(self, block: Sequence[Job]) -> list[Extraction]:
        """Do a block of jobs.

        Args:
            block: what to do.

        Returns:
            One answer a job, in order.
        """
        return [extract_contents(contents, self._known, self._extract_one) for contents in self._read(block)]

    def _read(self, block: Sequence[Job]) -> Iterator[Contents]:
        ahead: deque[Future[Contents]] = deque()
        for job in block:
            ahead.append(self._readers.submit(read_job, job))
            if len(ahead) > READ_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def versions() -> dict[str, str]:
    """Name what decides the bits of a vector here.

    Returns:
        Name -> version; "code" is a hash of this package's own modules that do the work, which tells commits apart.
    """
    found = {"code": _code_hash(), "python": ".".join(map(str, sys.version_info[:2]))}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _code_hash() -> str:
    folder, whole = Path(__file__).parents[1], hashlib.sha256()
    for name in _CODE:
        whole.update((folder / name).read_bytes() + b"\0")
    return whole.hexdigest()[:12]
