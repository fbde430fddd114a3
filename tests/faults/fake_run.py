"""A whole training run without TensorFlow: real but for its backbone, which hands its pixels on, and for who runs graphs.

Scan, decode, cache, split, head, cross-validation, parity gate, report, TensorBoard's files: all is the project's own.
The backbone is a network on 2 x 2 pixels whose one layer with weights hands the colours on unchanged, so that its
converted files can be written here; the frozen graph is run by NumPy, so that the gate compares two ways of
calculating, as it does elsewhere.

    python tests/faults/fake_run.py --image_dir ...     the run in a process of its own; the flags come from prepare
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # whoever starts this: pytest, scripts/soak, a shell

from PIL import Image
from support import tiny_tflite

from retrain.backbones.convert import write_files
from retrain.bottlenecks import BottleneckStore
from retrain.bottlenecks.opening import reading
from retrain.exporters.child.scoring import score_pixels
from retrain.exporters.worker import TensorFlowWorker
from retrain.graphs.checked import BOTTLENECK_NODE, INPUT_NODE, find_constant, parse_graph, source_name
from retrain.modelfile.graph import graph_bundle
from retrain.publish.card import escaped

DATE = "1763812800"  # of every model, so that bytes compare
NETWORK = {
    "name": "tiny",
    "size": 2,
    "blocks": [{"block": "convolution", "filters": 3, "kernel": 1, "activation": "linear"}, {"block": "flatten"}],
}
WIDTH = 12
# Of what a run leaves, these say when it was, or how long something took: TensorBoard's event files, what it showed of
# earlier runs, and the milliseconds of an export.
_CLOCKS = ("events.out.tfevents.", "/summaries/earlier/")
_TIMES = {"ms"}


def prepare(folder: Path, photographs: int = 12, classes: int = 3, seed: int = 0) -> list[str]:
    """Make photographs and a converted backbone.

    Args:
        folder: below which everything lies; made.
        photographs: how many, spread over the classes.
        classes: how many; each has a colour.
        seed: of the pictures.

    Returns:
        The flags of a run over them; all that it writes lies below the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _pictures(folder / "photos", photographs, classes, seed)
    network, weights = folder / "tiny.json", folder / "network.npz"
    network.write_text(json.dumps(NETWORK))
    np.savez(weights, np.eye(3, dtype=np.float32)[None, None], np.zeros(3, np.float32))
    flags = {
        "image_dir": folder / "photos",
        "architecture": network,
        "weights": weights,
        "model_dir": folder / "models",
        "bottleneck_dir": folder / "bottlenecks",
        "output_graph": folder / "out" / "model.pb",
        "output_labels": folder / "out" / "labels.txt",
        "summaries_dir": folder / "summaries",
        "how_many_training_steps": 20,
        "cross_validation_folds": 3,
        "train_batch_size": 4,
        "heat_maps": 0,
        "threads": 1,
    }
    words = ["--offline", *(f"--{name}={value}" for name, value in flags.items())]
    _converted(words)
    return words


def run_here(flags: Sequence[str]) -> int:
    """Run in this process.

    Args:
        flags: of prepare, or more.

    Returns:
        The exit code, as retrain.cli.main has it.
    """
    from retrain import cli, gather, run
    from retrain.engines import LocalEngine

    with (
        mock.patch.object(run, "TensorFlowWorker", NumpyWorker),
        # Another process would take 0.2 s to start; test_worker_death.py has it killed.
        mock.patch.object(gather, "SeparateEngine", LocalEngine),
        mock.patch.dict("os.environ", SOURCE_DATE_EPOCH=DATE),
    ):
        return cli.main(list(flags))


def artefacts(folder: Path) -> dict[str, str]:
    """Hash what a run left, but for clocks and the folder's own name: equal runs give equal hashes.

    Args:
        folder: of prepare.

    Returns:
        Path below the folder -> SHA-256.
    """
    found = {}
    for place in ("out", "summaries"):
        for path in sorted((folder / place).rglob("*")):
            if path.is_file() and not any(mark in path.as_posix() for mark in _CLOCKS):
                found[str(path.relative_to(folder))] = hashlib.sha256(_told(path, folder)).hexdigest()
    return found


