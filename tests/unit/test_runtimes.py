"""Which file is opened by what, what is refused, and what a person is told; TensorFlow and the sandbox are fakes here."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from label_support import CLASSES, patch, write_model
from model_files import FLOAT, GraphMaker, onnx_file, shares
from support import bundle_of, tiny_tflite

from retrain.bundle import METADATA_ENTRY
from retrain.classifier import Classifier
from retrain.errors import ModelError, UsageError
from retrain.exporters import tflite_model
from retrain.head import Head
from retrain.images import InputSpec, normalise
from retrain.runtimes import strangers
from retrain.runtimes.litert import LiteRuntime
from retrain.runtimes.runtime import Softmaxed


class Fixed:
    """A runtime that answers with the same numbers."""

    def __init__(self, *numbers):
        self.numbers, self.closed = np.array(numbers, np.float32), False

    def scores(self, fill):
        return self.numbers

    def close(self):
        self.closed = True


class FakeTensorFlow(Fixed):
    """In place of GraphRuntime: keeps what it was given."""

    asked: list = []  # noqa: RUF012

    def __init__(self, graph, tensors, height, width, source):
        super().__init__(0.25, 0.25, 0.5)
        FakeTensorFlow.asked.append((graph, tensors, height, width))


class FakeSandbox:
    """In place of SandboxedModel."""

    limits, unenforced, closed = ("it has no network",), ("memory is not bounded",), 0
    input_node, output_node, input_shape, answer = "x", "y", (-1, 2, 2, 3), (5.0, 1.0, 1.0)

    def __init__(self, path, *, input_node, output_node):
        self.path = path

    def scores(self, batch):
        assert batch.shape == (1, 2, 2, 3)
        return np.array(self.answer, np.float32)

    def close(self):
        FakeSandbox.closed += 1


@pytest.fixture
def place(tmp_path, monkeypatch):
    FakeTensorFlow.asked.clear()
    FakeSandbox.closed = 0
    monkeypatch.setattr(strangers, "GraphRuntime", FakeTensorFlow)
    monkeypatch.setattr("retrain.sandbox.SandboxedModel", FakeSandbox)
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    return tmp_path


def hostile(place):
    maker = GraphMaker()
    maker.add("spy", "WriteFile", "rows", "logits")
    (place / "g.pb").write_bytes(maker.data)
    return place / "g.pb"


# Ours


def test_a_model_of_ours_says_nothing_and_takes_labels_and_layers_that_fit(place):
    graph = write_model(place)
    assert Classifier.open(graph).notes == ()
    named = Classifier.open(
        graph, labels=[f"new {x}" for x in CLASSES], input_layer="input:0", output_layer="final_result"
    )
    assert named.classify(patch("red"))[0].label == "new g"
    (told,) = Classifier.open(graph, trust_model=True).notes
    assert told.startswith("--trust_model changes nothing")


def test_all_that_does_not_fit_a_model_of_ours_is_listed_at_once(place):
    with pytest.raises(UsageError) as caught:
        Classifier.open(write_model(place), labels=["a"], input_layer="Mul", output_layer="softmax")
    assert [problem.split(",")[0] for problem in caught.value.problems] == [
        "expected --input_layer to be 'input'", "expected --output_layer to be 'final_result'",
        "expected labels to have 7 lines",
    ]  # fmt: skip


def test_what_was_overridden_is_the_models_own_from_then_on(place):
    opened = Classifier.open(write_model(place), input_mean=0, input_std=255.0)
    assert opened.bundle.input_spec == InputSpec(2, 2, 0, 255)
    with pytest.raises(ValueError, match=r"got '' and .*input_hieght"):
        Classifier.open(write_model(place), input_hieght=3)
    with pytest.raises(ValueError, match="got 'tf2'"):
        Classifier.open(write_model(place), resize="tf2")


def test_a_tflite_of_ours_that_holds_more_than_ours_do_is_refused(place):
    """The description's hash says that graph and .tflite are of one run, not that they are harmless."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    bundle = bundle_of(("a", "b"))
    content = tflite_model(tiny_tflite(), Head(np.ones((12, 2), np.float32), np.zeros(2, np.float32), 1), bundle)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    model.operatorCodes[0].customCode = b"FlexReadFile"
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    (place / "m.tflite").write_bytes(bytes(builder.Output()))
    with pytest.raises(ModelError, match="operation 'FlexReadFile', which is not on the list of those run"):
        Classifier.open(place / "m.tflite")


