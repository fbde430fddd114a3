"""Groups: photographs that must lie on one side together, such as shots of one object or of one night.

A group's place is a hash of its name alone, so that adding members to it, or taking them away, moves nothing. What else
moves nothing depends on where the name comes from:

    folder      the sub-folders between class and file. Renaming files, renaming or moving the class or image folder:
                nothing moves. A sub-folder of one name in two classes is one group. Directly in a class: no group.
    nohash      what stands before ``_nohash_`` in class/name. Renaming what follows, moving the image folder.
    regex       the first group of the pattern, or the whole match, in class/name. All that the pattern does not see.
    csv         what a file says, path by path. Renaming files, as long as the CSV is changed with them.
    exif_date   the day that the camera wrote into the photograph. Renaming and moving anything.

The image folder and the folders train, val and test are never part of a name. A photograph without a group is a group
of its own, placed by its contents. Groups that share an exact copy, or have near duplicates of one another (found by
the room alike), are one, whose place is the lowest of theirs: a copy that comes in later and joins two groups which lie
on different sides moves one of them, since both cannot stay; so does a near duplicate of an old photograph whose own
place is lower and on another side. Nothing else that is added moves anything.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from retrain.config.splits import GroupRule
from retrain.console import printable
from retrain.dataset.catalog import Catalog, ImageRecord
from retrain.dataset.labels import poets_label
from retrain.dataset.tables import match_rows, read_table


def named_groups(catalog: Catalog, rule: GroupRule) -> tuple[dict[str, str], list[str]]:
    """Name the group of each photograph, as far as its path or a CSV file tells.

    Args:
        catalog: the photographs.
        rule: of --group_by; "exif_date" names none here, since that takes reading the photographs.

    Returns:
        path -> name of its group, for the photographs that have one; and one sentence a problem.
    """
    if rule.kind == "csv":
        return _from_table(catalog, rule.argument)
    name_of = _namer(rule)
    found = {record.path: name_of(catalog, record) for record in catalog.records} if name_of else {}
    return {path: name for path, name in found.items() if name}, []


def _namer(rule: GroupRule) -> Callable[[Catalog, ImageRecord], str] | None:
    if rule.kind == "folder":
        return _folders_below_class
    if rule.kind == "nohash":
        return lambda catalog, record: _before_nohash(catalog.path_of_class(record))
    if rule.kind == "regex":
        pattern = re.compile(rule.argument)
        return lambda catalog, record: _matched(pattern, catalog.path_of_class(record))
    return None


def _folders_below_class(catalog: Catalog, record: ImageRecord) -> str:
    folders = catalog.path_of_class(record).split("/")[:-1]
    # With --image_list, photographs need not lie in a folder that is named as their label.
    of_class = bool(folders) and poets_label(folders[0]) == poets_label(catalog.labels[record.label])
    return "/".join(folders[of_class:])


def _before_nohash(path: str) -> str:
    before, mark, _ = path.partition("_nohash_")
    return before if mark else ""


def _matched(pattern: re.Pattern[str], path: str) -> str:
    match = pattern.search(path)
    if match is None:
        return ""
    return (match[1] if pattern.groups else match[0]) or ""


def _from_table(catalog: Catalog, file: str) -> tuple[dict[str, str], list[str]]:
    rows, problems = read_table(file, ("path", "group"))
    found, strange = match_rows(rows, catalog)
    groups = {record.path: row.cells["group"] for row, record in found if row.cells["group"]}
    return groups, [f"--group_by=csv:{file}: {problem}" for problem in problems + strange]


def group_keys(names: Sequence[str], sha256s: Sequence[bytes]) -> list[bytes]:
    """Give photographs of one group one key, and exact copies as well.

    Args:
        names: of each photograph's group; empty: none.
        sha256s: the hash of each photograph's bytes, 32 bytes each.

    Returns:
        32 bytes a photograph: its hash where it stands alone.
    """
    keys = [_key(name) if name else sha for name, sha in zip(names, sha256s, strict=True)]
    first: dict[bytes, int] = {}
    copies = ((first.setdefault(sha, index), index) for index, sha in enumerate(sha256s))
    return merge_groups(keys, (pair for pair in copies if keys[pair[0]] != keys[pair[1]]))


def _key(name: str) -> bytes:
    # The word before it keeps a name from being taken for the contents of a file.
    return hashlib.sha256(b"group\0" + name.encode("utf-8", "surrogateescape")).digest()


def merge_groups(keys: Sequence[bytes], pairs: Iterable[tuple[int, int]]) -> list[bytes]:
    """Join groups that belong together, as near duplicates do.

    Tarjan, "Efficiency of a good but not linear set union algorithm", 1975, JACM 22(2).

    Args:
        keys: of each photograph; those of one key are one group.
        pairs: of indices of photographs whose groups are to be one.

    Returns:
        One key a photograph, the lowest of all that were joined, whatever the order of photographs and pairs.
    """
    above: dict[bytes, bytes] = {}

    def lowest(key: bytes) -> bytes:
        while (up := above.get(key, key)) != key:
            above[key] = key = above.get(up, up)
        return key

    for one, other in pairs:
        low, high = sorted((lowest(keys[one]), lowest(keys[other])))
        above[high] = low
    return [lowest(key) for key in keys] if above else list(keys)


def names_of_groups(names: Sequence[str], keys: Sequence[bytes], sides: Sequence[int] | None = None) -> list[str]:
    """Name groups for a table, so that reading it back gives the same groups.

    Args:
        names: of each photograph's group before groups were joined; empty: none.
        keys: of each photograph after that.
        sides: of each photograph; None: each group lies on one.

    Returns:
        The alphabetically first name in each group; the key's start where there is none and it has several members;
        else nothing, as for groups without a name that lie on two sides, which no table may name.
    """
    first: dict[bytes, str] = {}
    for name, key in zip(names, keys, strict=True):
        if name:
            first[key] = min(name, first.get(key, name))
    sizes = Counter(keys)
    nameless = {key for key in sizes if sizes[key] < 2} | torn_keys(keys, sides or [0] * len(keys))
    return [first.get(key, "" if key in nameless else key.hex()[:16]) for key in keys]


def torn_keys(keys: Sequence[bytes], sides: Sequence[int]) -> set[bytes]:
    """Tell which groups lie on two sides.

    Args:
        keys: of each photograph.
        sides: of each.

    Returns:
        Their keys.
    """
    side_of: dict[bytes, int] = {}
    return {key for key, side in zip(keys, sides, strict=True) if side_of.setdefault(key, side) != side}


def near_lines(
    paths: Sequence[str], sha256s: Sequence[bytes], near: Sequence[tuple[int, int]], sides: Sequence[int], why: str
) -> tuple[str, tuple[str, ...]]:
    """Say how many photographs are near duplicates, and on which sides they lie.

    Args:
        paths: of each photograph.
        sha256s: the hash of each.
        near: pairs of indices of near duplicates.
        sides: of each photograph.
        why: what put them on two sides, if they lie there.

    Returns:
        A sentence, empty where there are none; and warnings.
    """
    if not near:
        return "", ()
    keys = merge_groups(sha256s, near)
    own = {keys[index] for pair in near for index in pair}
    count = sum(key in own for key in keys)
    groups = "1 group" if len(own) == 1 else f"{len(own)} groups"
    line = f"{count} photographs are near duplicates of others ({groups})"
    if not own & torn_keys(keys, sides):
        return f"{line}; each group lies on one side", ()
    pairs = [(paths[one], paths[other]) for one, other in near if sides[one] != sides[other]]
    if not pairs:  # exact copies of theirs do, which is said elsewhere
        return line, ()
    lie = "1 pair of near duplicates lies" if len(pairs) == 1 else f"{len(pairs)} pairs of near duplicates lie"
    such = " and ".join(repr(printable(path)) for path in pairs[0])
    return line, (f"{lie} on two sides, such as {such}, because {why}: accuracy will look better than it is",)
