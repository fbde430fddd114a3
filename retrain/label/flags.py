"""The table of label_image's flags, and from a command line to a LabelConfig."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from retrain.commandline import Parser
from retrain.errors import UsageError

if TYPE_CHECKING:
    from retrain.runtimes.request import Overrides

EXAMPLE_IMAGE = "tf_files/test_photos/1.jpg"
EXAMPLE_GRAPH = "tf_files/retrained_graph.pb"
# As the training has it, whose table of flags is not imported here.
MODEL_DIR = "tf_files/models"
# Of 1,000 classes, in place of the usual five.
TOP_K_OF_IMAGENET = 10
FORMATS = ("text", "csv", "json", "jsonl", "parquet")

DESCRIPTION = """\
Name photographs with a model that python -m retrain wrote:

    python -m label_image --image tf_files/test_photos/1.jpg
    python -m label_image --image holiday/ more/*.jpg --output names.csv
    python -m label_image --image holiday/ --sort_into sorted --min_score 0.8
    find . -name '*.jpg' | python -m label_image --image @- --format jsonl
    curl -s https://example.org/1.jpg | python -m label_image --image -
    python -m label_image --watch incoming/ --output names.csv
    python -m label_image --image cat.jpg --architecture vgg16

The model says itself what its labels, input size and scaling are; of a graph that another tool wrote they are found
out, and what has to be assumed is said on standard error."""

EPILOG = """\
One photograph is printed as the original printed it. Of many, each is a row, in the order they were given; one that
cannot be read is a row with its error, and the exit code is 9 then. Columns: path, label, score, label_2, score_2 and
so on up to --top_k, with --evidence nearest, cosine to nearest_3, cosine_3, with --sets set (a JSON list), error. A
model that gives several labels (--multi_label) has all of them in label, with ';' between, or (none), and in JSON also
as labels, with their scores. Exit
codes: 0 done, 2 something asked for cannot be done, 3 the one photograph cannot be read, 6 model file, 9 done but for
some photographs, 130 Ctrl-C (0 with --watch), 143 SIGTERM."""


@dataclass(frozen=True)
class LabelFlag:
    """One flag of label_image.

    Args:
        help: what it means.
        group: the heading it stands under in ``--help``.
        default: its value when it is not given; None where that has no value.
        unset: what not giving it means, where default is None.
        read: turns its text into a value.
        low: smallest legal number.
        high: largest legal number.
        metavar: what stands for its value in ``--help``.
    """

    help: str
    group: str
    default: Any = None
    unset: str = "none"
    read: Callable[[str], Any] = str
    low: float = float("-inf")
    high: float = float("inf")
    metavar: str = "TEXT"

    @property
    def shown(self) -> str:
        """Its default, for a person."""
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        if self.default is None:
            return self.unset
        return " ".join(self.default) if isinstance(self.default, tuple) else str(self.default)


IN, OUT, HOW, WATCH, MODEL = (
    "photographs and model",
    "what is written",
    "how much at a time",
    "a folder that is watched",
    "in place of what the model says",
)
_AS_SAID = "as the model says"
_CHOOSES = "; chooses it in a graph that another tool wrote"

FLAGS = {
    "image": LabelFlag(
        "photographs to name, any number: a file; a folder, with all images below it (not behind links, not hidden "
        "ones); a pattern in quotes ('photos/**/*.jpg'); a URL, of a folder if it ends in /; @FILE, a text file of "
        "paths, a line each, or @- for such lines on standard input; - for the bytes of one image on standard input",
        IN, (EXAMPLE_IMAGE,), metavar="X",
    ),
    "graph": LabelFlag(
        "the model: a .pb with its .tflite beside it, a .tflite, .lite or .onnx file, or the folder of a SavedModel; "
        "also a frozen graph, SavedModel or .tflite that another tool wrote", IN, EXAMPLE_GRAPH, metavar="FILE",
    ),
    "architecture": LabelFlag(
        "in place of --graph: a backbone of python -m retrain backbones with its own ImageNet head, which names 1,000 "
        "classes without any training; made once, kept in --model_dir", IN, metavar="NAME",
    ),
    "weights": LabelFlag(
        "with --architecture: its weights with that head, .h5 or .npz of Keras, or Google's frozen mobilenet_v1 .pb",
        IN, unset="those in --model_dir, else the official ones are fetched", metavar="FILE",
    ),
    "model_dir": LabelFlag("with --architecture: folder of weights", IN, MODEL_DIR, metavar="DIR"),
    "offline": LabelFlag("with --architecture: never use the network", IN, default=False),
    "format": LabelFlag(
        "text, csv, json, jsonl (an object a line) or parquet (needs pyarrow)", OUT,
        unset="by the suffix of --output, else text", metavar="NAME",
    ),
    "output": LabelFlag(
        "file to write to in place of standard output; it appears whole or not at all, except with jsonl and --watch, "
        "which write as they go", OUT, unset="standard output", metavar="FILE",
    ),
    "top_k": LabelFlag(
        f"guesses a photograph ({TOP_K_OF_IMAGENET} with --architecture); a model with fewer labels gives all",
        OUT, 5, read=int, low=1, high=10_000, metavar="N",
    ),
    "min_score": LabelFlag(
        "a photograph whose best score is lower has the label 'unknown'; its score stays the best one; 0: none has. Of "
        "a model that gives several labels: from what score on each is given, in place of its own threshold",
        OUT, unset=_AS_SAID, read=float, low=0, high=1, metavar="X",
    ),
    "min_cosine": LabelFlag(
        "a photograph is 'unknown', too, when the mean cosine of its vector to those of its three nearest training "
        "photographs is lower; needs the .memory.npz beside the model; 0: none is for that reason",
        OUT, unset=_AS_SAID, read=float, low=0, high=1, metavar="X",
    ),
    "sets": LabelFlag(
        "also write the set of labels that holds the right one as often as the model promises (--coverage of the "
        "training)", OUT, default=False,
    ),
    "evidence": LabelFlag(
        "also write the three training photographs most alike to each, with the cosine of the vectors", OUT,
        default=False,
    ),
    "heat_map": LabelFlag(
        "also write each photograph with what in it speaks for its best label in red, and against it in blue, into "
        "this folder; the model is run 197 times for each", OUT, metavar="DIR",
    ),
    "sort_into": LabelFlag(
        "also copy each photograph into a folder of its label below this one; nothing is overwritten, a name that is "
        "taken gets a number; what lies in it is not labelled", OUT, metavar="DIR",
    ),
    "sort_links": LabelFlag("with --sort_into: symbolic links in place of copies", OUT, default=False),
    "annotate": LabelFlag(
        "also write the photograph with its guesses drawn beside it: a file (.jpg, .png, .webp) for one photograph, a "
        "folder for several", OUT, metavar="OUT",
    ),
    "threads": LabelFlag(
        "that read, decode and run the model, one photograph each; 0: one a core; more help where files arrive slowly",
        HOW, 0, read=int, low=0, high=256, metavar="N",
    ),
    "batch_size": LabelFlag(
        "photographs begun or done and not yet written, which bounds the memory; the model itself is run on one at a "
        "time a thread, which is fastest", HOW, 64, read=int, low=1, high=100_000, metavar="N",
    ),
    "watch": LabelFlag(
        "folder, in place of --image: name what lies in it and what arrives, once its size and date stand still, until "
        "Ctrl-C; with --output (csv or jsonl) a journal beside it remembers what is done", WATCH, metavar="DIR",
    ),
    "watch_interval_s": LabelFlag("seconds between two looks", WATCH, 2.0, read=float, low=0.05, high=86_400,
                                  metavar="X"),
    "trust_model": LabelFlag(
        "run another tool's model although it may do more than calculate: in a child process with limits, and only if "
        "you know who wrote it", IN, default=False,
    ),
    "labels": LabelFlag(
        "file of labels, a line each", MODEL, unset=f"{_AS_SAID}, else a file beside it that fits", metavar="FILE"
    ),
    "resize": LabelFlag(
        "tf1: decode, resize and scale as the codelab's label_image does under TensorFlow 1, for graphs that were "
        "trained so", MODEL, unset=_AS_SAID, metavar="NAME",
    ),
    "input_height": LabelFlag("pixels", MODEL, unset=_AS_SAID, read=int, low=32, high=4096, metavar="N"),
    "input_width": LabelFlag("pixels", MODEL, unset=_AS_SAID, read=int, low=32, high=4096, metavar="N"),
    "input_mean": LabelFlag("subtracted from each channel value (0 to 255)", MODEL, unset=_AS_SAID, read=float,
                            metavar="X"),
    "input_std": LabelFlag("what the difference is divided by", MODEL, unset=_AS_SAID, read=float, metavar="X"),
    "input_layer": LabelFlag(f"name of the model's input{_CHOOSES}", MODEL, unset=_AS_SAID),
    "output_layer": LabelFlag(f"name of the model's output{_CHOOSES}", MODEL, unset=_AS_SAID),
}  # fmt: skip


