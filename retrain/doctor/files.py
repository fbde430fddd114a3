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
from dataclasses import dataclass

from PIL import ExifTags, Image

from retrain.console import Advance
from retrain.doctor.fingerprints import Fingerprint, fingerprint
from retrain.doctor.formats import (
    HEAD_BYTES,
    USUAL_SUFFIXES,
    other_content,
    read_format,
    suffix_of,
    unread_picture,
)
from retrain.doctor.treatments import GOOD, TINY_PIXELS
from retrain.errors import ImageError
from retrain.images import LIMITS, read_image_file
from retrain.images.opening import with_image
from retrain.litert import usable_cores
from retrain.threads import in_order

# Files that are waited for at a time.
_QUEUE = 64
_KIND_OF_REASON = {
    "empty": "no-bytes",
    "unreadable": "unreadable",
    "not a file": "unreadable",
    "too many scans": "too-many-scans",
    "not an image": "not-an-image",
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
    """

    path: str
    full_path: str
    label: int
    in_class: bool = True


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


def examine_files(jobs: Iterable[Job], advance: Advance, threads: int = 0) -> Iterator[FileFacts]:
    """Classify files, several at a time.

    Args:
        jobs: which.
        advance: told of each file done.
        threads: that read and decode; 0: one a core.

    Yields:
        One answer a job, in order.
    """
    for facts in in_order(examine, jobs, threads or usable_cores(), _QUEUE, wait=False):
        advance()
        yield facts


def examine(job: Job) -> FileFacts:
    """Classify one file.

    Args:
        job: which.

    Returns:
        What it is; nothing is raised for what a file is or holds.
    """
    try:
        if job.label < 0:
            return _left_out(job, _head(job.full_path))
        return examine_bytes(job, read_image_file(job.full_path))
    except ImageError as error:
        return FileFacts(job.path, job.label, "unknown", (_kind_of(error),), error.detail)


def examine_bytes(job: Job, data: bytes) -> FileFacts:
    """Classify what a file that a run takes holds.

    Args:
        job: which file.
        data: its bytes.

    Returns:
        What it is.
    """
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
    if image_format and suffix_of(job.path) not in ("", *USUAL_SUFFIXES[image_format]):
        kinds.append("wrong-suffix")
    found = tuple(kinds) or (GOOD,)
    return FileFacts(job.path, job.label, image_format or "unknown", found, detail, width, height, measured)


def _head(path: str) -> bytes:
    # Of a file that a run leaves out no more than this is read: it may be a film.
    try:
        # Asked before opening: opening a named pipe would wait for ever.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ImageError("not a file", f"{path} is a folder, pipe or device")
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as in images/reading.py
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise ImageError("unreadable", error.strerror or str(error)) from error
    except ValueError as error:
        raise ImageError("unreadable", str(error)) from error


def _left_out(job: Job, head: bytes) -> FileFacts:
    image_format = read_format(head)
    picture = image_format or unread_picture(head, suffix_of(job.path))
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
