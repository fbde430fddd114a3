"""What is checked and made ready before the first photograph is read: flags, photographs, backbones."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from retrain import storage
from retrain.backbones import (
    BackboneSpec,
    HubRequest,
    PreparedBackbone,
    find_backbone,
    graph_spec,
    hub_spec,
    prepare_backbone,
    prepare_graph,
    prepare_hub,
    with_channels,
)
from retrain.config import RunConfig, format_problems
from retrain.config.handles import module_problem
from retrain.config.networks import SCRATCH
from retrain.config.sources import architectures_of
from retrain.console import Console
from retrain.dataset import Catalog, SplitPlan, find_photographs, plan_problems, unpack_photographs, with_days
from retrain.errors import UsageError, WeightsError
from retrain.exporters.making import problems_of_formats
from retrain.images.dates import days_taken
from retrain.images.sky import sky_of
from retrain.networks import NETWORKS
from retrain.publish import formats_of


def check(config: RunConfig, console: Console | None = None) -> tuple[BackboneSpec, Catalog]:
    """Refuse what cannot work before the disk is touched, all reasons at once.

    Args:
        config: of one architecture, or several.
        console: told when an archive is unpacked.

    Returns:
        The architecture, the first of several, and the photographs.

    Raises:
        UsageError: something cannot work.
    """
    problems, spec, catalog = find_problems(config)
    if not problems and catalog is None:  # an archive that is not unpacked yet
        unpack_photographs(config, console or Console(quiet=True))
        problems, spec, catalog = find_problems(config)
    if problems or spec is None or catalog is None:
        raise UsageError(problems)
    return spec, catalog


def find_problems(config: RunConfig) -> tuple[list[str], BackboneSpec | None, Catalog | None]:
    """List all that is wrong with a config, its architectures and its photographs.

    Args:
        config: of one architecture, or several.

    Returns:
        One sentence a problem; the architecture, the first of several, and the photographs, as far as they were found.
    """
    problems, specs = config.problems(), []
    for one in each_architecture(config):
        found, spec = _backbone_problems(one)
        problems += [problem for problem in found if problem not in problems]
        specs.append(spec)
    found, catalog = find_photographs(config)
    problems += found
    if catalog is not None:
        problems += plan_problems(config, catalog) + date_problems(config, catalog)
    return problems, specs[0], catalog


def each_architecture(config: RunConfig) -> list[RunConfig]:
    """Take a config of several architectures apart.

    Args:
        config: --architecture may name several, with commas between.

    Returns:
        One config an architecture; the config itself where it names one.
    """
    return [replace(config, architecture=name) for name in architectures_of(config.architecture)]


def spec_of(config: RunConfig) -> BackboneSpec:
    """Find the architecture of a config.

    Args:
        config: of one architecture.

    Returns:
        Its row of the table, or what was found out of a graph or a module.

    Raises:
        UsageError: there is none such.
    """
    problems, spec = _backbone_problems(config)
    if spec is None:
        raise UsageError(problems)
    return spec


def _backbone_problems(config: RunConfig) -> tuple[list[str], BackboneSpec | None]:
    problems: list[str] = []
    spec = None
    try:
        if config.tfhub_module:
            spec = None if module_problem(config.tfhub_module) else hub_spec(hub_request(config))
        elif not config.backbone_graph:
            spec = with_channels(find_backbone(config.architecture), config.channels)
        elif os.path.isfile(config.backbone_graph):  # noqa: PTH113
            spec = graph_spec(Path(config.backbone_graph), config.bottleneck_tensor)
    except UsageError as error:
        problems += error.problems
    except WeightsError as error:
        problems.append(f"{config.tfhub_module or config.backbone_graph}: {error}")
    if spec is not None:
        problems += _training_problems(config, spec)
    if spec is not None and not format_problems(config.export, "export"):
        problems += problems_of_formats(formats_of(config), spec.name)
    return problems, spec


def _training_problems(config: RunConfig, spec: BackboneSpec) -> list[str]:
    """Say whether an architecture can be trained as it is to be."""
    if config.train == SCRATCH and not spec.definition:
        return [
            f"expected --architecture to be a network for --train scratch, got {config.architecture}, a backbone that "
            f"takes more photographs and days than you have: choose {', '.join(NETWORKS)}, a .json of your own, or "
            "--train finetune"
        ]
    if config.train != SCRATCH and spec.definition and not config.weights:
        return [
            f"{config.architecture} has no weights that others trained; give --train scratch, or --weights with the "
            "network.npz of one that you trained"
        ]
    return []


def date_problems(config: RunConfig, catalog: Catalog) -> list[str]:
    """Say whether photographs can be grouped by day; those under a URL are read only when they are extracted.

    Args:
        config: asks for groups.
        catalog: the photographs.

    Returns:
        One sentence a problem.
    """
    if config.group_by != "exif_date" or storage.is_url(catalog.root):
        return []
    try:
        with_days(SplitPlan(by="--group_by=exif_date"), catalog, days_of(catalog))
    except UsageError as error:
        return list(error.problems)
    return []


def days_of(catalog: Catalog) -> list[str]:
    """Read on which day each photograph was taken.

    Args:
        catalog: the photographs.

    Returns:
        A day each; empty where it does not say.
    """
    return days_taken([catalog.full_path(record) for record in catalog.records])


def prepare(config: RunConfig, spec: BackboneSpec, console: Console) -> PreparedBackbone:
    """Have the backbone's converted files at hand.

    Args:
        config: where weights and converted files are.
        spec: the architecture.
        console: told how it goes.

    Returns:
        The backbone.

    Raises:
        WeightsError: its weights are not at hand.
    """
    folder = Path(config.model_dir)
    if config.tfhub_module:
        prepared = prepare_hub(hub_request(config), console=console)
    elif config.backbone_graph:
        prepared = prepare_graph(spec, Path(config.backbone_graph), folder, console=console)
    else:
        given = Path(config.weights) if config.weights else None
        prepared = prepare_backbone(spec, folder, offline=config.offline, console=console, weights=given)
    # Sky pictures are stretched wherever this backbone's input is made; it is part of the fingerprint, too.
    fed = replace(prepared.spec.input_spec, sky=sky_of(config))
    return replace(prepared, precision=config.precision, spec=replace(prepared.spec, input_spec=fed))


def hub_request(config: RunConfig) -> HubRequest:
    """Pick the flags that name a hub module.

    Args:
        config: the flags.

    Returns:
        Which module, and where it is kept.
    """
    return HubRequest(
        config.tfhub_module, Path(config.model_dir), config.bottleneck_tensor, config.tfhub_input_size, config.offline
    )
