"""Where a frozen graph's photographs go in and its scores come out, found for graphs that do not say so. No TensorFlow.

What about twenty threads in the original's trackers ask for: the names, the size and the scaling of a graph that
somebody else wrote. A scaling that cannot be read off the graph is assumed, and marked as such.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrain.errors import WeightsError, did_you_mean
from retrain.graphs.checked import channels, path_between, read_constant, source_name
from retrain.graphs.foreign import (
    INCEPTION_SIZE,
    INPUT_OPERATIONS,
    MAX_FEATURES,
    MAX_INPUT_PIXELS,
    SCALING,
    ForeignGraph,
    inference_graph,
)
from retrain.images import InputSpec

# What scores are called by the original and its forks, Google's MobileNets, and the Inception of 2015.
_OUTPUTS = ("final_result", "MobilenetV1/Predictions/Reshape_1", "softmax")
_PROBABILITIES = ("Softmax", "Sigmoid")
_PASSES_ON = ("Identity", "Reshape", "Squeeze")
_ARITHMETIC = ("Add", "AddV2", "Mul", "RealDiv", "Sub")
# Of the MobileNets, and of most that came after them.
USUAL_SCALING = (127.5, 127.5)


@dataclass(frozen=True)
class Scorer:
    """What is to be known to label with a graph.

    Args:
        input_node: takes float32 (N, input_height, input_width, 3).
        input_height: pixels.
        input_width: pixels.
        mean: subtracted from each channel value (0 to 255).
        std: what the difference is divided by.
        output_node: gives float32 (N, classes).
        classes: how many scores a photograph gets.
        gives_probabilities: whether they have gone through a softmax or a sigmoid.
        scaling_known: whether mean and std are read off the graph, not assumed.
    """

    input_node: str
    input_height: int
    input_width: int
    mean: float
    std: float
    output_node: str
    classes: int
    gives_probabilities: bool
    scaling_known: bool = True

    @property
    def input_spec(self) -> InputSpec:
        """Size and scaling of the input."""
        return InputSpec(self.input_height, self.input_width, self.mean, self.std)


def find_scores(
    nodes: dict[str, Any], *, input_layer: str = "", output_layer: str = "", height: int = 0, width: int = 0
) -> Scorer:
    """Find out how to label with a frozen graph.

    Args:
        nodes: of `checked_nodes`.
        input_layer: its node for pictures, in any spelling of the original; empty to find it.
        output_layer: its node for scores; empty to find it.
        height: pixels, in place of what the graph says; 0 to read them off it.
        width: pixels.

    Returns:
        Names, size, scaling.

    Raises:
        WeightsError: where pictures go in or scores come out cannot be told.
    """
    output = _named(nodes, output_layer, "output_layer") or _find_output(nodes)
    source = _named(nodes, input_layer, "input_layer") or _find_input(nodes, output)
    path = path_between(nodes, source, output)
    rows, columns = _input_size(nodes[source], height, width)
    mean, std, known = _scaling(nodes, source)
    classes = channels(nodes, path, source)[output]
    if not 0 < classes <= MAX_FEATURES:
        raise WeightsError(f"expected {output} to give 1 to {MAX_FEATURES} scores, got {classes}; see --output_layer")
    return Scorer(source, rows, columns, mean, std, output, classes, gives_probabilities(nodes, output), known)


def scoring_graph(graph: bytes, scorer: Scorer) -> bytes:
    """Make the graph that TensorFlow may see: input -> scores, for one picture, from checked operations only.

    Args:
        graph: what was described.
        scorer: of find_scores.

    Returns:
        A serialised GraphDef: ``input``, float32 (1, H, W, 3) -> ``bottleneck``, float32 (1, classes).

    Raises:
        WeightsError: something between input and output is not allowed there.
    """
    cut = ForeignGraph(
        "scores", scorer.input_node, scorer.input_height, scorer.input_width, scorer.mean, scorer.std,
        scorer.output_node, scorer.classes,
    )  # fmt: skip
    return inference_graph(graph, cut, batch=1)


def node_name(layer: str) -> str:
    """Give the node that the original's flags mean: "import/input:0" is "input".

    Args:
        layer: as it was typed.

    Returns:
        The node's name.
    """
    return source_name(layer.removeprefix("import/"))


def scaling_inside(nodes: dict[str, Any], source: str) -> bool:
    """Tell whether a graph scales pictures itself, from 0 to 255.

    Args:
        nodes: of the graph, by name.
        source: its input.

    Returns:
        True where the first thing that happens to a picture is a division by 100 or more, or a subtraction of 50 or
        more: nobody does that to numbers that are scaled already.
    """
    for node in nodes.values():
        if node.op not in _ARITHMETIC or source not in map(source_name, node.input):
            continue
        values = [_small_constant(nodes, one) for one in node.input if source_name(one) != source]
        for value in (float(np.abs(one).min()) for one in values if one is not None):
            if (node.op == "Mul" and 0 < value <= 0.01) or (node.op == "RealDiv" and value >= 100):
                return True
            if node.op in ("Add", "AddV2", "Sub") and value >= 50:
                return True
    return False


def gives_probabilities(nodes: dict[str, Any], output: str) -> bool:
    """Tell whether scores have gone through a softmax or a sigmoid.

    Args:
        nodes: of the graph, by name.
        output: the node that gives them.

    Returns:
        True if so.
    """
    for _ in range(8):
        node = nodes.get(output)
        if node is None or node.op not in _PASSES_ON or not node.input:
            return node is not None and node.op in _PROBABILITIES
        output = source_name(node.input[0])
    return False


def _named(nodes: dict[str, Any], layer: str, flag: str) -> str:
    if not layer:
        return ""
    name = node_name(layer)
    if name not in nodes:
        raise WeightsError(f"the graph has no node {name}, given as --{flag}{did_you_mean(name, list(nodes))}")
    return name


def _find_output(nodes: dict[str, Any]) -> str:
    for name in _OUTPUTS:
        if name in nodes:
            return name
    used = {source_name(one) for node in nodes.values() for one in node.input}
    ends = [name for name, node in nodes.items() if name not in used and node.op not in ("Const", "Placeholder")]
    probable = [name for name in ends if gives_probabilities(nodes, name)]
    softmax = [name for name, node in nodes.items() if node.op == "Softmax"]
    for found in (probable, softmax, ends):
        if len(found) == 1:
            return found[0]
    shown = ", ".join((probable or softmax or ends)[:8]) or "nothing"
    raise WeightsError(f"expected a graph with one output of scores, got {shown}; name one as --output_layer")


def _find_input(nodes: dict[str, Any], output: str) -> str:
    before = path_between(nodes, "", output)
    for name in SCALING:
        if name in before and nodes[name].op in INPUT_OPERATIONS:
            return name
    found = [name for name in before if nodes[name].op == "Placeholder"]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(found[:8]) or "none"
    raise WeightsError(f"expected one input that {output} is calculated from, got {shown}; name one as --input_layer")


def _input_size(node: Any, height: int, width: int) -> tuple[int, int]:  # noqa: ANN401
    """Read what the input says of its size; what a person gave comes first."""
    sizes = [int(dim.size) for dim in node.attr["shape"].shape.dim]
    if not node.op.startswith("Placeholder"):  # Inception's Mul, or what somebody named: it says nothing
        sizes = [1, INCEPTION_SIZE, INCEPTION_SIZE, 3] if node.name == "Mul" else []
    if sizes and (len(sizes) != 4 or sizes[3] not in (3, -1)):
        raise WeightsError(f"expected {node.name} to take (N, height, width, 3), got {sizes}; see --input_layer")
    said = sizes[1:3] or [-1, -1]
    rows, columns = height or said[0], width or said[1]
    if not (1 <= rows <= MAX_INPUT_PIXELS and 1 <= columns <= MAX_INPUT_PIXELS):
        raise WeightsError(
            f"expected {node.name} to say its size, 1 to {MAX_INPUT_PIXELS} pixels a side, got {rows} x {columns}; "
            "give --input_height and --input_width"
        )
    return rows, columns


def _scaling(nodes: dict[str, Any], source: str) -> tuple[float, float, bool]:
    if nodes[source].op != "Mul" and scaling_inside(nodes, source):
        return 0.0, 1.0, True
    if source in SCALING:
        return (*SCALING[source], True)
    return (*USUAL_SCALING, False)


def _small_constant(nodes: dict[str, Any], source: str) -> Any:  # noqa: ANN401
    """Read a constant of one number, or one a channel, behind any Identity; None for anything else."""
    node = nodes.get(source_name(source))
    for _ in range(8):
        if node is None or node.op != "Identity" or not node.input:
            break
        node = nodes.get(source_name(node.input[0]))
    if node is None or node.op != "Const" or node.attr["value"].tensor.dtype != 1:
        return None
    values = read_constant(node)
    return values if values.size in (1, 3) else None
