"""EfficientNet's pixels are normalised as Keras does with the weights that it fetches, whatever file they come in."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import python

pytestmark = pytest.mark.tensorflow

# Keras is told that what it fetched is a file of random weights with the "variances" of the published ones.
COMPARE = """
import sys, h5py, keras, numpy as np
from pathlib import Path
from keras.src.applications import efficientnet
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from retrain.backbones.convert import build
from retrain.backbones.slim import write_npz
from retrain.backbones.table import find_backbone

keras.utils.set_random_seed(0)
shape = {"include_top": False, "pooling": "avg", "input_shape": (224, 224, 3)}
random = keras.applications.EfficientNetB0(weights=None, **shape)
weights = random.get_weights()
weights[0], weights[1] = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
random.set_weights(weights)
folder = Path(sys.argv[1])
with h5py.File(folder / "weights.h5", "w") as file:
    save_weights_to_hdf5_group(file, random)
write_npz(folder / "weights.npz", weights)
efficientnet.file_utils.get_file = lambda *_, **__: str(folder / "weights.h5")
fetched = keras.applications.EfficientNetB0(weights="imagenet", **shape)
images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype("float32")
wanted = fetched.predict(images, verbose=0)
assert np.abs(wanted[0] - wanted[1]).max() > 1e-3 * np.abs(wanted).max() > 0
for name in ("weights.h5", "weights.npz"):
    ours = build(find_backbone("efficientnet_b0"), folder / name).predict(images, verbose=0)
    difference = np.abs(ours - wanted).max() / np.abs(wanted).max()
    assert difference < 1e-4, (name, difference)
"""


def test_pixels_are_normalised_as_in_the_training(tmp_path: Path) -> None:
    done = python("-c", COMPARE, tmp_path)
    assert done.returncode == 0, done.stderr
