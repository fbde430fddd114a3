"""What a run changed that replaces an earlier model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from retrain.console import Console, printable
from retrain.errors import ModelError
from retrain.insight.changes import what_changed
from retrain.insight.predictions import Predictions, earlier_predictions, read_predictions


@dataclass(frozen=True)
class Earlier:
    """What the model said of each photograph that a run is about to replace.

    Args:
        output_graph: path of both models.
        predictions: of the earlier one; None where there was none.
    """

    output_graph: str
    predictions: Predictions | None

    @classmethod
    def read(cls, output_graph: str, console: Console) -> Self:
        """Read it before it is written over.

        Args:
            output_graph: path of both models.
            console: told when it cannot be read.

        Returns:
            What was there.
        """
        try:
            return cls(output_graph, earlier_predictions(output_graph))
        except ModelError as error:
            console.warn(f"what changed since the model that is there cannot be said: {error}")
            return cls(output_graph, None)

    def tell(self, console: Console) -> None:
        """Say what changed, once the new model is there.

        Args:
            console: where to say it.
        """
        if self.predictions is not None:
            for sentence in what_changed(self.predictions, read_predictions(self.output_graph)):
                console.line(printable(sentence))
