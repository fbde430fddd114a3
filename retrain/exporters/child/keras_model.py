"""In the TensorFlow child: a .keras file of layers that Keras brings along, the backbone and the head in one model.

It loads with ``keras.models.load_model(path)``, in safe mode, where nothing of this project is installed: no Lambda, no
class of ours. The backbone is a model inside it, frozen, as it was in the training; set ``trainable`` to tune it.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any, Unpack

from retrain import fsio
from retrain.backbones.convert import build as build_backbone
from retrain.backbones.convert import scaling_of
from retrain.backbones.table import BackboneSpec, find_backbone
from retrain.bundle import ASSET, Bundle, bundle_from_json
from retrain.errors import ModelError
from retrain.exporters.child.scoring import Pictures, one_thread, score_pixels
from retrain.exporters.frozen.head import read_head
from retrain.head import Head
from retrain.head.layers import NORM_FLOOR, NOTHING, SIGMOID, SOFTMAX, Dense, Normalise, Relu, Softmax

# What stands behind the last layer -> Keras' name of it.
_ACTIVATIONS = {SOFTMAX: "softmax", SIGMOID: "sigmoid", NOTHING: "linear"}
_METADATA, _CONFIG = "metadata.json", "config.json"
# What every date inside is where the model has none: the first that a zip can hold.
_NO_DATE = "1980-01-01T00:00:00"


def build(*, graph: str, bundle: str, place: str, architecture: str, weights: str) -> dict[str, Any]:
    """Write a model as a .keras file; equal arguments give equal bytes.

    Args:
        graph: path of the frozen graph of backbone and head.
        bundle: its description, JSON.
        place: path of the .keras file to write.
        architecture: canonical name.
        weights: path of the backbone's weights, those of the run.

    Returns:
        "parameters": how many numbers the model has.

    Raises:
        ModelError: the graph has no head, or one for another backbone.
        WeightsError: the weights do not fit.
    """
    one_thread()
    import keras

    described = bundle_from_json(bundle.encode(), graph)
    head = read_head(Path(graph).read_bytes(), described, graph)
    # Trap: Keras numbers the layers that it names itself through the whole process.
    keras.backend.clear_session()
    model = _model(find_backbone(architecture, described.network), Path(weights), described, head)
    with tempfile.TemporaryDirectory(prefix="retrain-keras-") as folder:
        written = Path(folder) / "model.keras"
        model.save(written)
        _write_again(written, Path(place), described)
    return {"parameters": model.count_params()}


def score(*, place: str, **given: Unpack[Pictures]) -> dict[str, float]:
    """Run a .keras file that ``build`` wrote on decoded photographs.

    Args:
        place: path of the file: one of ours, just written, never a stranger's.
        given: the photographs.

    Returns:
        "ms": median milliseconds of one photograph.
    """
    one_thread()
    import keras
    import tensorflow as tf

    model = keras.models.load_model(place, compile=False, safe_mode=True)
    run = tf.function(lambda images: model(images, training=False))
    return score_pixels(lambda picture: run(tf.constant(picture)).numpy(), **given)


def _model(spec: BackboneSpec, weights: Path, bundle: Bundle, head: Head) -> Any:  # noqa: ANN401
    """Build input -> scaling -> backbone -> head."""
    import keras

    backbone = build_backbone(spec, weights)
    backbone.trainable = False
    images = keras.Input((bundle.input_height, bundle.input_width, 3), name=bundle.input_node)
    matrix, offset = scaling_of(spec.preprocessing)
    scaled, scaling = images, None
    if spec.preprocessing != "tf":
        # RGB in -1 to 1, as every model of ours takes, to what the backbone was trained on.
        scaling = keras.layers.Conv2D(3, 1, name="as_trained", trainable=False)
        scaled = scaling(images)
        scaling.set_weights([matrix[None, None], offset])
    # In inference mode for good, so that tuning it does not ruin the statistics of its batch normalisation.
    features = backbone(scaled, training=False)
    if features.shape[-1] != bundle.feature_width:
        raise ModelError(
            f"expected a head for {spec.name}, on {features.shape[-1]} features, got one on {bundle.feature_width}; "
            "train the model again"
        )
    return keras.Model(images, _scores(features, head, bundle.output_node), name="retrained")


def _scores(vectors: Any, head: Head, name: str) -> Any:  # noqa: ANN401
    """Put the layers of a head behind vectors; what divides by a length are Keras' own operations, no Lambda."""
    import keras

    for number, layer in enumerate(head.before, 1):
        match layer:
            case Dense():
                vectors = _dense(layer, f"layer_{number}", "linear", vectors)
            case Normalise():
                # Trap: keras.layers.UnitNormalization has another floor, and would differ for vectors near 0.
                total = keras.ops.sum(keras.ops.square(vectors), axis=1, keepdims=True)
                vectors = vectors / keras.ops.sqrt(total + float(NORM_FLOOR))
            case Relu():
                vectors = keras.layers.ReLU(name=f"layer_{number}")(vectors)
            case Softmax():
                vectors = keras.layers.Softmax(name=f"layer_{number}")(vectors)
    return _dense(Dense(head.weights, head.biases), name, _ACTIVATIONS[head.after], vectors)


def _dense(layer: Dense, name: str, activation: str, vectors: Any) -> Any:  # noqa: ANN401
    import keras

    made = keras.layers.Dense(len(layer.biases), activation=activation, name=name)
    result = made(vectors)
    made.set_weights([layer.weights, layer.biases])
    return result


def _write_again(written: Path, place: Path, bundle: Bundle) -> None:
    """Copy a .keras file without what differs from one writing to the next, the description beside it."""
    with zipfile.ZipFile(written) as source, fsio.replacing(place) as file, zipfile.ZipFile(file, "w") as target:
        members = {name: source.read(name) for name in source.namelist() if not name.endswith("/")}
        members[_CONFIG] = _numbered(members[_CONFIG])
        members[_METADATA] = _dated(members[_METADATA], bundle.date)
        members[ASSET] = bundle.to_json()
        for name in sorted(members):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            target.writestr(entry, members[name])


def _numbered(config: bytes) -> bytes:
    """Give objects that are used twice numbers in place of the memory addresses that Keras tells them apart by."""
    seen: dict[int, int] = {}

    def number(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {key: seen.setdefault(value, len(seen)) if key == "shared_object_id" else value for key, value in pairs}

    return json.dumps(json.loads(config, object_pairs_hook=number)).encode()


def _dated(metadata: bytes, date: str) -> bytes:
    moment = datetime.fromisoformat(date or _NO_DATE)
    return json.dumps({**json.loads(metadata), "date_saved": moment.strftime("%Y-%m-%d@%H:%M:%S")}).encode()
