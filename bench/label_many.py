r"""label_image of many photographs: rate, memory, and one photograph against the codelab's label_image.

    python bench/label_many.py --photographs flower_photos --codelab_label label_image.py \
        --tf115_python PATH/TO/python3.7

A model is trained first, on the photographs of this repository. Then, --rounds times: the whole process over --number
photographs to CSV; the same over a quarter of them, of which the rate of the rest follows without the start-up; and one
photograph, ours and the codelab's in turn on the same frozen graph. --photographs is a folder with JPEG photographs
anywhere below it; too few are taken several times, by links. The codelab's script is no part of this repository:
save scripts/label_image.py of github.com/googlecodelabs/tensorflow-for-poets-2; it needs an interpreter with
TensorFlow 1.15.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from codelab_peer import Codelab, tensorflow_version
from common import ROOT, Child, Row, median, print_table, python_module, ratios, run_child, save, say, span

GOAL = 400
QUARTER = 4
PHOTOGRAPH = ROOT / "tf_files" / "test_photos" / "1.jpg"


def main() -> int:
    """Measure, print the table, write the results."""
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        place = Path(temp)
        graph = train(place)
        rows, facts = measure_many(arguments, place, graph)
        more, label_facts = measure_one(arguments, place, graph)
    rows += more
    print_table(("figure", "goal", "measured"), [(row.figure, row.goal, row.measured) for row in rows])
    save("label_many", {**facts, **label_facts})
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--photographs", metavar="DIR", type=Path, default=ROOT / "tf_files" / "cluster_photos",
        help="JPEG photographs anywhere below it (default: tf_files/cluster_photos)",
    )  # fmt: skip
    parser.add_argument("--number", type=int, default=1000, help="photographs a round (default: 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--codelab_label", metavar="FILE", type=Path, help="the codelab's scripts/label_image.py")
    # Not resolved: a virtual environment's interpreter is a link that must be called by its own name.
    parser.add_argument("--tf115_python", metavar="PYTHON", type=Path, default=os.environ.get("RETRAIN_TF115_PYTHON"),
                        help="interpreter with TensorFlow 1.15 (default: RETRAIN_TF115_PYTHON)")  # fmt: skip
    arguments = parser.parse_args()
    problems = []
    if not any(arguments.photographs.rglob("*.jpg")):
        problems.append(f"expected .jpg files below --photographs, got {arguments.photographs}")
    if arguments.number < QUARTER or arguments.rounds < 1:
        problems.append(f"expected --number from {QUARTER} and --rounds from 1")
    if bool(arguments.codelab_label) != bool(arguments.tf115_python):
        problems.append("expected --codelab_label and --tf115_python together or neither")
    elif arguments.codelab_label and not arguments.codelab_label.is_file():
        problems.append(f"expected a file for --codelab_label, got {arguments.codelab_label}")
    elif arguments.codelab_label and not (tensorflow_version(arguments.tf115_python) or "").startswith("1.15"):
        problems.append(f"expected TensorFlow 1.15 in --tf115_python, {arguments.tf115_python} has none")
    if problems:
        parser.error("; ".join(problems))
    return arguments


def train(place: Path) -> Path:
    """Train the model that labels."""
    say("training")
    photographs = ROOT / "tf_files" / "cluster_photos"
    flags = {
        "image_dir": photographs, "architecture": "mobilenet_0.50_224", "how_many_training_steps": 100,
        "model_dir": place / "models", "bottleneck_dir": place / "cache", "summaries_dir": place / "summaries",
        "output_graph": place / "graph.pb", "output_labels": place / "labels.txt",
    }  # fmt: skip
    run_child(python_module("retrain", "--offline", *(f"--{name}={value}" for name, value in flags.items())))
    return place / "graph.pb"


def lay_out(photographs: Path, number: int, place: Path) -> Path:
    """Make a folder of so many links to photographs."""
    found = sorted(photographs.rglob("*.jpg"))
    place.mkdir()
    for index, path in enumerate(islice(cycle(found), number)):
        (place / f"{index:06}.jpg").symlink_to(path.resolve())
    return place


def measure_many(arguments: argparse.Namespace, place: Path, graph: Path) -> tuple[list[Row], dict[str, object]]:
    """Label many and a quarter of them, in turn."""
    number, quarter = arguments.number, arguments.number // QUARTER
    many = lay_out(arguments.photographs, number, place / "many")
    few = lay_out(arguments.photographs, quarter, place / "few")
    whole, part = [], []
    for turn in range(arguments.rounds):
        say(f"round {turn + 1} of {arguments.rounds}: {number} photographs")
        part.append(label(few, graph, place / "few.csv", quarter))
        whole.append(label(many, graph, place / "many.csv", number))
    rates = [number / child.wall_s for child in whole]
    pure = [(number - quarter) / (b.wall_s - a.wall_s) for a, b in zip(part, whole, strict=True)]
    grown = median([b.peak_mb - a.peak_mb for a, b in zip(part, whole, strict=True)])
    rows = [
        Row(f"{number} photographs to CSV, whole process", f">= {GOAL}/s", span(rates, "images/s", 0)),
        Row("the same without the start-up", "", span(pure, "images/s", 0)),
        Row("processor time a photograph", "", span([1000 * child.cpu_s / number for child in whole], "ms", 2)),
        Row("peak memory", "flat", span([child.peak_mb for child in whole], "MB", 0)),
        Row(f"peak memory beyond that of {quarter}", "about 0", f"{grown:.1f} MB"),
    ]
    facts = {"photographs": arguments.photographs.name, "number": number, "images_per_s": rates,
             "images_per_s_without_start": pure, "peak_mb": [child.peak_mb for child in whole],
             "peak_mb_of_a_quarter": [child.peak_mb for child in part]}  # fmt: skip
    return rows, facts


def label(folder: Path, graph: Path, output: Path, number: int) -> Child:
    """Label a folder, and see that all of it was labelled."""
    child = run_child(python_module("label_image", "--image", folder, "--graph", graph, "--output", output))
    with output.open(newline="") as file:
        named = sum(1 for row in csv.DictReader(file) if row["label"] and not row["error"])
    if named != number:
        raise SystemExit(f"expected {number} photographs to be labelled, got {named}; the figure means nothing")
    return child


def measure_one(arguments: argparse.Namespace, place: Path, graph: Path) -> tuple[list[Row], dict[str, object]]:
    """Label one photograph, whole process, ours and the codelab's in turn."""
    codelab = None
    if arguments.codelab_label:
        codelab = Codelab(arguments.tf115_python, Path(), arguments.codelab_label.resolve())
    ours, theirs = [], []
    for turn in range(arguments.rounds):
        say(f"round {turn + 1} of {arguments.rounds}: one photograph")
        ours.append(run_child(python_module("label_image", "--image", PHOTOGRAPH, "--graph", graph)))
        if codelab is not None:
            theirs.append(codelab.label_one(PHOTOGRAPH, place))
    walls = [child.wall_s for child in ours]
    rows = [
        Row("one photograph, whole process", "< 0.4 s", span(walls, "s")),
        Row("one photograph, peak memory", "< 200 MB", span([child.peak_mb for child in ours], "MB", 0)),
    ]
    if theirs:
        their_walls = [child.wall_s for child in theirs]
        rows += [
            Row("the codelab's label_image, same photograph and graph", "", span(their_walls, "s")),
            Row("its peak memory", "", span([child.peak_mb for child in theirs], "MB", 0)),
            Row("the codelab's takes", "", span(ratios(their_walls, walls), "x", 1)),
        ]
    facts = {"one_s": walls, "codelab_one_s": [child.wall_s for child in theirs]}
    return rows, facts


if __name__ == "__main__":
    sys.exit(main())
