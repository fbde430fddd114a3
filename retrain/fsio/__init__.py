"""Every write to disk: a temporary file beside the target, fsync, rename; locks; and checks made before any of it.

A reader therefore sees the old file or the new one, never half of one, whatever moment the process or the
machine stops at. (SQLite files are the exception: SQLite keeps that promise itself, see bottlenecks/store.py.)
files.py writes files, folders.py folders, fresh.py what must not be there yet; locks.py keeps processes apart;
asking.py only looks, and room.py says what a disk has room for. All of them change the disk through system.py, where
that can be watched.
"""

from retrain.fsio.asking import checksum_fault, safe_join, sha256_file, why_not_writable
from retrain.fsio.files import (
    STALE_TEMPORARY_S,
    move,
    open_log,
    open_partial,
    replacing,
    scratch,
    write_bytes,
    write_text,
    write_together,
)
from retrain.fsio.folders import discard, move_folder, open_staged, remove, staging, sweep
from retrain.fsio.fresh import forget_new, write_new
from retrain.fsio.locks import locked
from retrain.fsio.room import NoRoomError, free_bytes, room_words
from retrain.fsio.system import (
    Operation,
    append,
    link,
    make_folder,
    remove_folder,
    set_date,
    sync,
    sync_folder,
    watching,
)

__all__ = [
    "STALE_TEMPORARY_S",
    "NoRoomError",
    "Operation",
    "append",
    "checksum_fault",
    "discard",
    "forget_new",
    "free_bytes",
    "link",
    "locked",
    "make_folder",
    "move",
    "move_folder",
    "open_log",
    "open_partial",
    "open_staged",
    "remove",
    "remove_folder",
    "replacing",
    "room_words",
    "safe_join",
    "scratch",
    "set_date",
    "sha256_file",
    "staging",
    "sweep",
    "sync",
    "sync_folder",
    "watching",
    "why_not_writable",
    "write_bytes",
    "write_new",
    "write_text",
    "write_together",
]
