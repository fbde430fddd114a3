"""What a run over the folder decided, so that a head is trained again in the same way: which backbone, which head."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from retrain.backbones import PreparedBackbone
from retrain.bundle import Bundle
from retrain.config import RunConfig
from retrain.config.networks import HEAD
from retrain.console import Console
from retrain.errors import ModelError, UsageError
from retrain.head import AUTO, Recipe
from retrain.head.recipe import KINDS
from retrain.modelfile import read_graph_bundle
from retrain.outset import each_architecture, prepare, spec_of
from retrain.teaching import recipe_of


@dataclass(frozen=True, eq=False)
class Settled:
    """What is the same for each head that is trained again.

    Args:
        given: the run's config, by which this is known.
        config: the same, with the one architecture that the run chose.
        recipe: of the head; its kind is settled.
        backbone: its files present and whole.
    """

    given: RunConfig
    config: RunConfig
    recipe: Recipe
    backbone: PreparedBackbone


def settle(given: RunConfig, console: Console) -> Settled:
    """Find out what a run decided.

    Args:
        given: what it was told.
        console: shown how far the making of a backbone is.

    Returns:
        The decisions.

    Raises:
        UsageError: it is a run whose heads are not trained here.
        RetrainError: the model, or the backbone, cannot be read.
    """
    refused = unsupported(given)
    if refused:
        raise UsageError(refused)
    config, recipe = given, recipe_of(given)
    several = each_architecture(given)
    if len(several) > 1 or recipe.kind == AUTO:
        bundle = read_graph_bundle(Path(given.output_graph))
        config = _chosen(several, bundle.architecture) if len(several) > 1 else given
        recipe = _recipe_of(bundle) if recipe.kind == AUTO else recipe
    return Settled(given, config, recipe, prepare(config, spec_of(config), console))


def unsupported(config: RunConfig) -> str:
    """Say why no head is trained again after a correction.

    Args:
        config: what the run was told.

    Returns:
        A sentence; empty where one is.
    """
    if config.multi_label:
        return (
            "the model gives a photograph several labels, and corrections here are of one: the numbers stay those of "
            "the run; correct the table of labels, and train with the command line"
        )
    if config.train != HEAD:
        return (
            "the model is a whole network that was trained on these photographs, which takes minutes and not a moment: "
            "the numbers do not follow a correction; train again when you are done correcting"
        )
    return ""


def _recipe_of(bundle: Bundle) -> Recipe:
    """Read the recipe that compared best, as the model's description has it."""
    told: dict[str, Any] = {
        one.name: bundle.training[one.name] for one in fields(Recipe) if one.name in bundle.training
    }
    try:
        recipe = Recipe(**told)
    except TypeError as error:
        raise ModelError(f"expected the model to say how its head was trained: {error}; train again") from error
    if recipe.kind not in KINDS:
        raise ModelError(f"expected the model's head to be {', '.join(KINDS)}, got {recipe.kind!r}; train again")
    return recipe


def _chosen(several: list[RunConfig], name: str) -> RunConfig:
    for one in several:
        if spec_of(one).name == name:
            return one
    names = ", ".join(one.architecture for one in several)
    raise UsageError(
        f"expected the model to be of one of the architectures of its run ({names}), got {name}; train again"
    )
