"""Runs that are killed with SIGKILL at random moments. A thousand of them: python -m scripts.soak kills"""

from __future__ import annotations

import shutil
import time

import fake_run
import pytest
from kills import PHASES, Server, cache_rows, children_of, fake_trial, outlived_s, real_flags, real_trial, temporaries
from signals_ import REAL, started, wait_for_child

from retrain import Classifier
from retrain.errors import ModelError

# Trials of the fake run; each has one to three kills.
TRIALS = 20


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    server = Server()
    yield fake_trial(tmp_path_factory.mktemp("kills") / "run", server, seed=1)
    server.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize("number", range(TRIALS))
def test_a_killed_run_loses_nothing_and_comes_to_the_same(trial, number):
    trial.kill(phase=PHASES[number % 3], earlier=number % 2 == 0)


def test_kills_came_in_every_phase(trial):
    for number in range(TRIALS - trial.tally.repetitions):  # where this test is run alone
        trial.kill(phase=PHASES[number % 3])
    assert all(trial.tally.kills.values()), trial.tally
    assert trial.tally.orphans_s <= 5.0


@pytest.mark.parametrize("earlier", [False, True])
def test_between_any_two_files_of_a_model_nobody_is_answered_by_a_mixture(trial, monkeypatch, tmp_path, earlier):
    """Every state that renames can leave, with the codelab's habit of naming the file of labels."""
    trial.kill(earlier=earlier)
    new = {path.name: path.read_bytes() for path in (trial.folder / "out").iterdir() if path.is_file()}
    old = {path.name: path.read_bytes() for path in trial.kept.iterdir() if path.is_file()} if earlier else {}
    order = renames(monkeypatch, trial)
    assert order[-1] == "model.pb"
    for many in range(len(order) + 1):
        for path in tmp_path.iterdir():
            path.unlink()
        for name, data in {**old, **{name: new[name] for name in order[:many]}}.items():
            (tmp_path / name).write_bytes(data)
        if (tmp_path / "model.pb").exists():
            assert answered_by(tmp_path, trial) in ("nobody", "new" if many == len(order) else "old")


def renames(monkeypatch, trial):
    """The order in which a model's files come to be there."""
    from retrain import fsio
    from retrain.publish import model as model_module

    order, real = [], fsio.write_together

    def noted(files):
        order.extend(name.rpartition("/")[2] for name in files)
        real(files)

    monkeypatch.setattr(model_module.fsio, "write_together", noted)
    shutil.rmtree(trial.folder / "out")
    assert fake_run.run_here(trial.flags) == 0
    return order[order.index("model.tflite") : order.index("model.pb") + 1]


def answered_by(folder, trial):
    try:
        with Classifier.open(folder / "model.pb", labels=folder / "labels.txt") as model:
            labels = tuple(model.bundle.labels)
    except ModelError:
        return "nobody"
    return {trial.old.labels: "old", trial.new.labels: "new"}[labels]


@pytest.mark.tensorflow
def test_the_real_command_killed_in_every_phase(tmp_path, models):
    trial = real_trial(tmp_path / "run", models, seed=2, measured=1)
    for phase in PHASES:
        trial.kill_once(phase, has_old=False)
    trial.repeat()
    assert sum(trial.tally.kills.values()) + trial.tally.ended == 3
    assert trial.tally.orphans_s <= 5.0


@pytest.mark.tensorflow
def test_killed_while_a_backbone_is_converted_it_leaves_nobody_and_is_converted_again(tmp_path):
    flags = real_flags(tmp_path, tmp_path / "models")
    with started([*REAL, *flags], tmp_path) as child:
        wait_for_child(child.pid, "retrain.backbones.convert")
        time.sleep(1.0)
        children = children_of(child.pid)
        child.kill()
        assert outlived_s(children) <= 5.0
    with started([*REAL, *flags], tmp_path) as child:
        said, _ = child.communicate(timeout=120)
    assert child.returncode == 0, said
    assert len(cache_rows(tmp_path)) == 84
    assert temporaries(tmp_path) == []
