r"""See that clients of the codelab's time read our graph: TensorFlow 1.15 under Python 3.7.

    python bench/old_clients.py tf_files/retrained_graph.pb --python37 PATH/TO/python \
        --photographs tf_files/cluster_photos

The old interpreter runs bench/tf115_client.py, which opens the graph as the codelab's label_image does and scores the
photographs: on the very pixels that our classifier uses, at ``input`` and at its alias ``Mul`` (the scores must agree);
decoded in its own way (the first label must agree; the scores differ, since the codelab resizes without antialiasing);
and by the graph itself, from ``DecodeJpeg/contents``.

Real scripts run unchanged, in processes of their own, where they are given; they are no part of this repository:
    --codelab DIR             a checkout of github.com/googlecodelabs/tensorflow-for-poets-2: scripts/label_image.py,
                              and for --evaluate scripts/evaluate.py, with retrain.py and count_ops.py beside it
    --evaluate GRAPH DIR      what evaluate.py is asked for: a graph of ours for five classes of flowers, and these
    --image_retraining FILE   tensorflow/examples/image_retraining/label_image.py of TensorFlow 1.0 to 1.3, which feeds
                              the bytes of the JPEG
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from codelab_clients import evaluate_problems, evaluate_rows, label_rows, label_scripts, run_old
from common import BENCH, ROOT, Row, print_table, save, say

from retrain.bundle import GRAPH_NODE, bundle_from_json
from retrain.classifier import Classifier
from retrain.images import Floats, decode_rgb, normalise, read_image_file

BATCHES = (1, 7)
MAX_DIFFERENCE = 1e-5
MAX_DECODED_DIFFERENCE = 1e-2
Answer = Mapping[str, npt.NDArray[Any]]


def main() -> int:
    """Ask all clients, print the table, write the results; 1 when one disagrees."""
    arguments = _parse()
    images = photographs_of(arguments)
    classifier = Classifier.open(arguments.graph)
    ours = np.stack([classifier.scores(image) for image in images])
    answer = ask_old_client(arguments.python37, arguments.graph, classifier, images)
    rows, agreed = compare(classifier, ours, answer), all_agree(classifier, ours, answer)
    more, same = ask_scripts(arguments, classifier, images)
    rows += more
    print_table(("figure", "goal", "measured"), [(row.figure, row.goal, row.measured) for row in rows])
    save("old_clients", {"agreed": agreed and same, "figures": {row.figure: row.measured for row in rows}})
    return 0 if agreed and same else 1


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
    parser.add_argument("--photographs", metavar="DIR", type=Path, help="JPEG photographs below it are scored as well")
    parser.add_argument("--number", type=int, default=20, help="how many of --photographs (default: %(default)s)")
    parser.add_argument("--codelab", metavar="DIR", type=Path, help="folder with scripts/ of the codelab")
    parser.add_argument("--evaluate", metavar=("GRAPH", "DIR"), type=Path, nargs=2, help="run evaluate.py of --codelab")
    parser.add_argument("--image_retraining", metavar="FILE", type=Path, help="label_image.py that feeds JPEG bytes")
    arguments = parser.parse_args()
    problems = _problems(arguments)
    if problems:
        parser.error("; ".join(problems))
    return arguments


def _problems(arguments: argparse.Namespace) -> list[str]:
    wanted = [arguments.graph, arguments.python37, *(arguments.image or ()), arguments.image_retraining]
    if arguments.codelab:
        names = ("label_image", "evaluate", "retrain", "count_ops") if arguments.evaluate else ("label_image",)
        wanted += [arguments.codelab / "scripts" / f"{name}.py" for name in names]
    missing = [str(path) for path in wanted if path is not None and not path.is_file()]
    found = [f"expected files, but there is no file {', '.join(missing)}"] if missing else []
    if arguments.photographs and not any(arguments.photographs.rglob("*.jpg")):
        found.append(f"expected .jpg files below --photographs, got {arguments.photographs}")
    if arguments.evaluate and not arguments.codelab:
        found.append("expected --codelab with --evaluate")
    return found + (evaluate_problems(*arguments.evaluate) if arguments.evaluate else [])


def photographs_of(arguments: argparse.Namespace) -> list[Path]:
    """List what is scored: the photographs named, and so many of the folder, evenly spread."""
    images = arguments.image or sorted((ROOT / "tf_files" / "test_photos").glob("*.jpg"))
    more = sorted(arguments.photographs.rglob("*.jpg")) if arguments.photographs else []
    count = min(arguments.number, len(more))
    return [*images, *(more[index * len(more) // count] for index in range(count))]


def ask_scripts(
    arguments: argparse.Namespace, classifier: Classifier, images: Sequence[Path]
) -> tuple[list[Row], bool]:
    """Run the real scripts that are at hand; the rows, and whether all said what we say."""
    size = (classifier.bundle.input_height, classifier.bundle.input_width)
    scripts = label_scripts(arguments.codelab, arguments.image_retraining, *size)
    rows, agreed = label_rows(arguments.python37, arguments.graph, classifier, scripts, images)
    if arguments.evaluate:
        more, same = evaluate_rows(arguments.python37, arguments.codelab, *arguments.evaluate)
        return rows + more, agreed and same
    return rows, agreed


def ask_old_client(python37: Path, graph: Path, classifier: Classifier, images: Sequence[Path]) -> Answer:
    """Have the old client score the photographs; a dictionary of arrays comes back."""
    say(f"TensorFlow 1.15 on {len(images)} photographs")
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        place = Path(temp)
        np.save(place / "pixels.npy", model_input(classifier, images))
        request = place / "request.json"
        request.write_text(json.dumps(request_for(graph, classifier, images, place)))
        run_old(python37, [str(BENCH / "tf115_client.py"), str(request)], place)
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
        "input_nodes": [bundle.input_node, "Mul"],
        "contents_node": "DecodeJpeg/contents",
        "output_node": bundle.output_node,
        "bundle_node": GRAPH_NODE,
        "batches": BATCHES,
    }


def compare(classifier: Classifier, ours: Floats, answer: Answer) -> list[Row]:
    """Make the table."""
    rows = [Row("old client", "1.15", f"TensorFlow {answer['version']}, {len(ours)} photographs")]
    for key in same_pixels(answer):
        node, size = key.rsplit("_", 1)
        name, scores = f"same pixels at {node}, batches of {size}", answer[key]
        rows.append(Row(f"{name}: largest difference of a score", f"<= {MAX_DIFFERENCE:.0e}", far(ours, scores)))
        rows.append(Row(f"{name}: same first label", "all", same_label(ours, scores)))
    contents, own = answer["contents"], answer["own_decode"]
    rows.append(Row("JPEG bytes: largest difference of a score", f"<= {MAX_DECODED_DIFFERENCE}", far(ours, contents)))
    rows.append(Row("JPEG bytes: same first label", "all", same_label(ours, contents)))
    rows.append(Row("JPEG bytes: a photograph", "", f"{answer['contents_ms']:.1f} ms"))
    rows.append(Row("own decode: same first label", "all", same_label(ours, own)))
    rows.append(Row("own decode: largest difference of a score", "", far(ours, own)))
    same = "yes" if described_alike(classifier, answer) else "no: it differs"
    rows.append(Row(f"{GRAPH_NODE} read in 1.15, same as ours", "yes", same))
    return rows


def same_pixels(answer: Answer) -> list[str]:
    """Name the scores that the old client got for our own pixels: "input_1", "Mul_7"."""
    return [key for key in answer if key.endswith(tuple(f"_{size}" for size in BATCHES))]


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
    pixels, contents = [answer[key] for key in same_pixels(answer)], answer["contents"]
    close = all(np.abs(ours - scores).max() <= MAX_DIFFERENCE for scores in pixels)
    decoded = np.abs(ours - contents).max() <= MAX_DECODED_DIFFERENCE
    labels = ours.argmax(axis=1)
    named = all((scores.argmax(axis=1) == labels).all() for scores in (*pixels, contents, answer["own_decode"]))
    return bool(close and decoded and named and described_alike(classifier, answer))


if __name__ == "__main__":
    sys.exit(main())
