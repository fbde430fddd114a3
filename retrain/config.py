"""RunConfig: everything a run is told, in one frozen record, validated as a whole before anything is touched.

The fields below are also the table of flags: cli.py makes the parser from it, and the README's flag table is
generated from it. Units are in the help; "later" marks a flag of the original that this version refuses by name.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain import fsio
from retrain.errors import did_you_mean

FlagValue = str | int | float | bool

# A name that GraphDef accepts at the top level, and that no node of a backbone starts with.
_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*")
# Endings of the files that a run writes beside --output_graph.
BESIDE_GRAPH = (".tflite", ".split.csv", ".skipped.csv", ".metrics.json")
# Kinds of weight files that can be read.
WEIGHT_SUFFIXES = (".npz", ".h5", ".pb")
_RESERVED_NODE_NAMES = ("input", "Mul", "bottleneck", "retrain", "final_training_ops", "input_1")


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
        found = [p for field in dataclasses.fields(self) for p in _field_problems(field, getattr(self, field.name))]
        return found + self._split_problems() + self._node_name_problems() + self._path_problems()

    def _split_problems(self) -> list[str]:
        problems = []
        shares = (self.testing_percentage, self.validation_percentage)
        if max(shares) < 100 <= sum(shares):  # a single share of 100 or more is its own problem
            problems.append(
                "expected --testing_percentage and --validation_percentage to leave something to train on, got "
                f"{self.testing_percentage} + {self.validation_percentage}; lower one of them (10 and 10 are usual)"
            )
        for name in ("test_batch_size", "validation_batch_size"):
            if getattr(self, name) == 0:
                problems.append(f"expected --{name} to be -1 (all) or at least 1, got 0; use -1")
        if self.learning_rate == 0:
            problems.append("expected --learning_rate above 0, got 0; 0.01 is usual")
        if self.cross_validation_folds == 1:
            problems.append("expected --cross_validation_folds to be 0 (off) or at least 2, got 1; 5 is usual")
        return problems

    def _node_name_problems(self) -> list[str]:
        name = self.final_tensor_name
        if _NODE_NAME.fullmatch(name) and name not in _RESERVED_NODE_NAMES:
            return []
        return [
            "expected --final_tensor_name to be a node name of letters, digits, '_', '.' and '-' that the graph does "
            f"not use already ({', '.join(_RESERVED_NODE_NAMES)}), got {name!r}; final_result is usual"
        ]

    def _path_problems(self) -> list[str]:
        return (
            _image_dir_problems(self.image_dir)
            + self._weights_problems()
            + self._output_problems()
            + self._overlap_problems()
        )

    def _weights_problems(self) -> list[str]:
        problems = []
        for name, suffixes in (("weights", WEIGHT_SUFFIXES), ("backbone_graph", (".pb",))):
            path = getattr(self, name)
            if path and not (os.path.isfile(path) and path.endswith(suffixes)):  # noqa: PTH113
                kinds = ", ".join(suffixes)
                problems.append(f"expected --{name} to be a {kinds} file, got {path!r}; check the spelling")
        if self.weights and self.backbone_graph:
            problems.append("got --weights and --backbone_graph: a graph holds its weights; leave one of them away")
        if self.backbone_graph and self.architecture != RunConfig.architecture:
            problems.append(
                f"got --architecture={self.architecture} and --backbone_graph, which takes its place; leave one away"
            )
        if self.bottleneck_tensor and not self.backbone_graph:
            problems.append(
                f"got --bottleneck_tensor={self.bottleneck_tensor} without --backbone_graph, where it names a place; "
                "give both or neither"
            )
        return problems

    def _output_problems(self) -> list[str]:
        problems = []
        for name, value in self.outputs().items():
            if not value:
                problems.append(f"expected a path for --{name}, got nothing; leave the flag away for its default")
                continue
            hindrance = fsio.why_not_writable(value, folder=name.endswith("_dir"))
            if hindrance:
                problems.append(f"cannot write --{name}={value}: {hindrance}; choose another place")
        if Path(self.output_graph).suffix != ".pb":
            problems.append(
                f"expected --output_graph to end in .pb (its .tflite stands beside it), got {self.output_graph!r}; "
                "use tf_files/retrained_graph.pb"
            )
        return problems + self._clash_problems()

    def _clash_problems(self) -> list[str]:
        if _same_path(self.output_graph, self.output_labels):
            return [f"--output_graph and --output_labels are both {self.output_graph}; give them two names"]
        stem = str(Path(self.output_graph).with_suffix("")) if self.output_graph else ""
        taken = {f"the {ending} beside --output_graph": stem + ending for ending in BESIDE_GRAPH}
        taken |= {f"--{name}": value for name, value in self.outputs().items() if name.endswith("_dir")}
        return [
            f"--output_labels={self.output_labels} is the path of {owner}, too; give it another name"
            for owner, path in taken.items()
            if self.output_labels and _same_path(path, self.output_labels)
        ]

    def _overlap_problems(self) -> list[str]:
        # A folder of outputs among the class folders would become a class on the next run.
        return [
            f"--{name}={value} lies inside --image_dir={self.image_dir}, where every folder is a class; "
            "choose a place outside"
            for name, value in self.outputs().items()
            if self.image_dir and value and Path(os.path.abspath(value)).is_relative_to(os.path.abspath(self.image_dir))
        ]

    def outputs(self) -> dict[str, str]:
        """Name what a run writes.

        Returns:
            flag name -> path; names that end in ``_dir`` are folders.
        """
        names = ["output_graph", "output_labels", "summaries_dir", "bottleneck_dir", "model_dir"]
        if self.intermediate_store_frequency:
            names.append("intermediate_output_graphs_dir")
        return {name: getattr(self, name) for name in names}


def _same_path(a: str, b: str) -> bool:
    return os.path.normcase(os.path.abspath(a)) == os.path.normcase(os.path.abspath(b))


def _field_problems(field: dataclasses.Field[Any], value: FlagValue) -> list[str]:
    flag: Flag = field.metadata["flag"]
    if flag.later and value != field.default:
        return [f"got --{field.name}={value}, but {flag.later}"]
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


def _image_dir_problems(image_dir: str) -> list[str]:
    if not image_dir:
        return ["expected --image_dir, the folder with one sub-folder a class; try --image_dir tf_files/cluster_photos"]
    path = Path(image_dir)
    if os.path.isdir(path):  # noqa: PTH112 - unlike Path.is_dir, false and not an error for a name that is too long
        return []
    if os.path.exists(path):  # noqa: PTH110
        return [
            f"expected --image_dir to be a folder, got the file {image_dir}; give the folder above the class folders"
        ]
    return [f"Image directory '{image_dir}' not found{_near_folder(path)}; check the spelling and the current folder"]


def _near_folder(path: Path) -> str:
    try:
        siblings = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return f" (nor is its parent {path.parent})"
    hint = did_you_mean(path.name, siblings)
    return f"; did you mean {path.parent / hint[len('; did you mean ') : -1]}?" if hint else ""
