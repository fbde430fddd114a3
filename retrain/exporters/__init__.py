"""One module a format. Each turns a converted backbone, a head and a bundle into the bytes of one file.

frozen_graph.py and tflite.py do without TensorFlow: the backbone's own files are extended by the head's few nodes.
decoding_nodes.py puts before the graph's input what old clients feed; nodes.py writes nodes; graph_child.py runs it.
tflite_int8.py has it convert in a process of its own, quantise.py. parity.py measures whether an export answers as the
model it was made from.

saved_model_child.py writes a SavedModel, and canonical_child.py brings it into its one form. What it decodes with:
decoding_child.py, on metadata_child.py (which way up), palettes_child.py (GIF, BMP) and octets_child.py.
"""

from retrain.exporters.frozen_graph import frozen_graph
from retrain.exporters.tflite import tflite_model
from retrain.exporters.tflite_int8 import int8_model

__all__ = ["frozen_graph", "int8_model", "tflite_model"]
