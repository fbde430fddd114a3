"""The standard Keras idiom of feature extraction, in a process of its own that answers one question a line.

Started by extraction.py: TensorFlow's start-up is then not counted, and its threads sleep while the other side runs.
Questions and answers are JSON: {"folder": DIR} extracts, {"pixels": FILE, "answer": FILE} computes on given pixels.
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


def main() -> int:
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


def _on_pixels(model: Any, question: dict[str, str]) -> dict[str, int]:
    import keras
    import numpy as np

    pixels = np.load(question["pixels"]).astype(np.float32)
    features = model.predict(keras.applications.mobilenet.preprocess_input(pixels), batch_size=BATCH, verbose=0)
    np.save(question["answer"], features)
    return {"photographs": len(features)}


if __name__ == "__main__":
    sys.exit(main())
