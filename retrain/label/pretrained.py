"""--architecture: the 1,000 names of ImageNet, by a backbone with its own head; no training, no graph.

The only place where the labelling side asks the training side for something, and only when this flag is given: for the
model file, which is then opened as any other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from retrain.console import Console
from retrain.label.flags import LabelConfig

_ONLY_WITH = ("weights", "model_dir", "offline")


class _Aside(Console):
    """A console beside the rows: its lines go to standard error."""

    def line(self, text: str) -> None:
        print(f"label_image: {text}", file=sys.stderr, flush=True)


def architecture_problems(config: LabelConfig) -> list[str]:
    """Say what is wrong with --architecture and the flags that go with it.

    Args:
        config: the values of a command line.

    Returns:
        One sentence a problem.
    """
    if config.architecture is None:
        return [
            f"expected --architecture with --{name}, got none; name a backbone, or leave --{name} away"
            for name in _ONLY_WITH
            if name in config.given
        ]
    from retrain.exporters.imagenet import problems

    found = problems(config.architecture, config.weights)
    if "graph" in config.given:
        found.append("expected --graph or --architecture, got both; a graph names its own classes")
    return found


def with_pretrained_graph(config: LabelConfig) -> LabelConfig:
    """Have the model file of --architecture ready; the first time, that takes TensorFlow and maybe the network.

    Args:
        config: with an architecture.

    Returns:
        The same, its graph that file.

    Raises:
        WeightsError: no weights with a head of ImageNet are to be had, or they do not fit.
    """
    if config.architecture is None:
        return config
    from retrain.exporters.imagenet import prepare_imagenet

    weights = None if config.weights is None else Path(config.weights)
    graph = prepare_imagenet(
        config.architecture, Path(config.model_dir), offline=config.offline, console=_Aside(), weights=weights
    )
    return replace(config, graph=str(graph))
