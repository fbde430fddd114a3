"""Each file classified from its bytes: what it is, whether it decodes, what a run does with it.

Read, opened and decoded by the room `images`, as a run does; in threads, with so few files at a time that memory does
not grow with their number.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from PIL import ExifTags, Image

from retrain.alike import Fingerprint, fingerprint
from retrain.bottlenecks import Job as Reading
from retrain.bottlenecks import Stamp
from retrain.console import Advance
from retrain.dataset import ImageRecord
from retrain.doctor.formats import (
    HEAD_BYTES,
    USUAL_SUFFIXES,
    other_content,
    read_format,
    unread_picture,
)
from retrain.doctor.treatments import GOOD, TINY_PIXELS
from retrain.engines.work import read_job
from retrain.errors import ImageError
from retrain.images import LIMITS, SkyStretch, deep_format
from retrain.images.opening import with_image
from retrain.litert import usable_cores
from retrain.survey import suffix_of
from retrain.threads import in_order

# Files that are waited for at a time.
_QUEUE = 64
_KIND_OF_REASON = {
    "empty": "no-bytes",
    "unreadable": "unreadable",
    "not a file": "unreadable",
    "too many scans": "too-many-scans",
    "not an image": "not-an-image",
    "no astropy": "unread-format",
}
# Pillow names its own object, at an address that is another one each time.
_OBJECT = re.compile(r" <_io\.BytesIO object at 0x[0-9a-f]+>")
_BAD_EXIF = (ValueError, TypeError, LookupError, OSError, SyntaxError, OverflowError, struct.error, UserWarning)


@dataclass(frozen=True, slots=True)
class Job:
    """A file to look at.

    Args:
        path: relative to the image folder, with forward slashes.
        full_path: where it lies, or its URL.
        label: the class that a run takes it for; -1 where a run leaves it out.
        in_class: whether it lies directly in a class folder.
        record: what the directory says of it; None where a run leaves it out.
        sky: how a run stretches pictures with more than 8 bits a value; None: it does not.
    """

    path: str
    full_path: str
    label: int
    in_class: bool = True
    record: ImageRecord | None = None
    sky: SkyStretch | None = None


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file is.

    Args:
        path: relative to the image folder.
        label: as of its Job.
        format: "JPEG" ..., or what an unread file seems to be.
        kinds: keys of TREATMENTS; (GOOD,) where there is nothing to say.
        detail: what exactly was found; empty where the kinds say all.
        width: pixels by the header, 0 where there is none.
        height: pixels.
        print: what it is compared with others by; None where a run cannot read it, or leaves it out.
    """

    path: str
    label: int
    format: str
    kinds: tuple[str, ...]
    detail: str = ""
    width: int = 0
    height: int = 0
    print: Fingerprint | None = None


Task = tuple[Job, FileFacts | None]


@dataclass(frozen=True, slots=True)
class Look:
    """One file as it was looked at.

    Args:
        job: which.
        facts: what it is.
        is_known: whether that was known before, so that it was not read.
        read_ns: when it was read, nanoseconds since the epoch.
        stamp: its state when it was read; None when that changed meanwhile or could not be examined.
    """

    job: Job
    facts: FileFacts
    is_known: bool = False
    read_ns: int = 0
    stamp: Stamp | None = None


class Memory(Protocol):
    """What is known of files that were looked at before."""

    def recall(self, jobs: Iterable[Job]) -> Iterator[Task]:
        """Put what is known beside each job, read as they are asked for."""

    def keep(self, look: Look) -> None:
        """Keep what was found of a file."""


def examine_files(
    jobs: Iterable[Job], advance: Advance, memory: Memory | None = None, threads: int = 0
) -> Iterator[FileFacts]:
    """Classify files, several at a time.

    Args:
        jobs: which.
        advance: told of each file done.
        memory: what is known and to be kept; None: all are read.
        threads: that read and decode; 0: one a core.

    Yields:
        One answer a job, in order.
    """
    tasks = memory.recall(jobs) if memory else ((job, None) for job in jobs)
    for look in in_order(_look, tasks, threads or usable_cores(), _QUEUE, wait=False):
        advance()
        if memory:
            memory.keep(look)
        yield look.facts


def examine(job: Job) -> FileFacts:
    """Classify one file.

    Args:
        job: which.

    Returns:
        What it is; nothing is raised for what a file is or holds.
    """
    return _look((job, None)).facts


def _look(task: Task) -> Look:
    job, known = task
    if known is not None:
        return Look(job, known, is_known=True)
    if job.label < 0:
        return Look(job, _left_out(job))
    read = read_job(Reading(0, job.full_path))
    facts = _lost(job, read.error) if read.error else examine_bytes(job, read.data or b"")
    return Look(job, facts, read_ns=read.read_ns, stamp=read.stamp)


def _lost(job: Job, error: ImageError) -> FileFacts:
    return FileFacts(job.path, job.label, "unknown", (_kind_of(error),), error.detail)


