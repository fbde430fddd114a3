"""Build what jobs train, take steps, and tell what changed; a line of JSON a case. Run by test_trainable.py in a child.

python tests/cli/train_parts.py FOLDER CASE...
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from retrain.backbones import find_backbone
from retrain.backbones.convert import as_trained, build, build_untrained
from retrain.backbones.layers import layers_of
from retrain.backbones.slim import write_npz
from retrain.errors import RetrainError
from retrain.images import decode_rgb, normalise
from retrain.networks import Convolution, Dense, Dropout, Flatten, Network, Normalise, Pool, definition_of, measure
from retrain.trainer.job import Job, Settings
from retrain.trainer.trainable import Trainable, trainable_of

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "retrain" / "backbones" / "bundled" / "mobilenet_0.50_224.npz"
WITH_ALL = Network(
    "all",
    (Convolution(4, activation="linear", bias=False), Normalise(), Pool(4), Flatten(), Dense(6), Dropout(0.5)),
    size=16,
)
SMALL = "mobilenet_v2_0.35_96"


def job_of(train: str, name: str, weights: Path | None = None, **more: Any) -> Job:
    spec = find_backbone(name, more.get("definition", ""))
    settings = {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "seed": 3, **more.pop("settings", {})}
    told = {"definition": spec.definition, "channels": 3, "weights": str(weights or ""), **more}
    return Job(
        train,
        name,
        input_spec=spec.input_spec,
        labels=("a", "b"),
        photographs=(),
        settings=Settings(**settings),
        **told,
    )


def patches(size: int, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of two classes, that stripes lie across or along; float32 (N, size, size, 3) in -1 to 1, and labels."""
    generator = np.random.default_rng(1)
    labels = np.arange(count) % 2
    lines = np.sign(generator.normal(size=(count, size, 1, 1)))
    pictures = np.where(labels[:, None, None, None] == 0, lines, lines.transpose(0, 2, 1, 3))
    noise = generator.normal(0, 0.2, (count, size, size, 3))
    return np.clip(0.6 * pictures + noise, -1, 1).astype(np.float32), labels


