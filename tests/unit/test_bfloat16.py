"""bfloat16 without TensorFlow: what is refused, how pictures become batches, and how the child's end is told."""

from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import noise, tiny_tflite

from retrain.backbones import PreparedBackbone, bfloat16, biases, find_backbone
from retrain.backbones.bfloat16 import BATCH, THREADS_WAITING, Bfloat16Backbone, threads_for
from retrain.backbones.bfloat16_child import serve
from retrain.backbones.weights import WeightsFile
from retrain.config import RunConfig, processor
from retrain.config.processor import bfloat16_hindrance, precision_problems
from retrain.errors import NumericalError, RetrainError
from retrain.images import InputSpec, normalise

SPEC = replace(find_backbone("mobilenet_0.50_224"), input_spec=InputSpec(2, 2, 127.5, 127.5), feature_width=12)


def listing(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    return path


@pytest.mark.parametrize("flags", ["fpu avx512_bf16 sse", "amx_tile amx_bf16"])
def test_a_processor_with_the_instructions_will_do(tmp_path, flags):
    text = f"processor\t: 0\nmodel name\t: some\nflags\t\t: {flags}\nbugs\t\t: none\n"
    assert bfloat16_hindrance(listing(tmp_path, text), "x86_64") is None


@pytest.mark.parametrize(
    ("text", "machine", "said"),
    [
        ("flags\t\t: fpu avx512f avx512_vnni\n", "x86_64", "has none of its instructions"),
        ("model name\t: avx512_bf16\nflags\t\t: fpu\n", "x86_64", "has none of its instructions"),
        ("flags\t\t: fpu avx512_bf16x\n", "AMD64", "has none of its instructions"),
        ("", "x86_64", "has none of its instructions"),
        ("flags\t\t: avx512_bf16\n", "aarch64", "this is aarch64"),
    ],
)
def test_other_processors_will_not(tmp_path, text, machine, said):
    assert said in bfloat16_hindrance(listing(tmp_path, text), machine)


def test_a_system_that_does_not_list_its_processor_will_not(tmp_path):
    assert "only Linux" in bfloat16_hindrance(tmp_path / "none", "x86_64")


def test_what_cannot_be_had_is_a_problem_of_the_config(monkeypatch):
    wanted = RunConfig(precision="bfloat16", engine="ray")
    monkeypatch.setattr(processor, "bfloat16_hindrance", lambda: "this processor is too old")
    assert precision_problems(RunConfig()) == []
    assert [problem[:60] for problem in precision_problems(wanted)] == [
        "got --precision=bfloat16, but this processor is too old; use",
        "got --precision=bfloat16 and --engine=ray, whose nodes calcu",
    ]
    monkeypatch.setattr(processor, "bfloat16_hindrance", lambda: None)
    assert precision_problems(RunConfig(precision="bfloat16")) == []


def test_an_unknown_precision_is_refused_with_the_legal_ones():
    (problem,) = [p for p in RunConfig(image_dir=".", precision="bfloat").problems() if "--precision" in p]
    assert problem == "expected --precision to be one of float32, bfloat16, got 'bfloat'; did you mean bfloat16?"


@pytest.fixture
def backbone(tmp_path):
    (tmp_path / "b.tflite").write_bytes(tiny_tflite())
    weights = WeightsFile(tmp_path / "w", "given", "0" * 64)
    return PreparedBackbone(SPEC, weights, tmp_path / "b.tflite", tmp_path / "b.pb", "bfloat16")


def test_precision_is_part_of_the_fingerprint_and_float32_changes_none(backbone):
    plain = replace(backbone, precision="float32")
    assert plain.fingerprint != backbone.fingerprint
    assert PreparedBackbone(*(getattr(plain, n) for n in ("spec", "weights", "tflite", "graph"))) == plain


def test_enough_threads_wait_to_fill_batches():
    assert threads_for("bfloat16", 1) == THREADS_WAITING >= 2 * BATCH
    assert (threads_for("float32", 3), threads_for("float32", 0)) == (3, 0)


class FakeChild:
    """Gives each picture back as its features; remembers the sizes of the batches."""

    made: list[FakeChild]

    def __init__(self, backbone: PreparedBackbone, threads: int) -> None:
        self.sizes: list[int] = []
        self.threads = threads
        self.ended = threading.Event()
        self.breaks = False
        FakeChild.made.append(self)

    def run(self, pictures):
        if self.breaks:
            raise EOFError
        self.sizes.append(len(pictures))
        batch = np.zeros((BATCH, 12), np.float32)
        batch[: len(pictures)] = np.stack(pictures).reshape(len(pictures), 12)
        return batch

    def last_words(self):
        return "out of memory"

    def end(self):
        self.ended.set()


@pytest.fixture
def children(monkeypatch):
    FakeChild.made = []
    monkeypatch.setattr(bfloat16, "_Child", FakeChild)
    return FakeChild.made


def expected(pixels):
    return normalise(pixels, SPEC.input_spec)[0].ravel()


def test_each_thread_gets_its_own_pictures_features(backbone, children):
    pictures = [noise(2, 2, seed) for seed in range(40)]
    with Bfloat16Backbone(backbone, 3) as run, ThreadPoolExecutor(THREADS_WAITING) as pool:
        vectors = list(pool.map(run.features, pictures))
    for vector, picture in zip(vectors, pictures, strict=True):
        assert vector.tolist() == expected(picture).tolist()
    (child,) = children
    assert child.threads == 3
    assert sum(child.sizes) == 40
    assert max(child.sizes) <= BATCH
    assert child.ended.is_set()


def test_no_child_is_started_before_a_picture_comes(backbone, children):
    with Bfloat16Backbone(backbone, 1) as run:
        assert children == []
        run.features(noise(2, 2))
    assert len(children) == 1


def test_the_childs_end_is_told_with_its_last_words_and_at_once_the_next_time(backbone, children):
    with Bfloat16Backbone(backbone, 1) as run:
        run.features(noise(2, 2))
        children[0].breaks = True
        for _ in range(2):
            with pytest.raises(RetrainError, match="ended:\nout of memory\nrun again with --precision float32"):
                run.features(noise(2, 2))
        assert children[0].ended.is_set()
        assert len(children) == 1


def test_a_child_that_does_not_answer_is_ended(backbone, children, monkeypatch):
    monkeypatch.setattr(bfloat16, "ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(FakeChild, "run", lambda self, pictures: self.ended.wait(10) and np.zeros((BATCH, 12)))
    with Bfloat16Backbone(backbone, 1) as run:
        with pytest.raises(RetrainError, match=r"gave no answer within 0\.05 s"):
            run.features(noise(2, 2))
        assert children[0].ended.is_set()


def test_nothing_is_asked_once_it_is_closed(backbone, children):
    with Bfloat16Backbone(backbone, 1) as run:
        run.features(noise(2, 2))
    with pytest.raises(RetrainError, match="ended with the run"):
        run.features(noise(2, 2))


def test_a_feature_that_is_no_number_is_an_error(backbone, children, monkeypatch):
    monkeypatch.setattr(FakeChild, "run", lambda self, pictures: np.full((BATCH, 12), np.nan, np.float32))
    with Bfloat16Backbone(backbone, 1) as run, pytest.raises(NumericalError, match="not a finite number in bfloat16"):
        run.features(noise(2, 2))


def test_the_child_answers_whole_batches_until_its_input_ends():
    batches = np.arange(2 * 2 * 2 * 2 * 3, dtype=np.float32).reshape(2, 2, 2, 2, 3)
    answers = io.BytesIO()
    given = io.BytesIO(batches.tobytes() + b"half a batch")
    serve(given, answers, lambda batch: batch.reshape(2, 12).astype(np.float64) * 2, (2, 2, 2, 3))
    assert np.frombuffer(answers.getvalue(), np.float32).tolist() == (batches.ravel() * 2).tolist()


def graph_with(*, depthwise: bool, factor: bool, constant_first: bool = False):
    """input -> convolution -> (Mul) -> AddV2 -> Relu6, as constant folding leaves a batch normalisation."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph = GraphDef()
    nodes: dict[str, object] = {}
    kernel = np.arange(12, dtype=np.float32).reshape((1, 1, 3, 4) if not depthwise else (2, 2, 3, 1))
    channels = 3 if depthwise else 4
    graph.node.add(name="input", op="Placeholder")
    biases._constant(graph, nodes, "kernel", kernel)
    biases._constant(graph, nodes, "factor", np.arange(1, channels + 1, dtype=np.float32))
    biases._constant(graph, nodes, "bias", np.full((1, 1, 1, channels), 0.5, np.float32))
    graph.node.add(name="conv", op="DepthwiseConv2dNative" if depthwise else "Conv2D", input=["input", "kernel"]).attr[
        "data_format"
    ].s = b"NHWC"
    last = "conv"
    if factor:
        graph.node.add(name="scaled", op="Mul", input=[last, "factor"])
        last = "scaled"
    graph.node.add(name="sum", op="AddV2", input=["bias", last] if constant_first else [last, "bias"])
    graph.node.add(name="bottleneck", op="Relu6", input=["sum"])
    return graph, kernel


def rewritten(graph):
    nodes = {node.name: node for node in biases.fuse_biases(graph).node}
    return nodes, lambda name: biases.find_constant(nodes, name)


@pytest.mark.parametrize("constant_first", [False, True])
def test_what_is_added_to_a_convolution_becomes_its_bias(constant_first):
    nodes, read = rewritten(graph_with(depthwise=False, factor=False, constant_first=constant_first)[0])
    assert (nodes["sum"].op, list(nodes["sum"].input)) == ("BiasAdd", ["conv", "sum/bias"])
    assert read("sum/bias").tolist() == [0.5] * 4
    assert list(nodes["bottleneck"].input) == ["sum"]


def test_a_factor_goes_into_a_depthwise_kernel():
    graph, kernel = graph_with(depthwise=True, factor=True)
    nodes, read = rewritten(graph)
    assert nodes["scaled"].op == "Identity"
    assert nodes["sum"].op == "BiasAdd"
    assert read(nodes["conv"].input[1]).tolist() == (kernel * np.array([1, 2, 3]).reshape(3, 1)).tolist()


def test_what_others_read_too_or_what_is_no_bias_stays():
    graph, _ = graph_with(depthwise=False, factor=False)
    graph.node.add(name="other", op="Relu6", input=["conv"])
    assert rewritten(graph)[0]["sum"].op == "AddV2"
    graph, _ = graph_with(depthwise=False, factor=True)
    nodes, _ = rewritten(graph)
    assert (nodes["scaled"].op, nodes["sum"].op) == ("Mul", "AddV2")
    graph, _ = graph_with(depthwise=False, factor=False)
    next(node for node in graph.node if node.name == "sum").input[1] = "input"
    assert rewritten(graph)[0]["sum"].op == "AddV2"
