"""The backbone room: names, pretrained weights, conversion, and the frozen feature extractor.

table.py says what each architecture is (its rows are architectures.json); weights.py finds its weights, fetch.py
fetches them, beside part.py's note of what has come, slim.py reads them out of Google's frozen graphs; graph_convert.py
takes a whole frozen graph as a backbone, once the room of graphs has checked what is in it; hub.py takes a SavedModel,
whose files archive.py reads, whose function the room of graphs writes out as a plain graph, and which hub_fetch.py
fetches and hub_convert.py converts; savedweights.py takes an architecture's weights out of one; layers.py lists the
layers of one and says where fine-tuning begins; prepare.py keeps the converted files in model_dir, made once by
convert.py in a process of its own, the only place of the main job that imports TensorFlow; extractor.py runs the
backbone; imagenet.py has the names of ImageNet's classes (imagenet_names.txt), imagenet_weights.py finds the weights
that name them, imagenet_convert.py builds a network from those; bfloat16.py runs it in bfloat16, in the process
bfloat16_child.py, which has biases.py prepare the graph.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain.backbones.bfloat16 import Bfloat16Backbone
    from retrain.backbones.extractor import FrozenBackbone
    from retrain.backbones.hub import HubRequest, hub_spec, prepare_hub
    from retrain.backbones.prepare import PreparedBackbone, graph_spec, prepare_backbone, prepare_graph
    from retrain.backbones.table import BackboneSpec, find_backbone, is_quantized, with_channels

__all__ = [
    "BackboneSpec",
    "Bfloat16Backbone",
    "FrozenBackbone",
    "HubRequest",
    "PreparedBackbone",
    "find_backbone",
    "graph_spec",
    "hub_spec",
    "is_quantized",
    "prepare_backbone",
    "prepare_graph",
    "prepare_hub",
    "with_channels",
]

_HOMES = {
    "bfloat16": ("Bfloat16Backbone",),
    "extractor": ("FrozenBackbone",),
    "hub": ("HubRequest", "hub_spec", "prepare_hub"),
    "prepare": ("PreparedBackbone", "graph_spec", "prepare_backbone", "prepare_graph"),
    "table": ("BackboneSpec", "find_backbone", "is_quantized", "with_channels"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # Imported when asked for: the process that decodes needs the extractor, and none of what gets and converts weights.
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
