"""Checks of what the backbone is made of: --architecture with --weights, --backbone_graph or --tfhub_module."""

from __future__ import annotations

import os
from pathlib import Path

from retrain.config.flags import WEIGHT_SUFFIXES, RunConfig
from retrain.config.handles import module_problem


def architectures_of(text: str) -> tuple[str, ...]:
    """Take a list of architectures apart.

    Args:
        text: as it was typed, with commas between.

    Returns:
        Each name once, in its order; the text itself where there is no comma.
    """
    return tuple(dict.fromkeys(name.strip() for name in text.split(","))) if "," in text else (text,)


def source_problems(config: RunConfig) -> list[str]:
    """Check where the backbone comes from, without the network and without opening a file.

    Args:
        config: what a run is told.

    Returns:
        One sentence a problem.
    """
    problems = _path_problems(config)
    problems += _choice_problems(config) + _several_problems(config)
    if config.bottleneck_tensor and not (config.backbone_graph or config.tfhub_module):
        problems.append(
            f"got --bottleneck_tensor={config.bottleneck_tensor} without --backbone_graph or --tfhub_module, where it "
            "names a place; give both or neither"
        )
    if config.tfhub_input_size and not config.tfhub_module:
        problems.append(
            f"got --tfhub_input_size={config.tfhub_input_size} without --tfhub_module, whose input it is the size of; "
            "give both or neither (an architecture's size is in its name)"
        )
    return problems


def is_saved_model(path: str) -> bool:
    """Say whether a folder holds a SavedModel with variables.

    Args:
        path: of anything.

    Returns:
        Whether its two files are there.
    """
    return all(os.path.isfile(Path(path, name)) for name in ("saved_model.pb", "variables/variables.index"))  # noqa: PTH113


def _path_problems(config: RunConfig) -> list[str]:
    problems = []
    for name, suffixes in (("weights", WEIGHT_SUFFIXES), ("backbone_graph", (".pb",))):
        path = getattr(config, name)
        fits = os.path.isfile(path) and path.endswith(suffixes)  # noqa: PTH113
        if path and not fits and not (name == "weights" and is_saved_model(path)):
            kinds = f"a {', '.join(suffixes)} file" + (" or the folder of a SavedModel" if name == "weights" else "")
            problems.append(f"expected --{name} to be {kinds}, got {path!r}; check the spelling")
    module = module_problem(config.tfhub_module) if config.tfhub_module else ""
    return [*problems, module] if module else problems


def _several_problems(config: RunConfig) -> list[str]:
    """Check a list of architectures: somebody has to choose among them, and each brings its own weights."""
    if "," not in config.architecture:
        return []
    got, problems = f"got --architecture={config.architecture}", []
    if config.head != "auto":
        problems.append(f"{got} with --head={config.head}; several are compared by --head auto, or name one of them")
    if config.weights:
        problems.append(f"{got} with --weights, which are of one architecture; leave them away, or name that one")
    if any(name.lower().endswith("_quantized") for name in architectures_of(config.architecture)):
        problems.append(f"{got}; name them without _quantized, and give --export tflite_int8")
    return problems


def _choice_problems(config: RunConfig) -> list[str]:
    problems = []
    if config.weights and config.backbone_graph:
        problems.append("got --weights and --backbone_graph: a graph holds its weights; leave one of them away")
    if config.weights and config.tfhub_module:
        problems.append("got --weights and --tfhub_module: a module holds its weights; leave one of them away")
    if config.backbone_graph and config.tfhub_module:
        problems.append("got --backbone_graph and --tfhub_module, and there is one backbone; leave one of them away")
    for name in ("backbone_graph", "tfhub_module"):
        if getattr(config, name) and config.architecture != RunConfig.architecture:
            problems.append(
                f"got --architecture={config.architecture} and --{name}, which takes its place; leave one away"
            )
    return problems
