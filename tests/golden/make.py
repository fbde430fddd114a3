"""Write one of each kind of file that is kept, by the version of this project that PYTHONPATH names; see README.md."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from retrain import bundle
from retrain.bottlenecks import store
from retrain.dataset import ImageRecord

FINGERPRINT, WIDTH, ROOT = "ab" * 32, 8, "/photographs"
NAMES = ("cats/0.jpg", "cats/1.jpg", "dogs/0.jpg")
# Of a description: whatever this version asks for that has no default.
FACTS: dict[str, Any] = {
    "labels": ("cats", "dogs"),
    "input_height": 2,
    "input_width": 2,
    "input_mean": 127.5,
    "input_std": 127.5,
    "input_node": "input",
    "output_node": "final_result",
    "architecture": "mobilenet_0.50_224",
    "weights_source": "bundled",
    "weights_sha256": "0" * 64,
    "feature_width": 12,
    "head_step": 7,
    "split_sha256": "1" * 64,
    "training": {"steps": 10.0},
    "versions": {"python": "3.11.0"},
    "unknown_threshold": 0.25,
    "temperature": 1.5,
    "date": "2026-01-02T03:04:05+00:00",
}


def vector_of(name: str) -> np.ndarray:
    """A vector: float32 (WIDTH,), a function of a name."""
    return (np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4") / 2**32).astype(np.float32)


def make_bundle(folder: Path) -> None:
    """The description of a model."""
    known = {one.name for one in fields(bundle.Bundle)}
    made = bundle.Bundle(**{name: value for name, value in FACTS.items() if name in known})
    (folder / f"bundle-{bundle.FORMAT_VERSION}.json").write_bytes(made.to_json())


def make_cache(folder: Path) -> None:
    """A cache of vectors, with small pages so that the file is small."""
    path = folder / f"cache-{store.FORMAT_VERSION}.sqlite"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("VACUUM")
    shas = [hashlib.sha256(name.encode()).digest() for name in NAMES]
    files = [
        (ImageRecord(name, 0, 100, 10**18, 10**18), 2 * 10**18, sha) for name, sha in zip(NAMES, shas, strict=True)
    ]
    with store.BottleneckStore(path, FINGERPRINT, WIDTH) as cache:
        cache.put([(sha, vector_of(name)) for name, sha in zip(NAMES, shas, strict=True)], ROOT, files)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")


def make_checkpoint(folder: Path) -> None:
    """A checkpoint of a training."""
    from retrain.trainer.checkpoints import Checkpoints
    from retrain.trainer.job import TRAINING_VERSION
    from retrain.trainer.progress import Progress

    told: list[Path] = []
    with Checkpoints(folder / "job", "d" * 64, 2, lambda step, path: told.append(path)) as checkpoints:
        checkpoints.write(Progress(step=3), [vector_of("weights")])
    told[0].rename(folder / f"checkpoint-{TRAINING_VERSION}.npz")
    (folder / "job").rmdir()


def make_pixels(folder: Path) -> None:
    """Decoded photographs."""
    from retrain.images import InputSpec
    from retrain.pixels.index import FORMAT_VERSION
    from retrain.pixels.store import PixelStore

    key = hashlib.sha256(b"a photograph").digest()
    made = PixelStore(folder, InputSpec(2, 2, 127.5, 127.5), [key], 10**6)
    made.put([key], [np.arange(12, dtype=np.uint8).reshape(2, 2, 3)])
    made.close()
    for suffix in (".rows", ".index"):
        made.path.with_suffix(suffix).rename(folder / f"pixels-{FORMAT_VERSION}{suffix}")
    Path(f"{made.path}.lock").unlink()


def make_journals(folder: Path) -> None:
    """What label_image --watch remembers, and what fix did."""
    from retrain.insight.corrections import Correction, write_journal
    from retrain.label import remembered

    output = folder / f"watched-{remembered._VERSION}.csv"
    journal = remembered.Journal(str(output), {"format": "csv", "columns": ["path", "label"]})
    journal.output.write(b"1.jpg,cats\n")
    journal.remember("1.jpg", (100, 10**18))
    journal.close()
    write_journal(folder, [[Correction("cats/1.jpg", "dogs/1.jpg")]])
    (folder / "fixed.jsonl").rename(folder / "fixed-1.jsonl")


def make_manifest(folder: Path) -> None:
    """What is written beside a converted backbone."""
    from retrain.backbones.convert import write_files

    write_files(folder / "backbone-1", b"a LiteRT file", b"a graph", "2.20.0")


def make_model(folder: Path) -> None:
    """A trained model, on the fake backbone of tests/faults."""
    import fake_run

    work = folder / "work"
    if fake_run.run_here(fake_run.prepare(work)):
        raise RuntimeError("the run failed, see above")
    for path in sorted((work / "out").glob("model.*")):
        if path.suffix in (".pb", ".tflite", ".npz"):
            path.rename(folder / f"model-{bundle.FORMAT_VERSION}{path.name.removeprefix('model')}")
    shutil.rmtree(work)


def main(folder: Path) -> None:
    """Write what this version has.

    Args:
        folder: where; made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for make in (make_bundle, make_cache, make_checkpoint, make_pixels, make_journals, make_manifest, make_model):
        try:
            make(folder)
        except ImportError as error:
            print(f"{make.__name__}: this version has none ({error})")
    print(json.dumps(sorted(path.name for path in folder.iterdir()), indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
