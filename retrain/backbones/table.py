"""The table of architectures: a row each.

MobileNet V1: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
2017, arXiv:1704.04861. The bottleneck is the pooled feature vector (1024 times the width multiplier), as TF Hub's is,
not the original's 1,001 ImageNet logits.
"""

from __future__ import annotations

from dataclasses import dataclass

from retrain.errors import UsageError, did_you_mean
from retrain.images import InputSpec

MOBILENET_WIDTHS = ("1.0", "0.75", "0.50", "0.25")
MOBILENET_SIZES = (224, 192, 160, 128)

_KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
# How the official file names spell a width multiplier.
_KERAS_WIDTH = {"1.0": "1_0", "0.75": "7_5", "0.50": "5_0", "0.25": "2_5"}


@dataclass(frozen=True)
class BackboneSpec:
    """One architecture.

    Args:
        name: canonical name, as ``--architecture`` has it.
        width: width multiplier.
        input_spec: size and scaling of its input.
        feature_width: length of its bottleneck vector.
        weight_arrays: how many arrays its weight file holds, in the order of Keras' ``get_weights()``.
        official_url: Keras Applications' weight file without the top.
        bundled_file: name of the file in ``bundled/``, or empty.
    """

    name: str
    width: float
    input_spec: InputSpec
    feature_width: int
    weight_arrays: int
    official_url: str
    bundled_file: str = ""

    @property
    def official_file(self) -> str:
        """Name of the official weight file."""
        return self.official_url.rsplit("/", 1)[1]


def _mobilenet(width: str, size: int) -> BackboneSpec:
    name = f"mobilenet_{width}_{size}"
    return BackboneSpec(
        name=name,
        width=float(width),
        input_spec=InputSpec(height=size, width=size, mean=127.5, std=127.5),
        feature_width=int(1024 * float(width)),
        weight_arrays=135,
        official_url=f"{_KERAS_FILES}mobilenet_{_KERAS_WIDTH[width]}_{size}_tf_no_top.h5",
        bundled_file="mobilenet_0.50_224.npz" if name == "mobilenet_0.50_224" else "",
    )


TABLE = {spec.name: spec for spec in (_mobilenet(w, s) for w in MOBILENET_WIDTHS for s in MOBILENET_SIZES)}

_LATER = {
    "inception_v3": "inception_v3 is not in this version yet",
    "_quantized": "quantized backbones are not in this version yet",
}


def find_backbone(name: str) -> BackboneSpec:
    """Look an architecture up by the name a person typed.

    Args:
        name: in any case; the width as 0.5 or 0.50, 1 or 1.0.

    Returns:
        Its row.

    Raises:
        UsageError: there is no such row; the text names the nearest one.
    """
    canonical = _canonical(name)
    if canonical in TABLE:
        return TABLE[canonical]
    for part, sentence in _LATER.items():
        if canonical.endswith(part):
            raise UsageError(f"got --architecture={name}, but {sentence}; use mobilenet_0.50_224")
    if not name:
        # The usual cause, and baffling: ${ARCHITECTURE} is empty or literal in a Windows shell.
        raise UsageError("expected --architecture, got nothing (an unset shell variable?); use mobilenet_0.50_224")
    hint = did_you_mean(canonical, list(TABLE)) or "; use mobilenet_0.50_224"
    raise UsageError(
        f"expected --architecture to be mobilenet_<{'|'.join(MOBILENET_WIDTHS)}>_"
        f"<{'|'.join(map(str, MOBILENET_SIZES))}>, got {name!r}{hint}"
    )


def _canonical(name: str) -> str:
    parts = name.strip().lower().replace("-", "_").split("_")
    if len(parts) >= 3 and parts[0] == "mobilenet":
        parts[1] = {
            "1": "1.0",
            "1.00": "1.0",
            "0.5": "0.50",
            ".5": "0.50",
            ".50": "0.50",
            ".25": "0.25",
            ".75": "0.75",
        }.get(parts[1], parts[1])
    return "_".join(parts)
