"""RunConfig: everything a run is told, in one frozen record; checks.py validates it as a whole.

The fields below, and those of training.py, networks.py and honesty.py that it inherits, are also the table of flags:
cli.py makes the parser from it, and the README's flag table is generated from it. Units are in the help.
"""

from __future__ import annotations

from dataclasses import dataclass

from retrain.config.flag import AS_USUAL, BACK, DISTORT, IN, OUT, SKY, Flag
from retrain.config.flag import flag as _flag
from retrain.config.formats import FORMATS
from retrain.config.honesty import CheckFlags
from retrain.config.inputs import ARCHIVE_FILES, ARCHIVE_FILES_HELP, ARCHIVE_MB, ARCHIVE_MB_HELP, IMAGE_LIST_HELP
from retrain.config.multilabel import MULTI_LABEL_HELP
from retrain.config.networks import HEAD, USUAL_FOLDS, NetworkFlags
from retrain.config.sky import ASINH_A_HELP, CURVE_HELP, CURVES, LIMITS_HELP, OFF, PERCENTILE_HELP, RULES
from retrain.config.training import TrainFlags

# Endings of the files that a run writes beside --output_graph.
BESIDE_GRAPH = (
    *(one.ending for one in FORMATS.values() if one.name != "graph"),
    ".split.csv",
    ".skipped.csv",
    ".metrics.json",
    ".predictions.csv",
    ".model_card.md",
    ".exports.json",
    ".memory.npz",
    ".suspects.csv",
)
# The flags any of which turns distorted training on.
DISTORTIONS = (
    "flip_left_right",
    "random_crop",
    "random_scale",
    "random_brightness",
    "random_quarter_turns",
    "random_colour",
)
# In percent: views are cut from at most 22 times the input size each way.
MAX_RANDOM_SCALE = 1000
# Kinds of weight files that can be read.
WEIGHT_SUFFIXES = (".npz", ".h5", ".pb")


