"""One module a format. Each turns a converted backbone, a head and a bundle into the bytes of one file.

Neither imports TensorFlow: the backbone's own files are extended by the head's few nodes.
"""

from retrain.exporters.frozen_graph import frozen_graph
from retrain.exporters.tflite import tflite_model

__all__ = ["frozen_graph", "tflite_model"]
