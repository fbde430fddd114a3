"""Frozen graphs, as data: what is allowed in a stranger's, what it is, and what TensorFlow 1.15 understands.

checked.py parses a graph and holds it against the list of operations that only calculate; foreign.py finds out where
its input and its features are, and makes the copy that TensorFlow may see; compat.py keeps our own graphs readable for
TensorFlow 1.15. Nothing here runs a graph or imports TensorFlow.
"""
