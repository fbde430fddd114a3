"""Small pictures of the photographs, made once and kept: what the report and TensorBoard show many of.

A square out of the middle of each photograph, by the content of its file: 64 pixels a side as they are, for sets of
which thousands are shown, and 160 as JPEG for smaller ones. 19 KB a photograph, in a file of their own in the folder of
the bottleneck caches (bottlenecks/store.py), so that they serve any backbone. To take 4,000 squares of 64 out of it
costs 0.1 s of a core; out of JPEGs of 160 it was 0.9, and out of photographs of 500 x 375 it is 3.
If that file cannot be used, it is said so, and the pictures are made for this run alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import PIL
from PIL import Image

from retrain.bottlenecks import BlobTable, BottleneckStore, Features, cache_path
from retrain.bottlenecks.maintain import ALBUM, PICTURES
from retrain.bottlenecks.prune import delete_cache
from retrain.console import Console
from retrain.dataset import ImageRecord
from retrain.errors import CacheError, ImageError
from retrain.images import (
    LIMITS,
    PREPROCESSING_VERSION,
    Pixels,
    SkyStretch,
    decode_upright,
    read_image_file,
    resize_rgb,
)
from retrain.litert import usable_cores
from retrain.threads import in_order

# Raised with any change of what a kept picture looks like.
VERSION = 1
# Pixels a side of a kept picture, the largest and the smallest that the report shows many of; its quality as JPEG.
SIDE, TILE, QUALITY = 160, 64, 85
_TILE_BYTES = TILE * TILE * 3
# Pictures that a file keeps, 400 MB; and files, of other stretches of the sky and other versions: the latest ones.
MOST_PICTURES, MOST_FILES = 20_000, 4
# Photographs handed to a thread at a time; and pictures that are read at a time, and that a kill loses.
_TOGETHER, _COMMIT_EVERY = 32, 512

# Bytes of a photograph's file by its row; None where it cannot be read any more.
ReadPhotograph = Callable[[int], bytes | None]


class Kept:
    """The pictures that are kept of one image folder's photographs; open inside a with statement, in one thread.

    Args:
        path: the SQLite file.
        key: what decides a picture besides the photograph.
        root: the image folder.
        records: its photographs, N.
        sha256s: digest of each.
        console: told why nothing is kept.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        root: str,
        records: Sequence[ImageRecord],
        sha256s: Sequence[bytes],
        console: Console,
    ) -> None:
        self._path, self._key, self._root, self._records = path, key, root, records
        self._sha256s, self._console, self._is_usable = sha256s, console, True
        self._store: BottleneckStore | None = None

    def __enter__(self) -> Self:
        if self._is_usable:
            with self._telling():
                is_new = not self._path.exists()
                self._store = BottleneckStore(self._path, self._key, SIDE)
                if self._store.set_aside:
                    self._console.warn(f"{self._path} was damaged: moved to {self._store.set_aside.name} and made anew")
                if is_new:
                    _delete_oldest(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._store is not None:
            self._store.__exit__(kind, error, trace)
            self._store = None

    def read(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Read what is there.

        Args:
            rows: of the photographs.

        Returns:
            row -> what is kept of it.
        """
        digests = [self._sha256s[row] for row in rows]
        found: dict[bytes, bytes] = {}
        if self._store is not None and self._is_usable:
            with self._telling():
                found = _table(self._store).read(digests)
        return {row: found[sha] for row, sha in zip(rows, digests, strict=True) if sha in found}

    def keep(self, made: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Keep pictures of contents that are still those that the run knows.

        Args:
            made: row, digest of what was read, what is kept of it.
        """
        # Trap: a file may have been edited since its vector was made; what is in it now is shown, and not kept.
        fresh = [(row, sha, blob) for row, sha, blob in made if sha == self._sha256s[row]]
        if not fresh or self._store is None or not self._is_usable:
            return
        read_ns = time.time_ns()
        with self._telling():
            _table(self._store).keep(((sha, blob) for _, sha, blob in fresh), MOST_PICTURES)
            # By these entries cache prune knows which pictures nothing needs any more.
            self._store.put((), self._root, [(self._records[row], read_ns, sha) for row, sha, _ in fresh])

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Do without the file from now on where it cannot be used: a run does not hang on its small pictures."""
        try:
            yield
        except (CacheError, OSError) as error:
            self._is_usable = False
            self._console.warn(f"small pictures of the photographs are not kept: {error}")


def _table(store: BottleneckStore) -> BlobTable:
    return BlobTable(store, PICTURES, "picture")


def _delete_oldest(path: Path) -> None:
    others = sorted(set(path.parent.glob(f"{ALBUM}-*.sqlite")) - {path}, key=lambda one: one.stat().st_mtime_ns)
    for other in others[: max(0, len(others) + 1 - MOST_FILES)]:
        with contextlib.suppress(CacheError):  # another process has it open
            delete_cache(other)


@dataclass(frozen=True, slots=True)
class _Square:
    """What came of one photograph: its square, and where it was made just now, what is kept of it and its digest."""

    row: int
    pixels: Pixels | None
    sha256: bytes = b""
    made: bytes = b""


class Album:
    """Photographs by their rows: the bytes of their files, and small squares of them.

    Args:
        read: row -> bytes; called from threads.
        kept: where squares are kept; None: nowhere.
        threads: that read and decode; 0: one a core.
        sky: how pictures with more than 8 bits a value are stretched; None: not.
    """

    def __init__(
        self, read: ReadPhotograph, kept: Kept | None = None, threads: int = 0, sky: SkyStretch | None = None
    ) -> None:
        self._read, self._kept, self._threads, self._sky = read, kept, threads or usable_cores(), sky
        self._side, self._squares = 0, dict[int, Pixels | None]()
        self._lock = threading.Lock()  # report and TensorBoard ask from two threads: one waits for what the other gets

    def __call__(self, row: int) -> bytes | None:
        """Read a photograph's file.

        Args:
            row: which one.

        Returns:
            Its bytes; None where it cannot be read any more.
        """
        return self._read(row)

    def upright(self, row: int, edge: int) -> Image.Image | None:
        """Decode a photograph.

        Args:
            row: which one.
            edge: pixels; a large JPEG is decoded at a smaller scale at which both sides are at least as long.

        Returns:
            RGB, upright; None where it cannot be read any more.
        """
        data = self._read(row)
        return None if data is None else self._decoded(data, edge)

    def squares(self, rows: Sequence[int], side: int) -> list[Pixels | None]:
        """Give squares out of the middle of photographs; those of the last side asked for are remembered.

        Args:
            rows: which, repeats allowed.
            side: pixels, at most SIDE.

        Returns:
            uint8 (side, side, 3) of each, RGB; None where the photograph cannot be read any more.
        """
        with self._lock:
            self._get(rows, side)
            return [self._squares[row] for row in rows]

    def _get(self, rows: Sequence[int], side: int) -> None:
        """Decode what is not there yet, of what is kept or of the photographs, and keep what is new."""
        if side != self._side:
            self._side, self._squares = side, {}
        if missing := [row for row in dict.fromkeys(rows) if row not in self._squares]:
            with self._kept or contextlib.nullcontext() as kept:
                for start in range(0, len(missing), _COMMIT_EVERY):
                    self._get_some(missing[start : start + _COMMIT_EVERY], kept)

    def _get_some(self, rows: Sequence[int], kept: Kept | None) -> None:
        known = kept.read(rows) if kept else {}
        parts = (rows[start : start + _TOGETHER] for start in range(0, len(rows), _TOGETHER))
        made: list[tuple[int, bytes, bytes]] = []
        try:
            for part in in_order(partial(self._decode, known=known), parts, self._threads, 4 * self._threads):
                self._squares.update((one.row, one.pixels) for one in part)
                made += [(one.row, one.sha256, one.made) for one in part if one.made]
        finally:
            if kept:
                kept.keep(made)

    def _decode(self, rows: Sequence[int], known: Mapping[int, bytes]) -> list[_Square]:
        return [self._square(row, known.get(row)) for row in rows]

    def _square(self, row: int, kept: bytes | None) -> _Square:
        if kept is not None:
            return _Square(row, _unpacked(kept, self._side))
        data = self._read(row)
        image = None if data is None else self._decoded(data, SIDE)
        if data is None or image is None:
            return _Square(row, None)
        made = _packed(_middle(image))
        return _Square(row, _unpacked(made, self._side), hashlib.sha256(data).digest(), made)

    def _decoded(self, data: bytes, edge: int) -> Image.Image | None:
        try:
            return decode_upright(data, edge, edge, LIMITS, self._sky)
        except ImageError:
            return None  # edited since its vector was made: shown as a grey tile with its name


def _middle(image: Image.Image) -> Image.Image:
    """Cut the largest square out of the middle."""
    width, height = image.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    return image.crop((left, top, left + edge, top + edge))


def _packed(square: Image.Image) -> bytes:
    """What is kept: the small square's pixels, and behind them the large one as JPEG."""
    file = io.BytesIO(resize_rgb(square, TILE, TILE).tobytes())
    file.seek(0, io.SEEK_END)
    Image.fromarray(resize_rgb(square, SIDE, SIDE)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _unpacked(kept: bytes, side: int) -> Pixels:
    if side == TILE:
        # Copied, so that the JPEG behind it does not stay in memory as well.
        return np.frombuffer(kept, np.uint8, _TILE_BYTES).reshape(TILE, TILE, 3).copy()
    return resize_rgb(decode_upright(kept[_TILE_BYTES:], side, side), side, side)


def reader(paths: Sequence[str | Path]) -> ReadPhotograph:
    """Make what reads photographs.

    Args:
        paths: of all N, or URLs.

    Returns:
        Row -> bytes, or None where the file cannot be read any more.
    """

    def read(row: int) -> bytes | None:
        try:
            return read_image_file(paths[row])
        except ImageError:
            return None  # shown as a grey tile with its name

    return read


def album_of(
    features: Features, bottleneck_dir: str, console: Console, threads: int = 0, sky: SkyStretch | None = None
) -> Album:
    """Open the album of a run's photographs.

    Args:
        features: of all photographs.
        bottleneck_dir: folder of the caches.
        console: told why pictures are not kept.
        threads: that read and decode; 0: one a core.
        sky: how the run stretches pictures with more than 8 bits a value.

    Returns:
        Their album; nothing is read yet.
    """
    catalog = features.catalog
    decides = (VERSION, SIDE, TILE, QUALITY, PREPROCESSING_VERSION, PIL.__version__, sky and sky.fingerprint)
    key = hashlib.sha256(repr(decides).encode()).hexdigest()
    path = cache_path(bottleneck_dir, ALBUM, key)
    kept = Kept(path, key, catalog.root, catalog.records, features.sha256s, console)
    return Album(reader([catalog.full_path(record) for record in catalog.records]), kept, threads, sky)
