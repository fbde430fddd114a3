"""Photographs in class folders in, a classifier you can trust out: TensorFlow's retrain.py as it would be built today.

The map, in the order in which the data flows; a module imports only from rooms above it (import-linter checks it):

    errors        every error raised on purpose, and its exit code
    fsio          every write to disk: temporary file, fsync, rename; locks
    leash         child processes that end with the one that started them
    interrupts    Ctrl-C and SIGTERM: unwound in good order, and soon over for certain
    threads       work in a pool of threads, its answers in order
    storage       photographs wherever they lie: a path, or a URL that fsspec opens
    console       what a person sees: log lines and progress
    commandline   what both command lines share: parser, signals, exit codes
    config        RunConfig: the table of flags, validated as a whole before anything is touched
    dataset       folder of class folders -> labels, image records, split
    images        bytes -> uint8 RGB -> model input: the only decode and resize
    pixels        decoded photographs, kept: what a whole network is trained on, epoch after epoch
    getting       photographs got: from addresses, or sorted by their names, into class folders
    distortions   what is drawn for distorted training, and how a picture is made from it
    extraction    what an engine is asked, and what it answers
    litert        opens LiteRT models
    onnx_runtime  opens ONNX models, without the reports that onnxruntime would send to its makers
    sandbox       runs a model that may do more than calculate, in a process that may not
    graphs        frozen graphs as data: what is allowed, what they are
    networks      small networks, built from blocks that a person can put together
    backbones     architectures, pretrained weights, conversion, the frozen extractor
    bottlenecks   the cache of vectors, read as one matrix
    album         small pictures of the photographs, made once and kept
    alike         which photographs are the same picture, scaled, cut or compressed anew
    engines       where extraction runs: threads of this machine, or a Ray cluster
    head          the new layer, trained on the matrix; cross-validation
    evaluate      how good, and how sure that is: intervals, calibration, the learning curve's end, plain sentences
    insight       suspect labels, the unknown, sets of labels, neighbours, heat maps, what changed between two runs
    report        one HTML file to look at: what the run found, with the photographs
    summaries     what TensorBoard shows
    trainer       a whole network trained, from scratch or fine-tuned, in a process of its own
    bundle        what a model says of itself
    modelfile     model files, read without running them
    runtimes      what runs a model file: LiteRT, onnxruntime, TensorFlow on a checked graph, the sandbox
    exporters     frozen graph, LiteRT: a module a format
    journal       what a run says
    observe       who watches the training: log, TensorBoard, intermediate graphs
    publish       what a run leaves on the disk
    survey        what is wrong with how the folders lie, by names alone
    outset        what is checked and made ready before the first photograph is read
    gather        config -> features: which cache, which engine, which backbone
    teaching      from features to a trained head: the recipe of the flags, or the one that compares best
    whole         from photographs to a trained whole network, which then is a backbone with a head like any other
    judging       how good the head is: cross-validation, temperature, test, learning curve, and the files of that
    results       what a run found out, put where a person looks: report, TensorBoard
    several       the same three where a photograph may have several labels
    concluding    the end of every run: the model saved, judged and shown
    run           run(config) -> RunResult: the story on one page
    doctor        what is wrong with a folder of photographs, before anything is trained on it
    classifier    the inference side: opens an export safely, classifies
    label         the command line of label_image
    studio        all of it in a browser: the folder, the mistakes, a correction and what it changes
    commands      the small commands beside training
    cli           flags <-> RunConfig, exit codes (__main__ calls it)

From Python:

    from retrain import RunConfig
    from retrain.run import run
    result = run(RunConfig(image_dir="tf_files/cluster_photos"))
    from retrain import Classifier
    Classifier.open("tf_files/retrained_graph.pb").classify("tf_files/test_photos/1.jpg")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain.classifier import Classifier
    from retrain.concluding import RunResult
    from retrain.config import RunConfig

__version__ = "0.1.0"
__all__ = ["Classifier", "RunConfig", "RunResult"]

_HOME = {"Classifier": "retrain.classifier", "RunConfig": "retrain.config.flags", "RunResult": "retrain.concluding"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # Imported when asked for, so that `python -m label_image` does not pay for the training side.
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
