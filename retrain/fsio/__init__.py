"""Every write to disk: a temporary file beside the target, fsync, rename; locks; and checks made before any of it.

A reader therefore sees the old file or the new one, never half of one, whatever moment the process or the
machine stops at. (SQLite files are the exception: SQLite keeps that promise itself, see bottlenecks/store.py.)
files.py writes files, folders.py folders; locks.py keeps processes apart; asking.py only looks.
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
from retrain.fsio.folders import move_folder, open_staged, remove, staging
from retrain.fsio.locks import locked

__all__ = [
    "STALE_TEMPORARY_S",
    "checksum_fault",
    "locked",
    "move",
    "move_folder",
    "open_log",
    "open_partial",
    "open_staged",
    "remove",
    "replacing",
    "safe_join",
    "scratch",
    "sha256_file",
    "staging",
    "why_not_writable",
    "write_bytes",
    "write_text",
    "write_together",
]
