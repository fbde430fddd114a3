"""What a run is told: flags.py is the record and the table of flags, checks.py says what is wrong with it.

cluster.py checks where extraction is to run, processor.py what it can calculate in, sources.py what the backbone is
made of, handles.py what a hub module may be named by.
"""

from retrain.config.flags import BESIDE_GRAPH, DISTORTIONS, INT8_ENDING, WEIGHT_SUFFIXES, Flag, FlagValue, RunConfig

__all__ = ["BESIDE_GRAPH", "DISTORTIONS", "INT8_ENDING", "WEIGHT_SUFFIXES", "Flag", "FlagValue", "RunConfig"]
