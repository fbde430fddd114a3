"""Labels that were doubted and that a person has confirmed: kept beside the model, by the photographs' contents."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from retrain import fsio
from retrain.publish.naming import beside


class Rejected:
    """Suspects that a person has looked at and found rightly labelled; kept beside the model, by content.

    Args:
        output_graph: path of the model.
    """

    def __init__(self, output_graph: str) -> None:
        self._path = Path(beside(output_graph, ".reviewed.json"))
        self._lock = threading.Lock()

    def read(self) -> dict[str, str]:
        """Give SHA-256 of each -> the label that was confirmed; what is damaged counts as nothing confirmed."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {sha: label for sha, label in found.items() if isinstance(label, str)}

    def add(self, sha: bytes, label: str) -> None:
        """Confirm a label.

        Args:
            sha: of the photograph's content.
            label: that it has.
        """
        with self._lock:
            fsio.write_text(self._path, json.dumps({**self.read(), sha.hex(): label}, indent=0) + "\n")

    def drop(self, sha: bytes) -> None:
        """Take a confirmation back.

        Args:
            sha: of the photograph's content.
        """
        with self._lock:
            kept = {known: label for known, label in self.read().items() if known != sha.hex()}
            fsio.write_text(self._path, json.dumps(kept, indent=0) + "\n")
