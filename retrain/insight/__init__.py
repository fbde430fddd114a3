"""What a run says beyond its accuracy, from features and out-of-fold scores that it has anyway.

gain.py puts all of it into one record; neighbours.py finds the most alike photographs; memory.py is the file beside the
model that keeps training vectors for that; suspects.py ranks labels that may be wrong; fixing.py plans which
photographs move to where they belong, carrying.py moves, adds and puts back, with the journal of corrections.py and
names that free_names.py finds; unknown.py sets the threshold below which a photograph is like none that was trained on;
sets.py makes sets of labels with a promised coverage; heat.py finds what in a photograph speaks for a label;
predictions.py reads what earlier runs predicted, and changes.py compares two of them.

This package imports nothing when it is imported: label_image takes memory.py, sets.py and heat.py from it and must not
pay for the training side, nor depend on it.
"""
