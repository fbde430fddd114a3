"""What is to be known of a model beyond its accuracy, found before it is saved: it travels with it."""

from __future__ import annotations

from dataclasses import dataclass

from retrain.bottlenecks import Features, labels_of
from retrain.config import RunConfig
from retrain.dataset import TRAINING, Split
from retrain.evaluate import cooled_scores
from retrain.head import Crossed, Head, Indices
from retrain.head.layers import SIGMOID
from retrain.insight.gain import Insight, Material, gain_insight

MEMORY, SUSPECTS = ".memory.npz", ".suspects.csv"


@dataclass(frozen=True)
class Discovery:
    """What was found.

    Args:
        material: what it was found from.
        insight: the findings.
    """

    material: Material
    insight: Insight

    def files(self) -> dict[str, bytes]:
        """Give what is written together with the model.

        Returns:
            Ending of a file beside the model -> its contents.
        """
        suspects = self.insight.suspects_table(self.material)
        return {MEMORY: self.insight.memory, SUSPECTS: suspects.encode("utf-8", "backslashreplace")}


def discover(
    config: RunConfig,
    features: Features,
    split: Split,
    head: Head,
    crossed: Crossed | None,
    told_by: Indices | None = None,
) -> Discovery:
    """Look for wrong labels, and for when a photograph is like none of these.

    Args:
        config: how often it may be wrong.
        features: of all photographs.
        split: which of them the head was trained on.
        head: as it will be saved.
        crossed: out-of-fold scores as the heads were trained; None when cross-validation was left out.
        told_by: intp, photographs by which the threshold of the unknown is found; None: all.

    Returns:
        What was found; nothing is written.
    """
    catalog = features.catalog
    material = Material(
        features.rows,
        labels_of(features),
        [record.path for record in catalog.records],
        split.keys,
        split.indices(TRAINING),
        catalog.labels,
    )
    scores = None if crossed is None or head.after == SIGMOID else cooled_scores(crossed.scores, head.temperature)
    insight = gain_insight(
        material,
        scores,
        unknown_false_alarms=config.unknown_false_alarms,
        coverage=config.coverage,
        told_by=told_by,
    )
    return Discovery(material, insight)
