"""How much memory there is, and whether features fit into it."""

from __future__ import annotations

import os
from pathlib import Path

MIB = 2**20
# Where a system says nothing of its memory (Windows, without a package for it).
ASSUMED_BYTES = 4096 * MIB
# A matrix lies in memory together with the scaled copy that the head is trained on.
COPIES = 2


def features_fit(count: int, width: int, limit_mb: int) -> bool:
    """Tell whether features are to lie in memory.

    Args:
        count: rows.
        width: numbers a row.
        limit_mb: how much memory they and their scaled copy may take; 0: half of what is available now.

    Returns:
        Whether they fit.
    """
    limit = limit_mb * MIB if limit_mb else available_bytes() // 2
    return features_bytes(count, width) <= limit


def features_bytes(count: int, width: int) -> int:
    """Say what features take in memory while a head is trained.

    Args:
        count: rows.
        width: numbers a row.

    Returns:
        Bytes, the scaled copy included.
    """
    return COPIES * 4 * count * width


def available_bytes(root: Path = Path("/")) -> int:
    """Find how much memory this process may still take.

    Args:
        root: where /proc and /sys are looked for.

    Returns:
        Bytes: on Linux what the kernel calls available, or what the container has left if that is less; on other
        systems half of the machine's memory; ASSUMED_BYTES where they do not say.
    """
    limits = [found for found in (_linux_available(root), *_container_room(root)) if found is not None]
    return min(limits) if limits else _half_of_all()


def _linux_available(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None


def _container_room(root: Path) -> list[int]:
    """What control groups, version 2 and 1, leave; page cache that can be dropped counts as room."""
    room = []
    for folder, limit_name, usage_name, cache_name in (
        ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = (_read(root / folder / name).strip() for name in (limit_name, usage_name))
        if limit.isdigit() and usage.isdigit():
            stat = dict(line.split() for line in _read(root / folder / "memory.stat").splitlines())
            room.append(max(0, int(limit) - int(usage) + int(stat.get(cache_name, 0))))
    return room


def _half_of_all() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return ASSUMED_BYTES


def _read(path: Path) -> str:
    """A small text file, or nothing where it is not there or may not be read."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
