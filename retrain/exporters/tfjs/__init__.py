"""TensorFlow.js graph models, written and read back without TensorFlow.

files.py makes model.json and its shards, and reads them; graph.py rewrites the frozen graph for the browser, fusing.py
folds and fuses its convolutions, nodes.py reads and makes single nodes.
"""
