"""What is kept in a bottleneck cache for near duplicates: how photographs look, how alike, and what was found.

Tables of their own in the backbone's file (bottlenecks/store.py), made when first needed. A set of photographs that was
compared once is never compared again. Of one that has changed only the new photographs are read, and only pairs with a
new photograph are laid upon each other, at 0.6 ms a pair.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from retrain.alike.candidates import Bits
from retrain.alike.fingerprints import HASH_BITS, THUMBNAIL
from retrain.bottlenecks import BlobTable, BottleneckStore
from retrain.bottlenecks.store import checksum_of
from retrain.images import Floats, Pixels

Digests = tuple[bytes, bytes]
Look = tuple[Pixels, Bits]

# Raised with any change of fingerprints, thresholds or rules: what was kept by older ones is left alone and not used.
VERSION = 1
# Comparisons that are remembered, the latest ones: one for each image folder in use.
_REMEMBERED = 16
_DIGEST = 32
_AREA = THUMBNAIL * THUMBNAIL
_LOOK_BYTES = _AREA + (HASH_BITS + 7) // 8
_LOOKS, _COMPARISONS, _LIKENESSES = f"looks_{VERSION}", f"comparisons_{VERSION}", f"likenesses_{VERSION}"
# Pairs that are remembered, the latest ones, at 100 bytes each.
_MOST_PAIRS = 500_000
_SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS {_COMPARISONS} "
    "(number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, pairs BLOB NOT NULL, checksum INTEGER NOT NULL)"
)


def key_of(sha256s: Iterable[bytes]) -> bytes:
    """Name a set of photographs.

    Args:
        sha256s: their digests, in order.

    Returns:
        32 bytes.
    """
    return hashlib.sha256(b"".join(sha256s)).digest()


def recall(store: BottleneckStore, key: bytes) -> list[Digests] | None:
    """Say what an earlier comparison found.

    Args:
        store: the cache.
        key: of the set.

    Returns:
        Pairs of digests; None where the set was not compared yet, or what is kept of it is damaged.
    """
    with store.writing() as db:
        _make(db)
        query = f"SELECT CAST(pairs AS BLOB), checksum FROM {_COMPARISONS} WHERE key = ?"  # noqa: S608
        row = db.execute(query, (key,)).fetchone()
    if row is None or not _is_whole(key, *row) or len(row[0]) % (2 * _DIGEST):
        return None
    both = [row[0][at : at + _DIGEST] for at in range(0, len(row[0]), _DIGEST)]
    return list(zip(both[::2], both[1::2], strict=True))


def remember(store: BottleneckStore, key: bytes, pairs: Sequence[Digests]) -> None:
    """Keep what a comparison found, and forget the oldest.

    Args:
        store: the cache.
        key: of the set.
        pairs: of digests.
    """
    blob = b"".join(sha for pair in pairs for sha in pair)
    latest = f"SELECT number FROM {_COMPARISONS} ORDER BY number DESC LIMIT {_REMEMBERED}"  # noqa: S608
    with store.writing() as db:
        _make(db)
        db.execute(f"DELETE FROM {_COMPARISONS} WHERE key = ?", (key,))  # noqa: S608
        into = f"INSERT INTO {_COMPARISONS} (key, pairs, checksum) VALUES (?, ?, ?)"  # noqa: S608
        db.execute(into, (key, blob, checksum_of(key, blob)))
        db.execute(f"DELETE FROM {_COMPARISONS} WHERE number NOT IN ({latest})")  # noqa: S608


def known_looks(store: BottleneckStore, sha256s: Iterable[bytes]) -> dict[bytes, Look]:
    """Read how photographs look.

    Args:
        store: the cache.
        sha256s: their digests.

    Returns:
        digest -> thumbnail and hash, of those that are kept whole.
    """
    return {sha: _unpacked(blob) for sha, blob in _looks(store).read(sha256s).items()}


def keep_looks(store: BottleneckStore, looks: Iterable[tuple[bytes, Pixels, Bits]]) -> None:
    """Keep how photographs look.

    Args:
        store: the cache.
        looks: digest, uint8 (32, 32) and bool (HASH_BITS,) of each.
    """
    rows = ((sha, thumbnail.tobytes() + np.packbits(bits).tobytes()) for sha, thumbnail, bits in looks)
    _looks(store).keep(rows)


def known_likenesses(store: BottleneckStore, pairs: Sequence[Digests]) -> Floats:
    """Read how alike pairs of photographs are.

    Args:
        store: the cache.
        pairs: P of their digests; the order within a pair matters.

    Returns:
        float32 (P,): the likeness as alignment.likenesses found it; NaN where it is not kept.
    """
    keys = [key_of(pair) for pair in pairs]
    found = _likenesses(store).read(keys)
    nothing = np.array(np.nan, "<f4").tobytes()
    return np.frombuffer(b"".join([found.get(key, nothing) for key in keys]), "<f4").astype(np.float32)


def keep_likenesses(store: BottleneckStore, pairs: Sequence[Digests], found: Floats) -> None:
    """Keep how alike pairs of photographs are.

    Args:
        store: the cache.
        pairs: P of their digests.
        found: float32 (P,).
    """
    if len(pairs):
        rows = ((key_of(pair), np.float32(one).astype("<f4").tobytes()) for pair, one in zip(pairs, found, strict=True))
        _likenesses(store).keep(rows, _MOST_PAIRS)


def _likenesses(store: BottleneckStore) -> BlobTable:
    return BlobTable(store, _LIKENESSES, "likeness", 4)


def _looks(store: BottleneckStore) -> BlobTable:
    return BlobTable(store, _LOOKS, "look", _LOOK_BYTES)


def _unpacked(blob: bytes) -> Look:
    every = np.frombuffer(blob, np.uint8)
    bits = np.unpackbits(every[_AREA:], count=HASH_BITS).astype(np.bool_)
    return every[:_AREA].reshape(THUMBNAIL, THUMBNAIL), bits


def _make(db: sqlite3.Connection) -> None:
    db.execute(_SCHEMA)


def _is_whole(key: bytes, blob: bytes, checksum: object) -> bool:
    # A flipped bit in a row's header makes text or a number of a blob, which is why it is cast to one.
    return checksum_of(key, blob) == checksum
