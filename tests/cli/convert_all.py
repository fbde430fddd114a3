"""Build one architecture of each kind, convert it, compare it with Keras, and as ONNX with LiteRT; a line of JSON each.

Random weights, but batch normalisations that know the pictures: otherwise nothing of a picture would be left after
twenty layers, and a fault in the first of them could not be seen. Run by the fixture ``kinds`` in a child process.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import onnx
from PIL import Image

from retrain.backbones import convert
from retrain.backbones.extractor import FrozenBackbone
from retrain.backbones.table import table
from retrain.exporters import frozen_graph, tflite_model
from retrain.exporters.onnx.model import onnx_model, onnx_scorer
from retrain.exporters.parity import tflite_scorer
from retrain.head import Head
from retrain.images import normalise
from retrain.onnx_runtime import open_session

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import bundle_of

LABELS = tuple("abcde")
PREPROCESS = {"tf": "mobilenet", "caffe": "vgg16", "torch": "densenet"}


def pictures(spec, count: int = 7) -> np.ndarray:
    """Pictures of a few large patches of colour, each of its own, with some noise."""
    generator = np.random.default_rng(1)
    patches = [generator.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in range(2, count + 2)]
    size = (spec.width, spec.height)
    large = np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in patches])
    return np.clip(large.astype(int) + generator.integers(-20, 20, large.shape), 0, 255).astype(np.uint8)


def build(spec, inputs: np.ndarray):
    model = convert.build_untrained(spec)
    generator = np.random.default_rng(2)
    model.set_weights(
        [w + generator.uniform(0, 0.2, w.shape).astype(w.dtype) if w.ndim == 1 else w for w in model.get_weights()]
    )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(convert.as_trained(inputs, spec.preprocessing), training=True)
    return model


def head_for(features: np.ndarray) -> Head:
    generator = np.random.default_rng(3)
    scale = 2 / np.sqrt(features.shape[1]) / features.std()
    weights = (generator.standard_normal((features.shape[1], len(LABELS))) * scale).astype(np.float32)
    return Head(weights, (-features.mean(axis=0) @ weights).astype(np.float32), 1)


def as_keras_wants(pixels: np.ndarray, preprocessing: str) -> np.ndarray:
    """Keras' own preprocessing, which knows nothing of ours."""
    fed = pixels.astype(np.float32)
    if preprocessing == "raw":
        return fed
    return getattr(keras.applications, PREPROCESS[preprocessing]).preprocess_input(fed)


def check(spec, folder: Path) -> dict:
    keras.utils.set_random_seed(0)
    pixels = pictures(spec.input_spec)
    inputs = np.concatenate([normalise(picture, spec.input_spec) for picture in pixels])
    model, stem = build(spec, inputs), folder / spec.name
    convert.write_converted(
        lambda images: model(convert.as_trained(images, spec.preprocessing), training=False), spec.input_spec, stem
    )
    tflite, graph = Path(f"{stem}.tflite"), Path(f"{stem}.pb")
    backbone = FrozenBackbone(tflite, spec.input_spec)
    features = np.stack([backbone.features(picture) for picture in pixels])
    as_keras = model(as_keras_wants(pixels, spec.preprocessing), training=False).numpy()
    head = head_for(features)
    size = {"input_height": spec.input_spec.height, "input_width": spec.input_spec.width}
    bundle = bundle_of(LABELS, architecture=spec.name, feature_width=spec.feature_width, **size)
    content = onnx_model(frozen_graph(graph.read_bytes(), head, bundle), bundle)
    reference = tflite_scorer(tflite_model(tflite.read_bytes(), head, bundle), spec.input_spec)
    expected = np.stack([reference(picture) for picture in pixels])
    one_by_one = np.stack([onnx_scorer(content, spec.input_spec)(picture) for picture in pixels[:2]])
    (together,) = open_session(content).run(None, {"input": inputs})
    seen = model(convert.as_trained(inputs, spec.preprocessing), training=False)
    keras.backend.clear_session()
    for file in folder.iterdir():
        file.unlink()
    return {
        "name": spec.name,
        "width": features.shape[1],
        "difference": float(np.abs(features - as_keras).max()),
        "scale": float(np.abs(as_keras).max()),
        "one": float(np.abs(one_by_one - expected[:2]).max()),
        "seven": float(np.abs(together - expected).max()),
        "tensorflow": float(np.abs(head.probabilities(np.asarray(seen)) - expected).max()),
        "spread": float(expected.std(axis=0).max()),
        "operations": Counter(node.op_type for node in onnx.load_from_string(content).graph.node),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:]:
            try:
                row = check(table()[name], Path(folder))
            except Exception as error:  # noqa: BLE001 - the row says so, and the others still run
                row = {"name": name, "error": f"{type(error).__name__}: {error}"}
            print("ROW " + json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
