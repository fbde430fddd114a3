"""A frozen GraphDef, readable by TensorFlow 1.15 and later, under the node names of the original.

``DecodeJpeg/contents`` -> ``Mul`` (decoding.py) -> ``input`` -> backbone -> ``bottleneck`` ->
``input_1/BottleneckInputPlaceholder`` -> ``final_training_ops/...`` -> ``final_result``; any of them may be fed. The
constant ``retrain/bundle`` describes the model.
"""

from __future__ import annotations

from typing import Any

from retrain.bundle import GRAPH_NODE, Bundle
from retrain.errors import ModelError
from retrain.exporters.frozen.decoding import add_decoding
from retrain.exporters.frozen.head import add_head
from retrain.exporters.frozen.nodes import Nodes
from retrain.graphs.checked import BOTTLENECK_NODE, INPUT_NODE, source_name
from retrain.head import Head


def frozen_graph(backbone: bytes, head: Head, bundle: Bundle) -> bytes:
    """Put the decoding of photographs before a backbone's frozen graph, and a head behind it.

    Args:
        backbone: serialised GraphDef with the nodes ``input`` and ``bottleneck``.
        head: its layers, on raw bottleneck vectors.
        bundle: gives the input's size, names the node of the scores, and goes inside.

    Returns:
        Serialised GraphDef, the same bytes for the same arguments.

    Raises:
        ModelError: the backbone has no node ``input``.
    """
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    graph, given = GraphDef(), GraphDef.FromString(backbone)
    graph.versions.CopyFrom(given.versions)
    nodes = Nodes(graph)
    scaled = add_decoding(nodes, bundle.input_spec)
    _add_backbone(graph, given)
    _set_input(graph, scaled, bundle)
    add_head(nodes, head, BOTTLENECK_NODE, bundle.output_node)
    nodes.text(GRAPH_NODE, bundle.to_json())
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _add_backbone(graph: Any, backbone: Any) -> None:  # noqa: ANN401
    """Append a backbone; where it has a name that the decoding has, it gets another."""
    taken, names = {node.name for node in graph.node}, {node.name for node in backbone.node}
    renamed = {}
    for name in taken & names:
        renamed[name] = free = f"backbone/{name}"
        if free in names:
            raise ModelError(f"the backbone has nodes {name} and {free}; one of them must have another name")
    for node in backbone.node:
        copy = graph.node.add()
        copy.CopyFrom(node)
        copy.name = renamed.get(node.name, node.name)
        for index, source in enumerate(node.input):
            name = source_name(source)
            copy.input[index] = source.replace(name, renamed.get(name, name), 1)


def _set_input(graph: Any, source: str, bundle: Bundle) -> None:  # noqa: ANN401
    """Make a backbone's input what is fed, or else what was decoded."""
    for node in graph.node:
        if node.name == INPUT_NODE:
            node.op = "PlaceholderWithDefault"
            node.input[:] = [source]
            node.attr["shape"].Clear()
            for size in (-1, bundle.input_height, bundle.input_width, 3):
                node.attr["shape"].shape.dim.add(size=size)
            return
    raise ModelError(f"expected a backbone with a node {INPUT_NODE}, got one without; convert it again")
