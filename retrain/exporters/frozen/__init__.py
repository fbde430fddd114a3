"""The frozen graph, written without TensorFlow.

graph.py puts the model together: a backbone's graph, the head behind it (head.py, which also reads it back), and its
description; decoding.py puts before its input what old clients feed; nodes.py writes nodes.
"""