@dataclass(frozen=True)
class LabelConfig:
    """What label_image was told; a field a flag, checked as a whole by `checks.find_problems`.

    Args:
        given: names of the flags that were given.
    """

    image: tuple[str, ...]
    graph: str
    architecture: str | None
    weights: str | None
    model_dir: str
    offline: bool
    format: str
    output: str | None
    top_k: int
    min_score: float | None
    min_cosine: float | None
    sets: bool
    evidence: bool
    heat_map: str | None
    sort_into: str | None
    sort_links: bool
    annotate: str | None
    threads: int
    batch_size: int
    watch: str | None
    watch_interval_s: float
    trust_model: bool
    labels: str | None
    resize: str | None
    input_height: int | None
    input_width: int | None
    input_mean: float | None
    input_std: float | None
    input_layer: str | None
    output_layer: str | None
    given: frozenset[str] = frozenset()

    @property
    def overrides(self) -> Overrides:
        """Fields of the model's description that were given other values."""
        named = {name: getattr(self, name) for name in ("input_height", "input_width", "input_mean", "input_std")}
        return cast("Overrides", {name: value for name, value in named.items() if value is not None})

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders that are written to; what lies in them is not labelled."""
        return tuple(folder for folder in (self.sort_into, self.annotate, self.heat_map) if folder)

    @property
    def own_files(self) -> tuple[str, ...]:
        """Files that are written, so that a folder they lie in is not labelled with them."""
        return (self.output,) if self.output else ()


def build_parser() -> Parser:
    """Make the parser from the table of flags.

    Returns:
        The parser; every value stays text, so that all problems can be listed at once.
    """
    parser = Parser(
        prog="label_image", usage="python -m label_image --image X [X ...] [flags]", description=DESCRIPTION,
        epilog=EPILOG,
    )  # fmt: skip
    groups: dict[str, Any] = {}
    for name, flag in FLAGS.items():
        if flag.group not in groups:
            groups[flag.group] = parser.add_argument_group(flag.group)
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": f"{flag.help} (default: {flag.shown})"}
        if isinstance(flag.default, bool):
            groups[flag.group].add_argument(f"--{name}", action="store_true", **options)
            options = {"dest": name, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
            groups[flag.group].add_argument(f"--no_{name}", action="store_false", **options)
        else:
            many = {"nargs": "+", "action": "extend"} if isinstance(flag.default, tuple) else {}
            groups[flag.group].add_argument(f"--{name}", metavar=flag.metavar, **many, **options)
    return parser


def read_flags(words: Sequence[str]) -> LabelConfig:
    """Turn a command line into values; nothing is opened.

    Args:
        words: without the program's name.

    Returns:
        The values, checked.

    Raises:
        UsageError: lists all that is wrong with them.
    """
    from retrain.label.checks import find_problems

    given, problems = build_parser().parse(words)
    values: dict[str, Any] = {name: flag.default for name, flag in FLAGS.items()}
    for name, text in given.items():
        try:
            values[name] = text if isinstance(text, bool | list) else FLAGS[name].read(text)
        except ValueError:
            problems.append(f"expected --{name} to be a number, got {text!r}; leave it away for: {FLAGS[name].shown}")
    if values["architecture"] is not None and "top_k" not in given:
        values["top_k"] = TOP_K_OF_IMAGENET
    values["image"] = tuple(values["image"])
    values["format"] = _format(values["format"], values["output"])
    config = LabelConfig(**values, given=frozenset(given))
    problems += find_problems(config)
    if problems:
        raise UsageError(problems)
    return config


def _format(named: str | None, output: str | None) -> str:
    suffix = (output or "").rpartition(".")[2].lower()
    return named if named is not None else suffix if suffix in FORMATS[1:] else FORMATS[0]
