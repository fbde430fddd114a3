"""The table of architectures: a row each, made by scripts/make_backbone_table.py from Keras Applications.

The bottleneck is the average-pooled feature vector (as TF Hub's is), for MobileNet, too, where the original took the
1,001 ImageNet logits. Every backbone here takes RGB in -1 to 1: what its training wanted beyond that (BGR, means of
each channel, 0 to 255) is inside its converted graph, so that labelling never needs to know.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from retrain.errors import UsageError, did_you_mean
from retrain.images import InputSpec

DEFAULT = "mobilenet_0.50_224"
BUNDLED = {DEFAULT: "mobilenet_0.50_224.npz"}
_ROWS = Path(__file__).parent / "architectures.json"
_QUANTIZED = "quantized"


@dataclass(frozen=True)
class BackboneSpec:
    """One architecture.

    Args:
        name: canonical name, as ``--architecture`` has it.
        builder: name of the function in keras.applications.
        arguments: what else it is called with.
        preprocessing: what its training was fed: "tf" (-1 to 1), "raw" (0 to 255), "caffe" (BGR, 0 to 255, less the
            means of ImageNet), "torch" (0 to 1, less means, over standard deviations).
        input_spec: size and scaling of the converted backbone's input.
        feature_width: length of its bottleneck vector.
        parameters: numbers that were trained.
        multiply_adds: of one picture.
        weight_arrays: how many arrays its weights are, in the order of Keras' ``get_weights()``.
        official_url: Keras Applications' weight file without the top.
        official_checksum: its published checksum, or empty where none is published.
        bundled_file: name of the file in ``bundled/``, or empty.
        top_url: Keras Applications' weight file with the head that names the 1,000 classes of ImageNet.
        top_checksum: its published checksum, or empty where none is published.
    """

    name: str
    builder: str
    arguments: dict[str, float]
    preprocessing: str
    input_spec: InputSpec
    feature_width: int
    parameters: int
    multiply_adds: int
    weight_arrays: int
    official_url: str
    official_checksum: str
    bundled_file: str = ""
    top_url: str = ""
    top_checksum: str = ""

    @property
    def official_file(self) -> str:
        """Name of the official weight file."""
        return self.official_url.rsplit("/", 1)[1]

    @property
    def top_file(self) -> str:
        """Name of the official weight file with the head of ImageNet."""
        return self.top_url.rsplit("/", 1)[1]


@cache
def table() -> dict[str, BackboneSpec]:
    """Read the table.

    Returns:
        name -> row, MobileNets first.
    """
    return {row["name"]: _spec(row) for row in json.loads(_ROWS.read_text(encoding="utf-8"))}


def _spec(row: dict[str, Any]) -> BackboneSpec:
    return BackboneSpec(
        name=row["name"],
        builder=row["builder"],
        arguments=row["arguments"],
        preprocessing=row["preprocessing"],
        input_spec=InputSpec(height=row["size"], width=row["size"], mean=127.5, std=127.5),
        feature_width=row["feature_width"],
        parameters=row["parameters"],
        multiply_adds=row["multiply_adds"],
        weight_arrays=row["arrays"],
        official_url=row["url"],
        official_checksum=row["checksum"],
        bundled_file=BUNDLED.get(row["name"], ""),
        top_url=row["top_url"],
        top_checksum=row["top_checksum"],
    )


def find_backbone(name: str) -> BackboneSpec:
    """Look an architecture up by the name a person typed.

    Args:
        name: in any case, with or without underscores; a width as 0.5 or 0.50, 1 or 1.0; "_quantized" may follow,
            see is_quantized.

    Returns:
        Its row.

    Raises:
        UsageError: there is no such row; the text names the nearest one.
    """
    if not name.strip():
        # The usual cause, and baffling: ${ARCHITECTURE} is empty or literal in a Windows shell.
        raise UsageError(f"expected --architecture, got nothing (an unset shell variable?); use {DEFAULT}")
    canonical = {_squeezed(row): row for row in table()}
    wanted = _squeezed(name).removesuffix(_QUANTIZED)
    if wanted in canonical:
        return table()[canonical[wanted]]
    hint = did_you_mean(name.strip().lower(), list(table())) or f"; {DEFAULT} is usual"
    raise UsageError(f"expected --architecture to be a row of `python -m retrain backbones`, got {name!r}{hint}")


def is_quantized(name: str) -> bool:
    """Tell whether an int8 export was asked for, as the original's ``mobilenet_0.50_224_quantized`` does.

    Args:
        name: what find_backbone takes.

    Returns:
        Whether it ends in "quantized"; the backbone itself is the same with and without.
    """
    return _squeezed(name).endswith(_QUANTIZED)


def _squeezed(name: str) -> str:
    """What two spellings of one name have in common."""
    words = re.split(r"[_\-\s]+", name.strip().lower())
    return "".join(_width(word) for word in words)


def _width(word: str) -> str:
    """Spell a width multiplier in one way: 0.5 and 0.50, 1 and 1.0."""
    if not re.fullmatch(r"\d*\.\d+|1", word):
        return word
    return f"({float(word):g})"
