"""NaN and infinity: told in the step in which they come, exit code 7, and nothing of an earlier model is replaced."""

import fake_run
import numpy as np
import pytest
import worker_extractors
from commands import python

from retrain.bottlenecks import as_rows
from retrain.errors import NumericalError
from retrain.head import Recipe, fit_head
from retrain.head.mlp import _Layers
from retrain.head.softmax import _Layer


@pytest.fixture
def trained(tmp_path):
    """A folder with a trained model, and the flags that made it."""
    flags = fake_run.prepare(tmp_path, 24)
    assert fake_run.run_here(flags) == 0
    return tmp_path, flags


def model_files(folder):
    return {name: sha for name, sha in fake_run.artefacts(folder).items() if name.startswith("out/")}


@pytest.mark.parametrize("rate", ["1e30", "1e38", "3e38"])
@pytest.mark.parametrize("head", ["softmax", "mlp", "auto"])
def test_a_learning_rate_that_leaves_the_numbers_replaces_nothing(trained, capfd, head, rate):
    folder, flags = trained
    before, rows = model_files(folder), fake_run.cache_rows(folder)
    assert fake_run.run_here([*flags, f"--head={head}", f"--learning_rate={rate}"]) == 7
    said = capfd.readouterr().err
    assert "training left the numbers. Lower --learning_rate" in said
    assert "Traceback" not in said
    assert model_files(folder) == before
    assert fake_run.cache_rows(folder) == rows


@pytest.mark.parametrize("head", ["logistic", "cosine", "knn"])
def test_heads_without_steps_take_no_learning_rate(trained, capfd, head):
    folder, flags = trained
    before = fake_run.artefacts(folder)
    assert fake_run.run_here([*flags, f"--head={head}", "--learning_rate=1e30"]) == 2
    assert "--learning_rate" in capfd.readouterr().err
    assert fake_run.artefacts(folder) == before


class Spoiling:
    """A network whose weights become what they must not at one step."""

    def __init__(self, kind, value, at):
        self.value, self.left = value, at
        self.descend_as_ever = kind.descend

    def descend(self, network, x, y, rate):
        self.descend_as_ever(network, x, y, rate)
        if self.left == 0:
            network.by_class[1, 2] = self.value
        self.left -= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("step", [0, 3, 17, 49])
@pytest.mark.parametrize("kind", [_Layer, _Layers])
def test_it_is_told_in_the_step_in_which_it_comes(monkeypatch, kind, step, value):
    random = np.random.default_rng(0)
    spoiling = Spoiling(kind, value, step)
    monkeypatch.setattr(kind, "descend", lambda self, x, y, rate: spoiling.descend(self, x, y, rate))
    recipe = Recipe(50, 0.01, 8, 0.03, kind=kind.__module__.rsplit(".", 1)[1])
    rows = as_rows(random.random((40, 6), dtype=np.float32))
    with pytest.raises(NumericalError, match=f"a weight became NaN or infinite at step {step}:"):
        fit_head(rows, np.arange(40) % 3, np.arange(8), recipe, 3)


def test_weights_that_are_large_and_numbers_are_no_error(monkeypatch):
    """Whose squares are infinite in float32."""
    random = np.random.default_rng(0)
    spoiling = Spoiling(_Layer, 1e25, 49)
    monkeypatch.setattr(_Layer, "descend", lambda self, x, y, rate: spoiling.descend(self, x, y, rate))
    rows = as_rows(random.random((40, 6), dtype=np.float32))
    head = fit_head(rows, np.arange(40) % 3, np.arange(0), Recipe(50, 0.01, 8, 0.0), 3)
    assert np.abs(head.weights).max() > 1e24


def test_a_backbone_that_gives_nan_names_the_photograph(trained, capfd):
    folder, flags = trained
    before, rows = model_files(folder), fake_run.cache_rows(folder)
    new = folder / "photos" / "class_1" / "new.png"
    new.write_bytes(next(new.parent.glob("*.png")).read_bytes() + b"NAN")
    assert worker_extractors.run(flags) == 7
    said = capfd.readouterr().err
    assert f"{new}: the backbone gave a feature that is not a finite number" in said
    assert "Traceback" not in said
    assert model_files(folder) == before
    assert fake_run.cache_rows(folder) == rows


@pytest.mark.tensorflow
def test_weights_that_are_no_numbers_are_not_converted(tmp_path):
    flags = fake_run.prepare(tmp_path, 12)
    weights, kept = tmp_path / "nan.npz", sorted((tmp_path / "models").rglob("*"))
    np.savez(weights, np.full((1, 1, 3, 3), np.nan, np.float32), np.zeros(3, np.float32))
    run = python("-m", "retrain", *flags, f"--weights={weights}")
    assert run.returncode == 7, run.stderr
    assert f"expected finite numbers in {weights}, got NaN or infinity in 1 of its arrays" in run.stderr
    assert "Traceback" not in run.stderr
    assert sorted(path for path in (tmp_path / "models").rglob("*") if path.suffix in (".tflite", ".pb")) == [
        path for path in kept if path.suffix in (".tflite", ".pb")
    ]
