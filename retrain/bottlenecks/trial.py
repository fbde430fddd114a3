"""Try imported vectors out: compute a sample of them again, then keep or drop the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrain.bottlenecks import unverified
from retrain.bottlenecks.matrix import Floats, MemoryMatrix
from retrain.bottlenecks.store import BottleneckStore
from retrain.dataset import Catalog
from retrain.extraction import Engine, Job

# Relative distance of a vector from the one computed here. Equal pixels through the same backbone differ by 2e-6, other
# resizing alone by 8 to 19 %.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Trial:
    """What came of computing unverified vectors again.

    Args:
        tested: how many were computed again.
        worst: the largest relative distance found; 0 when none was tested.
        promoted: how many became ordinary vectors without being computed again.
        dropped: how many were taken away; the tested ones are counted in neither, their own vectors were computed.
    """

    tested: int
    worst: float
    promoted: int
    dropped: int

    @property
    def passed(self) -> bool:
        """Whether all that were tested lie within TOLERANCE."""
        return self.worst <= TOLERANCE


def try_out(store: BottleneckStore, catalog: Catalog, engine: Engine, sample: int) -> Trial:
    """Compute some unverified vectors again; keep the others if all of those agree, or else drop them.

    Args:
        store: the cache.
        catalog: the photographs whose unverified vectors are meant.
        engine: what reads and extracts.
        sample: how many to compute, spread over the catalog; -1: all.

    Returns:
        What came of it. Whatever was computed is an ordinary vector now.
    """
    candidates = _places(store, catalog)
    shas = list(candidates)
    chosen = shas if sample < 0 or sample >= len(shas) else [shas[i * len(shas) // sample] for i in range(sample)]
    jobs = [Job(i, catalog.full_path(catalog.records[i])) for i in map(candidates.__getitem__, chosen)]
    tested, worst = list[bytes](), 0.0
    for answer in engine.extract(jobs, ()):
        if answer.sha256 in candidates and answer.vector is not None:
            theirs = np.zeros((1, store.width), np.float32)
            unverified.lend(store, MemoryMatrix(theirs), [answer.sha256], [0])
            store.put([(answer.sha256, answer.vector)], catalog.root, [])
            tested.append(answer.sha256)
            worst = max(worst, _distance(theirs[0], answer.vector))
    rest = [sha for sha in shas if sha not in set(tested)]
    passed = bool(tested) and worst <= TOLERANCE
    unverified.settle(store, tested, promote=False)
    if tested:
        unverified.settle(store, rest, promote=passed)
    kept = len(rest) if passed else 0
    return Trial(len(tested), worst, kept, len(rest) - kept if tested else 0)


def _places(store: BottleneckStore, catalog: Catalog) -> dict[bytes, int]:
    """Content that is unverified -> index of a photograph that has it."""
    listed = unverified.known(store)
    hashes = store.recognise(catalog.root, catalog.records)
    return {sha: index for index, sha in enumerate(hashes) if sha is not None and sha in listed}


def _distance(theirs: Floats, ours: Floats) -> float:
    return float(np.linalg.norm(theirs - ours) / max(float(np.linalg.norm(ours)), 1e-12))