def clusters(every: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Photographs of the repository, as the bundled backbone takes them."""
    spec = find_backbone("mobilenet_0.50_224").input_spec
    paths = sorted((ROOT / "tf_files" / "cluster_photos").rglob("*.jpg"))[::every]
    names = sorted({path.parent.name for path in paths})
    pictures = [normalise(decode_rgb(path.read_bytes(), spec), spec)[0] for path in paths]
    return np.stack(pictures), np.array([names.index(path.parent.name) for path in paths])


def digest(arrays: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def everything(trainable: Trainable) -> list[np.ndarray]:
    return [*trainable.trunk.get_weights(), *trainable.last.get_weights()]


def take_steps(trainable: Trainable, pictures: np.ndarray, labels: np.ndarray, steps: int, rate: float) -> list[float]:
    """Descend on one batch; the loss before each step."""
    variables = [one.value for block in trainable.blocks for one in block]
    images, targets = tf.constant(pictures), tf.constant(labels)

    @tf.function
    def step() -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            logits = trainable.forward(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(rate * gradient)
        return loss

    return [float(step()) for _ in range(steps)]


def drawn(folder: Path, name: str) -> Path:
    """Weights of usual size; biases, means and variances that are neither 0 nor 1."""
    place = folder / f"{name}.npz"
    keras.utils.set_random_seed(1)
    generator = np.random.default_rng(2)
    arrays = build_untrained(find_backbone(name)).get_weights()
    write_npz(place, [one + generator.uniform(0, 0.2, one.shape) if one.ndim == 1 else one for one in arrays])
    return place


def changes(trainable: Trainable, name: str, pictures: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Take two steps, and say of each layer whether anything that learns, and anything that is counted, is another."""
    network = next((one for one in trainable.trunk.layers if isinstance(one, keras.Model)), trainable.trunk)
    before = [([v.numpy() for v in layer.weights]) for layer in network.layers]
    losses = take_steps(trainable, pictures, labels, 2, 0.05)
    learnt, counted = [], []
    for layer, old in zip(network.layers, before, strict=True):
        same = [np.array_equal(v.numpy(), was) for v, was in zip(layer.weights, old, strict=True)]
        moving = ["moving" in v.path for v in layer.weights]
        learnt.append([not one for one, is_moving in zip(same, moving, strict=True) if not is_moving])
        counted.append([not one for one, is_moving in zip(same, moving, strict=True) if is_moving])
    layers = layers_of(build_untrained(find_backbone(name)))
    return {
        "line": trainable.frozen_layers, "first": layers[trainable.frozen_layers].name, "losses": losses,
        "names": [one.name for one in layers], "learnt": learnt, "counted": counted,
        "blocks": [len(block) for block in trainable.blocks], "decayed": [one.path for one in trainable.decayed],
    }  # fmt: skip


def scratch(folder: Path) -> dict[str, Any]:
    first, again = trainable_of(job_of("scratch", "cnn3_16")), trainable_of(job_of("scratch", "cnn3_16"))
    other = trainable_of(job_of("scratch", "cnn3_16", settings={"seed": 4}))
    facts = {
        "drawn": digest(everything(first)), "again": digest(everything(again)), "other": digest(everything(other)),
        "blocks": [[one.path for one in block] for block in first.blocks],
        "decayed": [one.path for one in first.decayed],
    }  # fmt: skip
    pictures, labels = patches(16, 64)
    facts["losses"] = take_steps(first, pictures[:48], labels[:48], 60, 0.1)
    logits = first.forward(pictures[48:], training=False).numpy()
    facts["accuracy"] = float((logits.argmax(axis=1) == labels[48:]).mean())
    first.save(folder)
    loaded = build(find_backbone("cnn3_16"), folder / "network.npz")
    with np.load(folder / "head.npz") as head:
        weights, biases = head["weights"], head["biases"]
    ours = loaded(pictures[48:], training=False).numpy() @ weights + biases
    facts |= {"saved": float(np.abs(ours - logits).max()), "kinds": [str(weights.dtype), str(biases.dtype)]}
    first.blocks[0][0].assign(first.blocks[0][0] * np.nan)
    (folder / "network.npz").unlink()
    facts["unfit"] = refusal(lambda: first.save(folder))
    facts["left"] = sorted(path.name for path in folder.iterdir() if path.suffix == ".npz")
    return facts


def refusal(ask: Any) -> str:
    try:
        ask()
    except RetrainError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def training_mode(folder: Path) -> dict[str, Any]:
    """Dropout and batch statistics: on from scratch, off or kept where a network is tuned."""
    definition = definition_of(WITH_ALL)
    pictures, labels = patches(16)
    facts: dict[str, Any] = {}
    new = trainable_of(job_of("scratch", "network_all", definition=definition))
    write_npz(folder / "all.npz", new.trunk.get_weights())
    for name, one in (
        ("scratch", new),
        ("tuned", trainable_of(job_of("finetune", "network_all", folder / "all.npz", definition=definition,
                                      settings={"freeze_layers": 0}))),
        ("frozen", trainable_of(job_of("finetune", "network_all", folder / "all.npz", definition=definition,
                                       settings={"freeze_layers": len(new.trunk.layers)}))),
    ):  # fmt: skip
        twice = [one.forward(pictures, training=True).numpy() for _ in range(2)]
        calm = [one.forward(pictures, training=False).numpy() for _ in range(2)]
        moving = [v.numpy() for v in one.trunk.weights if "moving" in v.path]
        take_steps(one, pictures, labels, 1, 0.01)
        after = [v.numpy() for v in one.trunk.weights if "moving" in v.path]
        facts[name] = {
            "drops": bool((twice[0] != twice[1]).any()), "calm": bool((calm[0] == calm[1]).all()),
            "counts": not all(np.array_equal(a, b) for a, b in zip(moving, after, strict=True)),
            "trained": sum(len(block) for block in one.blocks),
        }  # fmt: skip
    return facts


def tuned(folder: Path) -> dict[str, Any]:
    """The bundled backbone, on photographs, from a head of zeros."""
    pictures, labels = clusters()
    head = folder / "start.npz"
    np.savez(head, weights=np.zeros((512, 2), np.float32), biases=np.array([0, 1], np.float32))
    trainable = trainable_of(job_of("finetune", "mobilenet_0.50_224", BUNDLED, head=str(head)))
    first = trainable.forward(pictures, training=True).numpy()
    facts = {"begun": np.unique(first, axis=0).tolist(), **changes(trainable, "mobilenet_0.50_224", pictures, labels)}
    facts["more"] = take_steps(trainable, pictures, labels, 30, 0.004)
    np.savez(head, weights=np.zeros((500, 2), np.float32), biases=np.zeros(2, np.float32))
    facts["narrow"] = refusal(lambda: trainable_of(job_of("finetune", "mobilenet_0.50_224", BUNDLED, head=str(head))))
    head.write_bytes(b"x")
    facts["broken"] = refusal(lambda: trainable_of(job_of("finetune", "mobilenet_0.50_224", BUNDLED, head=str(head))))
    return facts


def lines(folder: Path) -> dict[str, Any]:
    """Where the line is: by name, by number, and what is refused."""
    weights, (pictures, labels) = drawn(folder, SMALL), patches(96, 4)

    def asked(**settings: Any) -> Trainable:
        return trainable_of(job_of("finetune", SMALL, weights, settings=settings))

    return {
        "named": changes(asked(unfreeze_from="block_15_depthwise"), SMALL, pictures, labels),
        "none": changes(asked(freeze_layers=0), SMALL, pictures, labels),
        "unknown": refusal(lambda: asked(unfreeze_from="block_15_depthwse")),
        "many": refusal(lambda: asked(freeze_layers=1000)),
    }


def vgg(folder: Path) -> dict[str, Any]:
    """The example of the documentation; its trunk does what convert.py writes."""
    weights, (pictures, labels) = drawn(folder, "vgg16"), patches(224, 2)
    trainable = trainable_of(job_of("finetune", "vgg16", weights, settings={"freeze_layers": 10}))
    spec = find_backbone("vgg16")
    theirs = build(spec, weights)(as_trained(tf.constant(pictures), spec.preprocessing)).numpy()
    ours = trainable.trunk(pictures, training=False).numpy()
    facts = changes(trainable, "vgg16", pictures, labels)
    return {**facts, "apart": float(np.abs(ours - theirs).max() / np.abs(theirs).max())}


def mixed(folder: Path) -> dict[str, Any]:
    weights, (pictures, labels) = drawn(folder, SMALL), patches(96, 4)
    rows = {}
    for name, on in (("full", False), ("mixed", True)):
        job = job_of("finetune", SMALL, weights, settings={"mixed_precision": on})
        one = trainable_of(replace(job, settings=replace(job.settings, freeze_layers=0)))
        vectors = one.trunk(pictures, training=False)
        rows[name] = (vectors.numpy().astype(np.float32), str(vectors.dtype))
        logits = one.forward(pictures, training=True)
        kinds = {str(v.dtype) for v in one.trunk.weights}
        losses = take_steps(one, pictures, labels, 2, 0.01)
    full, rough = rows["full"][0], rows["mixed"][0]
    return {
        "kinds": sorted(kinds), "logits": logits.dtype.name, "vectors": [rows["full"][1], rows["mixed"][1]],
        "apart": float(np.abs(full - rough).max() / np.abs(full).max()), "losses": losses,
        "policy": keras.config.dtype_policy().name,
    }  # fmt: skip


def measured(_: Path) -> dict[str, Any]:
    """What is said of networks without building them, and what Keras says."""
    rows = {}
    for name in ("cnn3_40", "cnn6_24_grey", "inception_cnn_33", "mnist_cnn_29_grey"):
        spec = find_backbone(name)
        network = spec.network
        assert network is not None
        model = build_untrained(spec)
        trained = sum(int(np.prod(one.shape)) for one in model.trainable_variables)
        told = measure(network)
        rows[name] = [
            [told.feature_width, told.parameters, told.arrays],
            [model.output_shape[-1], trained, len(model.get_weights())],
        ]
    return rows


if __name__ == "__main__":
    for case in sys.argv[2:]:
        place = Path(sys.argv[1]) / case
        place.mkdir()
        print("ROW " + json.dumps([case, globals()[case](place)]), flush=True)