@pytest.mark.parametrize(("name", "what"), [("m.txt", "is none"), ("gone.pb", "is not there"), ("", "is none")])
def test_what_is_no_model_is_refused(place, name, what):
    (place / "m.txt").write_bytes(b"x")
    with pytest.raises(ModelError, match=f"or the folder of a SavedModel, but .* {what}"):
        Classifier.open(place / name)
    (place / "m.keras").write_bytes(b"x")
    with pytest.raises(ModelError, match="is a keras model"):
        Classifier.open(place / "m.keras")


# Strangers' frozen graphs


def test_of_a_strangers_graph_a_copy_is_run_and_labels_are_found_beside_it(place):
    (place / "g.pb").write_bytes(GraphMaker().data)
    opened = Classifier.open(place / "g.pb")
    assert opened.bundle.labels == ("red", "green", "blue")
    assert opened.bundle.input_spec == InputSpec(2, 2, 127.5, 127.5)
    assert opened.notes == (f"labels are those of {place / 'labels.txt'}, which lies beside the model and fits",)
    ((graph, tensors, height, width),) = FakeTensorFlow.asked
    assert (tensors, height, width) == (("input", "bottleneck"), 2, 2)
    assert graph != GraphMaker().data


def test_what_is_assumed_is_said_and_what_is_given_is_not_assumed(place):
    (place / "g.pb").write_bytes(GraphMaker("picture").data)
    (told,) = Classifier.open(place / "g.pb", labels=list("abc")).notes
    assert "(value - 127.5) / 127.5 is assumed; --input_mean and --input_std say otherwise" in told
    (told,) = Classifier.open(place / "g.pb", labels=list("abc"), input_mean=0).notes
    assert "(value - 0) / 127.5 is assumed" in told
    assert Classifier.open(place / "g.pb", labels=list("abc"), input_mean=0, input_std=1).notes == ()


def test_numbers_that_are_no_probabilities_get_a_softmax(place):
    (place / "g.pb").write_bytes(GraphMaker(output="").data)
    opened = Classifier.open(place / "g.pb", labels=list("abc"))
    assert opened.notes == ("the scores are not probabilities: a softmax is put behind them",)
    assert opened.scores(patch("red")).sum() == pytest.approx(1)
    assert Softmaxed(Fixed(1000, 0)).scores(lambda out: None).tolist() == [1.0, 0.0]


def test_a_strangers_graph_without_labels_or_with_too_few_is_refused(place):
    (place / "g.pb").write_bytes(GraphMaker().data)
    with pytest.raises(UsageError, match="expected labels to have 3 lines"):
        Classifier.open(place / "g.pb", labels=list("ab"))
    (place / "labels.txt").unlink()
    with pytest.raises(ModelError, match="give a file with 3 lines as --labels"):
        Classifier.open(place / "g.pb")
    assert FakeTensorFlow.asked == []


def test_a_thousand_scores_without_labels_are_imagenets(place, monkeypatch):
    maker = GraphMaker(output="")
    maker.constant("wide", np.zeros((3, 1001), np.float32))
    maker.add("more", "MatMul", "logits", "wide", T=FLOAT)
    maker.add("final_result", "Softmax", "more", T=FLOAT)
    (place / "g.pb").write_bytes(maker.data)
    monkeypatch.setattr(strangers, "GraphRuntime", lambda *_: Fixed(*np.full(1001, 1 / 1001)))
    opened = Classifier.open(place / "g.pb")
    assert opened.bundle.labels[:2] == ("background", "tench")
    assert opened.notes[0].startswith("no labels lie beside the model: its 1001 scores are taken for ImageNet's")


