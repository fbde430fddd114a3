"""How a cache file is opened: to read only, for one process alone, or set aside where SQLite cannot read it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from retrain import fsio
from retrain.errors import CacheError

# What SQLite keeps beside a file while it is open.
BESIDE = ("-wal", "-shm")
_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


@contextlib.contextmanager
def as_cache_error(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside the block into a CacheError.

    Args:
        path: the cache file.
    """
    try:
        yield
    except sqlite3.Error as error:
        # What the module itself finds fault with has no code.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_DISK:
            advice = f"{fsio.room_words(path)}; see to the disk and run the command again, what was cached is kept"
        else:
            advice = "is the file in use?"
        raise CacheError(f"bottleneck cache {path}: {error}; {advice}") from error
    except UnicodeDecodeError as error:
        # Trap: what SQLite has to say quotes the file, and where that is damaged Python cannot read it as text.
        raise CacheError(f"bottleneck cache {path} is damaged: {error}; move it away and run again") from error


def write_ahead(db: sqlite3.Connection, timeout_s: float) -> None:
    """Switch a cache file to its write-ahead log, which an old one has already.

    Args:
        db: a connection outside any transaction.
        timeout_s: how long to wait for another process.

    Raises:
        sqlite3.OperationalError: another process still held the file.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # Trap: where two make a file at the same moment, SQLite does not wait here, whatever its timeout is.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def page_size(width: int) -> int:
    """Choose the page of a new cache file: SQLite's own 4,096 bytes hold one vector of 512 and waste half.

    Args:
        width: length of a vector.

    Returns:
        Bytes, such that three vectors of up to 2,048 fit; 100,000 of 512 take 251 MB in place of 427.
    """
    return 16384 if width <= 1280 else 32768


def set_damaged_aside(path: Path, timeout_s: float) -> Path | None:
    """Move a file that SQLite cannot read out of the way, keeping it.

    Args:
        path: the cache file.
        timeout_s: how long to wait for another process.

    Returns:
        Where it went, or None when it is sound or not there.

    Raises:
        CacheError: it cannot be opened.
    """
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=timeout_s)) as db:
            # 0.06 s for 100,000 vectors of 512. Without it a torn page would end this run and every later one.
            if db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return None
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, no permission: not damage
            raise CacheError(f"cannot open the bottleneck cache {path}: {error}") from error
    except UnicodeDecodeError:
        pass  # a quotation of the file, see as_cache_error: damage
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    fsio.move(path, aside)
    for suffix in BESIDE:
        fsio.remove(path.with_name(path.name + suffix))
    return aside


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a cache file without changing it, whoever else has it open.

    Args:
        path: the cache file.

    Yields:
        A connection that can make temporary tables only.

    Raises:
        CacheError: SQLite cannot read it.
    """
    with as_cache_error(path), contextlib.closing(_to_read(path)) as db:
        yield db


@contextlib.contextmanager
def alone(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a cache file that no other process has open, and keep it so.

    Args:
        path: the cache file.

    Yields:
        A connection outside any transaction.

    Raises:
        CacheError: another process has it open, or SQLite cannot read it.
    """
    with as_cache_error(path), contextlib.closing(_connected(path, "rw")) as db:
        try:
            # In this mode SQLite asks for a lock that every other open connection stands in the way of.
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN EXCLUSIVE")
            db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise CacheError(
                f"{path} is in use by another process ({error}); nothing was changed: try again when it is done"
            ) from error
        yield db


def _to_read(path: Path) -> sqlite3.Connection:
    db = _connected(path, "ro")
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # On a read-only disk SQLite cannot make its files beside; where there are none, nobody is writing either.
        db.close()
        if path.with_name(path.name + BESIDE[0]).exists():
            raise
        db = _connected(path, "ro&immutable=1")
    return db


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=1.0, isolation_level=None)
