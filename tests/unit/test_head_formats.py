"""Every kind of head in every format that can be run without TensorFlow, against what NumPy makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from head_samples import KINDS, sample_heads, sample_vectors
from support import bundle_of, noise, tiny_graph, tiny_tflite
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import ModelError
from retrain.exporters import frozen_graph, tflite_model
from retrain.exporters.frozen.head import read_head
from retrain.exporters.frozen.nodes import Nodes
from retrain.exporters.litert import int8
from retrain.exporters.litert.appending import Appender, pack
from retrain.exporters.litert.fp16 import fp16_model
from retrain.exporters.onnx.model import onnx_model
from retrain.exporters.tfjs.files import graph_of, tfjs_files
from retrain.exporters.worker import TensorFlowWorker
from retrain.graphs.checked import checked_nodes, kept_attributes
from retrain.graphs.compat import ATTRIBUTES_OF_1_15
from retrain.head import Head
from retrain.head.layers import Dense, Normalise, Relu, Softmax
from retrain.images import InputSpec, normalise
from retrain.litert import open_model
from retrain.modelfile.onnxfile import onnx_facts
from retrain.modelfile.tflite import tflite_facts
from retrain.onnx_runtime import open_session

WIDTH, LABELS = 12, ("a", "b", "c")
HEADS = sample_heads(WIDTH, len(LABELS))
VECTORS = sample_vectors(WIDTH)
BUNDLE = bundle_of(LABELS, feature_width=WIDTH)


def backbone() -> bytes:
    """A frozen backbone that makes rows of pictures of 2 x 2."""
    graph = GraphDef()
    graph.versions.producer = 134
    nodes = Nodes(graph)
    nodes.add("input", "Placeholder", dtype=np.float32, shape=(-1, 2, 2, 3))
    shape = nodes.constant("rows", np.array([-1, WIDTH], np.int32))
    nodes.add("bottleneck", "Reshape", ["input", shape], T=np.float32, Tshape=np.int32)
    return graph.SerializeToString(deterministic=True)


def graph_with(head: Head) -> bytes:
    return frozen_graph(backbone(), head, BUNDLE)


def run_onnx(graph: bytes) -> np.ndarray:
    """What the graph gives for VECTORS, calculated by ONNX Runtime, and as one row."""
    session = open_session(onnx_model(graph, BUNDLE))
    (many,) = session.run(None, {"input": VECTORS.reshape(-1, 2, 2, 3)})
    (one,) = session.run(None, {"input": VECTORS[:1].reshape(1, 2, 2, 3)})
    np.testing.assert_allclose(one[0], many[0], atol=1e-6)
    return many


def run_tflite(content: bytes) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Scores of VECTORS, and the second outputs."""
    model, scores, vectors = open_model(content), [], []
    for vector in VECTORS:
        row, second = model.run_both(lambda out, vector=vector: np.copyto(out, vector.reshape(1, 2, 2, 3)))
        scores.append(row[0])
        vectors.append(second)
    return np.stack(scores), vectors


@pytest.fixture(params=KINDS)
def head(request):
    return HEADS[request.param]


def test_the_samples_are_of_every_layer_and_tell_vectors_apart():
    layers = {type(layer) for one in HEADS.values() for layer in one.before}
    assert layers == {Normalise, Dense, Relu, Softmax}
    assert {one.after for one in HEADS.values()} == {"softmax", "sigmoid", "nothing"}
    for kind, one in HEADS.items():
        assert np.ptp(one.probabilities(VECTORS), axis=0).max() > 0.05, kind


def test_the_litert_file_gives_the_heads_scores_and_the_very_vector(head):
    scores, vectors = run_tflite(tflite_model(tiny_tflite(), head, BUNDLE))
    np.testing.assert_allclose(scores, head.probabilities(VECTORS), atol=1e-5)
    assert np.concatenate(vectors).tobytes() == VECTORS.tobytes()


def test_the_float16_file_gives_them_nearly_and_the_vector_too(head, monkeypatch):
    monkeypatch.setattr("retrain.exporters.litert.fp16._FEWEST_NUMBERS", 10)
    narrow = fp16_model(tflite_model(tiny_tflite(), head, BUNDLE))
    assert tflite_facts(narrow, "x").operations["DEQUANTIZE"] > 0
    scores, vectors = run_tflite(narrow)
    difference = np.abs(scores - head.probabilities(VECTORS))[:5]  # the last vector is large: 16 bits are few for it
    assert 0 < difference.max() < 1e-2
    assert np.concatenate(vectors).tobytes() == VECTORS.tobytes()


def test_the_graph_as_onnx_gives_the_heads_scores(head):
    np.testing.assert_allclose(run_onnx(graph_with(head)), head.probabilities(VECTORS), atol=1e-5)


def test_the_browsers_files_give_the_heads_scores(head):
    np.testing.assert_allclose(
        run_onnx(graph_of(tfjs_files(graph_with(head), BUNDLE))), head.probabilities(VECTORS), atol=1e-5
    )


def test_what_is_written_is_on_the_lists_of_what_is_run(head):
    graph = graph_with(head)
    own = {name: node for name, node in checked_nodes(graph).items() if name.startswith("final_")}
    assert "final_result" in own
    for node in own.values():
        assert set(kept_attributes(node)) == set(node.attr) <= ATTRIBUTES_OF_1_15[node.op], node.name
    facts = tflite_facts(tflite_model(tiny_tflite(), head, BUNDLE), "x")
    assert [(one.name, one.shape, one.kind) for one in facts.outputs] == [
        ("final_result", (1, 3), "float32"),
        ("bottleneck", (1, WIDTH), "float32"),
    ]
    assert onnx_facts(onnx_model(graph, BUNDLE), "x").outputs[0].name == "final_result"


