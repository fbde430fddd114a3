"""The frozen graph, written without TensorFlow.

graph.py appends the head to a backbone's graph; decoding.py puts before its input what old clients feed; nodes.py
writes nodes.
"""
