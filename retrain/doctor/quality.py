"""Photographs that stand out of their class by darkness, blur or emptiness, and classes that are small or unequal.

What is dark or blurred depends on what is photographed: a star cluster's photographs are nine tenths black on purpose.
So a photograph is compared with its own class, by how many robust deviations (1.4826 times the median distance from
the median; Hampel, "The Influence Curve and its Role in Robust Estimation", 1974) it lies from the middle; only a
picture of one colour is called empty whatever the others are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrain.alike.fingerprints import Fingerprints
from retrain.survey.findings import COSTS, NOTE, Finding, of_names

# Deviations from the middle of a class. At 4, of 375 flowers, 400 cats and dogs, 110 textures, 84 star clusters and 600
# pieces of trash 2, 0, 0, 1 and 8 were named dark, bright or blurred.
_FAR = 4.0
# Entropy has a long tail: at 4, 14 of 375 flowers on plain grounds were named, which are good photographs.
_FAR_IN_ENTROPY = 7.0
# A class with fewer has no middle to speak of: its photographs are compared with those of all classes.
_ENOUGH_FOR_A_MIDDLE = 12
# Least deviation that counts, so that classes of equal photographs do not make outliers of nothing: grey levels for
# brightness, powers of ten for sharpness, bits for entropy.
_LEAST_DEVIATION = {"brightness": 4.0, "sharpness": 0.1, "entropy": 0.25}
# Standard deviation of grey, 0 to 127.5; the emptiest of 84 skies had 10, of 600 pieces of trash on white 7.
_ONE_COLOUR = 1.0
# As the original's warning.
FEW = 20
# Largest class to smallest.
UNEQUAL = 10.0

_Numbers = npt.NDArray[np.float64]


def quality_findings(
    prints: Fingerprints, labels: Sequence[int], peers: str = "the rest of their class"
) -> list[Finding]:
    """Name photographs that stand out of their class.

    Args:
        prints: N fingerprints.
        labels: class of each, N.
        peers: what those of one class are called.

    Returns:
        Up to one finding a kind: empty, dark, bright, blurred, plain.
    """
    classes = np.asarray(labels, np.intp)
    is_empty = prints.numbers["contrast"] < _ONE_COLOUR
    far = {name: _deviations(prints.numbers[name], classes, least) for name, least in _LEAST_DEVIATION.items()}
    kinds = (
        (COSTS, "empty", is_empty, "of one colour: there is nothing to learn from", "take them away"),
        (NOTE, "dark", ~is_empty & (far["brightness"] < -_FAR), f"much darker than {peers}", _LOOK),
        (NOTE, "bright", ~is_empty & (far["brightness"] > _FAR), f"much brighter than {peers}", _LOOK),
        (
            NOTE,
            "blurred",
            ~is_empty & (far["sharpness"] < -_FAR),
            f"much less sharp than {peers}",
            _LOOK,
        ),
        (
            NOTE,
            "plain",
            ~is_empty & (far["entropy"] < -_FAR_IN_ENTROPY),
            f"with much less in them than {peers}",
            _LOOK,
        ),
    )
    return [
        finding
        for severity, kind, which, text, fix in kinds
        for finding in of_names(
            severity, kind, f"photographs {text}", fix, [prints.paths[row] for row in np.flatnonzero(which)]
        )
    ]


_LOOK = "look at them, and take away those that will not be met where the model is used"


def class_findings(labels: Sequence[str], counts: Sequence[int], noun: str = "class") -> list[Finding]:
    """Say which classes are small, and how unequal they are.

    Args:
        labels: class names.
        counts: photographs of each that can be read.
        noun: "label", where a photograph may have several.

    Returns:
        Up to one finding about small classes and one about unequal ones.
    """
    numbered = [f"{name}: {count}" for name, count in zip(labels, counts, strict=True)]
    few = [text for text, count in zip(numbered, counts, strict=True) if count < FEW]
    many = "labels" if noun == "label" else "classes"
    found = of_names(
        COSTS,
        "few-photographs",
        f"{many} with fewer than {FEW} photographs: learned and tested on too little",
        f"add photographs: from {FEW} on a {noun} can be learned, from 100 on its accuracy means something",
        few,
    )
    least, most = min(counts, default=0), max(counts, default=0)
    if least and most / least >= UNEQUAL:
        text = (
            f"the largest {noun} has {most} photographs, {most / least:.0f} times as many as the smallest: what is "
            "doubtful is put into the large ones"
        )
        ends = [numbered[list(counts).index(value)] for value in (most, least)]
        found += of_names(COSTS, "unequal-classes", text, f"add photographs to the small {many}", ends)
    return found


def _deviations(values: _Numbers, classes: npt.NDArray[np.intp], least: float) -> _Numbers:
    """Say how many robust deviations each photograph lies from the middle of its class."""
    answer = np.empty(len(values))
    for number in np.unique(classes):
        inside = np.flatnonzero(classes == number)
        peers = values[inside] if len(inside) >= _ENOUGH_FOR_A_MIDDLE else values
        middle = np.median(peers)
        deviation = 1.4826 * np.median(np.abs(peers - middle))
        answer[inside] = (values[inside] - middle) / max(float(deviation), least)
    return answer
