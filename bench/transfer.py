r"""What a backbone's features are worth: accuracy of a linear head on them, set by set.

    python bench/transfer.py SET [SET ...] --weights bundled=mobilenet_0.50_224.npz genuine=FILE.npz \
        --graph teacher=retrained_graph.pb:MobilenetV1/Logits/AvgPool_1a/AvgPool:0

A SET is a folder with one sub-folder a class. Every backbone sees the same photographs (this project's decode, 224 px,
exact copies left out) and the same splits: 60 % to fit, 20 % to choose the regularisation, 20 % to test, after a refit
on the other 80 %; stratified, seeded. The head is scikit-learn's StandardScaler and LogisticRegression. A column
"random" has Keras' seeded initialisation. Weight files are arrays in the order of Keras' get_weights() without top; the
width is read off them. Splits of one set overlap, so the standard errors, taken over splits, are somewhat too small.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import print_table, save, say

from retrain.errors import ImageError
from retrain.images import InputSpec, decode_rgb, read_image_file

SIZE = 224
BATCH = 32
STRENGTHS = (1e-3, 1e-2, 1e-1)  # LogisticRegression's C
STEM_WIDTH = 32
SMALLEST_CLASS = 5
Features = npt.NDArray[np.float32]
Extract = Callable[[npt.NDArray[np.uint8]], Features]


@dataclass(frozen=True)
class PhotoSet:
    """A decoded set: pixels uint8 (N, 224, 224, 3), labels (N,), and a digest of all of it."""

    name: str
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    digest: str


@dataclass(frozen=True)
class Backbone:
    """A column of the table: its digest names it in the cache; open() is slow."""

    name: str
    digest: str
    open: Callable[[], Extract]


@dataclass(frozen=True)
class Cell:
    """Accuracy in percent over splits, and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.error:.1f}"


def main() -> int:
    """Measure every backbone on every set, print the table, write the results."""
    arguments = _parse()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        backbones = list(_backbones(arguments, Path(temp)))
        cache = arguments.cache or Path(temp)
        cache.mkdir(parents=True, exist_ok=True)
        rows = measure(arguments.sets, backbones, cache, arguments.splits)
    _print(rows, [backbone.name for backbone in backbones], arguments.splits)
    facts = [{"set": name, "photographs": n, **{k: asdict(v) for k, v in cells.items()}} for name, n, cells in rows]
    save("transfer", {"splits": arguments.splits, "sets": facts})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="folder of class folders")
    parser.add_argument("--weights", metavar="NAME=FILE.npz", nargs="+", default=[], type=_named, help="weight files")
    parser.add_argument(
        "--graph", metavar="NAME=FILE.pb:TENSOR", nargs="+", default=[], type=_named, help="frozen graphs"
    )
    parser.add_argument("--splits", type=int, default=5, help="random splits a set (default: 5)")
    parser.add_argument("--no_random", action="store_true", help="leave out the column of random weights")
    parser.add_argument("--cache", type=Path, help="folder that keeps the features (default: a temporary one)")
    arguments = parser.parse_args()
    if arguments.splits < 2:
        parser.error(f"expected --splits of at least 2, for a standard error, got {arguments.splits}")
    files = [Path(what) for _, what in arguments.weights] + [_graph_parts(what)[0] for _, what in arguments.graph]
    missing = [str(path) for path in [*arguments.sets, *files] if not path.exists()]
    if missing:
        parser.error(f"there is no {', '.join(missing)}")
    return arguments


def _named(text: str) -> tuple[str, str]:
    name, equals, what = text.partition("=")
    if not (name and equals and what):
        raise argparse.ArgumentTypeError(f"expected NAME=FILE, got {text!r}")
    return name, what


def _graph_parts(what: str) -> tuple[Path, str]:
    file, suffix, tensor = what.partition(".pb:")
    return Path(file + (".pb" if suffix else "")), tensor


def _backbones(arguments: argparse.Namespace, temp: Path) -> Iterator[Backbone]:
    if not arguments.no_random:
        path = temp / "random.npz"
        _write_random(path)
        yield Backbone("random", _digest(path), lambda: open_weights(path))
    for name, what in arguments.weights:
        yield Backbone(name, _digest(Path(what)), lambda what=what: open_weights(Path(what)))
    for name, what in arguments.graph:
        file, tensor = _graph_parts(what)
        key = hashlib.sha256(f"{_digest(file)} {tensor}".encode()).hexdigest()
        yield Backbone(name, key, lambda file=file, tensor=tensor: open_graph(file, tensor))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_random(path: Path) -> None:
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet((SIZE, SIZE, 3), alpha=0.5, include_top=False, weights=None, pooling="avg")
    np.savez(path, **{f"{number:03d}": array for number, array in enumerate(model.get_weights())})


def open_weights(path: Path) -> Extract:
    """Build the backbone that a weight file fits, as the package does."""
    from retrain.backbones.convert import build
    from retrain.backbones.table import find_backbone

    with np.load(path, allow_pickle=False) as archive:
        width = archive[min(archive.files)].shape[-1] / STEM_WIDTH
    name = f"mobilenet_{width:.2f}_{SIZE}".replace("1.00", "1.0")
    model = build(find_backbone(name), path)
    return lambda pixels: np.asarray(model(_scaled(pixels), training=False))


