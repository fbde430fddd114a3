"""Names that are nearly the same, or that other disks and programs cannot hold."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from retrain.console import printable
from retrain.dataset.labels import poets_label
from retrain.survey.entries import Entry
from retrain.survey.findings import COSTS, MAX_EXAMPLES, NOTE, Finding, of_names

# Most disks end at 255 bytes; what copies and exports put behind a name needs some of them.
LONG_NAME_BYTES = 200
_BETWEEN = re.compile(r"[\s_\-]+")


def same_but_for_spelling(name: str) -> str:
    """Reduce a name to what a person would call the same.

    Args:
        name: of a folder or class.

    Returns:
        Without case, Unicode form, and what kind of gap parts its words.
    """
    # Trap: folding case can undo the normal form, so it is made twice (Unicode's "compatibility caseless match").
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return _BETWEEN.sub(" ", folded).strip()


def same_on_other_disks(name: str) -> str:
    """Reduce a name to what a disk that tells neither case nor Unicode form keeps of it.

    Args:
        name: of a file.

    Returns:
        Equal for names that would overwrite each other there.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def twins(names: Iterable[str], key: Callable[[str], str]) -> list[tuple[str, ...]]:
    """Group names that are the same under a rule.

    Args:
        names: distinct ones.
        key: the rule.

    Returns:
        Groups of two and more, in the order met.
    """
    groups = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def label_findings(labels: Sequence[str], label_style: str) -> list[Finding]:
    """Say which classes are hardly told apart by their names.

    Args:
        labels: of the classes; equal ones are a problem of the catalog's own.
        label_style: "folder" or "poets".

    Returns:
        Findings on names of classes.
    """
    distinct = list(dict.fromkeys(labels))
    alike = [" = ".join(map(repr, map(printable, group))) for group in twins(distinct, same_but_for_spelling)]
    padded = [name for name in distinct if name != name.strip()]
    found = of_names(
        COSTS,
        "class-twins",
        "classes whose names differ by case, spaces or Unicode form only: a run takes them for different classes",
        "if they are one class, move the photographs of one folder into the other and take the empty one away",
        alike,
    )
    if label_style == "folder":
        poets = [" = ".join(map(repr, map(printable, group))) for group in twins(distinct, poets_label)]
        text = "classes that would have one label under --label_style=poets, which would refuse to start"
        found += of_names(NOTE, "poets-twins", text, "keep --label_style=folder", poets)
        text = "class name that begins or ends with a space: kept as it is, and easily mistyped"
        found += of_names(NOTE, "padded-class", text, "rename the folder", padded)
    return found


def name_findings(entries: Sequence[Entry]) -> list[Finding]:
    """Say which names of files make trouble elsewhere.

    Args:
        entries: all that lies in the image folder.

    Returns:
        Findings on names; none of them stops a run.
    """
    seen = [entry for entry in entries if not entry.is_hidden]
    long = [e.path for e in seen if len(_encoded(e.name)) > LONG_NAME_BYTES]
    bytes_only = [e.path for e in seen if any(unicodedata.category(c) == "Cs" for c in e.name)]
    control = [e.path for e in seen if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in e.name)]
    return [
        *_name_twins(seen),
        *of_names(
            NOTE, "long-name", f"name of over {LONG_NAME_BYTES} bytes: read, but copies and archives may refuse it",
            "rename it", long,
        ),
        *of_names(NOTE, "not-utf8", "name that is not UTF-8: read, and shown with escapes", "rename it", bytes_only),
        *of_names(
            NOTE, "control-character", "name with a line break or another control character: read, and shown with "
            "escapes", "rename it", control,
        ),
    ]  # fmt: skip


def _name_twins(entries: Iterable[Entry]) -> list[Finding]:
    names = defaultdict(list)
    for entry in entries:
        if entry.depth > 1:  # those of class folders are label_findings'
            names[entry.parent].append(entry.name)
    alike = [
        f"{folder}/{' = '.join(group)}" for folder, held in names.items() for group in twins(held, same_on_other_disks)
    ]
    text = "names that differ by case or Unicode form only: both read, but one overwrites the other on many disks"
    fix = "rename one of each before copying them to Windows, macOS or a USB stick"
    return [Finding(NOTE, "name-twins", text, fix, tuple(alike[:MAX_EXAMPLES]), len(alike))] if alike else []


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
