"""The original's text bottlenecks into a cache; export.py goes the other way."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from retrain.bottlenecks import unverified
from retrain.bottlenecks.matrix import Floats
from retrain.bottlenecks.store import BottleneckStore, cache_path
from retrain.dataset import Catalog, ImageRecord
from retrain.errors import UsageError

# A line of 8,192 numbers has about 90,000 bytes; what is larger is no bottleneck.
_MAX_TEXT_BYTES = 4_000_000
_COMMIT_EVERY = 256
# How many text files are looked at to learn how long their lines are, so that one cut file does not decide.
_LOOK_AT = 101


@dataclass(frozen=True)
class TextFile:
    """A text bottleneck of the original, and the photograph it is of.

    Args:
        path: of the text.
        record: of the photograph.
        suffix: what the original put behind the photograph's name: the architecture as it was typed, or nothing.
    """

    path: Path
    record: ImageRecord
    suffix: str


@dataclass(frozen=True)
class Imported:
    """What came of an import.

    Args:
        cache: the file it went to.
        width: numbers a vector.
        suffix: of the text files.
        kept: vectors that are there now.
        known: vectors that were not needed, since the cache has its own.
        rejected: one sentence each.
        absent: photographs without a text.
        older: texts that are older than their photograph, which may have been edited since.
    """

    cache: Path
    width: int
    suffix: str
    kept: int
    known: int
    rejected: tuple[str, ...]
    absent: int
    older: int


def find_texts(folder: Path, catalog: Catalog) -> list[TextFile]:
    """Find the original's text files of some photographs.

    Args:
        folder: what was its ``--bottleneck_dir``.
        catalog: the photographs.

    Returns:
        The texts whose photograph is there.
    """
    by_place: dict[str, dict[str, ImageRecord]] = {}
    for record in catalog.records:
        place, _, name = record.path.rpartition("/")
        by_place.setdefault(place, {})[name] = record
    return [text for place, records in by_place.items() for text in _texts_of_class(_where(folder, place), records)]


def _where(folder: Path, place: str) -> Path:
    # The original knew class folders only: of those that a list names deeper, or from further above, it has the last.
    whole = folder / place
    return whole if whole.is_dir() else folder / place.rpartition("/")[2]


def _texts_of_class(folder: Path, records: dict[str, ImageRecord]) -> Iterator[TextFile]:
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file()) if folder.is_dir() else []
    for name in names:
        stem = name.removesuffix(".txt")
        # "m13.jpg_mobilenet_0.50_224": the longest photograph's name that it starts with.
        cuts = [len(stem), *(i for i in range(len(stem) - 1, 0, -1) if stem[i] == "_")]
        cut = next((i for i in cuts if stem[:i] in records), None)
        if cut is not None and name.endswith(".txt"):
            yield TextFile(folder / name, records[stem[:cut]], stem[cut + 1 :])


def choose_suffix(texts: Sequence[TextFile], wanted: str) -> list[TextFile]:
    """Keep the texts of one backbone.

    Args:
        texts: what was found.
        wanted: their suffix; empty where there is only one.

    Returns:
        Those with the suffix.

    Raises:
        UsageError: there are none, or there is a choice.
    """
    counts = Counter(text.suffix for text in texts)
    if not counts:
        raise UsageError(
            "expected text bottlenecks such as 'roses/1.jpg_mobilenet_0.50_224.txt' of the photographs in --image_dir, "
            "got none; check both folders"
        )
    if wanted not in counts and (wanted or len(counts) > 1):
        found = ", ".join(f"{suffix or '(nothing)'} ({count})" for suffix, count in counts.most_common())
        raise UsageError(f"expected --suffix to be one of those found, got {wanted or 'none'}; found {found}")
    suffix = wanted or next(iter(counts))
    return [text for text in texts if text.suffix == suffix]


def usual_width(texts: Sequence[TextFile]) -> int:
    """Learn how many numbers the texts have.

    Args:
        texts: at least one.

    Returns:
        The most frequent number among some of them.

    Raises:
        UsageError: none of these can be read.
    """
    widths = Counter(len(found) for text in texts[:_LOOK_AT] if not isinstance(found := read_text(text.path), str))
    if not widths:
        raise UsageError(f"expected numbers between commas in {texts[0].path}, got {read_text(texts[0].path)}")
    return widths.most_common(1)[0][0]


def read_text(path: Path) -> Floats | str:
    """Read one text bottleneck. That a file was cut inside its last number cannot be seen: hence "unverified".

    Args:
        path: the file.

    Returns:
        float32 (n,), or what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_TEXT_BYTES + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if len(data) > _MAX_TEXT_BYTES:
        return "too large for a bottleneck"
    try:
        with np.errstate(over="ignore"):  # 1e99 is infinite as float32, which is told below
            vector = np.array(data.decode("ascii").strip().split(","), np.float32)
    except ValueError:
        return "something that is no number"
    return vector if np.isfinite(vector).all() else "a number that is not finite"


