"""Opens models that other tools wrote, and SavedModels: read as data, written out as plain graphs, and only then run.

What a model does not say is found out or assumed, and each assumption is a note. One that holds an operation which is
not on the list is refused by its name; with trust_model it runs in the sandbox.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrain.bundle import Bundle
from retrain.errors import ModelError, WeightsError
from retrain.graphs.checked import checked_nodes, parse_graph
from retrain.graphs.checkpoint import Checkpoint, fill
from retrain.graphs.foreign import MAX_INPUT_PIXELS
from retrain.graphs.inline import IMAGES, Skeleton, write_out
from retrain.graphs.labelling import (
    USUAL_SCALING,
    Scorer,
    find_scores,
    node_name,
    scaling_inside,
    scoring_graph,
)
from retrain.graphs.savedmodel import Entry, find_entry
from retrain.images import InputSpec
from retrain.modelfile.kinds import folder_of
from retrain.modelfile.labels import Labels, check_count, given_labels, labels_beside
from retrain.modelfile.savedmodel import read_saved_model
from retrain.modelfile.tflite import tflite_facts
from retrain.runtimes.graph import GraphRuntime
from retrain.runtimes.litert import LiteRuntime
from retrain.runtimes.request import Opened, Request
from retrain.runtimes.runtime import Runtime, Softmaxed

_TRUST = (
    "; --trust_model runs it in a child process with limits: use it only if you know who wrote the model and trust them"
)
_ASSUMED_SIZE = (
    "the model does not say its size: {} x {} pixels are assumed; --input_width and --input_height say otherwise"
)
_SOFTMAX = "the scores are not probabilities: a softmax is put behind them"
# Classes of ImageNet, without and with "background".
_IMAGENET = (1000, 1001)
# What the Hub's convention and its tutorials have.
_HUB_SIZE, _HUB_SCALING = 224, (0.0, 255.0)


def open_graph(request: Request, data: bytes) -> Opened:
    """Open a stranger's frozen graph.

    Args:
        request: which, and how.
        data: its bytes; not trusted.

    Returns:
        The model, open: the copy of what was checked, in TensorFlow.

    Raises:
        ModelError: it is refused, or it cannot be told how to label with it.
        UsageError: labels that were given do not fit it.
    """
    try:
        parse_graph(data)
    except WeightsError as error:
        raise ModelError(f"{request.path}: {error}") from error
    try:
        nodes = checked_nodes(data)
        scorer = _scorer(request, nodes)
        graph = scoring_graph(data, scorer)
    except WeightsError as error:
        return _trusted(request, error)
    labels, notes = _labels(request, scorer.classes)
    spec, assumed = _overridden(request, scorer.input_spec, known=scorer.scaling_known)
    bundle = _bundle(labels, spec, scorer.input_node, scorer.output_node)
    runtime = GraphRuntime(graph, ("input", "bottleneck"), spec.height, spec.width, str(request.path))
    return _opened(request, bundle, runtime, (*notes, *assumed), probabilities=scorer.gives_probabilities)


def open_tflite(request: Request, content: bytes) -> Opened:
    """Open a stranger's LiteRT model.

    Args:
        request: which, and how.
        content: its bytes; not trusted.

    Returns:
        The model, open.

    Raises:
        ModelError: it is refused, or is no model that takes one picture of floats and gives one row.
        UsageError: labels that were given do not fit it.
    """
    source = str(request.path)
    facts = tflite_facts(content, source)
    picture = facts.inputs[0].shape if facts.inputs else ()
    row = facts.outputs[0].shape if facts.outputs else ()
    if len(picture) != 4 or picture[3] != 3 or not row or row[-1] < 1:
        raise ModelError(f"expected {source} to take (1, height, width, 3) and give a row, got {picture} and {row}")
    labels, notes = _labels(request, row[-1])
    size = request.height or picture[1], request.width or picture[2]
    spec, assumed = _overridden(request, InputSpec(*size, *USUAL_SCALING), known=False)
    bundle = _bundle(labels, spec, facts.inputs[0].name, facts.outputs[0].name)
    runtime = LiteRuntime(content, spec.height, spec.width, source)
    return _opened(request, bundle, runtime, (*notes, *assumed), probabilities=facts.gives_probabilities)


def open_saved_model(request: Request) -> Opened:
    """Open a stranger's SavedModel: the function that takes photographs, written out as a plain graph.

    Args:
        request: which, and how.

    Returns:
        The model, open, in TensorFlow.

    Raises:
        ModelError: it is refused, or it cannot be told how to label with it.
        UsageError: labels that were given do not fit it.
    """
    try:
        meta, entry = _entry(request.path, node_name(request.output_layer) if request.output_layer else "")
        height, width = entry.height or request.height or _HUB_SIZE, entry.width or request.width or _HUB_SIZE
        if max(height, width) > MAX_INPUT_PIXELS:
            raise WeightsError(f"{request.path} takes {width} x {height} pixels, at most {MAX_INPUT_PIXELS} a side")
        skeleton = write_out(meta, entry, height, width)
        if not skeleton.features:
            raise WeightsError(f"{entry.name} of {request.path} does not say how many scores it gives")
    except WeightsError as error:
        return _trusted(request, error)
    labels, notes = _labels(request, skeleton.features)
    nodes = {node.name: node for node in skeleton.graph.node}
    inside = scaling_inside(nodes, IMAGES)
    scaling = (0.0, 1.0) if inside else _HUB_SCALING
    size = () if entry.height or request.height else (_ASSUMED_SIZE.format(width, height),)
    spec, said = _overridden(request, InputSpec(height, width, *scaling), known=inside)
    bundle = _bundle(labels, spec, entry.name, entry.output_name)
    runtime = _filled_runtime(request.path, meta, skeleton, spec)
    return _opened(request, bundle, runtime, (*notes, *size, *said), probabilities=skeleton.scores)


def saved_model_runtime(path: Path, bundle: Bundle) -> Runtime:
    """Open what runs a SavedModel of ours: its function of floats, written out as a plain graph.

    Args:
        path: its folder.
        bundle: what it says of itself.

    Returns:
        The runtime, of TensorFlow.

    Raises:
        ModelError: it is damaged, or holds more than ours do.
    """
    try:
        meta, entry = _entry(path, "")
        skeleton = write_out(meta, entry, bundle.input_height, bundle.input_width)
    except WeightsError as error:
        raise ModelError(f"{path}: {error}; export it again") from error
    return _filled_runtime(path, meta, skeleton, bundle.input_spec)


def _scorer(request: Request, nodes: dict[str, Any]) -> Scorer:
    try:
        return find_scores(
            nodes, input_layer=request.input_layer, output_layer=request.output_layer, height=request.height,
            width=request.width,
        )  # fmt: skip
    except WeightsError as error:  # nothing is refused: trusting it would not help
        raise ModelError(f"{request.path}: {error}") from error


def _entry(path: Path, output: str) -> tuple[Any, Entry]:
    meta = read_saved_model(path)
    return meta, find_entry(meta, str(path), output)


def _filled_runtime(path: Path, meta: Any, skeleton: Skeleton, spec: InputSpec) -> Runtime:  # noqa: ANN401
    try:
        if skeleton.variables:
            fill(skeleton.graph, skeleton.variables, meta.object_graph_def.nodes, Checkpoint(folder_of(path)))
    except WeightsError as error:
        raise ModelError(str(error)) from error
    graph = skeleton.graph.SerializeToString()
    return GraphRuntime(graph, (IMAGES, skeleton.result), spec.height, spec.width, str(path))


def _trusted(request: Request, refusal: WeightsError) -> Opened:
    """Run in the sandbox what is not run here; without trust_model, say why it is not."""
    if not request.trust_model:
        raise ModelError(f"{request.path}: {refusal}{_TRUST}") from refusal
    import numpy as np

    from retrain.runtimes.trusted import TrustedRuntime
    from retrain.sandbox import SandboxedModel

    path = folder_of(request.path) if request.path.name == "saved_model.pb" else request.path
    model = SandboxedModel(path, input_node=node_name(request.input_layer), output_node=node_name(request.output_layer))
    try:
        said = (*(size if size > 0 else 0 for size in model.input_shape[1:3]), 0, 0)
        height, width = request.height or said[0] or _HUB_SIZE, request.width or said[1] or _HUB_SIZE
        if not (1 <= height <= MAX_INPUT_PIXELS and 1 <= width <= MAX_INPUT_PIXELS):
            raise ModelError(f"{path} takes {width} x {height} pixels, at most {MAX_INPUT_PIXELS} a side are given")
        assumed = () if said[0] or request.height else (_ASSUMED_SIZE.format(width, height),)
        spec, notes = _overridden(request, InputSpec(height, width, *USUAL_SCALING), known=False)
        runtime = TrustedRuntime(model, height, width)
        row = runtime.scores(lambda picture: picture.fill(0))
        labels, more = _labels(request, len(row))
    except BaseException:
        model.close()
        raise
    bundle = _bundle(labels, spec, model.input_node, model.output_node)
    trusted = (f"trusted, although: {refusal}", *(f"in the child process {limit}" for limit in model.limits),
               *(f"not limited here: {limit}" for limit in model.unenforced))  # fmt: skip
    probable = bool((row >= 0).all() and (row <= 1).all() and np.isclose(row.sum(), 1, atol=1e-3))
    opened = runtime if probable else Softmaxed(runtime)
    return Opened(bundle, opened, (*trusted, *more, *assumed, *notes, *(() if probable else (_SOFTMAX,))))


def _opened(
    request: Request, bundle: Bundle, runtime: Runtime, notes: tuple[str, ...], *, probabilities: bool
) -> Opened:
    if not probabilities:
        runtime, notes = Softmaxed(runtime), (*notes, _SOFTMAX)
    if request.trust_model:
        notes += (f"--trust_model changes nothing: {request.path} holds nothing but arithmetic and runs without it",)
    return Opened(bundle, runtime, notes)


def _labels(request: Request, classes: int) -> tuple[Labels, tuple[str, ...]]:
    if request.labels is not None:
        labels = given_labels(request.labels)
        check_count(labels, classes, str(request.path))
        return labels, ()
    try:
        labels = labels_beside(request.path, classes)
    except ModelError:
        if classes not in _IMAGENET:
            raise
        from retrain.backbones.imagenet import imagenet_labels  # a table of names; see the contract in pyproject.toml

        told = f"its {classes} scores are taken for ImageNet's classes; --labels says otherwise"
        return Labels(imagenet_labels(classes)), (f"no labels lie beside the model: {told}",)
    return labels, (f"labels are those of {labels.source}, which lies beside the model and fits",)


def _overridden(request: Request, spec: InputSpec, *, known: bool) -> tuple[InputSpec, tuple[str, ...]]:
    """Put a scaling that was given in place of the one that was found; say so where any of it is a guess."""
    mean, std = request.overrides.get("input_mean", spec.mean), request.overrides.get("input_std", spec.std)
    sure = known or {"input_mean", "input_std"} <= set(request.overrides)
    said = f"the model does not say how pixels are scaled: (value - {mean:g}) / {std:g} is assumed; --input_mean and "
    return InputSpec(spec.height, spec.width, mean, std), () if sure else (f"{said}--input_std say otherwise",)


def _bundle(labels: Labels, spec: InputSpec, input_node: str, output_node: str) -> Bundle:
    return Bundle(
        labels=labels.names, input_height=spec.height, input_width=spec.width, input_mean=spec.mean, input_std=spec.std,
        input_node=input_node, output_node=output_node, architecture="unknown", weights_source="", weights_sha256="",
        feature_width=0, head_step=0, split_sha256="", training={}, versions={},
    )  # fmt: skip
