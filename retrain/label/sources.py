"""What --image names: files, folders, patterns, URLs, lists and standard input become photographs, one by one."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from retrain import storage
from retrain.images import LIMITS
from retrain.storage import is_url

STDIN = "-"
_HIDDEN = "hidden (name starts with a dot)"
_SUFFIX = "suffix of no known image format"
_SKY = "FITS or TIFF, and the model was trained without --sky_limits"
_UNREADABLE = "folder that cannot be read"


@dataclass(frozen=True)
class Photograph:
    """One photograph to name.

    Args:
        path: what its row says; "-" for standard input.
        image: path, URL, or the bytes that came on standard input.
    """

    path: str
    image: str | bytes


@dataclass
class Walk:
    """How folders are walked, and what was left out on the way.

    Args:
        skip: absolute paths of folders and files that this run writes.
        left_out: reason -> number of entries that were not taken.
        sky: whether the model reads FITS and TIFF.
    """

    skip: frozenset[str] = frozenset()
    left_out: Counter[str] = field(default_factory=Counter)
    sky: bool = False

    def skips(self, path: str) -> bool:
        """Tell whether a path is one that this run writes, or lies in one.

        Args:
            path: of a file or folder.

        Returns:
            True for those.
        """
        if not self.skip:
            return False
        real = os.path.realpath(path)
        return any(real == own or real.startswith(own + os.sep) for own in self.skip)


def skipping(paths: Sequence[str], *, sky: bool = False) -> Walk:
    """Begin a walk.

    Args:
        paths: folders and files that this run writes.
        sky: whether the model reads FITS and TIFF.

    Returns:
        A walk that has left out nothing yet.
    """
    return Walk(frozenset(os.path.realpath(path) for path in paths), sky=sky)


def is_one_file(words: Sequence[str]) -> bool:
    """Tell whether one photograph was named by itself.

    Args:
        words: of --image.

    Returns:
        False for a folder, pattern or list, even of one photograph.
    """
    if len(words) != 1 or words[0].startswith("@"):
        return False
    return words[0] == STDIN or (is_url(words[0]) and not words[0].endswith("/")) or os.path.isfile(words[0])  # noqa: PTH113


def photographs(words: Sequence[str], walk: Walk) -> Iterator[Photograph]:
    """List photographs, in the order they were named; folders and patterns by name.

    Args:
        words: of --image, without problems.
        walk: what is skipped; told what was left out.

    Yields:
        One after the other; of a folder, no more is held than one folder's names.
    """
    for word in words:
        if word == STDIN:
            yield Photograph(STDIN, sys.stdin.buffer.read(LIMITS.max_bytes + 1))
        elif word == "@-":
            yield from (Photograph(line, line) for line in _lines(sys.stdin.buffer))
        elif word.startswith("@"):
            with Path(word[1:]).open("rb") as file:
                yield from (Photograph(line, line) for line in _lines(file))
        else:
            yield from (Photograph(path, path) for path in _paths(word, walk))


def count(words: Sequence[str], skip: Sequence[str] = (), *, sky: bool = False) -> int | None:
    """Count photographs, to say how long it will take.

    Args:
        words: of --image, without problems.
        skip: folders and files that this run writes.
        sky: whether the model reads FITS and TIFF.

    Returns:
        How many there are now; None where nobody can know, as with ``@-``.
    """
    if "@-" in words:
        return None
    walk = skipping(skip, sky=sky)
    return sum(sum(1 for _ in photographs([word], walk)) if word != STDIN else 1 for word in words)


def source_problems(words: Sequence[str], skip: Sequence[str]) -> list[str]:
    """Say what cannot be read.

    Args:
        words: of --image.
        skip: folders that this run writes.

    Returns:
        One sentence each.
    """
    # The model, which is not open yet, may be one for the sky.
    walk = skipping(skip, sky=True)
    problems = [problem for word in words if (problem := _word_problem(word, walk)) is not None]
    if sum(word in (STDIN, "@-") for word in words) > 1:
        problems.append("expected - or @- once in --image, there is one standard input; leave one away")
    return problems


def _word_problem(word: str, walk: Walk) -> str | None:
    if word in (STDIN, "@-"):
        return None
    if is_url(word):
        return storage.driver_problem(word)
    path = Path(word[1:] if word.startswith("@") else word)
    if word.startswith("@"):
        return None if path.is_file() else f"expected --image={word} to name a list, but {path} is no file; {_SPELLING}"
    if path.is_file():
        return None
    if path.is_dir():
        found = next(_below(word, walk), None)
        return None if found else f"expected --image to hold images, but the folder {word} has none (by their suffix)"
    if glob.has_magic(word):
        found = next(_paths(word, walk), None)
        return None if found else f"expected --image to match a file, but nothing matches {word}; {_SPELLING}"
    if path.exists():
        return f"expected --image to be a file, but {word} is a pipe or device; give - and pipe the bytes in"
    return f"expected --image to be a file, but {word} is not there; {_SPELLING}"


_SPELLING = "check the spelling"


def _lines(file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file):
        path = os.fsdecode(line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line).rstrip("\r\n")
        if path.strip():
            yield path


def _paths(word: str, walk: Walk) -> Iterator[str]:
    if is_url(word):
        yield from _below_url(word.rstrip("/"), walk) if word.endswith("/") else (word,)
    elif os.path.isdir(word):  # noqa: PTH112 - Path would drop a leading ./ of what is printed
        yield from _below(word, walk)
    elif os.path.lexists(word):
        yield word
    else:
        for match in sorted(glob.iglob(word, recursive=True)):
            # Trap: ** matches folders, too, whose files match by themselves; walked, they would come twice.
            if not (os.path.isdir(match) and "**" in word):  # noqa: PTH112
                yield from () if walk.skips(match) else _paths(match, walk)


def _below(folder: str, walk: Walk) -> Iterator[str]:
    """List the images below a folder: its own by name, then those of its sub-folders."""
    why_not = _suffix_test(walk)

    def note(error: OSError) -> None:
        walk.left_out[f"{_UNREADABLE} ({error.filename}: {error.strerror})"] += 1

    for place, folders, files in os.walk(folder, onerror=note):
        kept = [name for name in folders if not _hidden(name, walk) and not walk.skips(os.path.join(place, name))]
        folders[:] = sorted(kept)
        for name in sorted(files):
            path = os.path.join(place, name)
            if walk.skips(path) or _hidden(name, walk):
                continue
            reason = why_not(name)
            if not reason:
                yield path
            else:
                walk.left_out[reason] += 1


def _below_url(folder: str, walk: Walk) -> Iterator[str]:
    why_not = _suffix_test(walk)
    found = [entry for entry in storage.list_folder(folder) if not _hidden(entry.name, walk)]
    for entry in found:
        reason = why_not(entry.name)
        if not entry.is_folder and not reason:
            yield f"{folder}/{entry.name}"
        elif not entry.is_folder:
            walk.left_out[reason] += 1
    for entry in found:
        if entry.is_folder:
            yield from _below_url(f"{folder}/{entry.name}", walk)


def _hidden(name: str, walk: Walk) -> bool:
    walk.left_out[_HIDDEN] += name.startswith(".")
    return name.startswith(".")


def _suffix_test(walk: Walk) -> Callable[[str], str]:
    """Make what says why a file is left out by its name; empty: it is not."""
    # Imported here: a single photograph does not need the rule for folders, which is the one of training folders.
    from retrain.dataset.scan import SKY_SUFFIXES, suffix_of, suffixes_for

    suffixes = suffixes_for(sky=walk.sky)

    def why_not(name: str) -> str:
        suffix = suffix_of(name)
        if suffix in suffixes:
            return ""
        return _SKY if suffix in SKY_SUFFIXES else _SUFFIX

    return why_not
