"""Small model files of strangers, made by hand: what tests of labelling open, without TensorFlow and without a network."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from retrain.graphs.checked import parse_graph
from retrain.modelfile.onnxfile import _model_class

FLOAT, INT = 1, 3
# Three scores of a picture of 2 x 2: each colour's share of it.
WEIGHTS = np.tile(np.eye(3, dtype=np.float32), (4, 1))


class GraphMaker:
    """A frozen graph: input -> rows of 12 -> MatMul -> Softmax."""

    def __init__(
        self, source: str = "input", output: str = "final_result", sizes: tuple[int, ...] = (1, 2, 2, 3)
    ) -> None:
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        self.graph = GraphDef()
        self.graph.versions.producer = 134
        self.placeholder(source, sizes)
        self.constant("shape", np.array([-1, 12], np.int32))
        self.add("rows", "Reshape", source, "shape", T=FLOAT, Tshape=INT)
        self.constant("weights", WEIGHTS)
        self.add("logits", "MatMul", "rows", "weights", T=FLOAT)
        if output:
            self.add(output, "Softmax", "logits", T=FLOAT)

    def placeholder(self, name: str, sizes: tuple[int, ...]) -> None:
        node = self.graph.node.add(name=name, op="Placeholder")
        node.attr["dtype"].type = FLOAT
        for size in sizes:
            node.attr["shape"].shape.dim.add(size=size)

    def constant(self, name: str, values: np.ndarray) -> None:
        node = self.graph.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        node.attr["dtype"].type = tensor.dtype = INT if values.dtype == np.int32 else FLOAT
        for size in values.shape:
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = values.tobytes()

    def add(self, name: str, operation: str, *sources: str, **types: int) -> None:
        node = self.graph.node.add(name=name, op=operation, input=sources)
        for key, value in types.items():
            node.attr[key].type = value

    @property
    def nodes(self) -> dict:
        return {node.name: node for node in parse_graph(self.data).node}

    @property
    def data(self) -> bytes:
        return self.graph.SerializeToString(deterministic=True)


def shares(pixels: np.ndarray) -> np.ndarray:
    """What GraphMaker's graph answers for a scaled picture, float32 (2, 2, 3)."""
    powers = np.exp(pixels.reshape(1, 12) @ WEIGHTS)
    return (powers / powers.sum())[0]


def onnx_file() -> object:
    """An ONNX model, as a message: input -> Flatten -> MatMul -> Softmax; to be changed and serialised."""
    model = _model_class()(producer_name="somebody")
    graph = model.graph
    picture = graph.input.add(name="input")
    picture.type.tensor_type.elem_type = 1
    for size in (0, 2, 2, 3):
        picture.type.tensor_type.shape.dim.add(**({"dim_value": size} if size else {"dim_param": "N"}))
    graph.output.add(name="scores")
    graph.initializer.add(name="weights")
    graph.node.add(op_type="Flatten", input=["input"], output=["rows"])
    graph.node.add(op_type="MatMul", input=["rows", "weights"], output=["logits"])
    graph.node.add(op_type="Softmax", input=["logits"], output=["scores"])
    return model


def keras_file(path: Path, **members: object) -> Path:
    """A zip archive with the given members, as JSON where they are no bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content if isinstance(content, bytes) else json.dumps(content))
    return path
