"""What lies beside a file while it is being fetched: the part that came, and a note of which version it is of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from retrain import fsio
from retrain.console import Console


@dataclass(frozen=True)
class Job:
    """One file to fetch.

    Args:
        url: where from.
        target: where it goes.
        console: shows how far it is.
        checksum: the published one, lower-case; empty where none is.
        timeout_s: how long the server may send nothing.
        max_bytes: the largest size that is believed.
        magic: how the file begins.
    """

    url: str
    target: Path
    console: Console
    checksum: str
    timeout_s: float
    max_bytes: int
    magic: bytes

    @property
    def part(self) -> Path:
        """Where that which has come lies."""
        return self.target.with_name(self.target.name + ".part")

    @property
    def sidecar(self) -> Path:
        """Where the note lies."""
        return self.target.with_name(self.target.name + ".part.json")

    def discard(self) -> None:
        """Remove both."""
        fsio.remove(self.part)
        fsio.remove(self.sidecar)

    def note(self, validator: str, synced: int) -> None:
        """Write down what the part is.

        Args:
            validator: names the version of the file.
            synced: bytes that the disk holds.
        """
        fsio.write_text(self.sidecar, json.dumps({"url": self.url, "validator": validator, "synced": synced}))

    def validator(self) -> str:
        """Name the version of the file that the part is of, or "" where it cannot be gone on from."""
        return str(self._noted("validator") or "") if self._noted("url") == self.url else ""

    def size(self) -> int:
        """Count the bytes that have come."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def trusted_bytes(self) -> int:
        """Count the bytes that can be gone on from: all, if a checksum is going to tell.

        Returns:
            Else those that were synced: the others may be zeros after a loss of power.
        """
        synced = self._noted("synced")
        return self.size() if self.checksum else min(self.size(), synced if isinstance(synced, int) else 0)

    def _noted(self, name: str) -> object:
        try:
            facts = json.loads(self.sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts.get(name) if isinstance(facts, dict) else None
