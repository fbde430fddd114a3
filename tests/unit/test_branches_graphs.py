"""Frozen graphs of strangers, by hand: what single operations and constants may say, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from model_files import FLOAT, INT, GraphMaker

from retrain.errors import WeightsError
from retrain.graphs import checked
from retrain.graphs.compat import strip_for_1_15
from retrain.graphs.foreign import describe_graph, inference_graph
from retrain.graphs.labelling import find_scores, gives_probabilities, scaling_inside


def constant(dtype=FLOAT, sizes=(2, 2), **numbers):
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

    node = NodeDef(name="c", op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    for name, values in numbers.items():
        if isinstance(values, bytes):
            tensor.tensor_content = values
        else:
            getattr(tensor, name).extend(values)
    return node


# Constants


def test_a_constant_that_leaves_all_its_numbers_out_is_zero():
    read = checked.read_constant(constant())
    assert (read.dtype, read.tolist()) == (np.float32, [[0, 0], [0, 0]])


def test_a_constant_that_leaves_out_its_end_repeats_its_last_number():
    assert checked.read_constant(constant(INT, int_val=[7, 9])).tolist() == [[7, 9], [9, 9]]


def test_a_constant_may_have_no_numbers_at_all():
    assert checked.read_constant(constant(sizes=(0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (constant(dtype=2), "expected c to hold float32, got TensorFlow's type 2"),
        (constant(tensor_content=bytes(15)), "whole numbers of 4 bytes; it is damaged"),
        (constant(tensor_content=bytes(12)), "expected c to hold 4 numbers, got 3; it is damaged"),
        (constant(float_val=[1] * 5), "expected c to hold 4 numbers, got 5; it is damaged"),
        (constant(sizes=(0, 3), float_val=[1]), "expected c to hold 0 numbers, got 1; it is damaged"),
        (constant(sizes=(1,) * 9), "says that its shape is"),
        (constant(sizes=(-1, 3)), "says that its shape is"),
        (constant(sizes=(1 << 20, 1 << 20)), "says that its shape is"),
        (constant(sizes=(1 << 62, 1 << 62, 0)), "says that its shape is"),
    ],
)
def test_a_constant_that_lies_about_itself_is_refused(node, words):
    with pytest.raises(WeightsError, match=words):
        checked.read_constant(node)


def test_constants_are_bounded_together_not_only_one_by_one(monkeypatch):
    monkeypatch.setattr(checked, "MAX_ELEMENTS", 40)
    assert "weights" in checked.checked_nodes(GraphMaker().data)  # 36 and 2 numbers
    maker = GraphMaker()
    maker.constant("more", np.zeros(3, np.float32))
    with pytest.raises(WeightsError, match="constants are 41 numbers, at most 40 are read"):
        checked.checked_nodes(maker.data)


def test_a_constant_is_found_behind_identities_and_only_where_it_is_float32_and_finite():
    maker = GraphMaker()
    maker.add("one", "Identity", "weights", T=FLOAT)
    maker.add("two", "Identity", "one:0", T=FLOAT)
    maker.add("ring", "Identity", "ring", T=FLOAT)
    maker.constant("odd", np.array([1, np.nan], np.float32))
    nodes = maker.nodes
    assert checked.find_constant(nodes, "two").shape == (12, 3)
    assert [checked.find_constant(nodes, name) for name in ("ring", "nowhere", "rows")] == [None] * 3
    for name in ("odd", "shape"):
        with pytest.raises(WeightsError, match=f"expected {name} to hold finite float32 numbers"):
            checked.find_constant(nodes, name)


# How wide results are


def widths(*operations):
    """The widths of operations that are added to the usual graph, each given as name, operation, inputs."""
    maker = GraphMaker()
    maker.constant("kernel", np.zeros((1, 1, 3, 2), np.float32))
    maker.constant("axis", np.array(3, np.int32))
    maker.constant("nought", np.zeros((), np.float32))
    for name, operation, *sources in operations:
        maker.add(name, operation, *sources, T=FLOAT)
    nodes = maker.nodes
    target = operations[-1][0]
    return checked.channels(nodes, checked.path_between(nodes, "input", target), "input")[target]


@pytest.mark.parametrize(
    ("operation", "sources", "width"),
    [
        ("Conv2D", ("input", "kernel"), 2),
        ("DepthwiseConv2dNative", ("input", "kernel"), 6),
        ("ConcatV2", ("input", "input", "axis"), 6),
        ("Concat", ("axis", "input", "input"), 6),
        ("Relu", ("input",), 3),
        ("AddV2", ("nought", "input"), 3),
        ("Reshape", ("input", "axis"), 3),
        ("Reshape", ("input", "shape"), 12),
        ("Mean", ("input", "axis"), 3),
    ],
)
def test_the_width_of_a_result_follows_from_its_inputs(operation, sources, width):
    assert widths(("end", operation, *sources)) == width


def test_a_width_never_grows_beyond_what_constants_may_hold():
    doubled = [("d0", "ConcatV2", "input", "input", "axis")]
    doubled += [(f"d{n}", "ConcatV2", f"d{n - 1}", f"d{n - 1}", "axis") for n in range(1, 80)]
    assert widths(*doubled) == checked.MAX_ELEMENTS


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (np.array([-1, 5], np.int32), [-1, 5]),
        (np.array([1, 5], np.int32), [1, 5]),
        (np.array([2, 5], np.int32), []),
        (np.array([-1, 0], np.int32), []),
        (np.array([-1, 1, 5], np.int32), []),
        (np.array([-1, 5], np.float32), []),
    ],
)
def test_only_a_reshape_to_one_row_a_photograph_is_read(values, rows):
    maker = GraphMaker()
    maker.constant("to", values)
    maker.add("end", "Reshape", "input", "to", T=FLOAT)
    maker.add("open", "Reshape", "input", "rows", T=FLOAT)
    nodes = maker.nodes
    assert checked.row_shape(nodes, nodes["end"]) == rows
    assert checked.row_shape(nodes, nodes["open"]) == []  # a shape that is calculated


# Attributes


def attributed(**values):
    from tensorboard.compat.proto.node_def_pb2 import NodeDef

    node = NodeDef(name="n", op="Relu")
    node.attr["T"].type = FLOAT
    for name, (kind, content) in values.items():
        if kind == "list":
            node.attr[name].list.i.extend(content)
        else:
            setattr(node.attr[name], kind, content)
    return node


@pytest.mark.parametrize("value", [("i", 0), ("s", b""), ("b", False), ("f", 0.0), ("list", [])])
def test_an_unknown_attribute_that_says_nothing_is_left_out(value):
    node = attributed(newer=value)
    node.attr["empty"].SetInParent()
    assert checked.kept_attributes(node) == ["T"]


@pytest.mark.parametrize("value", [("i", 1), ("s", b"x"), ("b", True), ("f", 0.5), ("list", [0]), ("type", 0)])
def test_an_unknown_attribute_that_says_something_is_refused(value):
    with pytest.raises(WeightsError, match=r"n \(Relu\) has an attribute newer that is not on the list"):
        checked.kept_attributes(attributed(newer=value))


def test_what_1_15_does_not_know_is_taken_out_and_an_operation_of_later_ones_refused():
    maker = GraphMaker()
    maker.graph.library.function.add().signature.name = "f"
    logits = next(node for node in maker.graph.node if node.name == "logits")
    logits.attr["grad_a"].b = False
    logits.device = "/gpu:0"
    logits.input.append("^shape")
    strip_for_1_15(maker.graph)
    assert (set(logits.attr), logits.device, list(logits.input)) == ({"T"}, "", ["rows", "weights"])
    assert (len(maker.graph.library.function), maker.graph.versions.producer) == (0, 134)
    maker.add("later", "Einsum", "rows", T=FLOAT)
    with pytest.raises(WeightsError, match=r"operation Einsum \(later\) is not in the table of TensorFlow 1.15"):
        strip_for_1_15(maker.graph)


# Where features and scores are


def test_a_normalisation_of_2015_that_takes_no_constants_is_refused():
    maker = GraphMaker(output="")
    for name in "mvbg":
        maker.constant(name, np.ones(3, np.float32))
    maker.add("norm", "BatchNormWithGlobalNormalization", "input", "m", "v", "b", "g", T=FLOAT)
    maker.add("bottleneck", "Mean", "norm", "shape", T=FLOAT)
    assert b"norm/scale" in inference_graph(maker.data, describe_graph(maker.data, "bottleneck"))
    norm = next(node for node in maker.graph.node if node.name == "norm")
    for sources in (["input", "m", "v", "b", "input"], ["input", "m", "v", "b"]):
        norm.input[:] = sources
        with pytest.raises(WeightsError, match=r"expected norm \(BatchNorm.*\) to take four constants"):
            inference_graph(maker.data, describe_graph(maker.data, "bottleneck"))


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("v", [-3, 1, 1], "to come to finite float32 numbers"),  # was a warning, and NaN
        ("v", [0, 1, 1], "to come to finite float32 numbers"),
        ("m", [3e38, 1, 1], "to come to finite float32 numbers"),
        ("g", [1, 1], "to be of one shape"),  # was a ValueError
        ("b", [[1, 1, 1]], "to be of one shape"),
    ],
)
def test_a_normalisation_of_2015_that_comes_to_no_numbers_is_refused(name, values, words):
    maker = GraphMaker(output="")
    for each in "mvbg":
        maker.constant(each, np.array(values if each == name else [1, 1, 1], np.float32))
    maker.add("norm", "BatchNormWithGlobalNormalization", "input", "m", "v", "b", "g", T=FLOAT)
    norm = maker.graph.node[-1]
    norm.attr["variance_epsilon"].f, norm.attr["scale_after_normalization"].b = 0.0, name != "m"
    if name == "m":  # a mean of 3e38 by a scale of 30,000
        variance = next(node for node in maker.graph.node if node.name == "v")
        variance.attr["value"].tensor.tensor_content = np.full(3, 1e-9, np.float32).tobytes()
    maker.add("bottleneck", "Mean", "norm", "shape", T=FLOAT)
    with pytest.raises(WeightsError, match=rf"norm \(BatchNorm.*\) {words}"):
        inference_graph(maker.data, describe_graph(maker.data, "bottleneck"))


def test_rows_of_rows_are_gone_back_over_no_more_than_a_few_times():
    maker, last = GraphMaker(), "logits"
    for number in range(20):
        maker.add(f"i{number}", "Identity", last, T=FLOAT)
        last = f"i{number}"
    made = checked.parse_graph(inference_graph(maker.data, describe_graph(maker.data, last)))
    names = {node.name for node in made.node}
    assert {"i0", "i11", "bottleneck"} <= names
    assert not {"i12", "i19"} & names  # the eight nearest the end


def test_an_identity_of_nothing_is_not_gone_back_over():
    maker = GraphMaker()
    maker.add("left", "Identity", T=FLOAT)
    maker.add("end", "AddV2", "left", "logits", T=FLOAT)
    found = describe_graph(maker.data, "end")
    assert "left" in {node.name for node in checked.parse_graph(inference_graph(maker.data, found)).node}


def test_more_scores_than_can_be_are_refused(monkeypatch):
    maker = GraphMaker()
    maker.constant("weights2", np.zeros((3, 70_000), np.float32))
    maker.add("many", "MatMul", "logits", "weights2", T=FLOAT)
    with pytest.raises(WeightsError, match="expected many to give 1 to 65536 scores, got 70000; see --output_layer"):
        find_scores(maker.nodes, output_layer="many")


def test_whether_scores_are_probabilities_is_not_asked_for_ever():
    maker, last = GraphMaker(), "final_result"
    for number in range(9):
        maker.add(f"i{number}", "Identity", last, T=FLOAT)
        last = f"i{number}"
    nodes = maker.nodes
    assert gives_probabilities(nodes, "i6")
    assert not gives_probabilities(nodes, "i8")
    assert not gives_probabilities(nodes, "nowhere")


@pytest.mark.parametrize(
    ("add", "inside"),
    [
        (lambda maker: maker.constant("by", np.array([104, 117, 123], np.float32)), True),
        (lambda maker: maker.constant("by", np.array([104] * 12, np.float32)), False),
        (lambda maker: maker.constant("by", np.array(117, np.int32)), False),
        (lambda maker: maker.add("by", "Identity", "by", T=FLOAT), False),
        (lambda maker: maker.add("by", "Identity", T=FLOAT), False),
        (lambda maker: None, False),
    ],
    ids=["a number a channel", "too many", "whole numbers", "a ring", "an identity of nothing", "not there"],
)
def test_a_scaling_is_read_only_from_a_small_constant(add, inside):
    maker = GraphMaker()
    add(maker)
    maker.add("scaled", "Sub", "input", "by", T=FLOAT)
    assert scaling_inside(maker.nodes, "input") is inside


def test_a_scaling_is_read_behind_identities():
    maker = GraphMaker()
    maker.constant("value", np.array(255, np.float32))
    maker.add("by", "Identity", "value", T=FLOAT)
    maker.add("scaled", "RealDiv", "input", "by", T=FLOAT)
    assert scaling_inside(maker.nodes, "input")