@dataclass(frozen=True)
class RunConfig(CheckFlags, NetworkFlags, TrainFlags):
    """What one training run is told; field names are the flags, in the order of ``--help`` within each group."""

    image_dir: str = _flag(
        "",
        Flag(
            "folder with one sub-folder of photographs a class, its URL (s3://bucket/photos) or an archive of it "
            "(.zip, .tar, .tar.gz, .tar.bz2), unpacked once beside --bottleneck_dir (required without --image_list)",
            IN,
            metavar="DIR",
        ),
    )
    image_list: str = _flag("", Flag(IMAGE_LIST_HELP, IN, metavar="FILE"))
    multi_label: bool = _flag(False, Flag(MULTI_LABEL_HELP, IN))
    recursive: bool = _flag(False, Flag("take photographs from the folders below each class folder, too", IN))
    archive_max_files: int = _flag(ARCHIVE_FILES, Flag(ARCHIVE_FILES_HELP, IN, 1, 10_000_000))
    archive_max_mb: int = _flag(ARCHIVE_MB, Flag(ARCHIVE_MB_HELP, IN, 1, 1 << 30))
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
    sky_limits: str = _flag(OFF, Flag(LIMITS_HELP, SKY, choices=RULES, metavar="RULE"))
    sky_percentile: float = _flag(99.5, Flag(PERCENTILE_HELP, SKY, 50, 100))
    sky_stretch: str = _flag("asinh", Flag(CURVE_HELP, SKY, choices=CURVES, metavar="CURVE"))
    sky_asinh_a: float = _flag(0.1, Flag(ASINH_A_HELP, SKY, 0, 1))

    architecture: str = _flag(
        "mobilenet_0.50_224",
        Flag(
            "backbone: a row of python -m retrain backbones, in any case; with _quantized behind it, the model is "
            "written in int8 as well (as --export tflite_int8)",
            BACK,
            metavar="NAME",
        ),
    )
    weights: str = _flag(
        "",
        Flag(
            "weights to use in place of all other sources: .npz or .h5 in Keras' order, a frozen .pb of Google's "
            "MobileNet V1, or the folder of a SavedModel of the architecture",
            BACK,
            metavar="PATH",
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
    tfhub_module: str = _flag(
        "",
        Flag(
            "TensorFlow 2 SavedModel to use as the backbone in place of --architecture, fed RGB in 0 to 1 as "
            "TensorFlow Hub's are: a folder, a .tar.gz, or an https:// address of tfhub.dev, Kaggle or elsewhere",
            BACK,
            metavar="PATH|URL",
        ),
    )
    tfhub_input_size: int = _flag(
        0,
        Flag(
            "pixels a side that --tfhub_module is fed; 0: what it says it takes, 224 where any size will do",
            BACK,
            0,
            1024,
        ),
    )
    bottleneck_tensor: str = _flag(
        "",
        Flag(
            "where the features of --backbone_graph are, or which output of --tfhub_module they are, when they are not "
            "to be found",
            BACK,
            metavar="NAME",
        ),
    )
    model_dir: str = _flag(
        "tf_files/models",
        Flag("folder of converted backbones, and of official weight files put there by hand", BACK, metavar="DIR"),
    )
    bottleneck_dir: str = _flag("tf_files/bottlenecks", Flag("folder of the bottleneck cache", BACK, metavar="DIR"))
    verify_cache: bool = _flag(
        False,
        Flag(
            "read every photograph again and compare its contents, and the checksum of every cached vector, before "
            "training; what is wrong is named and computed again",
            BACK,
        ),
    )
    use_unverified: bool = _flag(
        False,
        Flag("train on bottlenecks from python -m retrain cache import where there are no others", BACK),
    )
    feature_memory_mb: int = _flag(
        0,
        Flag(
            "memory for the features and the scaled copy that is trained on, in MB; more are read from a file beside "
            "the cache, with the same results; 0: half of what is available",
            BACK,
            0,
        ),
    )
    offline: bool = _flag(False, Flag("never use the network; without it, official weights are fetched once", BACK))
    threads: int = _flag(0, Flag("threads that read, decode and extract; 0: one a core", BACK, 0, 1024))
    precision: str = _flag(
        "float32",
        Flag(
            "what features are extracted in: 'bfloat16' is faster for large backbones (Inception, ResNet) where the "
            "processor has it, but less exact, which the run measures; the model itself stays float32",
            BACK,
            choices=("float32", "bfloat16"),
            metavar="TYPE",
        ),
    )
    engine: str = _flag(
        "local",
        Flag(
            "where extraction runs: 'local' on this machine's cores, 'ray' on those of a Ray cluster",
            BACK,
            choices=("local", "ray"),
            metavar="ENGINE",
        ),
    )
    ray_address: str = _flag(
        "",
        Flag(
            "Ray cluster to join: 'auto' for the one that this machine is in, or HOST:PORT of its head; without it, "
            "--engine ray starts Ray on this machine alone",
            BACK,
            metavar="ADDRESS",
        ),
    )

    output_graph: str = _flag(
        "tf_files/retrained_graph.pb",
        Flag(
            "the model, a frozen TensorFlow graph; its .tflite and lists of the run stand beside it",
            OUT,
            metavar="FILE",
        ),
    )
    export: str = _flag(
        "graph,tflite",
        Flag(
            f"formats to write the model in, with commas between: {', '.join(FORMATS)}; graph and tflite are always "
            "written, the others can be made later, too (python -m retrain export). Each is run on the test "
            "photographs and deleted if it does not answer as the model does",
            OUT,
            metavar="FORMATS",
        ),
    )
    report: bool = _flag(
        True, Flag("write report.html beside --output_graph: one page with all that the run found out", OUT)
    )
    heat_maps: int = _flag(
        0,
        Flag("show in the report what speaks for so many of the worst mistakes; about half a second each", OUT, 0, 200),
    )
    unknown_threshold: float = _flag(
        0.0,
        Flag(
            "label_image calls a photograph whose best score is lower 'unknown'; 0: none; kept in the model", OUT, 0, 1
        ),
    )
    output_labels: str = _flag("tf_files/retrained_labels.txt", Flag("the labels, a line each", OUT, metavar="FILE"))
    summaries_dir: str = _flag("tf_files/training_summaries", Flag("what TensorBoard shows", OUT, metavar="DIR"))
    intermediate_output_graphs_dir: str = _flag(
        "tf_files/intermediate_graphs/", Flag("folder of the graphs written during training", OUT, metavar="DIR")
    )
    intermediate_store_frequency: int = _flag(0, Flag("write a graph every so many steps; 0: never", OUT, 0))
    final_tensor_name: str = _flag("final_result", Flag("name of the softmax node in the graph", OUT, metavar="NAME"))

    flip_left_right: bool = _flag(False, Flag("mirror half of the views of each training photograph", DISTORT))
    random_crop: int = _flag(
        0, Flag("enlarge by this and cut back to size at a random place, in percent of the input size", DISTORT, 0, 100)
    )
    random_scale: int = _flag(
        0, Flag("enlarge by up to this before the cut, at random, in percent", DISTORT, 0, MAX_RANDOM_SCALE)
    )
    random_brightness: int = _flag(
        0, Flag("multiply all values by a random factor of up to this above or below 1, in percent", DISTORT, 0, 100)
    )
    random_quarter_turns: bool = _flag(
        False, Flag("turn by 0, 90, 180 or 270 degrees, for photographs without an up, such as the sky", DISTORT)
    )
    random_colour: int = _flag(
        0, Flag("multiply each of R, G and B by a random factor of its own, as --random_brightness", DISTORT, 0, 100)
    )
    distorted_views: int = _flag(
        8,
        Flag(
            "distorted views a training photograph, once any of the distortions is on; their extraction takes this "
            "many times as long as that of the photographs, once: they are cached, and another --seed draws others",
            DISTORT,
            1,
            1000,
        ),
    )

    @property
    def folds(self) -> int:
        """Parts of the cross-validation; 0 where it is left out."""
        usual = USUAL_FOLDS if self.train == HEAD else 0
        return usual if self.cross_validation_folds == AS_USUAL else self.cross_validation_folds

    def problems(self) -> list[str]:
        """Check every field, and the file system as far as it can be checked without touching it.

        Returns:
            One sentence a problem; empty when the run may start.
        """
        from retrain.config.checks import problems_of

        return problems_of(self)

    def distortions(self) -> dict[str, int]:
        """List what views of the training photographs are distorted by.

        Returns:
            flag -> value, those that are on and the number of views; empty when training is undistorted.
        """
        on = {name: int(getattr(self, name)) for name in DISTORTIONS if getattr(self, name)}
        return on | {"distorted_views": self.distorted_views} if on else {}

    def caveats(self) -> dict[str, int]:
        """List what a model's description must not keep quiet about the features that it was trained on.

        Returns:
            name -> 1; empty for features that this program extracted in float32.
        """
        marks = {"use_unverified": self.use_unverified, "bfloat16": self.precision == "bfloat16"}
        return {name: 1 for name, holds in marks.items() if holds}

    def outputs(self) -> dict[str, str]:
        """Name what a run writes.

        Returns:
            flag name -> path; names that end in ``_dir`` are folders.
        """
        names = ["output_graph", "output_labels", "summaries_dir", "bottleneck_dir", "model_dir"]
        if self.intermediate_store_frequency:
            names.append("intermediate_output_graphs_dir")
        if self.train != HEAD:
            names.append("checkpoint_dir")
        return {name: getattr(self, name) for name in names}
