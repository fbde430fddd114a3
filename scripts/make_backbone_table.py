"""Write retrain/backbones/architectures.json: what Keras Applications says of each backbone.

    python scripts/make_backbone_table.py

Builds every architecture with TensorFlow (four minutes) and notes its feature width, parameters and multiply-adds; the
addresses and checksums of its weights, without and with the head of ImageNet, are caught on their way into Keras'
downloader. Nothing is fetched.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT / "scripts")]

MOBILENET_WIDTHS = ("1.0", "0.75", "0.50", "0.25")
MOBILENET_SIZES = (224, 192, 160, 128)
MOBILENET_V2_SIZES = (224, 192, 160, 128, 96)
MOBILENET_V2_WIDTHS: dict[str, tuple[int, ...]] = dict.fromkeys(("0.35", "0.50", "0.75", "1.0"), MOBILENET_V2_SIZES)
MOBILENET_V2_WIDTHS |= dict.fromkeys(("1.3", "1.4"), (224,))
EFFICIENTNET_SIZES = (224, 240, 260, 300)
# name, Keras' function, input size, what its training wanted (see table.Preprocessing)
SINGLE = [
    ("inception_v3", "InceptionV3", 299, "tf"),
    ("vgg16", "VGG16", 224, "caffe"),
    ("vgg19", "VGG19", 224, "caffe"),
    ("resnet50", "ResNet50", 224, "caffe"),
    ("resnet50_v2", "ResNet50V2", 224, "tf"),
    ("xception", "Xception", 299, "tf"),
    ("densenet121", "DenseNet121", 224, "torch"),
    ("mobilenet_v3_small", "MobileNetV3Small", 224, "raw"),
    ("mobilenet_v3_large", "MobileNetV3Large", 224, "raw"),
    *((f"efficientnet_b{i}", f"EfficientNetB{i}", size, "raw") for i, size in enumerate(EFFICIENTNET_SIZES)),
    *((f"efficientnet_v2_b{i}", f"EfficientNetV2B{i}", size, "raw") for i, size in enumerate(EFFICIENTNET_SIZES)),
    ("convnext_tiny", "ConvNeXtTiny", 224, "raw"),
    ("nasnet_mobile", "NASNetMobile", 224, "tf"),
]

Row = dict[str, Any]


class Caught(Exception):  # noqa: N818 - not an error: it carries an address out of Keras
    """The address and MD5 that Keras was about to fetch."""


def rows() -> list[Row]:
    """Name every architecture.

    Returns:
        Rows without the figures that building gives.
    """
    named = [
        (f"mobilenet_{width}_{size}", "MobileNet", size, "tf", {"alpha": float(width)})
        for width in MOBILENET_WIDTHS
        for size in MOBILENET_SIZES
    ]
    named += [(*row, {}) for row in SINGLE]
    named += [
        (f"mobilenet_v2_{width}_{size}", "MobileNetV2", size, "tf", {"alpha": float(width)})
        for width, sizes in MOBILENET_V2_WIDTHS.items()
        for size in sizes
    ]
    keys = ("name", "builder", "size", "preprocessing", "arguments")
    return [dict(zip(keys, row, strict=True)) for row in named]


def measured(row: Row) -> Row:
    """Build an architecture and note its figures.

    Args:
        row: of ``rows``.

    Returns:
        The row with feature_width, parameters, multiply_adds, arrays, url, checksum, top_url and top_checksum.
    """
    import keras

    build = getattr(keras.applications, row["builder"])
    shape = (row["size"], row["size"], 3)
    model = build(input_shape=shape, include_top=False, weights=None, pooling="avg", **row["arguments"])
    figures = {
        "feature_width": model.output_shape[-1],
        "parameters": model.count_params(),
        "multiply_adds": sum(_multiply_adds(layer) for layer in _leaves(model)),
        "arrays": len(model.get_weights()),
    }
    for prefix, include_top in (("", False), ("top_", True)):
        try:
            build(input_shape=shape, include_top=include_top, weights="imagenet", pooling="avg", **row["arguments"])
        except Caught as caught:
            figures[f"{prefix}url"], figures[f"{prefix}checksum"] = caught.args
        keras.backend.clear_session()
    return {**row, **figures}


def _leaves(layer: Any) -> list[Any]:  # noqa: ANN401
    inner = getattr(layer, "layers", None)
    return [leaf for part in inner for leaf in _leaves(part)] if inner else [layer]


def _multiply_adds(layer: Any) -> int:  # noqa: ANN401
    kernels = {
        "Conv2D": ("kernel",),
        "DepthwiseConv2D": ("kernel",),
        "Dense": ("kernel",),
        "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel"),
    }.get(type(layer).__name__, ())
    positions = math.prod(layer.output.shape[1:-1]) if kernels else 0
    return sum(math.prod(getattr(layer, name).shape) * positions for name in kernels)


def main() -> int:
    """Write the table.

    Returns:
        0.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from keras.src.utils import file_utils

    from retrain import fsio

    def catch(fname: str, origin: str, file_hash: str | None = None, **_: object) -> None:
        raise Caught(origin, file_hash or "")

    file_utils.get_file = catch
    lines = ",\n".join(json.dumps(measured(row), sort_keys=True) for row in rows())
    fsio.write_text(ROOT / "retrain" / "backbones" / "architectures.json", f"[\n{lines}\n]\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