def open_graph(path: Path, tensor: str) -> Extract:
    """Open a frozen graph; one photograph at a time, as its input may be of that shape."""
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    # Trap: the first placeholder of a graph of ours is for the bytes of a JPEG.
    given = {node.name: node for node in definition.node}
    source = "input" if "input" in given else next(name for name in given if given[name].op == "Placeholder")
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    session = tf.compat.v1.Session(graph=graph)
    wanted = tensor if ":" in tensor else f"{tensor}:0"

    def extract(pixels: npt.NDArray[np.uint8]) -> Features:
        images = _scaled(pixels)
        return np.stack([session.run(wanted, {f"{source}:0": image[None]}).ravel() for image in images])

    return extract


def _scaled(pixels: npt.NDArray[np.uint8]) -> Features:
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def measure(
    folders: Sequence[Path], backbones: Sequence[Backbone], cache: Path, splits: int
) -> list[tuple[str, int, dict[str, Cell]]]:
    """Measure set by set, so that one set's pixels are in memory at a time."""
    opened: dict[str, Extract] = {}
    rows = []
    for folder in folders:
        photos = read_set(folder)
        cuts = list(random_splits(photos.labels, splits))
        cells = {}
        for backbone in backbones:
            say(f"{folder.name}: {backbone.name}")
            cells[backbone.name] = head_accuracy(features_of(photos, backbone, opened, cache), photos.labels, cuts)
        rows.append((photos.name, len(photos.labels), cells))
    return rows


def read_set(folder: Path) -> PhotoSet:
    """Decode a folder of class folders; exact copies and classes too small to split are left out."""
    spec, seen, pixels, labels = InputSpec(SIZE, SIZE, 127.5, 127.5), set(), [], []
    for number, part in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        images = []
        for path in sorted(part.iterdir()):
            try:
                data = read_image_file(path)
                digest = hashlib.sha256(data).digest()
                if digest not in seen:
                    images.append(decode_rgb(data, spec))
                    seen.add(digest)
            except ImageError as error:
                say(f"{path.name}: left out ({error})")
        if len(images) >= SMALLEST_CLASS:
            pixels += images
            labels += [number] * len(images)
    whole = np.stack(pixels)
    return PhotoSet(folder.name, whole, np.array(labels, np.int64), hashlib.sha256(whole.data).hexdigest())


def features_of(photos: PhotoSet, backbone: Backbone, opened: dict[str, Extract], cache: Path) -> Features:
    """Extract features, or read those of an earlier run."""
    path = cache / f"{backbone.digest[:16]}-{photos.digest[:16]}.npy"
    if not path.exists():
        extract = opened.get(backbone.name) or backbone.open()
        opened[backbone.name] = extract
        batches = [extract(photos.pixels[first : first + BATCH]) for first in range(0, len(photos.pixels), BATCH)]
        np.save(path, np.concatenate(batches).astype(np.float32))
    return np.load(path)


def random_splits(labels: npt.NDArray[np.int64], splits: int) -> Iterator[tuple[Any, Any, Any]]:
    """Cut a set in three, several times: to fit, to choose, to test."""
    from sklearn.model_selection import StratifiedShuffleSplit

    for seed in range(splits):
        rest, test = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=seed).split(labels, labels))
        inner = StratifiedShuffleSplit(1, test_size=0.25, random_state=seed)
        fit, choose = next(inner.split(rest, labels[rest]))
        yield rest[fit], rest[choose], test


def head_accuracy(features: Features, labels: npt.NDArray[np.int64], cuts: Sequence[tuple[Any, Any, Any]]) -> Cell:
    """Accuracy of the linear head over splits."""
    # Scaled as a whole, and without channels that say nothing: random weights give numbers too small to fit.
    features = features / features.std()
    features = features[:, features.std(axis=0) > 1e-4]
    values = 100 * np.array([_one_split(features, labels, *cut) for cut in cuts])
    return Cell(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))


def _one_split(features: Features, labels: npt.NDArray[np.int64], fit: Any, choose: Any, test: Any) -> float:
    scores = [
        _fitted(features, labels, fit, strength).score(features[choose], labels[choose]) for strength in STRENGTHS
    ]
    # The first of equals: the strongest regularisation.
    best = STRENGTHS[int(np.argmax(scores))]
    rest = np.concatenate([fit, choose])
    return float(_fitted(features, labels, rest, best).score(features[test], labels[test]))


def _fitted(features: Features, labels: npt.NDArray[np.int64], rows: Any, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=200, tol=1e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "did not converge": on random weights, and it is not what is compared
        return head.fit(features[rows], labels[rows])


def mean_over_sets(cells: Sequence[Cell]) -> Cell:
    """Mean over sets, each counting alike."""
    errors = np.array([cell.error for cell in cells])
    return Cell(float(np.mean([cell.mean for cell in cells])), float(np.sqrt((errors**2).sum()) / len(cells)))


def _print(rows: Sequence[tuple[str, int, dict[str, Cell]]], names: Sequence[str], splits: int) -> None:
    lines = [(name, str(count), *(str(cells[column]) for column in names)) for name, count, cells in rows]
    means = [str(mean_over_sets([cells[column] for _, _, cells in rows])) for column in names]
    print(f"Accuracy of a linear head, %: mean ± standard error of {splits} splits; whole photographs, {SIZE} px\n")
    print_table(("set", "photographs", *names), [*lines, (f"mean of {len(rows)}", "", *means)])


if __name__ == "__main__":
    sys.exit(main())