def test_an_operation_that_is_not_on_the_list_is_named_with_what_to_do(place):
    with pytest.raises(
        ModelError, match=r"operation WriteFile \(spy\).*; --trust_model runs it in a child process"
    ) as caught:
        Classifier.open(hostile(place))
    assert caught.value.exit_code == 6
    assert FakeTensorFlow.asked == []


def test_a_wrong_name_is_no_reason_to_trust(place):
    (place / "g.pb").write_bytes(GraphMaker().data)
    with pytest.raises(ModelError, match=r"given as --output_layer; did you mean final_result\?$"):
        Classifier.open(place / "g.pb", output_layer="final_resul", trust_model=True)


def test_trust_is_not_needed_where_everything_is_on_the_list(place):
    (place / "g.pb").write_bytes(GraphMaker().data)
    assert Classifier.open(place / "g.pb", trust_model=True).notes[-1].startswith("--trust_model changes nothing")
    assert len(FakeTensorFlow.asked) == 1


def test_a_trusted_model_runs_in_the_sandbox_and_its_limits_are_told(place):
    with Classifier.open(hostile(place), trust_model=True) as opened:
        assert opened.classify(patch("red"))[0].label == "red"
        assert (opened.bundle.input_node, opened.bundle.output_node) == ("x", "y")
        told = "\n".join(opened.notes)
    assert FakeSandbox.closed == 1
    for said in ("trusted, although: the graph has an operation WriteFile", "child process it has no network",
                 "not limited here: memory is not bounded", "is assumed", "a softmax is put behind"):  # fmt: skip
        assert said in told


def test_the_child_process_ends_when_its_model_cannot_be_used(place):
    with pytest.raises(UsageError, match="to have 3 lines"):
        Classifier.open(hostile(place), trust_model=True, labels=["a"])
    assert FakeSandbox.closed == 1


# LiteRT and ONNX


def test_a_strangers_tflite_is_labelled_with(place):
    (place / "m.lite").write_bytes(tiny_tflite())
    opened = Classifier.open(place / "m.lite", labels=list("abcdefghijkl"))
    assert (opened.bundle.input_node, opened.bundle.output_node) == ("input", "bottleneck")
    assert ["is assumed" in opened.notes[0], "softmax" in opened.notes[1]] == [True, True]
    scaled = normalise(patch("red", 2), opened.bundle.input_spec)
    powers = np.exp(scaled.ravel())
    assert opened.scores(patch("red", 2)) == pytest.approx(powers / powers.sum(), abs=1e-6)


def test_a_litert_model_of_integers_is_refused_with_what_it_takes():
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tiny_tflite(), 0)
    for tensor in (model.subgraphs[0].tensors[0], model.subgraphs[0].tensors[2]):
        tensor.type = schema.TensorType.UINT8
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(ModelError, match="to have one input, float32, got input uint8"):
        LiteRuntime(bytes(builder.Output()), 2, 2, "x")