def examine_bytes(job: Job, data: bytes) -> FileFacts:
    """Classify what a file that a run takes holds.

    Args:
        job: which file.
        data: its bytes.

    Returns:
        What it is.
    """
    if job.sky is not None and deep_format(data):
        return facts_of(job, _stretched(data, job.sky))
    image_format = read_format(data)
    if data and image_format is None:
        return _unread(job, data[:HEAD_BYTES])
    kinds: list[str] = []
    width = height = 0
    detail, measured = "", None
    try:
        width, height, kinds = with_image(data, LIMITS, lambda image: _describe(image, data))
        measured = fingerprint(data)
    except ImageError as error:
        kinds, detail = [_kind_of(error)], _OBJECT.sub("", error.detail)
    found = FileFacts("", -1, image_format or "unknown", tuple(kinds), detail, width, height, measured)
    return facts_of(job, found)


def _stretched(data: bytes, sky: SkyStretch) -> FileFacts:
    """What a run makes of a picture with more than 8 bits a value: that is measured, and the file's own bytes named."""
    image_format = deep_format(data)
    # Another name than that of the 8-bit ones, whose facts are kept: these hold for one stretch.
    name = "16-bit PNG" if image_format == "PNG" else image_format
    try:
        measured = fingerprint(data, sky)
    except ImageError as error:
        return FileFacts("", -1, name, (_kind_of(error),), _OBJECT.sub("", error.detail))
    width, height = int(measured.width), int(measured.height)
    kinds = ("stretched", *["tiny"] * (min(width, height) < TINY_PIXELS))
    return FileFacts("", -1, name, kinds, "", width, height, measured)


def facts_of(job: Job, contents: FileFacts) -> FileFacts:
    """Say of a file what was found of its contents, and of its name.

    Args:
        job: which file.
        contents: what they are, without path, label and GOOD.

    Returns:
        What the file is.
    """
    usual = USUAL_SUFFIXES.get(contents.format)
    is_wrong = usual is not None and suffix_of(job.path) not in ("", *usual)
    kinds = (*contents.kinds, *["wrong-suffix"] * is_wrong) or (GOOD,)
    return replace(contents, path=job.path, label=job.label, kinds=kinds)


def _head(path: str) -> bytes:
    # Of a file that a run leaves out no more than this is read: it may be a film.
    try:
        # Asked before opening: opening a named pipe would wait for ever, and so would reading some files of /proc.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a file", f"{path} is a folder, pipe or device")
        if status.st_size == 0:
            return b""
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as in images/reading.py
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ImageError("unreadable", error.strerror or str(error)) from error
    except ValueError as error:
        raise ImageError("unreadable", str(error)) from error


def _left_out(job: Job) -> FileFacts:
    try:
        head = _head(job.full_path)
    except ImageError as error:
        return _lost(job, error)
    image_format = read_format(head)
    picture = image_format or unread_picture(head, suffix_of(job.path))
    if job.sky is not None and picture in ("FITS", "TIFF"):
        image_format = picture
    if picture is None:
        return FileFacts(job.path, job.label, other_content(head), ("other",))
    if not job.in_class:
        return FileFacts(job.path, job.label, picture, ("elsewhere",))
    return FileFacts(job.path, job.label, picture, ("unknown-suffix" if image_format else "unread-format",), picture)


def _unread(job: Job, head: bytes) -> FileFacts:
    picture = unread_picture(head, suffix_of(job.path))
    if picture:
        return FileFacts(job.path, job.label, picture, ("unread-format",), picture)
    what = other_content(head)
    return FileFacts(job.path, job.label, what, ("not-an-image",), f"{what}, starts with {head[:8]!r}")


def _kind_of(error: ImageError) -> str:
    if error.reason == "too large":
        return "too-many-bytes" if error.detail.endswith("are read") else "too-many-pixels"
    if error.reason == "damaged":
        return "truncated" if "truncated" in error.detail.lower() else "damaged"
    return _KIND_OF_REASON[error.reason]


def _describe(image: Image.Image, data: bytes) -> tuple[int, int, list[str]]:
    """Width, height and what is worth saying, from the header alone."""
    held = {
        "tiny": min(image.size) < TINY_PIXELS,
        # Phones append a depth map or a film to a JPEG, which Pillow counts as frames (MPO).
        "animated": image.format in ("GIF", "PNG", "WEBP") and bool(getattr(image, "is_animated", False)),
        "cmyk": image.mode == "CMYK",
        "16-bit": _is_16_bit(image, data),
        "alpha": image.has_transparency_data,
        "palette": image.mode in ("P", "PA"),
        "exif-rotated": _orientation(image) in range(2, 9),
    }
    return *image.size, [kind for kind, holds in held.items() if holds]


def _is_16_bit(image: Image.Image, data: bytes) -> bool:
    # Trap: Pillow opens 16-bit RGB as plain RGB; the depth stands in the first chunk of a PNG.
    return image.mode.startswith("I") or image.mode == "F" or (image.format == "PNG" and data[24:25] == b"\x10")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _BAD_EXIF:
        return 1  # as in images/decoding.py: damaged metadata is no reason to lose a photograph
