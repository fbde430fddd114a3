from pathlib import Path

import numpy as np
import pytest
from support import digest

from retrain import teaching
from retrain.backbones import PreparedBackbone, find_backbone
from retrain.backbones.weights import WeightsFile
from retrain.bottlenecks import Features, MemoryMatrix, material_of
from retrain.config import RunConfig
from retrain.config.sources import architectures_of, source_problems
from retrain.console import HeldConsole
from retrain.dataset import TRAINING, Catalog, ImageRecord, Split
from retrain.errors import UsageError
from retrain.head import AUTO
from retrain.outset import each_architecture, find_problems, spec_of
from retrain.teaching import Contender, decide, recipe_of, same_photographs

GOOD, BAD = "mobilenet_0.50_224", "mobilenet_0.25_128"


def contender(name, apart, count=60, **flags):
    """A backbone whose vectors tell two classes apart by so many deviations."""
    generator = np.random.default_rng(3)
    labels = np.arange(count) % 2
    vectors = (labels[:, None] * apart + generator.standard_normal((count, 6))).astype(np.float32)
    records = tuple(ImageRecord(f"{label}/{n}.jpg", int(label), 1, 0, 0) for n, label in enumerate(labels))
    shas = tuple(digest(b"%d" % n) for n in range(count))
    features = Features(Catalog("photos", ("a", "b"), records), shas, MemoryMatrix(vectors), (), (), 0)
    weights = WeightsFile(Path("w.npz"), "bundled", "a" * 64)
    backbone = PreparedBackbone(find_backbone(name), weights, Path("t"), Path("g"))
    config = RunConfig(image_dir="photos", architecture=name, how_many_training_steps=80, **flags)
    return Contender(config, backbone, features)


def decided(contenders):
    features = contenders[0].features
    split = Split(np.full(len(features.sha256s), TRAINING, np.uint8), (), features.sha256s)
    console = HeldConsole(quiet=False)
    materials = [material_of(one.features, None) for one in contenders]
    return decide(contenders, materials, split, console), console


def test_without_auto_the_flags_decide_and_nothing_is_compared():
    (place, recipe), _ = decided([contender(GOOD, 1.0, head="logistic")])
    assert (place, recipe.kind) == (0, "logistic")
    assert recipe_of(RunConfig(head="auto")).kind == AUTO


def test_the_backbone_that_tells_classes_apart_is_chosen_wherever_it_stands(monkeypatch):
    monkeypatch.setattr(teaching, "_cost_ms", lambda backbone: 2.0 if backbone.spec.name == GOOD else 1.0)
    for contenders, place in (
        ([contender(GOOD, 3.0, head="auto"), contender(BAD, 0.0, head="auto")], 0),
        ([contender(BAD, 0.0, head="auto"), contender(GOOD, 3.0, head="auto")], 1),
    ):
        (chosen, recipe), _ = decided(contenders)
        assert chosen == place
        assert recipe.kind in ("softmax", "logistic", "cosine", "knn", "mlp")


def test_backbones_are_not_compared_by_different_photographs():
    one, other = contender(GOOD, 1.0), contender(BAD, 1.0, count=58)
    same_photographs([one, one])
    with pytest.raises(UsageError, match="run the same command again"):
        same_photographs([one, other])


def test_architectures_come_apart_at_commas():
    assert architectures_of("a, b,a") == ("a", "b")
    assert architectures_of("a") == ("a",)
    names = [one.architecture for one in each_architecture(RunConfig(architecture=f"{GOOD},{BAD}", head="auto"))]
    assert names == [GOOD, BAD]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"architecture": f"{GOOD},{BAD}"}, "several are compared by --head auto"),
        ({"architecture": f"{GOOD},{BAD}", "head": "auto", "weights": "w.npz"}, "of one architecture"),
        ({"architecture": f"{GOOD}_quantized,{BAD}", "head": "auto"}, "--export tflite_int8"),
    ],
)
def test_several_architectures_need_somebody_to_choose(flags, words):
    assert any(words in problem for problem in source_problems(RunConfig(**flags)))


def test_each_architecture_is_checked(tmp_path):
    config = RunConfig(image_dir=str(tmp_path), architecture=f"{GOOD},nope,neither", head="auto")
    problems, spec, _ = find_problems(config)
    assert spec is not None
    assert spec.name == GOOD
    assert sum("to be a row of" in problem for problem in problems) == 2
    with pytest.raises(UsageError, match="nope"):
        spec_of(RunConfig(architecture="nope"))
