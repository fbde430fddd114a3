"""What of an archive is unpacked: files and folders under plain names, in bounded number and size, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from retrain.config.inputs import ARCHIVE_FILES, ARCHIVE_MB, MIB
from retrain.dataset.members import FILE, FOLDER, Member

# Photographs are packed already: an archive of them unpacks to little more than its own size.
MAX_RATIO = 100
# So much is harmless, however small the archive.
_FREE_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_NAME_BYTES = 255
# Names that mean something else on Windows, or cannot be there; an archive is to give the same folder on every system.
_BAD_CHARACTER = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
# What is never unpacked for a second time: a person who packed it so is told, and nothing hides in it.
_ARCHIVE = re.compile(r"(?i).*\.(zip|7z|rar|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?")


@dataclass(frozen=True)
class Bounds:
    """How much may come out of an archive.

    Args:
        max_files: files and folders.
        max_bytes: in all, unpacked.
    """

    max_files: int = ARCHIVE_FILES
    max_bytes: int = ARCHIVE_MB * MIB


class Guard:
    """Judges the members of one archive, in order.

    Args:
        source: what the archive is called in messages.
        archive_bytes: its size.
        bounds: how much may come out of it.
    """

    def __init__(self, source: str, archive_bytes: int, bounds: Bounds) -> None:
        self._source, self._bounds = source, bounds
        self._ratio_bytes = max(MAX_RATIO * archive_bytes, _FREE_BYTES)
        self.allowed_bytes = min(bounds.max_bytes, self._ratio_bytes)
        self._archive_bytes = archive_bytes
        self._spelt: dict[str, tuple[str, str]] = {}
        self._files: set[str] = set()
        self.count = self.total_bytes = 0

    def judge(self, member: Member) -> tuple[str, str]:
        """Look at the next member.

        Args:
            member: of the archive.

        Returns:
            Its name without "./" and with single slashes, and what is wrong with it, in words; empty when nothing is.
        """
        self.add(member)
        name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
        if member.kind not in (FILE, FOLDER):
            return name, f"is {member.kind}"
        if member.kind == FOLDER and not name and not member.name.startswith("/"):
            return "", ""  # the "./" that tar writes for the folder itself
        if member.kind == FILE and _ARCHIVE.fullmatch(name):
            return name, "is an archive itself"
        return name, _name_problem(member.name) or self._collision(name, member.kind)

    def add(self, member: Member) -> None:
        """Count a member without judging it.

        Args:
            member: of the archive.
        """
        self.count += 1
        self.total_bytes += max(member.size, 0)

    @property
    def is_exceeded(self) -> bool:
        """Whether there is too much of anything."""
        return self.count > self._bounds.max_files or self.total_bytes > self.allowed_bytes

    def excess(self, *, is_all: bool = False) -> list[str]:
        """Say what there is too much of.

        Args:
            is_all: whether the members seen so far are all that there are.

        Returns:
            One sentence a bound that is passed.
        """
        got = "got" if is_all else "got at least"
        advice = "where you trust the archive; or unpack it yourself and give the folder as --image_dir"
        problems = []
        if self.count > self._bounds.max_files:
            problems.append(
                f"expected {self._source} to hold at most {self._bounds.max_files:,} files, {got} {self.count:,}; "
                f"raise --archive_max_files {advice}"
            )
        if self.total_bytes > self._bounds.max_bytes:
            problems.append(
                f"expected {self._source} to unpack to at most {self._bounds.max_bytes // MIB:,} MiB, {got} "
                f"{-(-self.total_bytes // MIB):,} MiB; raise --archive_max_mb {advice}"
            )
        if self.total_bytes > self._ratio_bytes:
            problems.append(
                f"expected {self._source}, of {self._archive_bytes:,} bytes, to unpack to at most {MAX_RATIO} times "
                f"that, {got} {self.total_bytes:,} bytes, which photographs never do; if you trust it, unpack it "
                "yourself and give the folder as --image_dir"
            )
        return problems

    def _collision(self, name: str, kind: str) -> str:
        """Say which earlier name this one would be written over, on any system."""
        path = PurePosixPath(name)
        above = [(str(parent), FOLDER) for parent in path.parents if str(parent) != "."]
        for spelt, what in [*reversed(above), (name, kind)]:
            earlier, was = self._spelt.setdefault(_folded(spelt), (spelt, what))
            if earlier != spelt:
                return f"and {earlier!r} differ only by case or by Unicode form"
            if was != what:
                return f"is a file and a folder at once ({spelt!r})"
        if kind == FILE and name in self._files:
            return "is there twice"
        self._files.add(name)
        return ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _name_problem(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute name"
    if ".." in parts:
        return "leads out of the folder that it is unpacked into"
    if not parts:
        return "has no name"
    if _BAD_CHARACTER.search(name):
        return 'has a name with a control character or one of \\ : * ? " < > |, which Windows cannot have'
    if any(_DEVICE.fullmatch(part) or part[-1] in ". " for part in parts):
        return "has a name that means something else on Windows (a device, or a dot or space at its end)"
    if len(parts) > _MAX_DEPTH or any(len(part.encode("utf-8", "surrogatepass")) > _MAX_NAME_BYTES for part in parts):
        return f"lies deeper than {_MAX_DEPTH} folders or has a name of more than {_MAX_NAME_BYTES} bytes"
    return ""
