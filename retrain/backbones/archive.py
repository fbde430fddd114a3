"""The files of a SavedModel, in a folder or in a tar archive: listed, hashed and unpacked; an archive is not trusted.

An archive may hold files and folders, under plain relative names, in bounded number and size. Links, devices, absolute
names and ".." are refused, and so is the whole archive: whoever made such a one meant something by it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from retrain import fsio
from retrain.errors import WeightsError
from retrain.graphs import SAVED_MODEL

TF1_MARK = "tfhub_module.pb"
MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 2_000_000_000
# tarfile reads the long names and notes of a member at once: an archive that lies about their size would fill memory.
MAX_READ_BYTES = 1 << 20
_NEEDED = re.compile(rf"(?:[^/]+/)?(?:{re.escape(SAVED_MODEL)}|{re.escape(TF1_MARK)}|variables/[^/]+)")


@dataclass(frozen=True)
class ModuleFiles:
    """What decides a SavedModel's numbers.

    Args:
        path: folder or archive.
        saved_model: contents of its saved_model.pb; empty where there is none.
        names: relative names of saved_model.pb, tfhub_module.pb and the files in variables/.
        sha256: hash over these files' names and contents, 64 hexadecimal digits; equal for a folder and its archive.
    """

    path: Path
    saved_model: bytes
    names: tuple[str, ...]
    sha256: str


def read_module(path: Path, max_bytes: int) -> ModuleFiles:
    """Hash a SavedModel's files and read its graph; nothing is written.

    Args:
        path: folder or archive.
        max_bytes: of saved_model.pb, at most.

    Returns:
        Its files.

    Raises:
        WeightsError: it cannot be read, or the archive is not one that is unpacked.
    """
    hashes: dict[str, str] = {}
    saved_model = b""
    with _files(path) as files:
        for name, file in files:
            digest = hashlib.sha256()
            parts = []
            while block := file.read(MAX_READ_BYTES):
                digest.update(block)
                if name == SAVED_MODEL:
                    parts.append(block)
                    if sum(map(len, parts)) > max_bytes:
                        raise WeightsError(f"expected {SAVED_MODEL} in {path} to have at most {max_bytes} bytes")
            saved_model = b"".join(parts) or saved_model
            hashes[name] = digest.hexdigest()
    total = hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()
    return ModuleFiles(path, saved_model, tuple(sorted(hashes)), total)


def unpack_module(path: Path, folder: Path) -> None:
    """Copy what is needed of a SavedModel out of an archive.

    Args:
        path: folder or archive.
        folder: where saved_model.pb and variables/ go.

    Raises:
        WeightsError: it cannot be read, or the archive is not one that is unpacked.
    """
    with _files(path) as files:
        for name, file in files:
            with fsio.replacing(fsio.safe_join(folder, name)) as target:
                shutil.copyfileobj(file, target)


def unpack_all(archive: BinaryIO, folder: Path, source: str) -> None:
    """Unpack a whole archive.

    Args:
        archive: an open .tar or .tar.gz that can be sought in.
        folder: where its files go.
        source: what it is, for messages.

    Raises:
        WeightsError: it is not one that is unpacked.
    """
    with _complaining(source):
        for name, file in _members(archive, source, lambda name: True):
            with fsio.replacing(fsio.safe_join(folder, name)) as target:
                shutil.copyfileobj(file, target)


@contextmanager
def _files(path: Path) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
    with _complaining(str(path)):
        if path.is_dir():
            yield _folder_files(path)
        else:
            with path.open("rb") as archive:
                yield _one_level_up(_members(archive, str(path), _is_needed), str(path))


@contextmanager
def _complaining(source: str) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise WeightsError(f"expected {source} to be a whole .tar or .tar.gz archive; it is not: {error}") from error
    except OSError as error:
        raise WeightsError(f"cannot read {source}: {error.strerror or error}") from error


def _folder_files(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    names = [SAVED_MODEL, TF1_MARK, *(f"variables/{name}" for name in _names_in(path / "variables"))]
    for name in names:
        if (path / name).is_file():
            with (path / name).open("rb") as file:
                yield name, file


def _names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def _is_needed(name: str) -> bool:
    return _NEEDED.fullmatch(name) is not None


def _one_level_up(files: Iterator[tuple[str, BinaryIO]], source: str) -> Iterator[tuple[str, BinaryIO]]:
    """Take a folder around everything away: some archives hold the files, others hold one folder with them."""
    tops: set[str] = set()
    for name, file in files:
        parts = name.split("/")
        depth = 2 if parts[-2:-1] == ["variables"] else 1
        tops.add("/".join(parts[:-depth]))
        if len(tops) > 1:
            raise WeightsError(f"expected {source} to hold one SavedModel, got files of more than one")
        yield "/".join(parts[-depth:]), file


def _members(archive: BinaryIO, source: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, BinaryIO]]:
    with _decompressed(archive) as raw, tarfile.open(fileobj=_Bounded(raw), mode="r:") as tar:
        seen: set[str] = set()
        total = 0
        for count, member in enumerate(tar, 1):
            total += member.size
            if count > MAX_MEMBERS or total > MAX_UNPACKED_BYTES:
                raise WeightsError(
                    f"expected {source} to hold at most {MAX_MEMBERS} files and {MAX_UNPACKED_BYTES} bytes, got more"
                )
            name = _safe_name(member, source)
            if not member.isfile() or not wanted(name):
                continue
            if name in seen:
                raise WeightsError(f"expected every file in {source} once, got {name!r} twice")
            seen.add(name)
            file = tar.extractfile(member)
            if file is not None:
                yield name, file  # type: ignore[misc]


def _safe_name(member: tarfile.TarInfo, source: str) -> str:
    """Give a member's name without "./" in front."""
    if not (member.isfile() or member.isdir()):
        raise WeightsError(f"expected files and folders in {source}, got {member.name!r}, a link or a device")
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts or re.search(r'[\x00-\x1f\\:*?"<>|]', member.name):
        raise WeightsError(f"expected plain names below one folder in {source}, got {member.name!r}")
    return "/".join(part for part in parts if part not in ("", "."))


@contextmanager
def _decompressed(archive: BinaryIO) -> Iterator[BinaryIO]:
    start = archive.read(2)
    archive.seek(0)
    if start != b"\x1f\x8b":
        yield archive
        return
    with gzip.GzipFile(fileobj=archive) as file:
        yield file  # type: ignore[misc]


class _Bounded(io.RawIOBase):
    """A file that is neither longer than it may be nor read in larger pieces than it may be."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ_BYTES:
            raise tarfile.ReadError(f"it asks for {size} bytes at once, at most {MAX_READ_BYTES} are read")
        if self._raw.tell() > MAX_UNPACKED_BYTES + MAX_MEMBERS * 2048:
            raise tarfile.ReadError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset > MAX_UNPACKED_BYTES + MAX_MEMBERS * 2048:
            raise tarfile.ReadError(f"it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
