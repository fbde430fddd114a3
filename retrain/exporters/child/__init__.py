"""What runs in the TensorFlow process of worker.py; nothing here is imported by any other.

serve.py answers calls. scoring.py runs an export over photographs; graph.py opens frozen graphs for that. quantise.py
converts to int8, keras_model.py writes .keras files, imagenet_model.py networks with their own head. saved_model.py
writes a SavedModel, and canonical.py brings it into its one form; what it decodes photographs with is in decoding.py,
on metadata.py (which way up), palettes.py (GIF, BMP) and octets.py.
"""
