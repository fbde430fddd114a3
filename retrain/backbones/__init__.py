"""The backbone room: names, pretrained weights, conversion, and the frozen feature extractor.

table.py says what each architecture is; weights.py finds its weights; prepare.py keeps its converted files in
model_dir (made once by convert.py, in a process of its own, the only place of the main job that imports
TensorFlow); extractor.py runs it.
"""

from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.prepare import PreparedBackbone, prepare_backbone
from retrain.backbones.table import BackboneSpec, find_backbone

__all__ = ["BackboneSpec", "FrozenBackbone", "PreparedBackbone", "find_backbone", "prepare_backbone"]
