"""What the doctor finds of what was planted: exact and near duplicates, and shortcuts.

    python bench/doctor.py SET [SET ...]

A SET is a folder with one sub-folder a class. Copies of each photograph are made in memory: at 60 % of its size, at
JPEG quality 40, cut by 5 % at a random place, brightened by 10 %, and, beyond the goals, cut by 10 %. A copy is found
when it comes into one group with its original. A pair is false when it joins photographs of two originals that were not
joined without the copies; the pairs of a set as it is are counted, to be looked at by a person. Trees for the exact
duplicates are of random contents, each photograph there one to four times, in any class. Shortcuts are planted in one
of two pseudo-classes, into which the set is split at random.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from common import add_backbone, print_table, save, say
from photographs import class_folders
from PIL import Image, ImageEnhance, ImageOps

from retrain.alike.fingerprints import HASH_BITS, THUMBNAIL, Fingerprint, Fingerprints, fingerprint, gathered
from retrain.alike.pairs import Duplicates, find_duplicates
from retrain.backbones import FrozenBackbone, find_backbone, prepare_backbone
from retrain.console import Console
from retrain.dataset import Catalog, ImageRecord
from retrain.dataset.split import SplitRequest, split_images
from retrain.doctor.shortcuts import find_shortcuts
from retrain.images import Floats, decode_upright

# Larger than any photograph: nothing is scaled while decoding.
_WHOLE = 1 << 16
_QUALITY = 90
_SPLITS = 10
_TREES = 500
_PSEUDO = ("one half", "other half")


@dataclass(frozen=True)
class Line:
    """One figure of one set."""

    set_name: str
    figure: str
    goal: str
    measured: str


def main() -> int:
    """Measure all, print the table, write the results."""
    arguments = _parse()
    backbone = prepare_backbone(
        find_backbone(arguments.architecture), arguments.model_dir, offline=True, console=Console(quiet=True)
    )
    extract = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)
    lines = [_trees(arguments.trees)]
    for folder in arguments.sets:
        contents = [path.read_bytes() for paths in class_folders(folder).values() for path in paths]
        say(f"{folder.name}: {len(contents)} photographs")
        lines += near_duplicates(folder.name, contents, extract)
        lines += shortcuts(folder.name, contents)
    print_table(["set", "figure", "goal", "measured"], [list(asdict(line).values()) for line in lines])
    save("doctor", {"lines": [asdict(line) for line in lines]})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="folder of class folders")
    parser.add_argument("--trees", type=int, default=_TREES, help="trees of exact duplicates (default: %(default)s)")
    add_backbone(parser)
    arguments = parser.parse_args()
    missing = [str(folder) for folder in arguments.sets if not folder.is_dir()]
    if missing:
        parser.error(f"expected folders of class folders, but there is no folder {', '.join(missing)}")
    return arguments


def _trees(trees: int) -> Line:
    planted = found = apart = 0
    for seed in range(trees):
        rng = np.random.default_rng(seed)
        contents = np.repeat(np.arange(60), rng.integers(1, 5, 60))
        rng.shuffle(contents)
        digests = rng.integers(0, 256, (60, 32), dtype=np.uint8)[contents]
        groups = find_duplicates(_unlike(digests, rng)).group_numbers(len(contents))
        records = tuple(
            ImageRecord(f"{label}/{n}.jpg", int(label), 1, 0, 0)
            for n, label in enumerate(rng.integers(0, 3, len(contents)))
        )
        records = tuple(sorted(records, key=lambda record: record.label))
        order = [int(record.path.split("/")[1].split(".")[0]) for record in records]
        catalog = Catalog("trees", ("0", "1", "2"), records)
        split = split_images(catalog, [digests[n].tobytes() for n in order], SplitRequest("content", 20, 20))
        sides = np.empty(len(contents), np.uint8)
        sides[order] = split.sides
        for content in range(60):
            rows = np.flatnonzero(contents == content)
            planted += len(rows) > 1
            found += len(rows) > 1 and len(set(groups[rows])) == 1
            apart += len(set(sides[rows])) > 1
    measured = f"{found} of {planted} found, {apart} on two sides"
    return Line(f"{trees} trees", "exact duplicates", "all found, none on two sides", measured)


def _unlike(digests: np.ndarray, rng: np.random.Generator) -> Fingerprints:
    """Fingerprints of the same content alike, all others unlike."""
    count = len(digests)
    thumbnails = rng.integers(0, 256, (count, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    bits = rng.random((count, HASH_BITS)) < 0.5
    names = tuple(map(str, range(count)))
    return Fingerprints(names, np.arange(count), digests, bits, thumbnails, (), (), {}, {})


def near_duplicates(name: str, contents: Sequence[bytes], extract: FrozenBackbone) -> list[Line]:
    """Plant copies of each kind and look for them, with and without bottleneck vectors."""
    originals, vectors = _measured(contents, extract)
    own = find_duplicates(_table(originals), vectors)
    lines = [Line(name, "pairs in the set as it is", "", str(len(own.pairs)))]
    for number, (kind, copy) in enumerate(COPIES.items()):
        made = [copy(decode_upright(data, _WHOLE, _WHOLE), _rng(number, row)) for row, data in enumerate(contents)]
        copies, their_vectors = _measured(made, extract)
        prints, both = _table([*originals, *copies]), np.concatenate([vectors, their_vectors])
        goal = ">= 95 % found, <= 1 % false" if "10 %" not in kind or "bright" in kind else ""
        lines.append(
            Line(name, f"near duplicates, {kind}", goal, _found(find_duplicates(prints, both), own, len(made)))
        )
        alone = _found(find_duplicates(prints), own, len(made))
        lines.append(Line(name, f"near duplicates, {kind}, no vectors", "", alone))
    return lines


def _found(found: Duplicates, own: Duplicates, count: int) -> str:
    numbers, known = found.group_numbers(2 * count), own.group_numbers(count)
    hits = float((numbers[:count] == numbers[count:]).mean())
    false = sum(known[pair.first % count] != known[pair.second % count] for pair in found.pairs)
    return f"{hits:.1%} found, {false / max(1, len(found.pairs)):.2%} false"


def _measured(contents: Sequence[bytes], extract: FrozenBackbone) -> tuple[list[Fingerprint], Floats]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(fingerprint, contents)), np.stack(list(pool.map(extract, contents)))


def _table(prints: Sequence[Fingerprint]) -> Fingerprints:
    return gathered([f"{number}.jpg" for number in range(len(prints))], prints)


def shortcuts(name: str, contents: Sequence[bytes]) -> list[Line]:
    """Split a set in two at random, with and without something planted in one half."""
    clean = [fingerprint(data) for data in contents]
    halves = [np.random.default_rng(seed).permutation(len(contents)) % 2 for seed in range(_SPLITS)]
    alarms = sum(bool(_predicting(clean, half)) for half in halves)
    lines = [Line(name, "alarms on clean splits", f"0 of {_SPLITS}", f"{alarms} of {_SPLITS}")]
    for kind, (plant, properties) in _PLANTED.items():
        changed = [fingerprint(plant(decode_upright(data, _WHOLE, _WHOLE))) for data in contents]
        mixed = [[(old, new)[side] for old, new, side in zip(clean, changed, half, strict=True)] for half in halves]
        # Found by what was planted, not by the compression that comes with saving anew.
        found = [_predicting(prints, half) for prints, half in zip(mixed, halves, strict=True)]
        hits = sum(bool(properties & set(kinds)) for kinds in found)
        lines.append(Line(name, f"planted: one half {kind}", f"{_SPLITS} of {_SPLITS}", f"{hits} of {_SPLITS}"))
    return lines


def _predicting(prints: Sequence[Fingerprint], half: np.ndarray) -> list[str]:
    return [one.property.kind for one in find_shortcuts(_table(prints), half.tolist(), _PSEUDO)]


def _rng(number: int, row: int) -> np.random.Generator:
    return np.random.default_rng((number, row))


def _jpeg(image: Image.Image, quality: int = _QUALITY) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _cut(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    left, top = share * rng.random(2)
    right, bottom = 1 - share + left, 1 - share + top
    return image.crop(
        (int(left * image.width), int(top * image.height), int(right * image.width), int(bottom * image.height))
    )


COPIES: dict[str, Callable[[Image.Image, np.random.Generator], bytes]] = {
    "60 % of the size": lambda image, _: _jpeg(_scaled(image, 0.6)),
    "JPEG quality 40": lambda image, _: _jpeg(image, 40),
    "cut by 5 %": lambda image, rng: _jpeg(_cut(image, 0.05, rng)),
    "brightened by 10 %": lambda image, _: _jpeg(ImageEnhance.Brightness(image).enhance(1.1)),
    "cut by 10 %": lambda image, rng: _jpeg(_cut(image, 0.1, rng)),
}
# What is planted, and the properties that it is to be found by.
_PLANTED: dict[str, tuple[Callable[[Image.Image], bytes], set[str]]] = {
    "resized to 70 %": (lambda image: _jpeg(_scaled(image, 0.7)), {"size"}),
    "recompressed at quality 60": (lambda image: _jpeg(image, 60), {"compression"}),
    "with a border of 2 %": (
        lambda image: _jpeg(ImageOps.expand(image, max(2, image.width // 50))),
        {"border", "frame", "size"},
    ),
}

if __name__ == "__main__":
    raise SystemExit(main())
