"""The model in every format: how each is made, run and compared with the model.

making.py is the table of formats in code; yardstick.py holds the photographs that they are compared on, parity.py
compares scores, drift.py features. frozen/ appends the head to the backbone's graph, litert/ to its LiteRT file, which
it also narrows to float16 and int8; onnx/ and tfjs/ rewrite the graph. What needs TensorFlow is in child/, called
through worker.py. keras_weights.py finds the weights of a run again; imagenet.py keeps networks with their own ImageNet
head.
"""

from retrain.exporters.frozen.graph import frozen_graph
from retrain.exporters.litert.model import tflite_model

__all__ = ["frozen_graph", "tflite_model"]
