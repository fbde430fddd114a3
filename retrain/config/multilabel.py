"""Checks of --multi_label: what goes with several labels a photograph, and what is about one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from retrain import storage
from retrain.config.inputs import archive_kind

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig

MULTI_LABEL_HELP = (
    "a photograph may have several labels: in --image_list on several lines, or on one with ';' between; without a "
    "list, from a text file beside each photograph, m13.jpg.txt for m13.jpg, a label a line, and folders mean nothing. "
    "Each label gets a yes or no by itself, from a threshold of its own"
)
# The head that there is for it; the default of --head stands for it, too.
HEADS = ("logistic", "softmax")
_SOLVED = "its head is solved rather than trained step by step, and chooses its penalty by cross-validation"
_ONE_RIGHT = "is about the one right label of a photograph"
_SEVERAL_TIMES = "its cross-validation is done once"
_WHY = {
    "how_many_training_steps": _SOLVED,
    "learning_rate": _SOLVED,
    "train_batch_size": _SOLVED,
    "weight_decay": _SOLVED,
    "schedule": _SOLVED,
    "optimizer": _SOLVED,
    "early_stopping": _SOLVED,
    "hidden_units": "its head has no hidden layer",
    "dropout": "its head has no hidden layer",
    "eval_step_interval": _SOLVED,
    "intermediate_store_frequency": _SOLVED,
    "validation_batch_size": _SOLVED,
    "test_batch_size": "all photographs of the final test are asked",
    "class_weights": "every photograph counts alike: there is no class to balance by",
    "cross_validation_repeats": _SEVERAL_TIMES,
    "learning_curve": f"the learning curve {_ONE_RIGHT}",
    "print_misclassified_test_images": f"the list {_ONE_RIGHT}; the .predictions.csv has all answers",
    "heat_maps": f"a mistake {_ONE_RIGHT}; label_image --heat_map shows any photograph",
    "unknown_threshold": "each label has a threshold of its own",
}


def multi_label_problems(config: RunConfig) -> list[str]:
    """Say which flags make no sense with several labels a photograph.

    Args:
        config: the run's.

    Returns:
        One sentence a problem; none without --multi_label.
    """
    if not config.multi_label:
        return []
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    problems = [
        f"got --{name}={getattr(config, name)} and --multi_label: {why}; leave one of them away"
        for name, why in _WHY.items()
        if getattr(config, name) != usual[name]
    ]
    if config.head not in HEADS:
        problems.append(
            f"expected --head logistic with --multi_label, got --head {config.head}; the other heads give each "
            "photograph one label: leave --head away"
        )
    if config.coverage not in (0, usual["coverage"]):
        problems.append(
            f"got --coverage={config.coverage} and --multi_label: a set that holds the one right label is none of "
            "several labels; leave one of them away"
        )
    return problems + _place_problems(config)


def _place_problems(config: RunConfig) -> list[str]:
    if config.image_list:
        return []
    problems = []
    if config.recursive:
        problems.append(
            "got --recursive and --multi_label, which looks into all folders anyway; leave --recursive away"
        )
    if config.group_by == "folder":
        problems.append(
            "got --group_by=folder and --multi_label, where folders mean nothing; give --group_by=regex:PATTERN, which "
            "is found in the path"
        )
    if storage.is_url(config.image_dir) or archive_kind(config.image_dir):
        problems.append(
            f"expected --image_dir to be a folder on this machine with --multi_label, got {config.image_dir}, where "
            "text files beside photographs are not read; unpack or copy it, or give --image_list with it unpacked"
        )
    return problems
