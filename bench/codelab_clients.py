"""Scripts of the codelab and of TensorFlow's examples, run unchanged on our graph; old_clients.py asks for them.

They are no part of this repository, and are given by path. Each photograph is a process of its own, as it was for those
who followed the codelab.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Row, cores, say
from PIL import Image

from retrain.classifier import Classifier
from retrain.dataset.split import poets_percentage

# The share of photographs that evaluate.py tests on, as the codelab's retrain.py leaves it.
_TESTING = (10.0, 20.0)
_SUFFIXES = {".jpg", ".jpeg"}
_CLASSES = 5
# evaluate.py prints six digits.
_CLOSE = 1e-4


@dataclass(frozen=True)
class LabelScript:
    """A script that labels one photograph.

    Args:
        name: for the table.
        words: its command line behind the interpreter, without graph, labels and photograph.
        folder: to run it in.
    """

    name: str
    words: tuple[str, ...]
    folder: Path


def label_scripts(codelab: Path | None, image_retraining: Path | None, height: int, width: int) -> list[LabelScript]:
    """List the ways in which the scripts at hand can be called."""
    found = []
    if codelab is not None:
        words = ("-m", "scripts.label_image", f"--input_height={height}", f"--input_width={width}")
        found.append(LabelScript("codelab's label_image.py with its own layer names", words, codelab))
        found.append(LabelScript("the same with --input_layer=input", (*words, "--input_layer=input"), codelab))
    if image_retraining is not None:
        script = image_retraining.resolve()
        found.append(LabelScript("image_retraining/label_image.py (JPEG bytes)", (str(script),), script.parent))
    return found


def label_rows(
    python37: Path, graph: Path, classifier: Classifier, scripts: Sequence[LabelScript], images: Sequence[Path]
) -> tuple[list[Row], bool]:
    """Have each script label each photograph; the rows, and whether every first label is ours."""
    ours = [classifier.classify(image)[0].label for image in images]
    rows, agreed = [], True
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        labels = Path(temp) / "labels.txt"
        labels.write_text("".join(f"{label}\n" for label in classifier.bundle.labels))
        for script in scripts:
            say(f"{script.name} on {len(images)} photographs")
            theirs = _label_all(python37, script, graph, labels, images)
            same = sum(a == b for a, b in zip(ours, theirs, strict=True))
            rows.append(Row(f"{script.name}: same first label", "all", f"{same} of {len(images)}"))
            agreed = agreed and same == len(images)
    return rows, agreed


def _label_all(python37: Path, script: LabelScript, graph: Path, labels: Path, images: Sequence[Path]) -> list[str]:
    known = labels.read_text().splitlines()

    def label(image: Path) -> str:
        flags = (f"--graph={graph.resolve()}", f"--labels={labels}", f"--image={image.resolve()}")
        return first_label(run_old(python37, [*script.words, *flags], script.folder), known)

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(label, images))


def first_label(said: str, known: Sequence[str]) -> str:
    """Find the first line of what a script printed that is a label and its score; empty where there is none."""
    names = "|".join(re.escape(label) for label in sorted(known, key=len, reverse=True))
    found = re.search(rf"^({names}) \(score ?= ?[0-9.]+\)$", said, re.MULTILINE)
    return found[1] if found else ""


def run_old(python37: Path, words: Sequence[str], folder: Path) -> str:
    """Run the old interpreter and return what it printed; stops the benchmark when it fails."""
    # The variables of this interpreter would lead the old one to the wrong packages.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**clean, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    # Not resolved: a virtual environment's interpreter is a link that must be called by its own name.
    command = [str(python37.absolute()), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}\nfailed with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def evaluate_rows(python37: Path, codelab: Path, graph: Path, photographs: Path) -> tuple[list[Row], bool]:
    """Run the codelab's evaluate.py, which knows flower_photos only; the rows, and whether it says what we say."""
    say("the codelab's evaluate.py")
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        place = Path(temp)
        (place / "tf_files").mkdir()
        (place / "scripts").symlink_to((codelab / "scripts").resolve())
        (place / "tf_files" / "flower_photos").symlink_to(photographs.resolve())
        said = run_old(python37, ["-m", "scripts.evaluate", str(graph.resolve())], place)
    theirs = [float(value) for value in re.findall(r"^(?:Accuracy|Cross Entropy): ([0-9.e+-]+)$", said, re.MULTILINE)]
    accuracy, entropy, count = _evaluated(Classifier.open(graph, input_mean=128, input_std=128), photographs)
    rows = [
        Row("codelab's evaluate.py: accuracy", f"{accuracy:.4f}, ours on {count} photographs", f"{theirs[0]:.4f}"),
        Row("codelab's evaluate.py: cross entropy", f"{entropy:.4f}, ours", f"{theirs[1]:.4f}"),
    ]
    return rows, abs(theirs[0] - accuracy) <= _CLOSE and abs(theirs[1] - entropy) <= _CLOSE


def _evaluated(classifier: Classifier, photographs: Path) -> tuple[float, float, int]:
    """Accuracy and cross entropy on the photographs and in the preprocessing of evaluate.py, and how many they are."""
    chances, right = [], []
    folders = sorted(folder for folder in photographs.iterdir() if folder.is_dir())
    for label, folder in enumerate(folders):
        for path in sorted(one for one in folder.iterdir() if one.suffix.lower() in _SUFFIXES):
            typed = f"tf_files/flower_photos/{folder.name}/{path.name}"
            if _TESTING[0] <= poets_percentage(typed) < _TESTING[1]:
                scores = classifier.scores(_lanczos(path))
                chances.append(scores[label])
                right.append(int(scores.argmax()) == label)
    return float(np.mean(right)), float(-np.log(chances).mean()), len(right)


def _lanczos(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.resize((224, 224), Image.Resampling.LANCZOS))


def evaluate_problems(graph: Path, photographs: Path) -> list[str]:
    """Say why evaluate.py could not run on these."""
    if not graph.is_file() or not photographs.is_dir():
        return [f"expected --evaluate a graph and a folder of class folders, got {graph} and {photographs}"]
    classes = sum(folder.is_dir() for folder in photographs.iterdir())
    bundle = Classifier.open(graph).bundle
    if (classes, len(bundle.labels), bundle.input_height) != (_CLASSES, _CLASSES, 224):
        return [f"expected --evaluate {_CLASSES} classes at 224 pixels, which evaluate.py has inside, got {classes}"]
    return []
