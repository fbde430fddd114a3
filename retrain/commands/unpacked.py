"""What ``python -m retrain cache`` says of unpacked archives, and which of them it removes."""

from __future__ import annotations

from retrain.config.inputs import unpack_place
from retrain.console import Console, printable
from retrain.dataset.unpacked import Unpacked, list_unpacked, remove_unpacked


def tell_unpacked(bottleneck_dir: str, console: Console) -> None:
    """List the unpacked archives with what they take on the disk.

    Args:
        bottleneck_dir: folder of the caches, beside which archives are unpacked.
        console: where to say it.
    """
    for one in list_unpacked(unpack_place(bottleneck_dir)):
        unused = f"; {one.why_unused}: cache prune removes it" if one.why_unused else ""
        console.line(f"unpacked {one.folder.name[:12]}\n  {_archive(one)}, {one.files:,} files, {_size(one)}{unused}")


def prune_unpacked(bottleneck_dir: str, console: Console, *, dry_run: bool) -> int:
    """Remove what was unpacked of archives that are gone or hold something else now.

    Args:
        bottleneck_dir: folder of the caches.
        console: where to say it.
        dry_run: only say it.

    Returns:
        Bytes that are, or would be, free.
    """
    unused = [one for one in list_unpacked(unpack_place(bottleneck_dir)) if one.why_unused]
    for one in unused:
        if not dry_run:
            remove_unpacked(one.folder)
        done = "would be removed" if dry_run else "removed"
        console.line(f"unpacked {one.folder.name[:12]}: {_archive(one)}: {one.why_unused}; {_size(one)} {done}")
    return sum(one.size for one in unused)


def _archive(one: Unpacked) -> str:
    return printable(one.archive) if one.archive else "of an archive that nothing notes; remove it by hand if it can go"


def _size(one: Unpacked) -> str:
    return f"{one.size / 1e6:,.1f} MB"
