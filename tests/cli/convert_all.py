"""Build one architecture of each builder with random weights, convert it, compare it with Keras; a line of JSON each.

Random weights, because neither conversion nor agreement depends on them. Run by test_backbones.py in a child process.
"""

import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from retrain.backbones import convert
from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.table import table

PREPROCESS = {"tf": "mobilenet", "caffe": "vgg16", "torch": "densenet"}


def pixels(side: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)


def check(spec, folder: Path) -> dict:
    keras.utils.set_random_seed(0)
    model = convert.build_untrained(spec)
    pictures = pixels(spec.input_spec.height)
    fed = pictures.astype(np.float32)
    if spec.preprocessing != "raw":
        fed = getattr(keras.applications, PREPROCESS[spec.preprocessing]).preprocess_input(fed.copy())
    expected = model.predict(fed, verbose=0)
    stem = folder / spec.name
    convert.write_converted(
        lambda images: model(convert.as_trained(images, spec.preprocessing), training=False), spec.input_spec, stem
    )
    backbone = FrozenBackbone(Path(f"{stem}.tflite"), spec.input_spec)
    ours = np.stack([backbone.features(picture) for picture in pictures])
    keras.backend.clear_session()
    for file in folder.iterdir():
        file.unlink()
    return {
        "name": spec.name,
        "width": ours.shape[1],
        "difference": float(np.abs(ours - expected).max()),
        "scale": float(np.abs(expected).max()),
        "spread": float(expected.std()),
    }


def main() -> None:
    first = {}
    for spec in table().values():
        first.setdefault(spec.builder, spec)
    wanted = [spec for spec in first.values() if len(sys.argv) == 1 or spec.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        for spec in wanted:
            try:
                row = check(spec, Path(folder))
            except Exception as error:  # noqa: BLE001 - the row says so, and the others still run
                row = {"name": spec.name, "error": f"{type(error).__name__}: {error}"}
            print("ROW " + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
