"""Checks of a RunConfig: every field and the file system, before anything is touched; one sentence a problem."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from pathlib import Path
from typing import Any

from retrain import fsio, storage
from retrain.config.cluster import engine_problems
from retrain.config.flag import AS_USUAL, Flag, FlagValue
from retrain.config.flags import BESIDE_GRAPH, RunConfig
from retrain.config.formats import format_problems
from retrain.config.heads import head_problems
from retrain.config.honesty import crossing_problems
from retrain.config.inputs import input_problems
from retrain.config.multilabel import multi_label_problems
from retrain.config.networks import network_problems
from retrain.config.processor import precision_problems
from retrain.config.sky import sky_problems
from retrain.config.sources import source_problems
from retrain.config.splits import split_problems
from retrain.errors import did_you_mean

# A name that GraphDef accepts at the top level, and that no node of a backbone starts with.
_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*")
_RESERVED_NODE_NAMES = (
    "input", "Mul", "DecodeJpeg", "ResizeBilinear", "bottleneck", "retrain", "final_training_ops", "input_1"
)  # fmt: skip


def problems_of(config: RunConfig) -> list[str]:
    """Check every field, and the file system as far as it can be checked without touching it.

    Returns:
        One sentence a problem; empty when the run may start.
    """
    found = [p for field in dataclasses.fields(config) for p in _field_problems(field, getattr(config, field.name))]
    return (
        found
        + _split_problems(config)
        + crossing_problems(config)
        + _report_problems(config)
        + split_problems(config)
        + head_problems(config)
        + multi_label_problems(config)
        + network_problems(config)
        + sky_problems(config)
        + _distortion_problems(config)
        + _node_name_problems(config)
        + engine_problems(config)
        + precision_problems(config)
        + format_problems(config.export, "export")
        + _path_problems(config)
    )


def _split_problems(config: RunConfig) -> list[str]:
    problems = []
    shares = (config.testing_percentage, config.validation_percentage)
    if max(shares) < 100 <= sum(shares):  # a single share of 100 or more is its own problem
        problems.append(
            "expected --testing_percentage and --validation_percentage to leave something to train on, got "
            f"{config.testing_percentage} + {config.validation_percentage}; lower one of them (10 and 10 are usual)"
        )
    for name in ("test_batch_size", "validation_batch_size"):
        if getattr(config, name) == 0:
            problems.append(f"expected --{name} to be -1 (all) or at least 1, got 0; use -1")
    problems += _usual_problems(config)
    if config.cross_validation_folds == 1:
        problems.append("expected --cross_validation_folds to be 0 (off) or at least 2, got 1; 5 is usual")
    return problems


def _usual_problems(config: RunConfig) -> list[str]:
    """Check numbers that may be left to what is trained, AS_USUAL, but are never that small otherwise."""
    problems = []
    for name, least in (("how_many_training_steps", 1), ("train_batch_size", 1), ("epochs", 1)):
        if AS_USUAL < getattr(config, name) < least:
            problems.append(
                f"expected --{name} to be at least 1, or -1 for its usual value, got {getattr(config, name)}"
            )
    if AS_USUAL < config.learning_rate <= 0:
        problems.append(f"expected --learning_rate above 0, or -1 for its usual value, got {config.learning_rate:g}")
    if AS_USUAL < config.weight_decay < 0:
        problems.append(
            f"expected --weight_decay of at least 0, or -1 for its usual value, got {config.weight_decay:g}"
        )
    return problems


def _distortion_problems(config: RunConfig) -> list[str]:
    if config.use_unverified and config.distortions():
        return [
            "got --use_unverified and distortions: distorted views are computed by this program, which must not be "
            "mixed with what was not; leave one of them away"
        ]
    if config.distorted_views == RunConfig.distorted_views or config.distortions():
        return []
    return [
        f"got --distorted_views={config.distorted_views} without a distortion to make them by; "
        "give --flip_left_right, --random_crop or another of them as well, or leave it away"
    ]


def _report_problems(config: RunConfig) -> list[str]:
    if not config.heat_maps or config.report:
        return []
    return [f"got --heat_maps={config.heat_maps} and --no_report, where they would be shown; leave one of them away"]


def _node_name_problems(config: RunConfig) -> list[str]:
    name = config.final_tensor_name
    if _NODE_NAME.fullmatch(name) and name not in _RESERVED_NODE_NAMES:
        return []
    return [
        "expected --final_tensor_name to be a node name of letters, digits, '_', '.' and '-' that the graph does "
        f"not use already ({', '.join(_RESERVED_NODE_NAMES)}), got {name!r}; final_result is usual"
    ]


def _path_problems(config: RunConfig) -> list[str]:
    return input_problems(config) + source_problems(config) + _output_problems(config) + _overlap_problems(config)


def _output_problems(config: RunConfig) -> list[str]:
    problems = []
    for name, value in config.outputs().items():
        if not value:
            problems.append(f"expected a path for --{name}, got nothing; leave the flag away for its default")
            continue
        hindrance = fsio.why_not_writable(value, folder=name.endswith("_dir"))
        if hindrance:
            problems.append(f"cannot write --{name}={value}: {hindrance}; choose another place")
    if Path(config.output_graph).suffix != ".pb":
        problems.append(
            f"expected --output_graph to end in .pb (its .tflite stands beside it), got {config.output_graph!r}; "
            "use tf_files/retrained_graph.pb"
        )
    return problems + _clash_problems(config)


def _clash_problems(config: RunConfig) -> list[str]:
    if _same_path(config.output_graph, config.output_labels):
        return [f"--output_graph and --output_labels are both {config.output_graph}; give them two names"]
    stem = str(Path(config.output_graph).with_suffix("")) if config.output_graph else ""
    taken = {f"the {ending} beside --output_graph": stem + ending for ending in BESIDE_GRAPH}
    taken |= {f"--{name}": value for name, value in config.outputs().items() if name.endswith("_dir")}
    return [
        f"--output_labels={config.output_labels} is the path of {owner}, too; give it another name"
        for owner, path in taken.items()
        if config.output_labels and _same_path(path, config.output_labels)
    ]


def _overlap_problems(config: RunConfig) -> list[str]:
    # A folder of outputs among the class folders would become a class on the next run; with a list, it is none.
    image_dir = "" if config.image_list else storage.local_path(config.image_dir)
    problems = [
        f"--{name}={value} lies inside --image_dir={config.image_dir}, where every folder is a class; "
        "choose a place outside"
        for name, value in config.outputs().items()
        if image_dir and value and _is_inside(value, image_dir)
    ]
    cache = config.bottleneck_dir
    if image_dir and cache and _is_inside(image_dir, cache) and not _same_path(image_dir, cache):
        problems.append(
            f"--image_dir={config.image_dir} lies inside --bottleneck_dir={cache}, where only the cache "
            "itself may lie; choose a folder beside the photographs for it"
        )
    return problems


def _is_inside(path: str, folder: str) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _same_path(a: str, b: str) -> bool:
    return os.path.normcase(os.path.abspath(a)) == os.path.normcase(os.path.abspath(b))


def _field_problems(field: dataclasses.Field[Any], value: FlagValue) -> list[str]:
    flag: Flag = field.metadata["flag"]
    if flag.choices and value not in flag.choices:
        hint = did_you_mean(str(value), flag.choices)
        return [f"expected --{field.name} to be one of {', '.join(flag.choices)}, got {value!r}{hint}"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _range_problems(field.name, flag, value)
    return []


def _range_problems(name: str, flag: Flag, value: float) -> list[str]:
    # Comparisons, not math.isfinite: that overflows on a whole number that no float can hold.
    if flag.low <= value <= flag.high and value not in (math.inf, -math.inf):
        return []
    limits = f"at least {flag.low:g}" if flag.high == math.inf else f"{flag.low:g} to {flag.high:g}"
    return [f"expected --{name} to be {limits}, got --{name}={value}; see --help for its meaning and default"]
