"""RunConfig: everything a run is told, in one frozen record; checks.py validates it as a whole.

The fields below are also the table of flags: cli.py makes the parser from it, and the README's flag table is
generated from it. Units are in the help; "later" marks a flag of the original that this version refuses by name.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

FlagValue = str | int | float | bool

# Endings of the files that a run writes beside --output_graph.
BESIDE_GRAPH = (".tflite", ".split.csv", ".skipped.csv", ".metrics.json")
# Kinds of weight files that can be read.
WEIGHT_SUFFIXES = (".npz", ".h5", ".pb")


@dataclass(frozen=True)
class Flag:
    """How one field of RunConfig is given on the command line.

    Args:
        help: what it means, for a person who has not read anything else.
        group: the heading it stands under in ``--help``.
        low: smallest legal number.
        high: largest legal number.
        choices: the legal words.
        metavar: what stands for its value in ``--help``.
        later: when set, any value but the default is refused with this sentence.
    """

    help: str
    group: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    metavar: str = ""
    later: str = ""


def _flag(default: FlagValue, flag: Flag) -> Any:  # noqa: ANN401 - dataclasses.field is typed so
    return dataclasses.field(default=default, metadata={"flag": flag})


_DISTORTION_LATER = "distorted training is not in this version; leave the flag away (its default trains undistorted)"

IN, OUT, TRAIN, CHECK, BACK, DISTORT = (
    "photographs",
    "what is written",
    "training",
    "honest numbers",
    "backbone and cache",
    "distortions (flags of the original that this version refuses)",
)


@dataclass(frozen=True)
class RunConfig:
    """What one training run is told; field names are the flags, in the order of ``--help``."""

    image_dir: str = _flag("", Flag("folder with one sub-folder of photographs a class (required)", IN, metavar="DIR"))
    label_style: str = _flag(
        "folder",
        Flag(
            "how a label comes from its folder: 'folder' keeps the name as it is spelt, 'poets' is the original's "
            "rule (lower case, runs of other characters than a-z and 0-9 become one space)",
            IN,
            choices=("folder", "poets"),
            metavar="STYLE",
        ),
    )
    max_skipped_percentage: float = _flag(
        5.0,
        Flag(
            "stop when more than this share of the photographs cannot be read (one is always allowed), in percent",
            IN,
            0,
            100,
        ),
    )

    architecture: str = _flag(
        "mobilenet_0.50_224",
        Flag(
            "backbone: a row of python -m retrain backbones, in any case",
            BACK,
            metavar="NAME",
        ),
    )
    weights: str = _flag(
        "",
        Flag(
            "weights to use in place of all other sources: .npz or .h5 in Keras' order, or a frozen .pb of Google's "
            "MobileNet V1",
            BACK,
            metavar="FILE",
        ),
    )
    backbone_graph: str = _flag(
        "",
        Flag(
            "frozen graph to use as the backbone in place of --architecture: a retrained_graph.pb, Google's "
            "mobilenet_v1_*_frozen.pb or classify_image_graph_def.pb",
            BACK,
            metavar="FILE",
        ),
    )
    bottleneck_tensor: str = _flag(
        "", Flag("where the features of --backbone_graph are, when they are not to be found", BACK, metavar="NAME")
    )
    model_dir: str = _flag(
        "tf_files/models",
        Flag("folder of converted backbones, and of official weight files put there by hand", BACK, metavar="DIR"),
    )
    bottleneck_dir: str = _flag("tf_files/bottlenecks", Flag("folder of the bottleneck cache", BACK, metavar="DIR"))
    offline: bool = _flag(False, Flag("never use the network; without it, official weights are fetched once", BACK))
    threads: int = _flag(0, Flag("threads that read, decode and extract; 0: one a core", BACK, 0, 1024))

    how_many_training_steps: int = _flag(4000, Flag("steps of gradient descent on the new layer", TRAIN, 1))
    learning_rate: float = _flag(0.01, Flag("size of a step of gradient descent", TRAIN, 0))
    train_batch_size: int = _flag(100, Flag("photographs a training step, drawn class by class", TRAIN, 1))
    weight_decay: float = _flag(
        0.03,
        Flag(
            "share by which learning_rate times this shrinks the weights each step; 0: none, as the original",
            TRAIN,
            0,
        ),
    )
    eval_step_interval: int = _flag(10, Flag("measure and log every so many steps", TRAIN, 1))
    seed: int = _flag(0, Flag("seed of the random draws; the same seed gives the same bytes", TRAIN, 0, 2**32 - 1))

    testing_percentage: int = _flag(
        10, Flag("share of the photographs kept for the final test, in percent", CHECK, 0, 99)
    )
    validation_percentage: int = _flag(
        10, Flag("share of the photographs that choose the best step, in percent", CHECK, 0, 99)
    )
    split_rule: str = _flag(
        "content",
        Flag(
            "what decides a photograph's side: 'content' hashes its bytes, so that renaming and moving change nothing; "
            "'poets' hashes the path as typed, bit for bit as the original did",
            CHECK,
            choices=("content", "poets"),
            metavar="RULE",
        ),
    )
    test_batch_size: int = _flag(-1, Flag("photographs of the final test, drawn at random; -1: all of them", CHECK, -1))
    validation_batch_size: int = _flag(
        100, Flag("photographs of each validation logged, drawn class by class; -1: all of them", CHECK, -1)
    )
    cross_validation_folds: int = _flag(
        5, Flag("parts for cross-validated accuracy over all photographs; 0: leave it out", CHECK, 0, 100)
    )
    print_misclassified_test_images: bool = _flag(False, Flag("list the errors of the final test", CHECK))

    output_graph: str = _flag(
        "tf_files/retrained_graph.pb",
        Flag(
            "the model, a frozen TensorFlow graph; its .tflite and lists of the run stand beside it",
            OUT,
            metavar="FILE",
        ),
    )
    output_labels: str = _flag("tf_files/retrained_labels.txt", Flag("the labels, a line each", OUT, metavar="FILE"))
    summaries_dir: str = _flag("tf_files/training_summaries", Flag("what TensorBoard shows", OUT, metavar="DIR"))
    intermediate_output_graphs_dir: str = _flag(
        "tf_files/intermediate_graphs/", Flag("folder of the graphs written during training", OUT, metavar="DIR")
    )
    intermediate_store_frequency: int = _flag(0, Flag("write a graph every so many steps; 0: never", OUT, 0))
    final_tensor_name: str = _flag("final_result", Flag("name of the softmax node in the graph", OUT, metavar="NAME"))

    flip_left_right: bool = _flag(
        False, Flag("mirror half of the training photographs", DISTORT, later=_DISTORTION_LATER)
    )
    random_crop: int = _flag(0, Flag("crop margin, in percent", DISTORT, 0, 100, later=_DISTORTION_LATER))
    random_scale: int = _flag(0, Flag("enlarge by up to, in percent", DISTORT, 0, later=_DISTORTION_LATER))
    random_brightness: int = _flag(0, Flag("brightness range, in percent", DISTORT, 0, 100, later=_DISTORTION_LATER))

    def problems(self) -> list[str]:
        """Check every field, and the file system as far as it can be checked without touching it.

        Returns:
            One sentence a problem; empty when the run may start.
        """
        from retrain.config.checks import problems_of

        return problems_of(self)

    def outputs(self) -> dict[str, str]:
        """Name what a run writes.

        Returns:
            flag name -> path; names that end in ``_dir`` are folders.
        """
        names = ["output_graph", "output_labels", "summaries_dir", "bottleneck_dir", "model_dir"]
        if self.intermediate_store_frequency:
            names.append("intermediate_output_graphs_dir")
        return {name: getattr(self, name) for name in names}
