"""The tutorials' networks in plain Keras: ``fit`` on ``image_dataset_from_directory``; answers one question a line.

    keras_network_peer.py

A question is JSON, {"network": "cnn3_128" | "mnist_cnn_28", "train": DIR, "test": DIR or "", "epochs": N,
"batch": N, "rate": X, "seed": N, "channels": 1 | 3}; the answer has the photographs of an epoch, the seconds of each
epoch and the accuracy on the test folder. The process stays: its start is not counted, its threads sleep meanwhile.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def main() -> int:
    """Answer until the input ends."""
    # What TensorFlow prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import keras

    print(json.dumps({"ready": keras.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(train(json.loads(line))), file=answers, flush=True)
    return 0


def train(question: dict[str, Any]) -> dict[str, Any]:
    """Train a network as the tutorials do, and test it."""
    import keras

    keras.utils.set_random_seed(question["seed"])
    name, _, size = question["network"].rpartition("_")
    shape = (int(size), int(size), question["channels"])
    photographs = _folder(question["train"], shape, question, shuffle=True)
    model = keras.Sequential([keras.Input(shape), *layers_of(name), keras.layers.Dense(len(photographs.class_names))])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(question["rate"]), loss, metrics=["accuracy"])
    clock = _clock()
    model.fit(photographs, epochs=question["epochs"], callbacks=[clock], verbose=0)
    answer: dict[str, Any] = {"photographs": len(photographs.file_paths), "epoch_s": clock.seconds}
    if question["test"]:
        tested = model.evaluate(_folder(question["test"], shape, question, shuffle=False), verbose=0)
        answer["accuracy"] = float(tested[1])
    return answer


def layers_of(name: str) -> list[Any]:
    """Spell a network out as the tutorials do, up to its last layer; pictures are scaled to -1 to 1 as ours are."""
    from keras import layers

    def convolved(*filters: int, kernel: int) -> list[Any]:
        pairs = [
            (layers.Conv2D(count, kernel, padding="same", activation="relu"), layers.MaxPooling2D())
            for count in filters
        ]
        return [layer for pair in pairs for layer in pair]

    scaled = layers.Rescaling(1 / 127.5, -1)
    if name == "cnn3":
        return [scaled, *convolved(32, 32, 64, kernel=3), layers.Flatten(), layers.Dense(128, activation="relu")]
    if name == "mnist_cnn":
        dense = [layers.Flatten(), layers.Dense(1024, activation="relu"), layers.Dropout(0.5)]
        return [scaled, *convolved(32, 64, kernel=5), *dense]
    raise SystemExit(f"expected a network cnn3_SIZE or mnist_cnn_SIZE, got {name}")


def _folder(path: str, shape: tuple[int, int, int], question: dict[str, Any], *, shuffle: bool) -> Any:
    import keras

    return keras.utils.image_dataset_from_directory(
        path,
        image_size=shape[:2],
        color_mode="rgb" if shape[2] == 3 else "grayscale",
        batch_size=question["batch"],
        shuffle=shuffle,
        seed=question["seed"],
        verbose=False,
    )


def _clock() -> Any:
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self._start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.seconds.append(time.perf_counter() - self._start)

    return Clock()


if __name__ == "__main__":
    sys.exit(main())
