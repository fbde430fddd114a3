"""Digests by the million: found without a dictionary, which takes 250 bytes a digest where 48 do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrain.bottlenecks.matrix import Indices

DIGEST_BYTES = 32


class Wanted:
    """Tells at which indices a digest stands.

    Args:
        digests: DIGEST_BYTES each, repeats allowed.
    """

    def __init__(self, digests: Sequence[bytes]) -> None:
        self._words = _words(digests)
        keys = _keys(self._words)
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find(self, digests: Sequence[bytes]) -> tuple[Indices, Indices]:
        """Look digests up.

        Args:
            digests: DIGEST_BYTES each.

        Returns:
            Pairs, one for each index that is found: intp (n,), the place in ``digests``, and intp (n,), the index.
        """
        asked = _words(digests)
        keys = _keys(asked)
        # All that share 8 bytes, and of these the ones that share 32.
        first = np.searchsorted(self._keys, keys, "left")
        counts = np.searchsorted(self._keys, keys, "right") - first
        places = np.repeat(np.arange(len(asked)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        indices = self._order[first[places] + within]
        equal = (self._words[indices] == asked[places]).all(axis=1)
        return places[equal], indices[equal]


def _keys(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """uint64 (N,): 8 bytes that depend on all 32."""
    keys: npt.NDArray[np.uint64] = np.bitwise_xor.reduce(words, axis=1)
    return keys


def _words(digests: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """uint64 (N, 4): only to be compared, so that their byte order is the machine's."""
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, DIGEST_BYTES // 8)
