"""What can be the name of a class folder on every system: labels are kept as they are spelt, or refused."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from retrain.console import printable

_MAX_NAME_BYTES = 200
# Characters that a name cannot have on every system.
FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{kind}{number}" for kind in ("COM", "LPT") for number in range(1, 10))}
)
# Control characters, halves of characters, and what breaks a line: none can stand in the labels file.
_NO_LINE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def label_fault(label: str) -> str | None:
    """Say why a label cannot be the name of a class folder.

    Args:
        label: any text.

    Returns:
        A phrase such as "it starts with a dot", or None.
    """
    if not label.strip():
        return "it is empty"
    if label != label.strip() or label.endswith("."):
        return "it starts or ends with a space, or ends with a dot"
    if label.startswith("."):
        return "it starts with a dot, so it would be hidden or outside"
    if any(c in FORBIDDEN or unicodedata.category(c) in _NO_LINE for c in label):
        return "it holds a character that a folder cannot have on every system"
    if label.split(".")[0].strip().upper() in _DEVICES:
        return "it is the name of a device on Windows"
    if len(label.encode()) > _MAX_NAME_BYTES:
        return f"it is longer than {_MAX_NAME_BYTES} bytes"
    return None


def twins(labels: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Find labels that are one folder on a system where large and small letters are one.

    Args:
        labels: that are to become folders.
        folders: that are there already.

    Returns:
        One sentence a group that has a new label in it.
    """
    fresh = set(labels)
    spelt: defaultdict[str, set[str]] = defaultdict(set)
    for name in fresh | set(folders):
        spelt[unicodedata.normalize("NFC", name).casefold()].add(name)
    return [
        f"the labels {', '.join(repr(printable(name)) for name in sorted(same))} differ only in how they are spelt; "
        "spell them alike"
        for same in spelt.values()
        if len(same) > 1 and same & fresh
    ]
