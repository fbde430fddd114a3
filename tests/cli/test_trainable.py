"""What a job trains: weights by seed, layers that stay and layers that learn, on real photographs where it matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, python

from retrain.backbones import find_backbone
from retrain.backbones.layers import listed

pytestmark = pytest.mark.tensorflow

CASES = ("scratch", "training_mode", "tuned", "lines", "vgg", "mixed", "measured")


def run(folder: Path, *cases: str) -> dict[str, Any]:
    done = python(ROOT / "tests" / "cli" / "train_parts.py", folder, *cases, timeout_s=600)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line.removeprefix("ROW ")) for line in done.stdout.splitlines() if line.startswith("ROW ")]
    return dict(rows)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(tmp_path_factory.mktemp("trainable"), *CASES)


def learnt_below_and_above(facts: dict[str, Any]) -> tuple[list[bool], list[bool]]:
    line = facts["line"]
    below, above = facts["learnt"][:line], facts["learnt"][line:]
    return [one for layer in below for one in layer], [one for layer in above for one in layer]


def test_weights_are_drawn_by_the_seed_alone(told: dict[str, Any], tmp_path: Path) -> None:
    facts = told["scratch"]
    assert facts["drawn"] == facts["again"] != facts["other"]
    assert run(tmp_path, "scratch")["scratch"]["drawn"] == facts["drawn"]


def test_from_scratch_all_learns_alike_and_kernels_decay(told: dict[str, Any]) -> None:
    (block,) = told["scratch"]["blocks"]
    assert len(block) == 10
    assert block[-2:] == ["last/kernel", "last/bias"]
    assert told["scratch"]["decayed"] == [name for name in block if name.endswith("kernel")]


def test_a_network_learns_and_what_is_saved_is_what_was_trained(told: dict[str, Any]) -> None:
    facts = told["scratch"]
    assert facts["losses"][-1] < 0.3 * facts["losses"][0]
    assert facts["accuracy"] >= 0.9
    assert facts["saved"] < 1e-4
    assert facts["kinds"] == ["float32", "float32"]
    assert facts["unfit"].startswith("NumericalError: a weight of the trained network is not a finite number")
    assert facts["left"] == ["head.npz"]


def test_from_scratch_values_drop_out_and_statistics_are_counted(told: dict[str, Any]) -> None:
    facts = told["training_mode"]
    assert all(one["calm"] for one in facts.values())
    assert facts["scratch"] == {"drops": True, "calm": True, "counts": True, "trained": 7}
    # Above the line values still drop out, and the factors of normalisations learn; statistics stay.
    assert facts["tuned"] == {"drops": True, "calm": True, "counts": False, "trained": 7}
    assert facts["frozen"] == {"drops": False, "calm": True, "counts": False, "trained": 2}


def test_layers_below_the_line_stay_to_the_bit_and_those_above_learn(told: dict[str, Any]) -> None:
    facts = told["tuned"]
    assert (facts["line"], facts["first"]) == (61, "conv_dw_10")
    below, above = learnt_below_and_above(facts)
    assert (len(below), len(above)) == (57, 24)
    assert not any(below)
    assert all(above)
    assert not any(one for layer in facts["counted"] for one in layer)
    # Four blocks of the backbone and the head.
    assert facts["blocks"] == [6, 6, 6, 6, 2]
    assert len(facts["decayed"]) == 4 * 2 + 1
    assert all(name.endswith("kernel") for name in facts["decayed"])


def test_the_head_begins_where_the_job_says_and_the_loss_falls(told: dict[str, Any]) -> None:
    facts = told["tuned"]
    assert facts["begun"] == [[0, 1]]
    assert facts["more"][-1] < 0.6 * facts["losses"][0]
    assert "expected a layer of (512, 2) to start from" in facts["narrow"]
    assert facts["broken"].startswith("WeightsError: cannot read the layer to start from")


def test_the_line_is_drawn_where_it_is_asked_for(told: dict[str, Any]) -> None:
    named, none = told["lines"]["named"], told["lines"]["none"]
    assert named["first"] == "block_15_depthwise"
    below, above = learnt_below_and_above(named)
    assert not any(below)
    assert all(above)
    # Of block 15 from its depthwise convolution on, block 16, the last convolution, the head.
    assert named["blocks"] == [6, 9, 3, 2]
    assert none["line"] == 0
    # All that can learn, and the head.
    assert sum(none["blocks"]) == len(learnt_below_and_above(none)[1]) + 2
    assert len(none["blocks"]) == 20
    assert "got 'block_15_depthwse'; did you mean block_15_depthwise?" in told["lines"]["unknown"]
    assert "expected --freeze_layers to be at most 155" in told["lines"]["many"]


def test_vgg16_with_its_first_ten_layers_frozen(told: dict[str, Any]) -> None:
    facts = told["vgg"]
    assert facts["names"][9:12] == ["block3_conv3", "block3_pool", "block4_conv1"]
    below, above = learnt_below_and_above(facts)
    assert (len(below), len(above)) == (14, 12)
    assert not any(below)
    assert all(above)
    assert facts["blocks"] == [6, 6, 2]
    assert facts["apart"] < 1e-5


def test_with_mixed_precision_products_are_rough_and_weights_are_not(told: dict[str, Any]) -> None:
    facts = told["mixed"]
    assert facts["kinds"] == ["float32"]
    assert facts["logits"] == "float32"
    assert facts["vectors"] == ["<dtype: 'float32'>", "<dtype: 'bfloat16'>"]
    assert 0 < facts["apart"] < 0.2
    assert facts["losses"][1] < facts["losses"][0]
    assert facts["policy"] == "float32"


def test_what_is_said_of_a_network_is_what_keras_builds(told: dict[str, Any]) -> None:
    for name, (ours, theirs) in told["measured"].items():
        assert ours == theirs, name


def test_layers_are_listed_by_a_process_of_their_own() -> None:
    layers = listed(find_backbone("mnist_cnn_12_grey"))
    assert [one.name for one in layers] == [
        "images", "grey", "convolution1", "pool1", "convolution2", "pool2", "flatten1", "dense1", "dropout1",
    ]  # fmt: skip
    assert [one.block for one in layers] == [0, 0, 1, 1, 2, 2, 2, 3, 3]
    assert layers[1].parameters == 0
    assert layers[2].parameters == 25 * 32 + 32
