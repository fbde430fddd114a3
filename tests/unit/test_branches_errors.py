"""What a worker's answer and a misspelt word rest on, to the last argument."""

import copy
import inspect

import pytest

from retrain import errors
from retrain.errors import ImageError, RetrainError, UsageError, did_you_mean

ONE_SENTENCE = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, RetrainError) and found not in (ImageError, UsageError)
]


class NarrowImageError(ImageError):
    """As a room could derive one: it has to come back as itself."""


@pytest.mark.parametrize("made", [ImageError, NarrowImageError])
def test_an_image_error_is_the_same_behind_a_process_boundary(made):
    # copy uses what Ray and multiprocessing send it by: __reduce_ex__.
    came = copy.copy(made("truncated", "12 bytes are missing"))
    assert type(came) is made
    assert (came.reason, came.detail, str(came)) == (
        "truncated",
        "12 bytes are missing",
        "truncated: 12 bytes are missing",
    )
    assert came.exit_code == 3


@pytest.mark.parametrize("found", ONE_SENTENCE)
def test_every_other_error_keeps_its_sentence_behind_a_process_boundary(found):
    came = copy.copy(found("a sentence"))
    assert type(came) is found
    assert str(came) == "a sentence"


def test_several_problems_are_lines_of_one_text_in_their_order():
    assert str(UsageError(("first", "second"))) == "first\nsecond"


def test_only_the_nearest_word_is_named_and_only_where_it_is_near():
    assert did_you_mean("seeds", ["seedling", "seed", "seeded"]) == "; did you mean seed?"
    assert did_you_mean("abcdefghij", ["abcdefzzzz"]) == "; did you mean abcdefzzzz?"  # 6 of 10 letters: just near
    assert did_you_mean("abcdefghij", ["abcdezzzzz"]) == ""  # 5 of 10: not
    assert did_you_mean("anything", []) == ""