def cache_rows(folder: Path) -> dict[str, bytes]:
    """Read what the bottleneck cache holds, as a run would.

    Args:
        folder: of prepare.

    Returns:
        SHA-256 of a photograph -> its vector's bytes; nothing where there is no cache.

    Raises:
        AssertionError: it is damaged.
    """
    rows = {}
    for path in sorted((folder / "bottlenecks").glob("network_tiny-*.sqlite")):
        with reading(path) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                continue  # nothing has come into it yet
            (fingerprint,) = db.execute("SELECT value FROM meta WHERE key = 'fingerprint'").fetchone()
        with BottleneckStore(path, fingerprint, WIDTH) as store:
            assert store.set_aside is None, f"{path} was damaged"
            hashes = sorted(store.known_hashes())
            matrix, bad = store.read_matrix(hashes)
        assert not bad, f"{len(bad)} rows of {path} fail their checksum"
        rows |= {sha.hex(): vector.tobytes() for sha, vector in zip(hashes, matrix, strict=True)}
    return rows


class NumpyWorker(TensorFlowWorker):
    """Runs frozen graphs as TensorFlow's process would, with NumPy and in this process."""

    def start(self) -> None:
        """Start nothing."""

    def call(self, function: str, **facts: Any) -> dict[str, Any]:
        """Run a graph over decoded photographs; there is nothing else that it can."""
        if function != "graph:score":
            raise NotImplementedError(f"{function}: fake runs have photographs in PNG and the formats graph and tflite")
        data = Path(facts.pop("place")).read_bytes()
        return dict(score_pixels(lambda picture: evaluate(data, picture), **facts))


def evaluate(data: bytes, picture: np.ndarray) -> np.ndarray:
    """Run a frozen graph of the backbone and a head.

    Args:
        data: a GraphDef.
        picture: float32 (1, 2, 2, 3), scaled.

    Returns:
        float32 (1, C).
    """
    nodes = {node.name: node for node in parse_graph(data).node}

    def value(name: str) -> np.ndarray:
        node = nodes[source_name(name)]
        if node.name == INPUT_NODE:
            return picture
        if node.op == "Const":
            return np.asarray(find_constant(nodes, node.name))
        if node.op == "Reshape":  # to a row each, whatever its constant of whole numbers says
            return value(node.input[0]).reshape(1, -1)
        if node.op == "Sum":  # of a row
            return value(node.input[0]).sum(axis=1, keepdims=True)
        return _OPERATIONS[node.op](*map(value, node.input))

    bundle = graph_bundle(data, "the model")
    assert bundle is not None
    return value(bundle.output_node)


def _softmax(logits: np.ndarray) -> np.ndarray:
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


_OPERATIONS = {
    "Add": np.add,
    "Identity": lambda given: given,
    "MatMul": np.matmul,
    "Maximum": np.maximum,
    "PlaceholderWithDefault": lambda given: given,
    "RealDiv": np.divide,
    "Relu": lambda given: np.maximum(given, 0),
    "Softmax": _softmax,
    "Sqrt": np.sqrt,
    "Square": np.square,
}


def _pictures(place: Path, photographs: int, classes: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    colours = random.integers(40, 216, (classes, 3))
    for number in range(photographs):
        kind = number % classes
        (place / f"class_{kind}").mkdir(parents=True, exist_ok=True)
        pixels = (colours[kind] + random.integers(-40, 40, (24, 32, 3))).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"class_{kind}" / f"{number:04d}.png")


def _converted(flags: Sequence[str]) -> None:
    """Write the backbone's files where the run looks for them."""
    from retrain.backbones.prepare import _at
    from retrain.backbones.weights import weights_file
    from retrain.cli import read_config
    from retrain.outset import spec_of

    config, problems = read_config(flags)
    assert not problems, problems
    prepared = _at(spec_of(config), weights_file(Path(config.weights), "given"), Path(config.model_dir))
    stem = prepared.tflite.with_name(prepared.tflite.name.removesuffix(".tflite"))
    write_files(stem, tiny_tflite(), _graph(), "none")


def _graph() -> bytes:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    from retrain.exporters.frozen.nodes import Nodes

    graph = GraphDef()
    graph.versions.producer = 134
    nodes = Nodes(graph)
    fed = nodes.add(INPUT_NODE, "Placeholder", dtype=np.float32, shape=(-1, 2, 2, 3))
    shape = nodes.constant("shape", np.array([-1, WIDTH], np.int32))
    nodes.add(BOTTLENECK_NODE, "Reshape", [fed, shape], T=np.float32, Tshape=np.int32)
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _told(path: Path, folder: Path) -> bytes:
    """Read a file as it would be elsewhere and at another time."""
    data = path.read_bytes()
    if path.name.endswith(".exports.json"):
        data = json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
    return data.replace(bytes(folder), b"FOLDER").replace(escaped(str(folder)).encode(), b"FOLDER")  # the model card's


def _without_times(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: _without_times(value) for key, value in told.items() if key not in _TIMES}
    return [_without_times(one) for one in told] if isinstance(told, list) else told


if __name__ == "__main__":
    sys.exit(run_here(sys.argv[1:]))
