"""``python -m retrain show``: what a model file says of itself, and what can be inferred of a stranger's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retrain.backbones.imagenet import COUNTS
from retrain.bundle import Bundle
from retrain.commands.common import command_parser, read_flags
from retrain.console import Console, printable
from retrain.errors import ModelError, RetrainError, UsageError, WeightsError
from retrain.graphs.checked import MAX_GRAPH_BYTES, checked_nodes
from retrain.graphs.foreign import describe_graph
from retrain.graphs.labelling import find_scores
from retrain.modelfile.files import read_model_file
from retrain.modelfile.graph import graph_bundle
from retrain.modelfile.kerasfile import keras_bundle, keras_facts
from retrain.modelfile.kinds import SAID, kind_of
from retrain.modelfile.labels import labels_beside
from retrain.modelfile.onnxfile import onnx_bundle, onnx_facts
from retrain.modelfile.savedmodel import saved_model_bundle, saved_model_facts
from retrain.modelfile.tfjs import read_tfjs, tfjs_bundle, tfjs_facts
from retrain.modelfile.tflite import tflite_bundle, tflite_facts

DESCRIPTION = """\
Say what a model is: its labels, its input, what it stands on and how it was trained. Nothing in the file is run.

    python -m retrain show tf_files/retrained_graph.pb
    python -m retrain show tf_files/retrained_graph.tflite --json

Of a model that another tool wrote, it says what can be inferred: input, size, scaling, features, outputs, labels."""

_SHOWN = 20


def show(words: Sequence[str], console: Console) -> int:
    """Print what model files say of themselves."""
    parser = command_parser("show", DESCRIPTION)
    parser.add_argument("files", nargs="+", metavar="FILE", help=SAID)
    parser.add_argument("--json", action="store_true", help="as one JSON object a file")
    given = read_flags(parser, words)
    problems = [_problem(name) for name in given.files]
    if any(problems):
        raise UsageError([problem for problem in problems if problem])
    failures = []
    for name in given.files:
        try:
            facts = describe(Path(name))
        except RetrainError as error:  # the others are still worth showing
            failures.append(f"{printable(name)}: {error}")
            continue
        console.line(json.dumps({"file": name, **facts}) if getattr(given, "json", False) else _page(name, facts))
    if failures:
        raise ModelError("\n".join(failures))
    return 0


def _problem(name: str) -> str:
    if kind_of(Path(name)):
        return ""
    what = "is none" if Path(name).exists() else "is not there"
    return f"expected {SAID}, but {printable(name)} {what}; check the spelling"


def describe(path: Path) -> dict[str, Any]:
    """Read what a model file says of itself, or infer what it is.

    Args:
        path: a file or folder of one of the formats of `kind_of`; not trusted, and not run.

    Returns:
        Facts by name; ``written_by`` says whether the file or this tool speaks.

    Raises:
        RetrainError: the file is no model, or one that is refused.
    """
    return _READERS[kind_of(path)](path)


def _told(bundle: Bundle | None, infer: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    if bundle is not None:
        return {"written_by": "this tool", **asdict(bundle)}
    return {"written_by": "another tool; inferred", **infer()}


def _graph(path: Path) -> dict[str, Any]:
    data = read_model_file(path, "a model", MAX_GRAPH_BYTES)
    return _told(graph_bundle(data, str(path)), lambda: _foreign_graph(path, data))


def _tflite(path: Path) -> dict[str, Any]:
    content = read_model_file(path, "a model")
    return _told(tflite_bundle(content, str(path)), lambda: _plain(asdict(tflite_facts(content, str(path)))))


def _onnx(path: Path) -> dict[str, Any]:
    content = read_model_file(path, "a model")
    return _told(onnx_bundle(content, str(path)), lambda: _plain(asdict(onnx_facts(content, str(path)))))


def _keras(path: Path) -> dict[str, Any]:
    return _told(keras_bundle(path), lambda: keras_facts(path))


def _saved_model(path: Path) -> dict[str, Any]:
    return _told(saved_model_bundle(path), lambda: saved_model_facts(path))


def _tfjs(path: Path) -> dict[str, Any]:
    model = read_tfjs(path)
    return _told(tfjs_bundle(model, str(path)), lambda: tfjs_facts(model))


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "graph": _graph,
    "keras": _keras,
    "onnx": _onnx,
    "saved_model": _saved_model,
    "tfjs": _tfjs,
    "tflite": _tflite,
}


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Write inputs and outputs as a person reads them."""
    ends = {
        key: [f"{one['name']} {one['kind']} ({', '.join(map(str, one['shape']))})" for one in facts[key]]
        for key in ("inputs", "outputs")
    }
    return facts | ends


def _foreign_graph(path: Path, data: bytes) -> dict[str, Any]:
    nodes = checked_nodes(data)
    used = {source.split(":")[0].lstrip("^") for node in nodes.values() for source in node.input}
    return {
        "nodes": len(nodes),
        "operations": dict(sorted(Counter(node.op for node in nodes.values()).items())),
        "inputs": [name for name, node in nodes.items() if node.op.startswith("Placeholder")],
        "outputs": [name for name, node in nodes.items() if name not in used and node.op != "Const"],
        **_to_label_with(path, nodes),
        **_to_train_on(data),
    }


def _to_label_with(path: Path, nodes: dict[str, Any]) -> dict[str, Any]:
    try:
        scorer = find_scores(nodes)
    except WeightsError as error:
        return {"scores": f"not found: {error}"}
    facts = asdict(scorer)
    try:
        labels = labels_beside(path, scorer.classes)
    except ModelError as error:
        if scorer.classes in COUNTS:
            return {**facts, "labels": "none beside it; the number of scores is that of ImageNet's classes"}
        return {**facts, "labels": f"not found: {error}"}
    return {**facts, "labels": labels.names, "labels_of": labels.source}


def _to_train_on(data: bytes) -> dict[str, Any]:
    try:
        found = describe_graph(data)
    except WeightsError as error:
        return {"features": f"not found: {error}"}
    return {"kind": found.kind, "bottleneck_node": found.bottleneck_node, "feature_width": found.feature_width}


def _page(name: str, facts: dict[str, Any]) -> str:
    width = max(len(key) for key in facts)
    lines = [f"  {key:<{width}}  {_text(value)}" for key, value in facts.items()]
    return "\n".join([printable(name), *lines])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{printable(str(key))} {_text(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(printable(str(item)) for item in value[:_SHOWN]) + more
    return printable(str(value)) if value != "" else "-"
