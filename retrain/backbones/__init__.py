"""The backbone room: names, pretrained weights, conversion, and the frozen feature extractor.

table.py says what each architecture is (its rows are architectures.json); weights.py finds its weights, fetch.py
fetches them, slim.py reads them out of Google's frozen graphs; foreign.py takes a whole frozen graph as a backbone,
once graphs.py has checked what is in it; prepare.py keeps the converted files in model_dir, made once by convert.py in
a process of its own, the only place of the main job that imports TensorFlow; compat.py keeps their graphs readable for
TensorFlow 1.15; extractor.py runs the backbone.
"""

from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.prepare import PreparedBackbone, graph_spec, prepare_backbone, prepare_graph
from retrain.backbones.table import BackboneSpec, find_backbone

__all__ = [
    "BackboneSpec",
    "FrozenBackbone",
    "PreparedBackbone",
    "find_backbone",
    "graph_spec",
    "prepare_backbone",
    "prepare_graph",
]
