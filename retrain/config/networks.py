"""Whole networks, trained from scratch or fine-tuned: flags of RunConfig, and what they do not go with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrain.config.flag import AS_USUAL, WHOLE, Flag
from retrain.config.flag import flag as _flag

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig

HEAD, SCRATCH, FINETUNE = TRAININGS = ("head", "scratch", "finetune")
NO_STRATEGY, MIRRORED, MULTI_WORKER = STRATEGIES = ("none", "mirrored", "multi_worker")
USUAL_FOLDS = 5

_FINETUNING = ("freeze_layers", "unfreeze_from", "layer_decay")
_OWN_HEAD = "the network brings its own last layer"
_FROZEN = "is about a backbone that stays as it is"
# What says nothing of a whole network -> why, and what to do.
_NOT_OF_NETWORKS = {
    "head": f"{_OWN_HEAD}; leave it away",
    "hidden_units": f"{_OWN_HEAD}; leave it away",
    "dropout": f"{_OWN_HEAD}; leave it away",
    "multi_label": "a network is trained on one label a photograph; leave --train away for several",
    "learning_curve": "it would train the network at every size; leave it away",
    "distorted_views": "pictures are distorted anew each time they are trained on; leave it away",
    "use_unverified": f"it {_FROZEN}; leave it away",
    "precision": f"it {_FROZEN}; --mixed_precision is for whole networks",
    "backbone_graph": "a frozen graph cannot be trained further; name an --architecture",
    "tfhub_module": "a module's graph cannot be trained further; name an --architecture",
    "intermediate_store_frequency": "checkpoints take its place (--checkpoint_steps); leave it away",
    "engine": "whole networks are trained where the command runs (--strategy multi_worker: on several machines)",
}


@dataclass(frozen=True)
class NetworkFlags:
    """The flags under the heading of whole networks."""

    train: str = _flag(
        HEAD,
        Flag(
            "what is trained: 'head', the new layer on a frozen backbone; 'finetune', that first and then the top of "
            "the backbone with it; 'scratch', a whole network from nothing (--architecture cnn3_128, cnn6_128, "
            "inception_cnn_128 or mnist_cnn_28, with any other size behind the name, or a .json of your own)",
            WHOLE,
            choices=TRAININGS,
            metavar="WHAT",
        ),
    )
    channels: int = _flag(3, Flag("3 for colour, 1 to turn pictures grey first; of --train scratch", WHOLE, 1, 3))
    epochs: int = _flag(
        AS_USUAL,
        Flag(
            "times that each training photograph is gone through; -1: 30 from scratch, 10 in fine-tuning",
            WHOLE,
            AS_USUAL,
        ),
    )
    freeze_layers: int = _flag(
        AS_USUAL,
        Flag(
            "layers of the backbone, from the picture up, that stay as they are; -1: those below the top third "
            "(python -m retrain backbones --layers NAME lists them)",
            WHOLE,
            AS_USUAL,
        ),
    )
    unfreeze_from: str = _flag(
        "", Flag("first layer of the backbone that is trained, in place of --freeze_layers", WHOLE, metavar="LAYER")
    )
    layer_decay: float = _flag(
        0.9,
        Flag(
            "learning rate of a block of the backbone as a share of the one above it, 0.1 to 1; 1: all learn alike",
            WHOLE,
            0.1,
            1,
        ),
    )
    warmup_steps: int = _flag(
        AS_USUAL,
        Flag(
            "steps in which the learning rate rises from 0; -1: none from scratch, in fine-tuning a tenth of all, at "
            "most 100",
            WHOLE,
            AS_USUAL,
        ),
    )
    random_rotation: int = _flag(0, Flag("turn by a random angle of up to this either way, in degrees", WHOLE, 0, 180))
    mixup: float = _flag(
        0.0, Flag("blend pairs of photographs and their labels by shares drawn from Beta(a, a) of this a", WHOLE, 0, 10)
    )
    cutmix: float = _flag(
        0.0, Flag("paste a part of one photograph into another, and its label, drawn from Beta(a, a)", WHOLE, 0, 10)
    )
    find_learning_rate: bool = _flag(
        False,
        Flag(
            "try ever higher learning rates on a copy first, and train with the one that the loss falls fastest at",
            WHOLE,
        ),
    )
    mixed_precision: bool = _flag(
        False, Flag("multiply in bfloat16 and add in float32; faster where the processor has it, less exact", WHOLE)
    )
    strategy: str = _flag(
        NO_STRATEGY,
        Flag(
            "where steps are calculated: 'none', in one process; 'mirrored', on all accelerators of this machine; "
            "'multi_worker', with the same command on several machines, which the variable TF_CONFIG names",
            WHOLE,
            choices=STRATEGIES,
            metavar="STRATEGY",
        ),
    )
    checkpoint_dir: str = _flag(
        "tf_files/checkpoints",
        Flag(
            "folder of checkpoints and trained networks; the same command goes on from the last one",
            WHOLE,
            metavar="DIR",
        ),
    )
    checkpoint_steps: int = _flag(
        100, Flag("write a checkpoint every so many steps, and at the end of each epoch", WHOLE, 1)
    )
    checkpoints_kept: int = _flag(3, Flag("the last so many checkpoints stay on the disk", WHOLE, 1, 1000))
    pixel_cache_mb: int = _flag(
        0,
        Flag(
            "room for decoded photographs beside the bottlenecks, in MB, so that later epochs and runs need not "
            "decode; more are decoded each time; 0: half of the memory that is available",
            WHOLE,
            0,
        ),
    )


def network_problems(config: RunConfig) -> list[str]:
    """Say which flags do not go with what is trained.

    Args:
        config: the run's.

    Returns:
        One sentence a problem; none for a --train that is none, which is a problem of its own.
    """
    changed = {field.name for field in dataclasses.fields(config) if getattr(config, field.name) != field.default}
    if config.train == HEAD:
        return _problems_of_heads(config, changed)
    if config.train not in TRAININGS:
        return []
    problems = [
        f"expected no --{name} with --train {config.train}, got --{name}={getattr(config, name)}: {why}"
        for name, why in _NOT_OF_NETWORKS.items()
        if name in changed
    ]
    return problems + (_problems_of_scratch if config.train == SCRATCH else _problems_of_finetuning)(config, changed)


def _problems_of_heads(config: RunConfig, changed: set[str]) -> list[str]:
    own = [field.name for field in dataclasses.fields(NetworkFlags)]
    return [
        f"expected no --{name} with --train head, which trains a layer on a backbone as it is, got "
        f"--{name}={getattr(config, name)}; leave it away, or give --train finetune or scratch"
        for name in own
        if name in changed
    ]


def _problems_of_scratch(config: RunConfig, changed: set[str]) -> list[str]:
    problems = [
        f"expected no --{name} with --train scratch, where nothing is frozen, got --{name}={getattr(config, name)}; "
        "leave it away, or give --train finetune"
        for name in _FINETUNING
        if name in changed
    ]
    if config.how_many_training_steps != AS_USUAL:
        problems.append(
            f"expected no --how_many_training_steps with --train scratch, got {config.how_many_training_steps}; "
            "--epochs says how long a network is trained"
        )
    if config.weights:
        problems.append(
            f"got --weights={config.weights} with --train scratch, which starts from nothing; leave it away, or give "
            "--train finetune"
        )
    if config.channels == 2:
        problems.append("expected --channels to be 1 or 3, got 2; 3 is usual")
    return problems


def _problems_of_finetuning(config: RunConfig, changed: set[str]) -> list[str]:
    problems = []
    if "channels" in changed:
        problems.append(
            f"expected no --channels with --train finetune, whose backbone takes colour, got {config.channels}; leave "
            "it away, or give --train scratch"
        )
    if {"freeze_layers", "unfreeze_from"} <= changed:
        problems.append("got --freeze_layers and --unfreeze_from, which say the same thing; leave one of them away")
    return problems
