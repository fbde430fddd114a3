"""What TensorBoard shows, written without importing TensorFlow.

events.py writes event files; training.py holds those that grow while the layer is trained, with layer.py's tags of the
original; earlier.py puts those of earlier runs away. results.py writes what came of it (curves, confusion, errors,
settings), with charts.py, and projector.py the map of the bottleneck vectors.
"""

from retrain.summaries.events import EventFile
from retrain.summaries.layer import MAX_HISTOGRAM_STEPS, layer_histograms, layer_scalars
from retrain.summaries.training import Summaries

__all__ = ["MAX_HISTOGRAM_STEPS", "EventFile", "Summaries", "layer_histograms", "layer_scalars"]
