"""The three sides of a split, and what people call them."""

from __future__ import annotations

TRAINING, VALIDATION, TESTING = 0, 1, 2
SIDE_NAMES = ("training", "validation", "testing")
_SPELLINGS = {
    "training": TRAINING,
    "train": TRAINING,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "testing": TESTING,
    "test": TESTING,
}
SIDE_WORDS = tuple(_SPELLINGS)


def side_named(word: str) -> int | None:
    """Read the name of a side.

    Args:
        word: in any case.

    Returns:
        TRAINING, VALIDATION or TESTING; None for any other word.
    """
    return _SPELLINGS.get(word.lower())