def test_files_are_the_same_bytes_each_time(head):
    assert graph_with(head) == graph_with(head)
    assert tflite_model(tiny_tflite(), head, BUNDLE) == tflite_model(tiny_tflite(), head, BUNDLE)


# Reading a head back


def same(one: Head, other: Head) -> bool:
    arrays = [(one.weights, other.weights), (one.biases, other.biases)]
    for ours, theirs in zip(one.before, other.before, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(ours, Dense) and isinstance(theirs, Dense):
            arrays += [(ours.weights, theirs.weights), (ours.biases, theirs.biases)]
    return all(np.array_equal(ours, theirs) for ours, theirs in arrays)


def test_a_head_is_read_back_as_it_was_written(head):
    cooled = head.cooled(2.5) if head.after != "nothing" else head
    bundle = replace(BUNDLE, temperature=cooled.temperature, head_step=7)
    found = read_head(frozen_graph(backbone(), cooled, bundle), bundle, "x.pb")
    assert same(cooled, found)
    assert (found.after, found.step, found.temperature) == (cooled.after, 7, cooled.temperature)


def broken(kind, change):
    graph = GraphDef.FromString(graph_with(HEADS[kind]))
    change({node.name: node for node in graph.node})
    return graph.SerializeToString()


def _turn_round(nodes):
    nodes["final_training_ops/layer_1/RealDiv"].input[0] = "final_training_ops/layer_3/Softmax"


def _cut(nodes):
    nodes["final_training_ops/weights/final_weights"].attr["value"].tensor.tensor_content = b"1234"


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (tiny_graph(), "'final_result'"),
        (b"no graph", "got bytes that are none"),
        (broken("mlp", lambda nodes: setattr(nodes["final_training_ops/layer_2/Relu"], "op", "Tanh")), "'Tanh'"),
        (broken("mlp", lambda nodes: setattr(nodes["final_training_ops/layer_1/add"], "op", "Relu")), "'MatMul'"),
        (broken("softmax", lambda nodes: setattr(nodes["final_result"], "op", "Exp")), "'Exp'"),
        (broken("softmax", lambda nodes: nodes["final_result"].input.pop()), "out of range"),
        (broken("softmax", _cut), "expected final_training_ops/weights/final_weights to hold 36 numbers"),
        (broken("knn", _turn_round), "more than 16 layers"),
    ],
)
def test_a_graph_without_a_head_of_ours_is_refused(graph, said):
    with pytest.raises(ModelError, match=r"expected m\.pb to hold a head.*train the model again") as raised:
        read_head(graph, BUNDLE, "m.pb")
    assert said in str(raised.value)


def test_a_head_for_other_features_is_refused(head):
    with pytest.raises(ModelError, match=r"expected a head on 13 features in m\.pb, got a layer of shape .12"):
        read_head(graph_with(head), replace(BUNDLE, feature_width=13), "m.pb")


# int8: the head stays in float32


def converted(shift: float) -> bytes:
    """What a backbone in integers could come to: its vectors are all off by as much."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tiny_tflite(), 0)
    made = Appender(model)
    off = made.constant("off", np.full((1, WIDTH), shift, np.float32))
    (vector,) = model.subgraphs[0].outputs
    model.subgraphs[0].outputs = [
        made.operation("ADD", [vector, off], made.result("vector", WIDTH), options="AddOptions")
    ]
    return pack(model, 1 << 12)


@pytest.mark.parametrize("kind", ["cosine", "knn", "mlp", "mixed"])
def test_behind_a_backbone_in_integers_a_head_stays_as_it_is_and_gets_its_features_without_their_shift(
    kind, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(int8, "_converted", lambda *facts: asked.append(facts[2]) or converted(0.25))
    graph, head = tmp_path / "m.pb", HEADS[kind]
    graph.write_bytes(graph_with(head))
    pixels, spec = np.stack([noise(2, 2, seed) for seed in range(5)]), InputSpec(2, 2, 127.5, 127.5)
    content = int8.int8_model(graph, tflite_model(tiny_tflite(), head, BUNDLE), BUNDLE, pixels, TensorFlowWorker())
    assert asked == ["bottleneck"]
    assert [one.name for one in tflite_facts(content, "x").outputs] == ["final_result"]
    vectors = np.concatenate([normalise(picture, spec).reshape(1, WIDTH) for picture in pixels])
    model = open_model(content)
    scores = [model.run(lambda out, one=one: np.copyto(out, one.reshape(1, 2, 2, 3)))[0] for one in vectors]
    np.testing.assert_allclose(scores, head.probabilities(vectors), atol=1e-5)


@pytest.mark.parametrize(("kind", "last"), [("softmax", "final_result"), ("sigmoid", "final_result")])
def test_a_head_of_one_layer_is_converted_with_the_backbone(kind, last, tmp_path, monkeypatch):
    asked = []
    floating = tflite_model(tiny_tflite(), HEADS[kind], BUNDLE)
    monkeypatch.setattr(int8, "_converted", lambda *facts: asked.append(facts[2]) or floating)
    Path(tmp_path / "m.pb").write_bytes(graph_with(HEADS[kind]))
    with pytest.raises(ModelError, match="takes floating-point numbers"):
        int8.int8_model(tmp_path / "m.pb", floating, BUNDLE, noise(2, 2)[None], TensorFlowWorker())
    assert asked == [last]
