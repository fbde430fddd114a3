import inspect
import re

import pytest

from retrain import errors
from retrain.errors import ImageError, RetrainError, UsageError, did_you_mean

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, RetrainError)]


def test_every_class_stands_in_the_drawn_tree_with_its_exit_code():
    drawn = dict(re.findall(r"(\w+Error) +(\d+) ", errors.__doc__))
    assert drawn == {c.__name__: str(c.exit_code) for c in CLASSES}


def test_exit_codes_are_told_apart_from_each_other_and_from_the_shells_own():
    codes = [c.exit_code for c in CLASSES] + [errors.EXIT_INTERRUPTED, errors.EXIT_TERMINATED, 0]
    assert len(set(codes)) == len(codes)
    assert (errors.EXIT_INTERRUPTED, errors.EXIT_TERMINATED) == (130, 143)


@pytest.mark.parametrize(("given", "kept"), [("one", ("one",)), (["one", "two"], ("one", "two")), ([], ())])
def test_a_usage_error_keeps_its_problems_apart(given, kept):
    error = UsageError(given)
    assert error.problems == kept
    assert str(error) == "\n".join(kept)


def test_an_image_error_has_a_countable_reason_and_a_detail():
    error = ImageError("truncated", "12 bytes are missing")
    assert (error.reason, error.detail) == ("truncated", "12 bytes are missing")
    assert str(error) == "truncated: 12 bytes are missing"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("--imge_dir", "; did you mean --image_dir?"),
        ("--seeds", "; did you mean --seed?"),
        ("--zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_legal_word_is_named(word, text):
    assert did_you_mean(word, ["--image_dir", "--seed"]) == text
