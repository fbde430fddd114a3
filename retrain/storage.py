"""Photographs wherever they lie: a path of this machine, or a URL that fsspec opens (s3://, gs://, memory://, file://).

fsspec and the driver of a protocol are extras, imported where a URL is opened. A URL is taken as it is spelt: nothing
in it is percent-decoded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
_DRIVERS = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
    "hdfs": "pyarrow", "sftp": "paramiko", "ssh": "paramiko", "oci": "ocifs", "hf": "huggingface_hub",
}  # fmt: skip
# Where the drivers say when a file was last changed, and what changes with its contents. Only what they say of a file
# both in a folder's listing and when they are asked for that file: else no file would ever be recognised.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_TAGS = ("ETag", "etag", "generation", "md5Hash", "content_md5", "checksum", "UUID")
_S = 10**9


class RemoteFile(NamedTuple):
    """What a listing says of one file or folder.

    Args:
        name: without its folder.
        is_folder: whether it holds others.
        size: bytes; -1 when that is not said.
        mtime_ns: time of its last change, nanoseconds since the epoch; 0 when that is not said.
        tag: 60 bits of a hash of what changes with its contents (ETag, generation, checksum); 0 when nothing does.
    """

    name: str
    is_folder: bool
    size: int
    mtime_ns: int
    tag: int

    @property
    def is_told_apart(self) -> bool:
        """Whether a change of its contents would show."""
        return self.size >= 0 and (self.mtime_ns > 0 or self.tag > 0)


def is_url(path: str | Path) -> bool:
    """Tell a URL from a path.

    Args:
        path: as it was typed.

    Returns:
        Whether it starts with a protocol and ``://``.
    """
    return isinstance(path, str) and _URL.match(path) is not None


def is_of_this_process(path: str) -> bool:
    """Tell what no other process can read.

    Args:
        path: a path or URL.

    Returns:
        Whether it lies in fsspec's file system in this process's memory.
    """
    return path.lower().startswith("memory://")


def driver_problem(url: str) -> str | None:
    """Say what is missing to open a URL, without opening it.

    Args:
        url: of a folder or file.

    Returns:
        One sentence with the command that mends it, or None.
    """
    if "::" in url:
        return f"expected one URL, got the chain {url!r}; give the folder itself, as s3://bucket/photos"
    if importlib.util.find_spec("fsspec") is None:
        return f"{url} needs fsspec, which is not installed: python -m pip install -e '.[remote]'"
    from fsspec import available_protocols, get_filesystem_class

    protocol = url.split("://", 1)[0].lower()
    if protocol not in available_protocols():
        return (
            f"expected a protocol that fsspec knows (s3://, gs://, file:// ...), got {protocol}://; check the spelling"
        )
    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        driver = _DRIVERS.get(protocol)
        mend = f"python -m pip install {driver}" if driver else str(error)
        return f"{url} needs the driver of {protocol}://, {driver or 'which'} is not installed: {mend}"
    return None


def folder_problem(url: str) -> str | None:
    """Say why the folder of a URL cannot be listed.

    Args:
        url: of a folder.

    Returns:
        One sentence, or None where it can be.
    """
    missing = driver_problem(url)
    if missing:
        return missing
    try:
        files, path = _open(url)
        if files.isdir(path):
            return None
        if files.exists(path):
            return f"expected a folder, got the file {url}; give the folder above the class folders"
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own, and all mean: not to be listed
        return f"cannot read {url}: {_reason(error)}; check the spelling, the credentials and the network"
    return f"the folder {url} was not found; check the spelling, the credentials and the region"


def normalise(url: str) -> str:
    """Spell a URL as its driver does, so that two spellings of one folder share a cache.

    Args:
        url: whose driver is installed.

    Returns:
        The URL, without a slash at its end.
    """
    files, path = _open(url)
    return str(files.unstrip_protocol(path.rstrip("/") or path))


def local_path(place: str) -> str | None:
    """Say where on this machine something lies.

    Args:
        place: a path or URL.

    Returns:
        A path; None for a URL that leads elsewhere.
    """
    if not is_url(place):
        return place
    protocol, rest = place.split("://", 1)
    return rest if protocol.lower() in ("file", "local") else None


def is_folder(place: str) -> bool:
    """Tell whether something can be listed.

    Args:
        place: a path or URL.

    Returns:
        False, not an error, for whatever cannot.
    """
    if is_url(place):
        return folder_problem(place) is None
    return os.path.isdir(place)  # noqa: PTH112 - unlike Path.is_dir, false for a name that is too long


def list_folder(url: str) -> list[RemoteFile]:
    """List a folder.

    Args:
        url: of the folder.

    Returns:
        What it holds, by name; not what its sub-folders hold.

    Raises:
        OSError: it cannot be listed.
    """
    try:
        files, path = _open(url)
        found = files.ls(path, detail=True)
    except Exception as error:
        raise OSError(_reason(error)) from error
    # Object stores list a folder's own marker, an object of no bytes, among what the folder holds.
    own = path.strip("/")
    return sorted(_describe(facts) for facts in found if facts["name"].strip("/") != own)


def stat(url: str) -> RemoteFile:
    """Ask for one file's size and age.

    Args:
        url: of the file.

    Returns:
        What a listing of its folder says of it.

    Raises:
        OSError: it cannot be asked for.
    """
    try:
        files, path = _open(url)
        return _describe(files.info(path))
    except Exception as error:
        raise OSError(_reason(error)) from error


def read(url: str, max_bytes: int) -> bytes:
    """Read the start of a file, in one request.

    Args:
        url: of the file.
        max_bytes: no more than this is fetched.

    Returns:
        Its bytes, all of them where it is no longer than ``max_bytes``.

    Raises:
        OSError: it cannot be read.
    """
    try:
        files, path = _open(url)
        return bytes(files.cat_file(path, start=0, end=max_bytes))
    except Exception as error:
        raise OSError(_reason(error)) from error


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    # No cache of listings: it would answer with what was there minutes ago, and take 1 kB a photograph.
    protocol, rest = url.split("://", 1)
    files, path = url_to_fs(f"{protocol.lower()}://{rest}", use_listings_cache=False)
    return files, str(path)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _describe(facts: Mapping[str, Any]) -> RemoteFile:
    name = str(facts["name"]).rstrip("/").rsplit("/", 1)[-1]
    tags = [facts[key] for key in _TAGS if facts.get(key)][:1]
    mtime_ns = next((_as_ns(facts[key]) for key in _TIMES if facts.get(key) is not None), 0)
    if tags:
        # Trap: listings and single answers of one store differ in the fraction of the second. The tag tells more.
        mtime_ns -= mtime_ns % _S
    else:
        tags = [facts.get("ino"), _as_ns(facts.get("created"))]
    tag = _hash(tags) if any(tags) else 0
    size = facts.get("size")
    return RemoteFile(name, facts.get("type") == "directory", -1 if size is None else int(size), mtime_ns, tag)


def _hash(tags: list[Any]) -> int:
    # Trap: it stands where a file has its ctime, and a ctime that is not in the past is not believed (store.py). 60
    # bits of nanoseconds end in 2006.
    return int.from_bytes(hashlib.sha256(repr([str(tag) for tag in tags]).encode()).digest()[:8], "big") >> 4


def _as_ns(moment: object) -> int:
    """Whole microseconds: drivers give seconds as a float, and no more than these are right in one."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return 0
    if isinstance(moment, datetime):
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return round(moment * 1_000_000) * 1000 if isinstance(moment, int | float) else 0
