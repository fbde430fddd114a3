"""Runs that want the same photographs in one cache file take turns, so that none computes what another is computing.

On one machine they would only divide its cores. Runs over other folders do not wait: they have little in common, and
whatever they both compute is kept once. A killed process gives up its turn at once; who is stopped, or hangs, loses it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from retrain import fsio
from retrain.console import Console, printable
from retrain.errors import RetrainError

# Before it is said that somebody waits.
_SILENT_S = 1.0
# Who has the turn commits every COMMIT_S seconds; nothing for so long, and others go on without it.
STALLED_S = 45.0


@contextlib.contextmanager
def turn(path: Path, root: bytes, console: Console, commits: Callable[[], int]) -> Iterator[bool]:
    """Wait for the turn to extract the photographs of a folder into a cache file, and have it inside the block.

    Args:
        path: the cache file.
        root: names the folder.
        console: told when somebody waits.
        commits: a number that changes when another process commits.

    Yields:
        Whether there was somebody to wait for: the cache may have more now.
    """
    target = path.with_name(f"{path.name}.{hashlib.sha256(root).hexdigest()[:8]}")
    with contextlib.ExitStack() as stack:
        waited = not _get(stack, target, _SILENT_S)
        if waited:
            shown = printable(str(path))
            console.line(f"Another process extracts these photographs into {shown}; waiting to go on with what it has")
            seen = commits()
            while not _get(stack, target, STALLED_S):
                if seen == (seen := commits()):
                    console.warn(f"it has added nothing to {shown} for {STALLED_S:.0f} s; going on beside it")
                    break
        yield waited


def _get(stack: contextlib.ExitStack, target: Path, timeout_s: float) -> bool:
    try:
        stack.enter_context(fsio.locked(target, timeout_s=timeout_s, stays=False))
    except RetrainError:
        return False
    return True
