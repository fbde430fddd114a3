"""The 1,000 classes of ImageNet: WordNet ids and names, out of imagenet_names.txt, which holds their licences."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from retrain.errors import WeightsError

# What Google's models of 1,001 classes have before the thousand.
BACKGROUND = "background"
COUNTS = (1000, 1001)
_FILE = Path(__file__).parent / "imagenet_names.txt"


@cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Read the classes.

    Returns:
        1,000 pairs of WordNet id and name, in the order of the scores, which is that of the ids; no two names are
        alike, in whatever case.
    """
    lines = [line for line in _FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    pairs = [line.split("\t") for line in lines]
    return tuple((number, name) for number, name in pairs)


def imagenet_labels(count: int) -> tuple[str, ...]:
    """Name the classes of a model.

    Args:
        count: how many scores it gives: 1000, or 1001 where the first is for background.

    Returns:
        A name a score.

    Raises:
        WeightsError: another count, of which nobody knows what its classes are.
    """
    if count not in COUNTS:
        raise WeightsError(
            f"expected weights for the 1,000 classes of ImageNet, or 1,001 with background first, got {count} classes; "
            "a model of your own says itself what they are: give it as --graph"
        )
    names = tuple(name for _, name in imagenet_classes())
    return names if count == len(names) else (BACKGROUND, *names)
