"""Near duplicates of a run: photographs that are one picture, so that the split keeps them on one side.

By the bottleneck vectors, which are there, all photographs are compared with all; only those that have another one near
them are read for their looks, and pairs.py decides. At a cosine of 0.85 the other one is among them for 98 of 100
copies at 60 % of the size, and 99 at JPEG quality 40, cut by 5 % or brightened by 10 %, of flowers; of cats and dogs,
textures, pieces of trash and star clusters for all. Of the photographs themselves, 35 % of flowers (375), 7 % of cats
and dogs (400), 29 % of textures (110), 60 % of trash (600) and all star clusters (84) have one so near.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from retrain.alike import kept
from retrain.alike.alignment import Indices, likenesses
from retrain.alike.candidates import Bits, directions, have_neighbours
from retrain.alike.fingerprints import Fingerprint, fingerprint
from retrain.alike.pairs import near_pairs
from retrain.bottlenecks import BottleneckStore, Features
from retrain.console import Console, printable
from retrain.errors import ImageError
from retrain.images import Floats, Pixels, SkyStretch, read_image_file
from retrain.litert import usable_cores
from retrain.storage import is_url
from retrain.threads import in_order

LEAST_COSINE = 0.85
# Time grows with the square of the number of photographs: see docs/splits.md.
MOST_PHOTOGRAPHS = 100_000
# Files that are waited for at a time; how many are read at a time where each takes its way through a network; and how
# many are kept at a time, which is what a kill loses.
_QUEUE, _FAR_READERS, _KEPT_TOGETHER = 64, 8, 256


def near_duplicates(
    features: Features,
    store: BottleneckStore,
    console: Console,
    threads: int = 0,
    sky: SkyStretch | None = None,
    seen: Mapping[bytes, kept.Look] | None = None,
) -> list[tuple[int, int]]:
    """Find photographs that are one picture scaled, cut, brightened or compressed anew.

    Args:
        features: of all photographs.
        store: the backbone's cache, which remembers what was found.
        console: shown how far it is.
        threads: that read and decode; 0: one a core.
        sky: how the run stretches pictures with more than 8 bits a value; the store is one of this stretch.
        seen: digest -> thumbnail and hash of photographs that need not be read for them.

    Returns:
        Pairs of indices, the first photograph of each content standing for all exact copies of it.
    """
    first: dict[bytes, int] = {}
    for index, sha in enumerate(features.sha256s):
        first.setdefault(sha, index)
    if len(first) > MOST_PHOTOGRAPHS:
        console.warn(
            f"near duplicates are not looked for among more than {MOST_PHOTOGRAPHS:,} different photographs, and there "
            f"are {len(first):,}: copies that were scaled or compressed anew may lie on two sides; --group_by keeps "
            "together what names tell, and --near_duplicates=ignore says that this is well"
        )
        return []
    # In the order of their contents, so that what is found does not depend on what files are called.
    different = sorted(first)
    # Imported vectors are another comparison: they may be wrong.
    key = kept.key_of([*different, *[b"unverified"] * bool(features.unverified)])
    found = kept.recall(store, key)
    if found is None:
        found = _Comparison(features, store, console, threads, sky, seen or {}).among(different, first, key)
    return sorted((first[one], first[other]) for one, other in found)


class _Comparison:
    """One comparison of all photographs of a run."""

    def __init__(
        self,
        features: Features,
        store: BottleneckStore,
        console: Console,
        threads: int,
        sky: SkyStretch | None,
        seen: Mapping[bytes, kept.Look],
    ) -> None:
        self.features, self.store, self.console, self.sky, self.seen = features, store, console, sky, seen
        far = is_url(features.catalog.root)
        self.threads = _FAR_READERS if far else threads or usable_cores()

    def among(self, different: Sequence[bytes], first: dict[bytes, int], key: bytes) -> list[kept.Digests]:
        """Compare, and remember what was found."""
        rows = np.array([first[sha] for sha in different], np.intp)
        chosen = rows[have_neighbours(self.features.rows, rows, LEAST_COSINE)]
        looks, is_whole = self._looks(chosen)
        pairs = self._pairs(chosen, looks)
        if is_whole:  # else the next run tries again
            kept.remember(self.store, key, pairs)
        return pairs

    def _pairs(self, chosen: Indices, looks: dict[bytes, kept.Look]) -> list[kept.Digests]:
        chosen = np.array([row for row in chosen if self.features.sha256s[row] in looks], np.intp)
        if len(chosen) < 2:
            return []
        digests = [self.features.sha256s[row] for row in chosen]
        thumbnails = np.stack([looks[sha][0] for sha in digests])
        bits = np.stack([looks[sha][1] for sha in digests])
        compare = partial(self._compare, digests)
        one, other, _ = near_pairs(thumbnails, bits, directions(self.features.rows, chosen), compare=compare)
        return [(digests[a], digests[b]) for a, b in zip(one, other, strict=True)]

    def _compare(
        self, digests: Sequence[bytes], thumbnails: Pixels, first: Indices, second: Indices, enough: float
    ) -> Floats:
        """Compare pairs of which no earlier run has kept how alike they are: those with a new photograph."""
        pairs = [(digests[one], digests[other]) for one, other in zip(first, second, strict=True)]
        found = kept.known_likenesses(self.store, pairs)
        new = np.flatnonzero(np.isnan(found))
        found[new] = likenesses(thumbnails, first[new], second[new], enough)
        kept.keep_likenesses(self.store, [pairs[place] for place in new], found[new])
        return found

    def _looks(self, chosen: Indices) -> tuple[dict[bytes, kept.Look], bool]:
        """How photographs look, by the cache or by reading them; and whether all could be read."""
        digests = [self.features.sha256s[row] for row in chosen]
        looks = kept.known_looks(self.store, digests)
        if lent := {sha: self.seen[sha] for sha in digests if sha not in looks and sha in self.seen}:
            kept.keep_looks(self.store, [(sha, *look) for sha, look in lent.items()])
            looks |= lent
        missing = [int(row) for row, sha in zip(chosen, digests, strict=True) if sha not in looks]
        batch: list[tuple[bytes, Pixels, Bits]] = []
        try:
            for sha, thumbnail, bits in self._read(missing):
                looks[sha] = thumbnail, bits
                batch.append((sha, thumbnail, bits))
                if len(batch) >= _KEPT_TOGETHER:
                    kept.keep_looks(self.store, batch)
                    batch.clear()
        finally:
            if batch:
                kept.keep_looks(self.store, batch)
        return looks, len(looks) == len(digests)

    def _read(self, missing: Sequence[int]) -> Iterator[tuple[bytes, Pixels, Bits]]:
        catalog, lost = self.features.catalog, []
        paths = (catalog.full_path(catalog.records[row]) for row in missing)
        answers = in_order(partial(_look_at, sky=self.sky), paths, self.threads, _QUEUE, wait=False)
        with self.console.stage("Looking for near duplicates", len(missing), "photographs") as advance:
            for row, answer in zip(missing, answers, strict=True):
                advance()
                # Trap: a file may have been edited since its vector was made.
                if isinstance(answer, Fingerprint) and answer.sha256 == self.features.sha256s[row]:
                    yield answer.sha256, answer.thumbnail, answer.bits
                else:
                    lost.append(catalog.records[row].path)
        if lost:
            self.console.warn(
                f"{len(lost)} photographs changed or could not be read again while near duplicates were looked for, "
                f"such as {printable(lost[0])}: they are compared with no other in this run"
            )


def _look_at(path: str, sky: SkyStretch | None) -> Fingerprint | ImageError:
    try:
        return fingerprint(read_image_file(path), sky)
    except ImageError as error:
        return error
