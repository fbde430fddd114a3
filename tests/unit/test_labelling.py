"""Where a stranger's graph takes pictures and gives scores, without TensorFlow."""

import numpy as np
import pytest
from model_files import FLOAT, GraphMaker

from retrain.errors import WeightsError
from retrain.graphs.checked import parse_graph
from retrain.graphs.labelling import Scorer, find_scores, node_name, scaling_inside, scoring_graph

USUAL = Scorer("input", 2, 2, 127.5, 127.5, "final_result", 3, True)


def test_a_graph_of_the_originals_is_known_by_its_names():
    assert find_scores(GraphMaker().nodes) == USUAL


@pytest.mark.parametrize("layers", [("input", "final_result"), ("import/input", "import/final_result:0")])
def test_layers_may_be_named_as_the_original_spells_them(layers):
    assert find_scores(GraphMaker().nodes, input_layer=layers[0], output_layer=layers[1]) == USUAL
    assert node_name("import/a:0") == "a"


def test_inceptions_input_has_the_size_and_scaling_of_2015():
    maker = GraphMaker("Mul", sizes=())
    maker.graph.node[0].op = "Mul"
    found = find_scores(maker.nodes)
    assert (found.input_height, found.input_width, found.mean, found.std) == (299, 299, 128, 128)


def test_an_unknown_output_is_the_last_softmax():
    maker = GraphMaker(output="probs")
    maker.add("end", "Identity", "probs", T=FLOAT)
    maker.add("aside", "Relu", "rows", T=FLOAT)
    assert (find_scores(maker.nodes).output_node, find_scores(maker.nodes).gives_probabilities) == ("end", True)


def test_an_output_without_softmax_is_said_to_give_no_probabilities():
    found = find_scores(GraphMaker(output="").nodes)
    assert (found.output_node, found.classes, found.gives_probabilities) == ("logits", 3, False)


def test_several_outputs_are_listed_and_one_may_be_named():
    maker = GraphMaker(output="a")
    maker.add("b", "Softmax", "logits", T=FLOAT)
    with pytest.raises(WeightsError, match="one output of scores, got a, b; name one as --output_layer"):
        find_scores(maker.nodes)
    assert find_scores(maker.nodes, output_layer="b").output_node == "b"
    with pytest.raises(WeightsError, match="no node final, given as --output_layer"):
        find_scores(maker.nodes, output_layer="final")


def test_the_only_placeholder_is_the_input_and_its_scaling_is_a_guess():
    found = find_scores(GraphMaker("picture").nodes)
    assert (found.input_node, found.scaling_known, found.mean) == ("picture", False, 127.5)
    maker = GraphMaker("picture")
    maker.placeholder("more", ())
    maker.add("sum", "Add", "rows", "more", T=FLOAT)
    next(node for node in maker.graph.node if node.name == "logits").input[0] = "sum"
    with pytest.raises(WeightsError, match=r"got (more, picture|picture, more); name one as --input_layer"):
        find_scores(maker.nodes)


@pytest.mark.parametrize(
    ("operation", "value", "inside"),
    [("Mul", 1 / 127.5, True), ("RealDiv", 255, True), ("Sub", 117, True), ("Mul", 2, False), ("Sub", 0.5, False)],
)
def test_a_graph_that_scales_by_itself_is_given_0_to_255(operation, value, inside):
    maker = GraphMaker()
    maker.constant("by", np.array(value, np.float32))
    maker.add("scaled", operation, "input", "by", T=FLOAT)
    next(node for node in maker.graph.node if node.name == "rows").input[0] = "scaled"
    assert scaling_inside(maker.nodes, "input") is inside
    assert (find_scores(maker.nodes).std == 1) is inside


def test_a_size_that_is_not_said_is_asked_for_and_one_that_is_given_counts():
    maker = GraphMaker(sizes=(-1, -1, -1, 3))
    with pytest.raises(WeightsError, match="give --input_height and --input_width"):
        find_scores(maker.nodes)
    found = find_scores(maker.nodes, height=2, width=2)
    assert (found.input_height, found.input_width) == (2, 2)
    with pytest.raises(WeightsError, match="got 9999 x 2"):
        find_scores(maker.nodes, height=9999, width=2)
    with pytest.raises(WeightsError, match=r"expected input to take \(N, height, width, 3\)"):
        find_scores(GraphMaker(sizes=(1, 12)).nodes)


def test_an_output_that_needs_no_picture_is_refused():
    maker = GraphMaker()
    maker.placeholder("other", (1, 2, 2, 3))
    with pytest.raises(WeightsError, match="final_result is not calculated from other"):
        find_scores(maker.nodes, input_layer="other")


def test_the_copy_has_one_input_for_one_picture_and_nothing_that_is_not_needed():
    maker = GraphMaker()
    maker.add("aside", "Relu", "rows", T=FLOAT)
    made = {node.name: node for node in parse_graph(scoring_graph(maker.data, USUAL)).node}
    assert [dim.size for dim in made["input"].attr["shape"].shape.dim] == [1, 2, 2, 3]
    assert "aside" not in made
    assert "bottleneck" in made


def test_an_operation_that_does_more_than_calculate_is_refused_by_its_name():
    maker = GraphMaker()
    maker.add("spy", "WriteFile", "rows", "logits")
    with pytest.raises(WeightsError, match=r"operation WriteFile \(spy\), which is not on the list"):
        scoring_graph(maker.data, USUAL)
