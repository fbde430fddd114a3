"""How far a training is: what is counted, which epoch is the best, when it is over; and JSON there and back."""

from __future__ import annotations

import json

import pytest
from trainer_jobs import job_of

from retrain.trainer.progress import Progress, Sums, chooses


def job_with(validated_on=10, **settings):
    return job_of(trained_on=8, validated_on=validated_on, settings=settings)


def test_sums_weigh_batches_by_their_size():
    sums = Sums()
    sums.add(1.0, 4, 4)
    sums.add(4.0, 0, 2)
    assert sums.means == (pytest.approx(2.0), pytest.approx(4 / 6))


def test_nothing_added_up_is_nothing():
    assert Sums().means == (0.0, 0.0)


def test_a_step_counts_in_the_epoch_and_in_the_interval():
    progress = Progress()
    progress.take(0.1, 3, 4)
    progress.take(0.2, 1, 4)
    assert (progress.step, progress.position) == (2, 2)
    assert progress.of_epoch == progress.of_interval
    assert progress.of_epoch.means == (pytest.approx(0.15), 0.5)


def test_json_gives_the_very_same_progress_back():
    progress = Progress(rate=None, cores=3)
    for number in range(7):
        progress.take(0.1 + number / 3, number, 8)
    progress.end_epoch((1 / 3, 0.7))
    progress.take(1 / 7, 3, 8)
    progress.curve = [(1e-6, 2 / 3)]
    assert Progress.from_facts(json.loads(json.dumps(progress.facts()))) == progress


def test_what_is_no_progress_is_refused():
    with pytest.raises(TypeError):
        Progress.from_facts({**Progress().facts(), "unknown": 1})
    with pytest.raises(KeyError):
        Progress.from_facts({"step": 1})


def end(progress, *losses):
    for loss in losses:
        for _ in range(2):
            progress.take(0.5, 2, 4)
        progress.end_epoch(None if loss is None else (loss, 0.5))


def test_the_lowest_validation_loss_is_the_best_and_the_first_of_equals():
    progress = Progress()
    end(progress, 0.5, 0.3, 0.3, 0.4)
    assert (progress.best_epoch, progress.best_step, progress.best_loss) == (2, 4, 0.3)
    assert [epoch["step"] for epoch in progress.history] == [2, 4, 6, 8]
    assert (progress.epoch, progress.position, progress.of_epoch) == (4, 0, Sums())


def test_without_validation_there_is_no_best():
    progress = Progress()
    end(progress, None)
    assert (progress.best_epoch, progress.best_loss) == (0, None)
    assert progress.history[0]["validation_loss"] is None


@pytest.mark.parametrize(("patience", "over"), [(0, False), (4, True), (5, False)])
def test_waiting_for_a_lower_loss_ends_with_the_patience(patience, over):
    progress = Progress()
    end(progress, 0.3, 0.4, 0.5)
    assert progress.is_over(job_with(epochs=9, early_stopping=patience)) is over


def test_a_training_that_goes_on_within_an_epoch_ends_where_an_undisturbed_one_does():
    progress = Progress()
    end(progress, 0.3, 0.4)
    job = job_with(epochs=9, early_stopping=3)
    assert not progress.is_over(job)
    progress.take(0.5, 2, 4)
    assert not progress.is_over(job)
    progress.take(0.5, 2, 4)
    progress.end_epoch((0.5, 0.5))
    assert progress.is_over(job)


def test_a_handful_of_validation_photographs_chooses_nothing():
    progress = Progress()
    end(progress, 0.3, 0.4, 0.5)
    few = job_with(validated_on=9, epochs=9, early_stopping=1)
    assert not chooses(few)
    assert not progress.is_over(few)


def test_all_epochs_are_the_end():
    progress = Progress()
    end(progress, 0.3, 0.2)
    assert progress.is_over(job_with(epochs=2))
