"""The process that serves all exports of a run: calls, errors, its end. Its TensorFlow is not needed for that."""

from __future__ import annotations

import io
import json

import pytest

from retrain.errors import ModelError, ParityError, RetrainError, WeightsError
from retrain.exporters import worker
from retrain.exporters.child import serve as worker_child


def serve(*calls):
    answers = io.BytesIO()
    lines = b"".join(json.dumps({"function": name, "facts": facts}).encode() + b"\n" for name, facts in calls)
    worker_child.serve(io.BytesIO(lines), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_calls_are_answered_in_their_order(monkeypatch):
    from retrain.exporters.child import scoring as scoring_child

    monkeypatch.setattr(scoring_child, "twice", lambda *, number: {"number": 2 * number}, raising=False)
    asked = [("scoring:twice", {"number": n}) for n in (1, 2)]
    assert serve(*asked) == [{"returned": {"number": 2}}, {"returned": {"number": 4}}]


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (WeightsError("no such weights"), "WeightsError", "no such weights"),
        (ValueError("first\nsecond\nthird\nlast"), "ModelError", "scoring:fail: second third last"),
        (KeyError(), "ModelError", "scoring:fail: KeyError"),
    ],
)
def test_errors_travel_back(monkeypatch, raised, kind, text):
    from retrain.exporters.child import scoring as scoring_child

    def fail():
        raise raised

    monkeypatch.setattr(scoring_child, "fail", fail, raising=False)
    assert serve(("scoring:fail", {})) == [{"kind": kind, "error": text}]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ModelError", ModelError),
        ("ParityError", ParityError),
        ("ImageError", RetrainError),
        ("Sequence", RetrainError),
        ("nonsense", RetrainError),
    ],
)
def test_errors_are_of_the_kind_that_was_raised_where_a_text_makes_one(kind, expected):
    error = worker._as_raised(kind, "why")
    assert type(error) is expected
    assert "why" in str(error)


def test_a_worker_that_was_never_used_is_nothing_to_close():
    with worker.TensorFlowWorker() as unused:
        assert unused._process is None


@pytest.mark.tensorflow
def test_a_process_that_dies_is_reported_with_its_last_words():
    with worker.TensorFlowWorker() as one:
        one.start()
        with pytest.raises(ModelError, match="no_such_child"):
            one.call("no_such_child:build")
        process = one._process
        process.kill()
        with pytest.raises(RetrainError, match="the TensorFlow process ended in scoring:score_pixels"):
            one.call("scoring:score_pixels")
    assert process.poll() is not None
