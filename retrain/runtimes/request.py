"""What is asked for when a model is opened, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from retrain.bundle import Bundle
from retrain.runtimes.runtime import Runtime


class Overrides(TypedDict, total=False):
    """What may stand in place of what a model says of itself."""

    input_height: int
    input_width: int
    input_mean: float
    input_std: float


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Args:
        path: a file or folder.
        labels: a file of labels, a line each, or the labels; None takes the model's own.
        input_layer: the node that takes pictures; empty to find it. A model of ours has one only.
        output_layer: the node that gives scores; empty to find it.
        trust_model: run what may do more than calculate, in a child process with limits.
        overrides: in place of what the model says.
    """

    path: Path
    labels: str | Path | Sequence[str] | None = None
    input_layer: str = ""
    output_layer: str = ""
    trust_model: bool = False
    overrides: Overrides = field(default_factory=Overrides)

    @property
    def height(self) -> int:
        """Pixels that were asked for; 0 where none were."""
        return self.overrides.get("input_height", 0)

    @property
    def width(self) -> int:
        """Pixels that were asked for; 0 where none were."""
        return self.overrides.get("input_width", 0)


@dataclass(frozen=True)
class Opened:
    """A model that is open.

    Args:
        bundle: what it says of itself, or what was found out, with what was overridden.
        runtime: runs it.
        notes: what a person should know: what was assumed, where labels are from, what runs it. A sentence each.
    """

    bundle: Bundle
    runtime: Runtime
    notes: tuple[str, ...] = ()
