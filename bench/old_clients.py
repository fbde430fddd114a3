"""See that a client of the codelab's time reads our graph: TensorFlow 1.15 under Python 3.7.

    python bench/old_clients.py tf_files/retrained_graph.pb --python37 PATH/TO/python --image ONE.jpg --image TWO.jpg

The old interpreter runs bench/tf115_client.py, which opens the graph as the codelab's label_image does and scores the
photographs twice: on the very pixels that our classifier uses (the scores must agree), and decoded in its own way
(the first label must agree; the scores differ, since the codelab resizes without antialiasing).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import BENCH, ROOT, Row, print_table, save, say

from retrain.bundle import GRAPH_NODE, bundle_from_json
from retrain.classifier import Classifier
from retrain.images import Floats, decode_rgb, normalise, read_image_file

BATCHES = (1, 7)
MAX_DIFFERENCE = 1e-4
Answer = Mapping[str, npt.NDArray[Any]]


def main() -> int:
    """Ask both clients, print the table, write the results; 1 when they disagree."""
    arguments = _parse()
    images = arguments.image or sorted((ROOT / "tf_files" / "test_photos").glob("*.jpg"))
    classifier = Classifier.open(arguments.graph)
    ours = np.stack([classifier.scores(image) for image in images])
    answer = ask_old_client(arguments.python37, arguments.graph, classifier, images)
    rows = compare(classifier, ours, answer)
    print_table(("figure", "goal", "measured"), [(row.figure, row.goal, row.measured) for row in rows])
    agreed = all_agree(classifier, ours, answer)
    save("old_clients", {"agreed": agreed, "figures": {row.figure: row.measured for row in rows}})
    return 0 if agreed else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", metavar="GRAPH", type=Path, help="retrained_graph.pb; its .tflite beside it")
    parser.add_argument(
        "--python37", metavar="PYTHON", type=Path, required=True, help="a Python 3.7 with TensorFlow 1.15 installed"
    )
    parser.add_argument(
        "--image",
        metavar="JPEG",
        type=Path,
        action="append",
        help="photograph to score, may be given several times (default: those in tf_files/test_photos)",
    )
    arguments = parser.parse_args()
    missing = [str(p) for p in (arguments.graph, arguments.python37, *(arguments.image or ())) if not p.is_file()]
    if missing:
        parser.error(f"expected files, but there is no file {', '.join(missing)}")
    return arguments


def ask_old_client(python37: Path, graph: Path, classifier: Classifier, images: Sequence[Path]) -> Answer:
    """Have the old client score the photographs; a dictionary of arrays comes back."""
    say(f"TensorFlow 1.15 on {len(images)} photographs")
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        place = Path(temp)
        np.save(place / "pixels.npy", model_input(classifier, images))
        request = place / "request.json"
        request.write_text(json.dumps(request_for(graph, classifier, images, place)))
        _run_old(python37, request)
        with np.load(place / "answer.npz", allow_pickle=False) as archive:
            return dict(archive)


def model_input(classifier: Classifier, images: Sequence[Path]) -> Floats:
    """Decode photographs as our classifier does: float32 (N, H, W, 3)."""
    spec = classifier.bundle.input_spec
    return np.concatenate([normalise(decode_rgb(read_image_file(image), spec), spec) for image in images])


def request_for(graph: Path, classifier: Classifier, images: Sequence[Path], place: Path) -> dict[str, Any]:
    """Say all that the old client needs to know, since it knows nothing of this project."""
    bundle = classifier.bundle
    return {
        "graph": str(graph.resolve()),
        "images": [str(image.resolve()) for image in images],
        "pixels": str(place / "pixels.npy"),
        "answer": str(place / "answer.npz"),
        "input": [bundle.input_height, bundle.input_width, bundle.input_mean, bundle.input_std],
        "input_node": bundle.input_node,
        "output_node": bundle.output_node,
        "bundle_node": GRAPH_NODE,
        "batches": BATCHES,
    }


def _run_old(python37: Path, request: Path) -> None:
    # The variables of this interpreter would lead the old one to the wrong packages.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**clean, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    words = [str(python37), str(BENCH / "tf115_client.py"), str(request)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"the old client failed with {done.returncode}:\n{done.stderr[-3000:]}")


def compare(classifier: Classifier, ours: Floats, answer: Answer) -> list[Row]:
    """Make the table."""
    rows = [Row("old client", "1.15", f"TensorFlow {answer['version']}, {len(ours)} photographs")]
    for size in BATCHES:
        scores, name = answer[f"batch_{size}"], f"same pixels, batches of {size}"
        rows.append(Row(f"{name}: largest difference of a score", f"<= {MAX_DIFFERENCE:.0e}", far(ours, scores)))
        rows.append(Row(f"{name}: same first label", "all", same_label(ours, scores)))
    rows.append(Row("own decode: same first label", "all", same_label(ours, answer["own_decode"])))
    rows.append(Row("own decode: largest difference of a score", "", far(ours, answer["own_decode"])))
    same = "yes" if described_alike(classifier, answer) else "no: it differs"
    rows.append(Row(f"{GRAPH_NODE} read in 1.15, same as ours", "yes", same))
    return rows


def far(ours: Floats, theirs: Floats) -> str:
    """Say the largest absolute difference of a score."""
    return f"{np.abs(ours - theirs).max():.1e}"


def same_label(ours: Floats, theirs: Floats) -> str:
    """Count the photographs with the same first label."""
    return f"{int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())} of {len(ours)}"


def described_alike(classifier: Classifier, answer: Answer) -> bool:
    """Whether the constant that 1.15 read is the description that our classifier has."""
    return bundle_from_json(str(answer["bundle"]).encode(), GRAPH_NODE) == classifier.bundle


def all_agree(classifier: Classifier, ours: Floats, answer: Answer) -> bool:
    """Whether every goal was met."""
    batches = [answer[f"batch_{size}"] for size in BATCHES]
    close = all(np.abs(ours - scores).max() <= MAX_DIFFERENCE for scores in batches)
    labels = ours.argmax(axis=1)
    named = all((scores.argmax(axis=1) == labels).all() for scores in (*batches, answer["own_decode"]))
    return bool(close and named and described_alike(classifier, answer))


if __name__ == "__main__":
    sys.exit(main())
