"""Graphs, SavedModels and checkpoints drawn at random out of allowed operations: an answer or a WeightsError, nothing else."""

from __future__ import annotations

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hub import usual

from retrain.errors import WeightsError
from retrain.graphs import inline, savedmodel
from retrain.graphs.checked import ATTRIBUTES, DECODING, parse_graph
from retrain.graphs.foreign import describe_graph, inference_graph
from retrain.graphs.labelling import find_scores, scoring_graph

NAMES = (
    "input", "Mul", "Placeholder", "a", "b", "c", "bottleneck", "final_result", "softmax", "pool_3/_reshape",
    "input/BottleneckInputPlaceholder", "retrain/bundle",
)  # fmt: skip
CALCULATING = sorted(set(ATTRIBUTES) - {"Const", "Placeholder"})
SIZES = st.lists(st.sampled_from((-1, 0, 1, 2, 3, 299, 1 << 31, 1 << 62)), max_size=5)
BUNDLES = (b"", b"{", b"[]", b'{"input_mean": 1, "input_std": 2}', b'{"input_mean": 1e400, "input_std": 0}', b"\xff")


@st.composite
def graphs(draw):
    """A GraphDef whose nodes have familiar names, and inputs among these."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef()
    operations = st.sampled_from(("Const", "Placeholder", "Identity", "Reshape", "MatMul", "Softmax", *CALCULATING))
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=8, unique=True)):
        node = graph.node.add(name=name, op=draw(operations))
        _fill(draw, node)
    return graph


def _fill(draw, node):
    sources = st.lists(st.sampled_from(NAMES), max_size=0 if node.op in ("Const", "Placeholder") else 3)
    node.input.extend(draw(sources))
    if node.op == "Const":
        tensor = node.attr["value"].tensor
        tensor.dtype = draw(st.sampled_from((1, 1, 3, 7, 2)))
        for size in draw(SIZES):
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = draw(st.sampled_from((b"", bytes(4), bytes(12), b"\0\0\xc0\x7f", bytes(5))))
        tensor.string_val.extend(draw(st.lists(st.sampled_from(BUNDLES), max_size=1)))
    for size in draw(SIZES):
        node.attr["shape"].shape.dim.add(size=size)


@settings(max_examples=200)
@given(graph=graphs(), tensor=st.sampled_from(("", *NAMES)))
def test_any_graph_of_allowed_operations_is_described_or_refused(graph, tensor):
    data = graph.SerializeToString()
    with contextlib.suppress(WeightsError):
        found = describe_graph(data, tensor)
        copy = {node.name for node in parse_graph(inference_graph(data, found)).node}
        assert {"input", "bottleneck"} <= copy
    with contextlib.suppress(WeightsError):
        scorer = find_scores({node.name: node for node in graph.node}, output_layer=tensor)
        assert scorer.classes > 0
        made = parse_graph(scoring_graph(data, scorer))
        assert not {node.op for node in made.node} & {"DecodeJpeg", *DECODING}


@st.composite
def bodies(draw):
    """Operations of a function: names, operations and tensors, some of which are there."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 6)))]
    operations = st.sampled_from(
        (
            "Identity",
            "Identity",
            "Softmax",
            "ReadVariableOp",
            "PartitionedCall",
            "StatefulPartitionedCall",
            *CALCULATING,
        )
    )
    tensors = st.sampled_from(
        ("x", "resource", "x:0", *(f"{name}:output:0" for name in names), "n0:z:1", "n1:y:99999", "n2", ":", "", "^n0")
    )
    found = [(name, draw(operations), draw(st.lists(tensors, max_size=3))) for name in names]
    return found, draw(tensors)


@settings(max_examples=200)
@given(body=bodies(), callee=st.sampled_from(("inner", "outer", "nowhere")))
def test_any_function_of_allowed_operations_is_written_out_or_refused(body, callee):
    module = usual()
    inner = module.meta.graph_def.library.function[0]
    del inner.node_def[:]
    for name, operation, sources in body[0]:
        node = inner.node_def.add(name=name, op=operation, input=sources)
        if "Call" in operation:
            node.attr["f"].func.name = callee
    inner.ret["rows"] = body[1]
    meta = savedmodel.parse_saved_model(module.data, "x")
    with contextlib.suppress(WeightsError):
        made = inline.write_out(meta, savedmodel.find_entry(meta, "x"), 8, 6)
        names = [node.name for node in made.graph.node]
        assert len(set(names)) == len(names)
        assert set(made.variables) <= set(names)
        assert made.result in names


@settings(max_examples=200)
@given(data=st.data())
def test_a_saved_model_with_any_byte_changed_is_understood_or_refused(data):
    content = bytearray(usual().data)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WeightsError):
        meta = savedmodel.parse_saved_model(bytes(content), "x")
        assert all(isinstance(said, str) for said in savedmodel.tell_functions(meta).values())
        made = inline.write_out(meta, savedmodel.find_entry(meta, "x"), 8, 6)
        assert np.prod([made.features >= 0, bool(made.result)])
