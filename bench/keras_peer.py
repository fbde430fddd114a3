"""The standard Keras idiom: extraction in a process that answers one question a line, and whole jobs.

    keras_peer.py ARCHITECTURE WEIGHTS.npz                              answers questions
    keras_peer.py job ARCHITECTURE WEIGHTS.npz DIR STEPS MODEL.keras    extracts, trains a Dense layer, saves
    keras_peer.py label MODEL.keras PHOTOGRAPH SIDE                     labels one photograph

The first is started by extraction.py: TensorFlow's start-up is then not counted, and its threads sleep while the other
side runs. Questions and answers are JSON: {"folder": DIR} extracts, {"pixels": FILE, "answer": FILE} computes on given
pixels. The other two are started by run.py, and counted whole.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from common import ROOT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

BATCH = 32
TRAIN_BATCH = 100
LEARNING_RATE = 0.01
# Of the photographs: for validation, and for the test.
SHARE = 10


def main() -> int:
    """Do what the first word says."""
    if sys.argv[1] == "job":
        architecture, weights, folder, steps, saved = sys.argv[2:]
        return job(architecture, Path(weights), folder, int(steps), saved)
    if sys.argv[1] == "label":
        model, photograph, side = sys.argv[2:]
        return label(model, photograph, int(side))
    return answer_questions()


def answer_questions() -> int:
    """Build the model, then answer until the input ends."""
    # What TensorFlow prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    architecture, weights = sys.argv[1], Path(sys.argv[2])
    model, side = _build(architecture, weights)
    print(json.dumps({"ready": str(ROOT)}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        answer = _extract(model, side, question["folder"]) if "folder" in question else _on_pixels(model, question)
        print(json.dumps(answer), file=answers, flush=True)
    return 0


def _build(architecture: str, weights: Path) -> tuple[Any, tuple[int, int]]:
    from retrain.backbones import find_backbone
    from retrain.backbones.convert import build

    spec = find_backbone(architecture)
    return build(spec, weights), (spec.input_spec.height, spec.input_spec.width)


def _extract(model: Any, side: tuple[int, int], folder: str) -> dict[str, float]:
    import keras

    wall, cpu = time.perf_counter(), time.process_time()
    photographs = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=side, batch_size=BATCH, shuffle=False, verbose=False
    )
    scaled = photographs.map(keras.applications.mobilenet.preprocess_input)
    features = model.predict(scaled, verbose=0)
    return {
        "photographs": len(features),
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
    }


def job(architecture: str, weights: Path, folder: str, steps: int, saved: str) -> int:
    """Extract once, train a Dense layer for about so many steps, test it, save all as one model."""
    import keras
    import numpy as np

    base, side = _build(architecture, weights)
    photographs = keras.utils.image_dataset_from_directory(
        folder, image_size=side, batch_size=BATCH, shuffle=False, verbose=False
    )
    names, paths = photographs.class_names, photographs.file_paths
    scaled = photographs.map(lambda pixels, _: keras.applications.mobilenet.preprocess_input(pixels))
    features = base.predict(scaled, verbose=0)
    labels = np.array([names.index(Path(path).parent.name) for path in paths])
    order = np.random.default_rng(0).permutation(len(labels))
    test, validation, training = np.split(order, [len(order) // SHARE, 2 * len(order) // SHARE])
    head = keras.Sequential([keras.Input(features.shape[1:]), keras.layers.Dense(len(names), activation="softmax")])
    head.compile(keras.optimizers.SGD(LEARNING_RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    steps_an_epoch = -(-len(training) // TRAIN_BATCH)
    head.fit(
        features[training],
        labels[training],
        batch_size=TRAIN_BATCH,
        epochs=-(-steps // steps_an_epoch),
        validation_data=(features[validation], labels[validation]),
        verbose=0,
    )
    head.evaluate(features[test], labels[test], verbose=0)
    keras.Sequential([keras.Input((*side, 3)), keras.layers.Rescaling(1 / 127.5, -1), base, head]).save(saved)
    return 0


def label(saved: str, photograph: str, side: int) -> int:
    """Load the model and print the scores of one photograph."""
    import keras
    import numpy as np

    model = keras.models.load_model(saved)
    image = keras.utils.load_img(photograph, target_size=(side, side))
    print(model.predict(np.asarray(image, np.float32)[None], verbose=0))
    return 0


def _on_pixels(model: Any, question: dict[str, str]) -> dict[str, int]:
    import keras
    import numpy as np

    pixels = np.load(question["pixels"]).astype(np.float32)
    features = model.predict(keras.applications.mobilenet.preprocess_input(pixels), batch_size=BATCH, verbose=0)
    np.save(question["answer"], features)
    return {"photographs": len(features)}


if __name__ == "__main__":
    sys.exit(main())
