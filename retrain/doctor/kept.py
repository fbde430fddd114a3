"""What was found of files, kept by their contents: a folder that is looked at again is not read again.

A file of its own in the folder of the bottleneck caches (bottlenecks/store.py), with the same rules: a file is known by
its size and dates as long as these are older than the moment it was read, and each row has a checksum. A row is what
was measured of one content, 1,344 bytes. What stands beside the usual (damaged files, 16 bits a channel, other formats)
is not kept: it is looked at each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, fields, replace
from itertools import islice
from pathlib import Path

import numpy as np
import PIL

from retrain.alike.fingerprints import HASH_BITS, MEASURED, THUMBNAIL, Fingerprint
from retrain.bottlenecks import BottleneckStore, cache_path
from retrain.bottlenecks.maintain import DOCTOR
from retrain.bottlenecks.prune import delete_cache
from retrain.console import Console, printable
from retrain.dataset import ImageRecord
from retrain.doctor.files import FileFacts, Job, Look, Task, facts_of
from retrain.doctor.treatments import GOOD, TREATMENTS
from retrain.errors import CacheError
from retrain.images import LIMITS, Floats

# Raised with any change of what is measured, or of how a file is judged.
VERSION = 1
_AREA = THUMBNAIL * THUMBNAIL
_NUMBERS = tuple(one.name for one in fields(Fingerprint) if one.type in ("int", "float"))
_WHOLE = frozenset(one.name for one in fields(Fingerprint) if one.type == "int")
# Thumbnail, hash, numbers, kinds, width and height by the header, format by the first bytes, format, camera.
_ROW = struct.Struct(f"<{_AREA}s8s{len(_NUMBERS)}dQII8s8s192s")
_CAMERA_BYTES = 192
_KINDS = tuple(TREATMENTS)
# What is seen of these depends on flags.
_BY_FLAGS = frozenset({"16-bit", "stretched"})
_FORMATS = frozenset({"JPEG", "PNG", "GIF", "BMP", "WEBP"})
# Files that are recognised together, and looks that a kill loses.
_TOGETHER, _COMMIT_EVERY = 500, 256
# Names that are told one by one.
_SHOWN = 20


@contextlib.contextmanager
def kept_facts(bottleneck_dir: str, root: str, console: Console, *, verify: bool) -> Iterator[KeptFacts | None]:
    """Open what is kept, or say that nothing is.

    Args:
        bottleneck_dir: the folder of the caches; made.
        root: the image folder.
        console: told why nothing is kept, and which files changed unnoticed.
        verify: read every file, whatever is known.

    Yields:
        What is kept; None where its file cannot be used.
    """
    key = _fingerprint()
    path = cache_path(bottleneck_dir, DOCTOR, key)
    try:
        store = BottleneckStore(path, key, _ROW.size // 4)
    except (CacheError, OSError) as error:
        console.warn(f"what is found of the files is not kept: {error}")
        yield None
        return
    with store:
        _delete_older(path)
        memory = KeptFacts(store, root, verify=verify)
        try:
            yield memory
        finally:
            memory.commit()
        _tell(memory, console)


def _tell(memory: KeptFacts, console: Console) -> None:
    for name in memory.changed[:_SHOWN]:
        console.warn(f"{printable(name)} changed, though its size and dates did not: what was known of it is replaced")
    if len(memory.changed) > _SHOWN:
        console.warn(f"and {len(memory.changed) - _SHOWN:,} more files that changed so")
    if memory.fault:
        console.warn(f"what is found of the files is no longer kept: {memory.fault}")


def _fingerprint() -> str:
    decides = (VERSION, PIL.__version__, HASH_BITS, MEASURED, _NUMBERS, _KINDS, astuple(LIMITS))
    return hashlib.sha256(repr(decides).encode()).hexdigest()


def _delete_older(path: Path) -> None:
    for other in path.parent.glob(f"{DOCTOR}-*.sqlite"):
        if other != path:
            with contextlib.suppress(CacheError):  # another version has it open
                delete_cache(other)


class KeptFacts:
    """The facts of one image folder's files.

    Args:
        store: where they are kept.
        root: the image folder.
        verify: believe nothing of what is kept; what it said is compared when the files are read.
    """

    def __init__(self, store: BottleneckStore, root: str, *, verify: bool) -> None:
        self._store, self._root, self._verify = store, root, verify
        self._believed: dict[str, bytes] = {}
        self._waiting: list[Look] = []
        self.changed: list[str] = []
        self.fault = ""

    def recall(self, jobs: Iterable[Job]) -> Iterator[Task]:
        """Put what is known beside each job.

        Args:
            jobs: which, read some at a time.

        Yields:
            Each job, and what its file is; None where that is not known.
        """
        waiting = iter(jobs)
        while part := list(islice(waiting, _TOGETHER)):
            records = [job.record for job in part if job.record is not None]
            found = dict(zip((record.path for record in records), self._found(records), strict=True))
            for job in part:
                facts = found.get(job.path) if job.record is not None else None
                yield job, facts_of(job, facts) if facts is not None else None

    def keep(self, look: Look) -> None:
        """Keep what was found of a file, if it is new.

        Args:
            look: as it came.
        """
        measured = look.facts.print
        if measured is None or look.is_known:
            return
        believed = self._believed.pop(look.job.path, measured.sha256)
        if believed != measured.sha256:
            self.changed.append(look.job.path)
        if look.stamp is not None and look.job.record is not None and _is_usual(look.facts):
            self._waiting.append(look)
            if len(self._waiting) >= _COMMIT_EVERY:
                self.commit()

    def commit(self) -> None:
        """Write what waits to be written."""
        looks, self._waiting = self._waiting, []
        vectors, files = [], []
        for look in looks:
            if look.facts.print is not None and look.stamp is not None and look.job.record is not None:
                sha = look.facts.print.sha256
                vectors.append((sha, _as_row(look.facts, look.facts.print)))
                files.append((replace(look.job.record, **look.stamp._asdict()), look.read_ns, sha))
        try:
            if vectors and not self.fault:
                self._store.put(vectors, self._root, files)
        except CacheError as error:  # a full disk, perhaps: what the doctor has to say does not hang on it
            self.fault = str(error)

    def _found(self, records: Sequence[ImageRecord]) -> list[FileFacts | None]:
        hashes = self._store.recognise(self._root, records)
        if self._verify:
            self._believed.update((r.path, sha) for r, sha in zip(records, hashes, strict=True) if sha is not None)
            return [None] * len(records)
        known = [sha for sha in hashes if sha is not None]
        rows, damaged = self._store.read_matrix(known)
        bad = set(damaged)
        facts = iter([None if at in bad else _from_row(sha, rows[at]) for at, sha in enumerate(known)])
        return [None if sha is None else next(facts) for sha in hashes]


def _is_usual(facts: FileFacts) -> bool:
    """Whether a row says all of it."""
    camera = facts.print.camera.encode(errors="surrogatepass") if facts.print else b""
    is_plain = not facts.detail and _BY_FLAGS.isdisjoint(facts.kinds) and facts.format in _FORMATS
    return is_plain and len(camera) <= _CAMERA_BYTES and b"\0" not in camera


def _as_row(facts: FileFacts, measured: Fingerprint) -> Floats:
    bits = sum(1 << _KINDS.index(kind) for kind in facts.kinds if kind not in (GOOD, "wrong-suffix"))
    row = _ROW.pack(
        measured.thumbnail.tobytes(),
        np.packbits(measured.bits).tobytes(),
        *(float(getattr(measured, name)) for name in _NUMBERS),
        bits,
        facts.width,
        facts.height,
        facts.format.encode(),
        measured.format.encode(),
        measured.camera.encode(errors="surrogatepass"),
    )
    return np.frombuffer(row, "<f4")


def _from_row(sha: bytes, row: Floats) -> FileFacts:
    thumbnail, bits, *rest = _ROW.unpack(row.tobytes())
    numbers, (kinds, width, height, kind, name, camera) = rest[: len(_NUMBERS)], rest[len(_NUMBERS) :]
    measured = Fingerprint(
        sha256=sha,
        bits=np.unpackbits(np.frombuffer(bits, np.uint8), count=HASH_BITS).astype(np.bool_),
        thumbnail=np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL, THUMBNAIL),
        format=name.rstrip(b"\0").decode(),
        camera=camera.rstrip(b"\0").decode(errors="surrogatepass"),
        **{number: int(value) if number in _WHOLE else value for number, value in zip(_NUMBERS, numbers, strict=True)},
    )
    found = tuple(one for place, one in enumerate(_KINDS) if kinds >> place & 1)
    return FileFacts("", -1, kind.rstrip(b"\0").decode(), found, "", width, height, measured)
