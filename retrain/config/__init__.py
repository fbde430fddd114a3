"""What a run is told: flags.py is the record and the table of flags, checks.py says what is wrong with it."""

from retrain.config.flags import BESIDE_GRAPH, WEIGHT_SUFFIXES, Flag, FlagValue, RunConfig

__all__ = ["BESIDE_GRAPH", "WEIGHT_SUFFIXES", "Flag", "FlagValue", "RunConfig"]
