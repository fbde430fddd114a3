"""Checkpoints: written beside and renamed, so that one is there whole or not at all; and the log of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from retrain import fsio


def write_checkpoint(path: Path, save: Callable[[BinaryIO], None]) -> None:
    """Write a checkpoint whole or not at all.

    Args:
        path: the file to create or replace.
        save: writes into an open binary file.
    """
    with fsio.replacing(path) as file:
        save(file)


class Log:
    """Lines of JSON, one a step that is worth a word; a killed run loses none that was written."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path

    def say(self, **facts: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
        """Append a line."""
        rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in facts.items()}
        with self._path.open("a", encoding="utf-8") as file:  # appending needs no rename: a torn last line is dropped
            file.write(json.dumps(rounded) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """Read the whole lines back."""
        if not self._path.exists():
            return []
        whole = self._path.read_text(encoding="utf-8").split("\n")[:-1]
        return [json.loads(line) for line in whole if line]
