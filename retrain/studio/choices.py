"""What a page may choose of: architectures, with what is on this machine of each; and what follows from a choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from retrain.backbones.table import table
from retrain.backbones.weights import bundled_weights, weights_at_hand
from retrain.config import RunConfig


def architectures(config: RunConfig) -> list[dict[str, Any]]:
    """List the architectures.

    Args:
        config: says where weights lie.

    Returns:
        Name, size of the input, parameters, and where its weights would come from; that of the last run first where it
        is none of the table (a network of one's own, a graph, a module, several that are compared), then those at hand.
    """
    folder, found = Path(config.model_dir), []
    for spec in table().values():
        weights = weights_at_hand(spec, folder) or bundled_weights(spec)
        facts = {
            "name": spec.name,
            "pixels": spec.input_spec.width,
            "millions": round(spec.parameters / 1e6, 1),
            "weights": weights.source if weights else "",
        }
        found.append(facts)
    found = sorted(found, key=lambda one: not one["weights"])
    own = own_backbone(config)
    if own:
        found = [one for one in found if one["name"] != config.architecture]
        found.insert(0, {"name": config.architecture, "pixels": 0, "millions": 0, "weights": own, "own": True})
    return found


def own_backbone(config: RunConfig) -> str:
    """Say what the last run stood on, where that is none of the table as it is.

    Args:
        config: of the last run.

    Returns:
        A few words; empty where it was one of the table, with the weights that all have.
    """
    if config.backbone_graph:
        return f"the graph {config.backbone_graph}"
    if config.tfhub_module:
        return f"the module {config.tfhub_module}"
    if config.weights:
        return f"{config.architecture} with the weights {config.weights}"
    if config.architecture not in table():
        return f"as the last run: {config.architecture}"
    return ""


def with_architecture(config: RunConfig, name: str) -> RunConfig:
    """Choose another architecture.

    Args:
        config: of the last run.
        name: the architecture; that of the last run leaves all as it was.

    Returns:
        The config, without weights, graph or module that belong to the one before.
    """
    if name == config.architecture:
        return config
    usual = RunConfig()
    belonging = ("weights", "backbone_graph", "bottleneck_tensor", "tfhub_module", "tfhub_input_size")
    return replace(config, architecture=name, **{field: getattr(usual, field) for field in belonging})
