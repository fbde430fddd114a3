"""Frozen graphs, as data: what is allowed in a stranger's, what it is, and what TensorFlow 1.15 understands.

checked.py parses a graph and holds it against the list of operations that only calculate; foreign.py finds out where
its input and its features are, and makes the copy that TensorFlow may see; labelling.py finds out where its scores are;
savedmodel.py finds the function of a SavedModel that takes photographs, inline.py writes it out as a plain graph, whose
variables checkpoint.py reads; compat.py keeps our own graphs readable for TensorFlow 1.15; sessions.py imports as much
of TensorFlow as running a graph takes. Nothing here runs one.
"""

# The file in a SavedModel's folder that holds all but the variables.
SAVED_MODEL = "saved_model.pb"
