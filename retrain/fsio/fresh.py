"""Files that must not be there yet."""

from __future__ import annotations

from pathlib import Path

from retrain.fsio.files import fill_claimed, open_log, sweep_temporaries
from retrain.fsio.folders import remove


def write_new(target: str | Path, data: bytes) -> None:
    """Write a file that must not be there yet, whole or not at all.

    Args:
        target: its path; its folder is made.
        data: its contents.

    Raises:
        FileExistsError: something has that name; it stays as it is.
    """
    # The name is claimed first, which fails where it is taken: the rename that follows replaces the claim alone.
    open_log(target).close()
    try:
        fill_claimed(Path(target), data)
    except BaseException:
        if Path(target).stat().st_size == 0:
            remove(target)
        raise


def forget_new(target: str | Path) -> None:
    """Take away what a killed write_new left: the beginning of the file, under another name.

    Args:
        target: the path that it was told.
    """
    sweep_temporaries(Path(target))