def import_texts(texts: Sequence[TextFile], catalog: Catalog, store: BottleneckStore, *, own_cache: bool) -> Imported:
    """Put text bottlenecks into a cache.

    Args:
        texts: of one suffix.
        catalog: the photographs.
        store: the cache, of the texts' width.
        own_cache: the cache holds nothing but imported vectors; otherwise they go into its table of unverified ones.

    Returns:
        What came of it.
    """
    rejected, kept, total, older = list[str](), 0, 0, 0
    suffix = texts[0].suffix
    for start in range(0, len(texts), _COMMIT_EVERY):
        vectors, files = list[tuple[bytes, Floats]](), list[tuple[ImageRecord, int, bytes]]()
        for text in texts[start : start + _COMMIT_EVERY]:
            found = _load(text, catalog, store.width)
            if isinstance(found, str):
                rejected.append(f"{text.path}: {found}")
                continue
            vector, file = found
            vectors.append((file[2], vector))
            files.append(file)
            older += text.path.stat().st_mtime_ns < file[0].mtime_ns
        total += len(vectors)
        if own_cache:
            store.put(vectors, catalog.root, files)
            kept += len(vectors)
        else:
            store.put([], catalog.root, files)
            kept += unverified.keep(store, vectors, f"text files *_{suffix}.txt")
    absent = len(catalog.records) - len({text.record.path for text in texts})
    return Imported(store.path, store.width, suffix, kept, total - kept, tuple(rejected), absent, older)


def _load(text: TextFile, catalog: Catalog, width: int) -> tuple[Floats, tuple[ImageRecord, int, bytes]] | str:
    vector = read_text(text.path)
    if isinstance(vector, str):
        return f"expected numbers, got {vector}"
    if len(vector) != width:
        return f"expected {width} numbers, got {len(vector)}"
    path, read_ns = catalog.full_path(text.record), time.time_ns()
    try:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            sha = _digest(file)
    except OSError as error:
        return f"its photograph cannot be read: {error.strerror}"
    now = replace(text.record, size=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns)
    return vector, (now, read_ns, sha)


def _digest(file: IO[bytes]) -> bytes:
    return hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]


def imported_cache(bottleneck_dir: str, suffix: str, width: int) -> BottleneckStore:
    """Open the cache of imported vectors whose backbone is not here; no run ever opens it.

    Args:
        bottleneck_dir: folder of the caches.
        suffix: of the text files.
        width: numbers a vector.

    Returns:
        The open cache, ``imported-<hash>.sqlite``, made when it is not there.
    """
    fingerprint = hashlib.sha256(f"imported\n{suffix}\n{width}".encode()).hexdigest()
    store = BottleneckStore(cache_path(bottleneck_dir, "imported", fingerprint), fingerprint, width)
    with store.writing() as db:
        source = f"text files *_{suffix}.txt, unverified"
        db.execute("INSERT OR REPLACE INTO meta VALUES ('source', ?)", (source,))
    return store
