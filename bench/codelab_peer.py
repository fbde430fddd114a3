"""The codelab's own retrain.py and label_image.py under TensorFlow 1.15: how they are run, and what they need.

The scripts are not part of this repository. They come from github.com/googlecodelabs/tensorflow-for-poets-2, folder
``scripts``, and are given to bench/run.py as files. retrain.py wants an archive from download.tensorflow.org;
`write_archive` puts one of the same shape where the script looks first, so that nothing is fetched: Google's frozen
MobileNet V1, node by node, with this project's bundled weights, and under it a seeded layer of 1,001 logits, which the
script takes for its bottleneck. Weights do not change the speed.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Child, run_child

Floats = npt.NDArray[np.float32]

ARCHITECTURE = "mobilenet_0.50_224"
_VERSIONED = "mobilenet_v1_0.50_224"
_SIZE = 224
# Of the depthwise layers 1 to 13; the first convolution has 2 as well.
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_LOGITS = 1001
# Makes logits of about the size that genuine ones have, so that the text cache has about as many digits.
_LOGITS_SD = 0.1
_EPSILON = 1e-3
_ROOT = "MobilenetV1"


@dataclass(frozen=True)
class Codelab:
    """The codelab's side.

    Args:
        python: an interpreter with TensorFlow 1.15.
        retrain: scripts/retrain.py.
        label: scripts/label_image.py, or None.
    """

    python: Path
    retrain: Path
    label: Path | None = None

    def train(self, image_dir: Path, place: Path, steps: int) -> Child:
        """Run retrain.py; the archive is in ``place``/models, the text cache goes to ``place``/cache."""
        flags = {
            "image_dir": image_dir,
            "architecture": ARCHITECTURE,
            "how_many_training_steps": steps,
            "model_dir": place / "models",
            "bottleneck_dir": place / "cache",
            "summaries_dir": place / "summaries",
            "output_graph": place / "graph.pb",
            "output_labels": place / "labels.txt",
        }
        return run_child([self.python, self.retrain, *(f"--{name}={value}" for name, value in flags.items())])

    def help(self) -> Child:
        """Run retrain.py --help."""
        return run_child([self.python, self.retrain, "--help"])

    def label_one(self, image: Path, place: Path) -> Child:
        """Run label_image.py on the graph that `train` left in ``place``, with the flags that a MobileNet needs."""
        if self.label is None:
            raise ValueError("expected the path of label_image.py")
        return run_child([self.python, self.label, *label_words(image, place)])


def label_words(image: Path, place: Path) -> list[str | Path]:
    """Spell what label_image.py must be told to label with the MobileNet in ``place``."""
    words = ["--image", image, "--graph", place / "graph.pb", "--labels", place / "labels.txt"]
    words += ["--input_layer=input", "--output_layer=final_result"]
    return [*words, f"--input_height={_SIZE}", f"--input_width={_SIZE}"]


def tensorflow_version(python: Path) -> str | None:
    """Ask an interpreter for its TensorFlow; None when it has none."""
    words = [str(python), "-c", "import tensorflow; print(tensorflow.__version__)"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.split()[-1] if done.returncode == 0 and done.stdout.split() else None


def write_archive(weights: Path, model_dir: Path) -> Path:
    """Write the archive that the script would fetch; weights: .npz in the order of Keras' get_weights(), no top."""
    with np.load(weights, allow_pickle=False) as archive:
        content = frozen_graph([archive[name].astype(np.float32) for name in archive.files])
    model_dir.mkdir(parents=True, exist_ok=True)
    path = model_dir / f"{_VERSIONED}_frozen.tgz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(f"{_VERSIONED}/frozen_graph.pb")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return path


def frozen_graph(arrays: Sequence[Floats]) -> bytes:
    """Build the graph; arrays: 27 times kernel, gamma, beta, moving mean, moving variance."""
    graph = _Graph()
    graph.placeholder("input", (1, _SIZE, _SIZE, 3))
    last, layers = "input", list(layer_names())
    for number, (layer, stride) in enumerate(layers):
        last = graph.convolution(layer, last, stride, arrays[5 * number : 5 * number + 5])
    _add_logits(graph, last, arrays[5 * len(layers) - 1].shape[0])
    return bytes(graph.proto.SerializeToString())


def layer_names() -> Iterator[tuple[str, int]]:
    """List slim's layers and their strides."""
    yield "Conv2d_0", 2
    for number, stride in enumerate(_STRIDES, 1):
        yield f"Conv2d_{number}_depthwise", stride
        yield f"Conv2d_{number}_pointwise", 1


