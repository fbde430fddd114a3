"""Graphs that the original tools wrote: our label_image --resize=tf1 against the codelab's script, TensorFlow 1.15.

    python bench/strangers.py --codelab DIR --python37 PATH/TO/python old/retrained_graph.pb another.pb

Each graph names photographs in both ways; what is compared is what both print, five digits of the five best scores.
Input, size and output are found out by us and told to the codelab's script, which takes whole numbers as mean and
standard deviation: both are given the codelab's 128 and 128 in place of 127.5.
Labels come from a file that fits beside the graph, or are numbered by this benchmark. DIR holds the codelab's scripts/
(github.com/googlecodelabs/tensorflow-for-poets-2), which are no part of this repository.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from codelab_clients import run_old
from common import ROOT, cores, print_table, python_module, run_child, save, say

from retrain.errors import ModelError
from retrain.graphs.checked import checked_nodes
from retrain.graphs.labelling import Scorer, find_scores
from retrain.modelfile.labels import labels_beside

GOAL = 1e-3
SCALING = {"input_mean": 128, "input_std": 128}
Scores = dict[str, float]


def main() -> int:
    """Measure, print the table, write the results; 1 where a score is further off than the goal."""
    arguments = _parse()
    rows, facts, worst = [], {}, 0.0
    for graph in arguments.graphs:
        say(f"{graph.name} on {len(arguments.image)} photographs")
        far, same = compare(graph, arguments)
        worst = max(worst, far)
        facts[str(graph)] = {"largest_difference": far, "same_first_label": same, "photographs": len(arguments.image)}
        rows.append((graph.name, f"{same} of {len(arguments.image)}", f"{far:.1e}", f"{GOAL:.0e}"))
    print_table(("graph", "same first label", "largest difference of a score", "goal"), rows)
    save("strangers", facts)
    return 0 if worst <= GOAL else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", metavar="GRAPH", type=Path, nargs="+", help="frozen graphs of other tools")
    parser.add_argument("--codelab", metavar="DIR", type=Path, required=True, help="folder with scripts/label_image.py")
    parser.add_argument("--python37", metavar="PYTHON", type=Path, required=True, help="a Python with TensorFlow 1.15")
    parser.add_argument(
        "--image", metavar="FILE", type=Path, action="append", help="photograph (default: ten clusters)"
    )
    arguments = parser.parse_args()
    clusters = sorted((ROOT / "tf_files" / "cluster_photos").glob("*/*.jpg"))
    arguments.image = arguments.image or [*sorted((ROOT / "tf_files" / "test_photos").glob("*.jpg")), *clusters[::8]]
    wanted = [*arguments.graphs, *arguments.image, arguments.codelab / "scripts" / "label_image.py", arguments.python37]
    missing = [str(path) for path in wanted if not path.is_file()]
    if missing:
        parser.error(f"expected files, but there is no {', '.join(missing)}")
    return arguments


def compare(graph: Path, arguments: argparse.Namespace) -> tuple[float, int]:
    """Name all photographs in both ways: the largest difference of a score, and how many first labels are the same."""
    scorer = find_scores(checked_nodes(graph.read_bytes()))
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        labels = Path(temp) / "labels.txt"
        labels.write_text("".join(f"{name}\n" for name in names_for(graph, scorer.classes)))

        def both(image: Path) -> tuple[Scores, Scores]:
            return ours(graph, labels, image), theirs(graph, labels, image, scorer, arguments)

        with ThreadPoolExecutor(cores()) as pool:
            pairs = list(pool.map(both, arguments.image))
    far = max(abs(mine[name] - other[name]) for mine, other in pairs for name in set(mine) & set(other))
    return far, sum(next(iter(mine)) == next(iter(other)) for mine, other in pairs)


def names_for(graph: Path, classes: int) -> tuple[str, ...]:
    """Labels of the file beside the graph, or numbers; no two alike."""
    try:
        found = labels_beside(graph, classes).names
    except ModelError:
        found = ()
    return found if len(set(found)) == classes else tuple(f"class {number}" for number in range(classes))


def ours(graph: Path, labels: Path, image: Path) -> Scores:
    """Run label_image here."""
    flags = {"graph": graph, "labels": labels, "image": image, "resize": "tf1", "top_k": 5, **SCALING}
    words = (f"--{name}={value}" for name, value in flags.items())
    return scores_in(run_child(python_module("label_image", *words)).stdout)


def theirs(graph: Path, labels: Path, image: Path, scorer: Scorer, arguments: argparse.Namespace) -> Scores:
    """Run the codelab's script, told all that it does not find out."""
    spec = scorer.input_spec
    flags = {
        "graph": graph.resolve(), "labels": labels, "image": image.resolve(), "input_height": spec.height,
        "input_width": spec.width, "input_layer": scorer.input_node, "output_layer": scorer.output_node,
        **SCALING,
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in flags.items()]
    return scores_in(run_old(arguments.python37, ["-m", "scripts.label_image", *words], arguments.codelab))


def scores_in(said: str) -> Scores:
    """Read labels and scores, best first."""
    return {name: float(score) for name, score in re.findall(r"^(.+) \(score ?= ?([0-9.]+)\)$", said, re.MULTILINE)}


if __name__ == "__main__":
    sys.exit(main())
