"""Near duplicates that lie on two sides of a run's split, planted in many trees.

    python bench/near_splits.py SET [SET ...]

A SET is a folder with one sub-folder a class. Each photograph is copied at 60 % of its size, at JPEG quality 40, cut by
5 % at a random place and brightened by 10 %. A tree is a random half of the photographs, each with one to four of its
copies, in its class or, one in four, in another; it is split as a run splits it, 20 % to validate and 20 % to test.
Counted is in how many pairs of original and copy both lie on one side, with --near_duplicates=together and ignore; and
which share of the pairs that were joined are of two different originals that are not joined where they stand alone.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import add_backbone, print_table, save, say
from doctor import COPIES
from photographs import class_folders
from PIL import Image

from retrain.alike import near_duplicates
from retrain.backbones import FrozenBackbone, PreparedBackbone, find_backbone, prepare_backbone
from retrain.bottlenecks import BottleneckStore, Features, MemoryMatrix
from retrain.console import Console
from retrain.dataset import Catalog, ImageRecord, SplitRequest, split_images
from retrain.images import decode_upright

KINDS = [kind for kind in COPIES if kind != "cut by 10 %"]
_WHOLE = 1 << 16
_REQUEST = SplitRequest("content", 20, 20)


@dataclass(frozen=True)
class Planted:
    """A set with all of its copies, on the disk; row n is copy n % 5 of original n // 5, 0 being the original."""

    folder: Path
    labels: np.ndarray
    vectors: np.ndarray
    digests: Sequence[bytes]

    def features(self, rows: np.ndarray, labels: np.ndarray) -> Features:
        """What a run knows of some of them."""
        records = tuple(ImageRecord(f"{row}.jpg", int(label), 0, 0, 0) for row, label in zip(rows, labels, strict=True))
        catalog = Catalog(str(self.folder), tuple(map(str, range(int(self.labels.max()) + 1))), records)
        return Features(catalog, tuple(self.digests[row] for row in rows), MemoryMatrix(self.vectors[rows]), (), 0, 0)


def main() -> int:
    """Measure all, print the table, write the results."""
    arguments = _parse()
    backbone = prepare_backbone(
        find_backbone(arguments.architecture), arguments.model_dir, offline=True, console=Console(quiet=True)
    )
    lines = []
    for folder in arguments.sets:
        with tempfile.TemporaryDirectory(prefix="bench-") as temp:
            planted = plant(folder, Path(temp), backbone)
            say(f"{folder.name}: {len(planted.labels)} photographs and copies")
            lines.append(measure(folder.name, planted, arguments.trees, backbone))
    columns = ["set", "trees", "pairs", "on one side", "without", "joined falsely"]
    print_table(columns, [[str(value) for value in line.values()] for line in lines])
    save("near_splits", {"lines": lines})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="folder of class folders")
    parser.add_argument("--trees", type=int, default=50, help="trees of each set (default: %(default)s)")
    add_backbone(parser)
    return parser.parse_args()


def plant(folder: Path, place: Path, backbone: PreparedBackbone) -> Planted:
    """Write all photographs of a set and their copies, and extract their vectors."""
    extract = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)
    paths = [(path, label) for label, some in enumerate(class_folders(folder).values()) for path in some]

    def one(number: int) -> tuple[list[bytes], list[np.ndarray]]:
        data = paths[number][0].read_bytes()
        image: Image.Image = decode_upright(data, _WHOLE, _WHOLE)
        made = [data, *(COPIES[kind](image, np.random.default_rng((number, row))) for row, kind in enumerate(KINDS))]
        for row, content in enumerate(made):
            (place / f"{number * 5 + row}.jpg").write_bytes(content)
        return [hashlib.sha256(content).digest() for content in made], [extract(content) for content in made]

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(one, range(len(paths))))
    labels = np.repeat([label for _, label in paths], 5)
    vectors = np.stack([vector for _, vectors in found for vector in vectors])
    return Planted(place, labels, vectors, [digest for digests, _ in found for digest in digests])


def measure(name: str, planted: Planted, trees: int, backbone: PreparedBackbone) -> dict[str, object]:
    """Split many trees, and count."""
    counts = dict.fromkeys(("pairs", "together", "apart", "joined", "false"), 0)
    with BottleneckStore(planted.folder / "cache.sqlite", backbone.fingerprint, planted.vectors.shape[1]) as store:
        originals = np.arange(0, len(planted.labels), 5)
        own = near_duplicates(planted.features(originals, planted.labels[originals]), store, Console(quiet=True))
        known = {frozenset((one, other)) for one, other in own}
        for seed in range(trees):
            rows, labels = _tree(planted, np.random.default_rng(seed))
            features = planted.features(rows, labels)
            near = near_duplicates(features, store, Console(quiet=True))
            _count(counts, rows, features, near, known)
    return {
        "set": name,
        "trees": trees,
        "pairs": counts["pairs"],
        "on one side": f"{counts['together'] / counts['pairs']:.2%}",
        "without": f"{counts['apart'] / counts['pairs']:.2%}",
        "joined falsely": f"{counts['false'] / max(1, counts['joined']):.2%}",
    }


def _tree(planted: Planted, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    count = len(planted.labels) // 5
    rows = [
        5 * number + row
        for number in rng.permutation(count)[: count // 2]
        for row in (0, *(1 + rng.permutation(4)[: rng.integers(1, 5)]))
    ]
    chosen = np.array(rows)
    classes = int(planted.labels.max()) + 1
    away = (rng.random(len(chosen)) < 0.25) & (chosen % 5 > 0)
    labels = (planted.labels[chosen] + away * rng.integers(1, classes, len(chosen))) % classes
    order = np.lexsort((chosen, labels))
    return chosen[order], labels[order]


def _count(
    counts: dict[str, int],
    rows: np.ndarray,
    features: Features,
    near: list[tuple[int, int]],
    known: set[frozenset[int]],
) -> None:
    place = {int(row): index for index, row in enumerate(rows)}
    pairs = [(place[row // 5 * 5], index) for row, index in place.items() if row % 5]
    counts["pairs"] += len(pairs)
    for name, given in (("together", near), ("apart", [])):
        sides = split_images(features.catalog, features.sha256s, _REQUEST, near=given).sides
        counts[name] += int(sum(sides[one] == sides[other] for one, other in pairs))
    counts["joined"] += len(near)
    both = ((int(rows[one]) // 5, int(rows[other]) // 5) for one, other in near)
    counts["false"] += sum(one != other and frozenset((one, other)) not in known for one, other in both)


if __name__ == "__main__":
    raise SystemExit(main())