def _add_logits(graph: _Graph, last: str, width: int) -> None:
    scope, layer = f"{_ROOT}/Logits", f"{_ROOT}/Logits/Conv2d_1c_1x1"
    random = np.random.default_rng(0)
    side = _SIZE // 32
    pool = graph.add(f"{scope}/AvgPool_1a/AvgPool", "AvgPool", [last], strides=(1, 2, 2, 1), padding="VALID")
    graph.integers(pool, "ksize", (1, side, side, 1))
    kept = graph.add(f"{scope}/Dropout_1b/Identity", "Identity", [pool])
    kernel = random.normal(0, _LOGITS_SD, (1, 1, width, _LOGITS)).astype(np.float32)
    weights = graph.variable(f"{layer}/weights", kernel)
    biases = graph.variable(f"{layer}/biases", np.zeros(_LOGITS, np.float32))
    product = graph.add(f"{layer}/convolution", "Conv2D", [kept, weights], strides=(1, 1, 1, 1), padding="SAME")
    biased = graph.add(f"{layer}/BiasAdd", "BiasAdd", [product, biases])
    squeezed = graph.add(f"{scope}/SpatialSqueeze", "Squeeze", [biased])
    graph.integers(squeezed, "squeeze_dims", (1, 2))
    shape = graph.constant(f"{_ROOT}/Predictions/Reshape/shape", np.array([-1, _LOGITS], np.int32))
    graph.add(f"{_ROOT}/Predictions/Reshape", "Reshape", [squeezed, shape])
    graph.add(f"{_ROOT}/Predictions/Softmax", "Softmax", [f"{_ROOT}/Predictions/Reshape"])


class _Graph:
    """A GraphDef under construction: protobuf only, no TensorFlow."""

    def __init__(self) -> None:
        from tensorboard.compat.proto import types_pb2
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.proto = GraphDef()
        self._float, self._int = types_pb2.DT_FLOAT, types_pb2.DT_INT32

    def placeholder(self, name: str, shape: Sequence[int]) -> None:
        node = self.proto.node.add(name=name, op="Placeholder")
        node.attr["dtype"].type = self._float
        for size in shape:
            node.attr["shape"].shape.dim.add(size=size)

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        node = self.proto.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        tensor.dtype = node.attr["dtype"].type = self._float if values.dtype == np.float32 else self._int
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.tobytes()
        return name

    def variable(self, name: str, values: Floats) -> str:
        return self.add(f"{name}/read", "Identity", [self.constant(name, values)])

    def add(
        self, name: str, operation: str, inputs: Sequence[str], strides: Sequence[int] = (), padding: str = ""
    ) -> str:
        node = self.proto.node.add(name=name, op=operation, input=inputs)
        node.attr["T"].type = self._float
        if strides:
            self.integers(name, "strides", strides)
            node.attr["padding"].s = padding.encode()
        return name

    def integers(self, name: str, attribute: str, values: Sequence[int]) -> None:
        node = self.proto.node[-1]
        if node.name != name:
            raise ValueError(f"expected {name} to be the last node, got {node.name}")
        node.attr[attribute].list.i.extend(values)

    def convolution(self, layer: str, last: str, stride: int, arrays: Sequence[Floats]) -> str:
        scope, depthwise = f"{_ROOT}/{_ROOT}/{layer}", layer.endswith("depthwise")
        kernel = self.variable(f"{_ROOT}/{layer}/" + ("depthwise_weights" if depthwise else "weights"), arrays[0])
        operation, ending = ("DepthwiseConv2dNative", "depthwise") if depthwise else ("Conv2D", "convolution")
        strides = (1, stride, stride, 1)
        product = self.add(f"{scope}/{ending}", operation, [last, kernel], strides, "SAME")
        return self.add(f"{scope}/Relu6", "Relu6", [self._normalised(layer, product, arrays[1:])])

    def _normalised(self, layer: str, product: str, arrays: Sequence[Floats]) -> str:
        # Not the fused operation: Google's archives of 2017 spell batch normalisation out like this.
        scope, batch = f"{_ROOT}/{layer}/BatchNorm", f"{_ROOT}/{_ROOT}/{layer}/BatchNorm/batchnorm"
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        parts = zip(names, arrays, strict=True)
        gamma, beta, mean, variance = (self.variable(f"{scope}/{name}", values) for name, values in parts)
        epsilon = self.constant(f"{batch}/add/y", np.array(_EPSILON, np.float32))
        deviation = self.add(f"{batch}/Rsqrt", "Rsqrt", [self.add(f"{batch}/add", "Add", [variance, epsilon])])
        scale = self.add(f"{batch}/mul", "Mul", [deviation, gamma])
        scaled = self.add(f"{batch}/mul_1", "Mul", [product, scale])
        offset = self.add(f"{batch}/sub", "Sub", [beta, self.add(f"{batch}/mul_2", "Mul", [mean, scale])])
        return self.add(f"{batch}/add_1", "Add", [scaled, offset])
