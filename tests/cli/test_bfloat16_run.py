"""--precision bfloat16 on a processor that has it: what the vectors depend on, and what the run says."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, Place, Trained

from retrain.backbones import Bfloat16Backbone, FrozenBackbone, PreparedBackbone, find_backbone, prepare_backbone
from retrain.backbones.bfloat16 import BATCH
from retrain.config.processor import bfloat16_hindrance
from retrain.console import Console

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(bfloat16_hindrance() is not None, reason=f"no bfloat16 here: {bfloat16_hindrance()}"),
]


@pytest.fixture(scope="module")
def backbone(trained: Trained) -> PreparedBackbone:
    spec = find_backbone("mobilenet_0.50_224")
    return prepare_backbone(spec, trained.place.model_dir, offline=True, console=Console(quiet=True))


def test_a_vector_depends_on_neither_its_batch_nor_its_place_in_it(backbone: PreparedBackbone) -> None:
    photographs = [path.read_bytes() for path in sorted(PHOTOS.glob("*/*"))[: 3 * BATCH]]
    with Bfloat16Backbone(backbone, 2) as run:
        alone = [run(data) for data in photographs[:4]]
        with ThreadPoolExecutor(2 * BATCH) as pool:
            forth = list(pool.map(run, photographs))
            back = list(pool.map(run, reversed(photographs)))[::-1]
    with Bfloat16Backbone(backbone, 1) as run:
        one_core = run(photographs[0])
    exact = FrozenBackbone(backbone.tflite, backbone.spec.input_spec)(photographs[0])
    assert np.array_equal(alone, forth[:4])
    assert np.array_equal(forth, back)
    assert np.array_equal(one_core, forth[0])
    # It is bfloat16, and it is the same backbone; these weights lose 6 % of it, in OpenVINO as well.
    assert 1e-4 < np.linalg.norm(exact - forth[0]) / np.linalg.norm(exact) < 0.1


def test_the_run_says_how_far_off_it_is_and_keeps_a_cache_of_its_own(trained: Trained, place: Place) -> None:
    cache = trained.place.folder / "tf_files/bottlenecks"
    before = {path.name: path.read_bytes() for path in cache.glob("*.sqlite")}
    run = place.retrain("--precision", "bfloat16", "--bottleneck_dir", cache, "--cross_validation_folds", "0")
    assert run.returncode == 0, run.stderr
    assert "84 bottleneck files created. 84 bottlenecks in use" in run.stdout
    said = re.search(
        r"^Features in bfloat16 differ from float32 by ([\d.]+) % \(at most ([\d.]+) %\); "
        r"the same first label on (\d+) of 32 photographs$",
        run.stdout,
        re.MULTILINE,
    )
    assert said is not None
    assert 0 < float(said[1]) <= float(said[2]) < 10
    drift = json.loads((place.folder / "tf_files/retrained_graph.metrics.json").read_text())["precision_drift"]
    assert (drift["photographs"], drift["agreeing"]) == (32, int(said[3]))
    after = {path.name: path for path in cache.glob("*.sqlite")}
    assert len(after) == len(before) + 1
    again = place.retrain("--precision", "bfloat16", "--bottleneck_dir", cache, "--cross_validation_folds", "0")
    assert "0 bottleneck files created. 84 bottlenecks in use" in again.stdout


def test_the_model_is_a_float32_one(trained: Trained, place: Place) -> None:
    run = place.retrain("--precision", "bfloat16", "--cross_validation_folds", "0")
    assert run.returncode == 0, run.stderr
    size = (place.folder / "tf_files/retrained_graph.tflite").stat().st_size
    assert abs(size - trained.graph.with_suffix(".tflite").stat().st_size) < 2000


def test_a_broken_graph_ends_the_run_with_a_sentence(backbone: PreparedBackbone, tmp_path: Path) -> None:
    from dataclasses import replace

    from retrain.errors import RetrainError

    (tmp_path / "broken.pb").write_bytes(b"\xff" * 100)
    broken = replace(backbone, graph=tmp_path / "broken.pb")
    with (
        Bfloat16Backbone(broken, 1) as run,
        pytest.raises(RetrainError, match=r"(?s)the bfloat16 process ended:.*DecodeError.*--precision float32"),
    ):
        run(next(PHOTOS.glob("*/*")).read_bytes())