def with_second_output(change):
    """A LiteRT model of ours, its second output's tensor changed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    head = Head(np.ones((12, 2), np.float32), np.zeros(2, np.float32), 1)
    model = schema.ModelT.InitFromPackedBuf(tflite_model(tiny_tflite(), head, bundle_of(("a", "b"))), 0)
    graph = model.subgraphs[0]
    change(graph, graph.tensors[graph.outputs[1]])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    "change",
    [
        lambda graph, tensor: setattr(tensor, "name", b"other"),
        lambda graph, tensor: setattr(tensor, "shape", [1, 13]),
        lambda graph, tensor: setattr(tensor, "type", 3),
        lambda graph, tensor: setattr(graph, "outputs", [*graph.outputs, graph.outputs[1]]),
        lambda graph, tensor: setattr(graph, "outputs", [graph.outputs[0], graph.outputs[0]]),
    ],
)
def test_a_second_output_that_is_no_bottleneck_vector_is_refused(place, change):
    (place / "m.tflite").write_bytes(with_second_output(change))
    with pytest.raises(ModelError, match=r"to have one output, float32, got final_result float32 \(1, 2\), "):
        Classifier.open(place / "m.tflite")


def test_a_stranger_s_model_has_one_output():
    content = with_second_output(lambda graph, tensor: None)
    assert LiteRuntime(content, 2, 2, "x", 12).scores(lambda out: out.fill(0)).shape == (2,)
    with pytest.raises(ModelError, match="to have one output, float32, got final_result"):
        LiteRuntime(content, 2, 2, "x")


def test_a_model_of_ours_gives_scores_and_the_vector_that_they_come_from(place):
    picture = patch("red", 2)
    for path in (write_model(place), place / "m.tflite"):
        with Classifier.open(path) as opened:
            scores, vector = opened.scores_and_bottleneck(picture)
            assert np.array_equal(scores, opened.scores(picture))
            expected = normalise(picture, opened.bundle.input_spec).ravel()
            assert vector.tolist() == expected.tolist()
            other = opened.scores_and_bottleneck(patch("blue", 2))[1]
            assert vector.tolist() == expected.tolist() != other.tolist()


def test_a_model_without_a_second_output_gives_no_vector(place):
    (place / "m.lite").write_bytes(tiny_tflite())
    stranger = Classifier.open(place / "m.lite", labels=list("abcdefghijkl"))
    for opened in (stranger, Classifier(bundle_of(("a", "b", "c")), Fixed(0.25, 0.25, 0.5))):
        scores, vector = opened.scores_and_bottleneck(patch("red", 2))
        assert vector is None
        assert np.array_equal(scores, opened.scores(patch("red", 2)))


def own_onnx(place):
    """GraphMaker's graph as ONNX, with a description."""
    model = onnx_file()
    model.metadata_props.add(key=METADATA_ENTRY, value=bundle_of(("red", "green", "blue")).to_json().decode())
    (place / "m.onnx").write_bytes(model.SerializeToString())
    return place / "m.onnx"


def test_an_onnx_model_needs_onnxruntime_and_a_description(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ModelError, match=r"found none; python -m pip install 'retrain-photos\[onnx\]', or use the \.tflite"
    ):
        Classifier.open(own_onnx(place))
    (place / "m.onnx").write_bytes(onnx_file().SerializeToString())
    with pytest.raises(ModelError, match=r"was not written by this tool.*ONNX models are not"):
        Classifier.open(place / "m.onnx")


def test_an_onnx_model_is_run_from_many_threads(place):
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from model_files import WEIGHTS

    model = onnx.load_from_string(own_onnx(place).read_bytes())
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(WEIGHTS, "weights"))
    model.graph.output[0].type.tensor_type.elem_type = 1
    model.ir_version = 8
    model.opset_import.add(version=13)
    (place / "m.onnx").write_bytes(model.SerializeToString())
    opened = Classifier.open(place / "m.onnx")
    pictures = [patch(colour, 2) for colour in ("red", "green", "blue")] * 10
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(opened.scores, pictures))
    for picture, answer in zip(pictures, answers, strict=True):
        assert answer == pytest.approx(shares(normalise(picture, opened.bundle.input_spec)[0]), abs=1e-6)
    opened.close()


# The resize of TensorFlow 1


def test_tf1_resizes_every_kind_of_image_as_a_file_is(place):
    from PIL import Image
    from support import encode, noise

    from retrain.images.tf1 import decode_tf1

    (place / "m.lite").write_bytes(tiny_tflite())
    opened = Classifier.open(place / "m.lite", labels=list("abcdefghijkl"), resize="tf1")
    pixels = noise(7, 5)
    (place / "p.png").write_bytes(encode(pixels))
    spec = opened.bundle.input_spec
    powers = np.exp(normalise(decode_tf1(encode(pixels), spec), spec).ravel())
    for image in (pixels, encode(pixels), place / "p.png", Image.fromarray(pixels)):
        assert opened.scores(image) == pytest.approx(powers / powers.sum(), abs=1e-6)
    usual = Classifier.open(place / "m.lite", labels=list("abcdefghijkl"))
    assert not np.allclose(usual.scores(pixels), opened.scores(pixels), atol=1e-3)
