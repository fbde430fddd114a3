"""How file names are made: what is left of one without its digits and the name of its class."""

from __future__ import annotations

import os
import re


def name_pattern(path: str, label: str) -> str:
    """Reduce a file name to how it is made.

    Args:
        path: with forward slashes: "dogs/IMG_0123.jpg".
        label: its class, whose name is left out of the pattern.

    Returns:
        "img_#.jpg": digits, and words of hexadecimal digits, are "#".
    """
    stem, suffix = os.path.splitext(path.rsplit("/", 1)[-1])
    pattern = re.sub(r"(?<![^\W_])(?=[0-9a-f]*\d)[0-9a-f]+(?![^\W_])", "#", stem.lower())
    pattern = re.sub(r"\d+", "#", pattern)
    return re.sub(r"[^\W\d_]+", lambda word: "" if _names_class(word[0], label) else word[0], pattern) + suffix


def _names_class(word: str, label: str) -> bool:
    # "cat.7.jpg" in "cats": that names are like this is how many sets are made, and a model does not see them.
    parts = re.findall(r"[^\W\d_]+", label.lower())
    return len(word) > 1 and any(part.startswith(word) or word.startswith(part) for part in [*parts, "".join(parts)])
