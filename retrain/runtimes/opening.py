"""Opens a model: tells the formats apart, reads what ours say of themselves, and finds what runs them.

Ours are run by LiteRT wherever that can be, without TensorFlow: a .pb by the .tflite beside it, whose hash its
description names, so that the two can never be of different runs. What others wrote goes to strangers.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from retrain.bundle import Bundle
from retrain.errors import ModelError, UsageError
from retrain.modelfile import read_model_file
from retrain.modelfile.kinds import LABELLED, SAID_FOR_LABELLING, kind_of
from retrain.runtimes.litert import LiteRuntime
from retrain.runtimes.request import Opened, Request
from retrain.runtimes.runtime import Runtime


def open_any(request: Request) -> Opened:
    """Open a model of any format that is labelled with.

    Args:
        request: which, and how.

    Returns:
        The model, open.

    Raises:
        ModelError: it is no model, is damaged, or may do more than calculate and is not trusted.
        UsageError: labels or node names that were given do not fit it.
    """
    kind = kind_of(request.path)
    if kind not in LABELLED:
        what = f"is a {kind} model" if kind else "is none" if request.path.exists() else "is not there"
        raise ModelError(f"expected {SAID_FOR_LABELLING}, but {request.path} {what}; train one with python -m retrain")
    return {"graph": _graph, "tflite": _tflite, "onnx": _onnx, "saved_model": _saved_model}[kind](request)


def _graph(request: Request) -> Opened:
    from retrain.modelfile.graph import graph_bundle

    data = read_model_file(request.path, "a model")
    bundle = graph_bundle(data, str(request.path))
    if bundle is None:
        from retrain.runtimes.strangers import open_graph

        return open_graph(request, data)
    sibling = request.path.with_suffix(".tflite")
    content = read_model_file(sibling, f"the .tflite that {request.path.name} was written with")
    if hashlib.sha256(content).hexdigest() != bundle.tflite_sha256:
        raise ModelError(f"{sibling} is not the file that {request.path} was written with; copy both from one run")
    return _own(request, bundle, lambda one: _lite(content, one, str(sibling)))


def _tflite(request: Request) -> Opened:
    from retrain.modelfile.tflite import tflite_bundle

    content, source = read_model_file(request.path, "a model"), str(request.path)
    bundle = tflite_bundle(content, source)
    if bundle is None:
        from retrain.runtimes.strangers import open_tflite

        return open_tflite(request, content)
    return _own(request, bundle, lambda one: _lite(content, one, source))


def _lite(content: bytes, bundle: Bundle, source: str) -> LiteRuntime:
    return LiteRuntime(content, bundle.input_height, bundle.input_width, source, bundle.feature_width)


def _onnx(request: Request) -> Opened:
    from retrain.modelfile.onnxfile import onnx_bundle
    from retrain.runtimes.onnx import OnnxRuntime

    content, source = read_model_file(request.path, "a model"), str(request.path)
    bundle = onnx_bundle(content, source)
    if bundle is None:
        raise ModelError(
            f"{source} does not say what it is: it was not written by this tool. Of other tools, frozen graphs, "
            "SavedModels and LiteRT models are labelled with, ONNX models are not"
        )
    return _own(request, bundle, lambda one: OnnxRuntime(content, one.input_height, one.input_width, source))


def _saved_model(request: Request) -> Opened:
    from retrain.modelfile.savedmodel import saved_model_bundle
    from retrain.runtimes.strangers import open_saved_model, saved_model_runtime

    bundle = saved_model_bundle(request.path)
    if bundle is None:
        return open_saved_model(request)
    return _own(request, bundle, lambda one: saved_model_runtime(request.path, one))


def _own(request: Request, bundle: Bundle, run: Callable[[Bundle], Runtime]) -> Opened:
    """Hold what was given against a model of ours, all of it at once, before anything is run."""
    problems = _layer_problems(request, bundle)
    if request.labels is not None:
        from retrain.modelfile.labels import check_count, given_labels

        labels = given_labels(request.labels)
        try:
            check_count(labels, len(bundle.labels), str(request.path))
        except UsageError as error:
            problems += error.problems
        bundle = replace(bundle, labels=labels.names)
    if problems:
        raise UsageError(problems)
    bundle = replace(bundle, **request.overrides)
    needless = f"--trust_model changes nothing: {request.path} is a model of this tool and holds nothing but arithmetic"
    return Opened(bundle, run(bundle), (needless,) if request.trust_model else ())


def _layer_problems(request: Request, bundle: Bundle) -> list[str]:
    layers = (
        ("--input_layer", request.input_layer, bundle.input_node),
        ("--output_layer", request.output_layer, bundle.output_node),
    )
    if not any(given for _, given, _ in layers):
        return []
    from retrain.graphs.labelling import node_name

    return [
        f"expected {flag} to be {expected!r}, the name in {request.path}, got {given!r}; leave it away"
        for flag, given, expected in layers
        if given and node_name(given) != expected
    ]
