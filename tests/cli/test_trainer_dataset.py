"""The batches as TensorFlow is given them: the same arrays, again and again, and our own errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import PHOTOS, python

from retrain import fsio
from retrain.dataset import TRAINING, VALIDATION
from retrain.images import InputSpec
from retrain.trainer.job import Augmentation, Job, Photograph, Settings, write_job

pytestmark = pytest.mark.tensorflow

SCRIPT = """
import gc, json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np, tensorflow as tf
from retrain.errors import RetrainError
from retrain.trainer.batches import Batches
from retrain.trainer.job import read_job

def same(dataset, arrays):
    found, expected = list(dataset.as_numpy_iterator()), list(arrays)
    assert len(found) == len(expected)
    return all((a == b).all() and a.dtype == b.dtype for x, y in zip(found, expected) for a, b in zip(x, y))

job = read_job(Path(sys.argv[1]))
batches = Batches(job)
dataset = batches.training(1)
found = {
    "training": same(dataset, batches.arrays(1)),
    "again": same(dataset, batches.arrays(1)),
    "skipped": same(batches.training(1, 4), batches.arrays(1, 4)),
    "past the end": same(batches.training(1, batches.steps_an_epoch), []),
    "validation": same(batches.validation(), batches.validation_arrays()),
    "shard": same(batches.shard(1, 2).training(0), batches.shard(1, 2).arrays(0)),
    "sizes": [list(one.shape) for one in dataset.element_spec],
    "length": int(dataset.cardinality()),
}
step = tf.function(lambda images, targets, weights: tf.reduce_sum(tf.cast(images, tf.float32)) + tf.reduce_sum(weights))
found["in a graph"] = all(np.isfinite(float(step(*one))) for one in dataset)
strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
found["distributed"] = sum(1 for _ in strategy.experimental_distribute_dataset(batches.training(0)))
for one in batches.training(2):
    break  # left in the middle
del one
gc.collect()
Path(sys.argv[2]).write_bytes(b"other")
batches = Batches(replace(job, pixels=""))
try:
    with batches.errors():
        for one in batches.training(0):
            pass
except RetrainError as error:
    found["error"] = [type(error).__name__, str(error)]
print(json.dumps(found))
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    photographs = []
    for label, folder in enumerate(sorted(path for path in PHOTOS.iterdir() if path.is_dir())):
        for number, path in enumerate(sorted(folder.iterdir())[:12]):
            copy = tmp_path / f"{label}-{number}.jpg"
            copy.write_bytes(path.read_bytes())
            side = VALIDATION if number % 4 == 3 else TRAINING
            photographs.append(Photograph(str(copy), fsio.sha256_file(copy), label, side))
    # Too little room for all of them, so that some are read from their files each time.
    return Job(
        "scratch", "tiny", "", 3, InputSpec(96, 96, 127.5, 127.5), ("a", "b"), tuple(photographs), Settings(3, 4, 0.1),
        Augmentation(True, 10, 20, mixup=0.2), pixels=str(tmp_path / "pixels"), pixel_cache_mb=1,
    )  # fmt: skip


def test_tensorflow_is_given_the_same_batches_and_our_errors(job: Job, tmp_path: Path) -> None:
    write_job(job, tmp_path)
    steps, shown = job.steps_an_epoch, Path(job.training[0].path)
    done = python("-c", SCRIPT, tmp_path, shown)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    kind, text = found.pop("error", ["none", "none"])
    assert found == {
        "training": True, "again": True, "skipped": True, "past the end": True, "validation": True, "shard": True,
        "sizes": [[None, 96, 96, 3], [None, 2], [None]], "length": steps, "in a graph": True, "distributed": steps,
    }  # fmt: skip
    assert kind == "RetrainError"
    assert f"expected {shown} to be the photograph that the run began with" in text
