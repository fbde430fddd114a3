"""Model files, read without running anything in them: the description that travels inside, or what can be inferred.

kinds.py tells the formats apart; files.py reads bounded bytes. A module a format: graph.py (frozen graphs, whose
description wire.py reads fast), tflite.py (LiteRT, whose tables flat.py reads), onnxfile.py, kerasfile.py,
savedmodel.py, tfjs.py; jsonfile.py reads JSON of strangers. labels.py finds the labels of a model that does not hold
them. TensorFlow, onnx and onnxruntime are not imported.
"""

from retrain.modelfile.files import MAX_MODEL_BYTES, read_model_file
from retrain.modelfile.graph import read_graph_bundle
from retrain.modelfile.tflite import read_tflite_bundle

__all__ = ["MAX_MODEL_BYTES", "read_graph_bundle", "read_model_file", "read_tflite_bundle"]
