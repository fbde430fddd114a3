"""Photographs that are the same picture: exact copies, and copies that were scaled, cut, brightened or compressed anew.

fingerprints.py measures each photograph once, candidates.py finds pairs worth a closer look, alignment.py tells copies
from look-alikes by their fine detail, and pairs.py puts the three together, with the thresholds and how they came.
near.py does so for a run, which has vectors of all photographs and reads as few of them again as it can; kept.py is
what it keeps in the cache.
"""

from retrain.alike.fingerprints import Fingerprint, Fingerprints, fingerprint, gathered
from retrain.alike.kept import Look
from retrain.alike.near import near_duplicates
from retrain.alike.pairs import Duplicates, Pair, find_duplicates

__all__ = [
    "Duplicates",
    "Fingerprint",
    "Fingerprints",
    "Look",
    "Pair",
    "find_duplicates",
    "fingerprint",
    "gathered",
    "near_duplicates",
]
