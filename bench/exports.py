"""Every export format of a trained model, held against its parity gate.

    python bench/exports.py tf_files/cluster_photos path/to/flower_photos

For each folder of class folders a model is trained in a temporary place and written in all formats; the table is the
run's own record (.exports.json). Without the packages of the extra onnx, that format is left out, and said so. Ends
with 1 where a format did not pass.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import add_backbone, print_table, python_module, save, say

from retrain.config import FORMATS
from retrain.exporters.making import problems_of_formats

HEAD = ("photographs", "format", "MB", "ms", "accuracy", "same label", "difference", "limit", "as files", "kept")


def main() -> int:
    """Measure, print the table, write the results; 1 where a format did not pass."""
    arguments = _parse()
    formats = [name for name in FORMATS if not problems_of_formats([name], arguments.architecture)]
    for name in set(FORMATS) - set(formats):
        say(f"left out: {problems_of_formats([name], arguments.architecture)[0]}")
    facts = {str(folder): export(folder, formats, arguments) for folder in arguments.sets}
    rows = [_cells(Path(folder).name, row) for folder, record in facts.items() for row in record["exports"]]
    print_table(HEAD, rows)
    save("exports", facts)
    wanted = len(formats) * len(facts)
    passed = sum(row["kept"] for record in facts.values() for row in record["exports"])
    print(f"{passed} of {wanted} exports keep to their limits; goal: all")
    return 0 if passed == wanted else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", metavar="DIR", type=Path, nargs="+", help="folders with one sub-folder a class")
    add_backbone(parser)
    arguments = parser.parse_args()
    missing = [str(folder) for folder in arguments.sets if not folder.is_dir()]
    if missing:
        parser.error(f"expected folders of photographs, but there is no {', '.join(missing)}")
    return arguments


def export(folder: Path, formats: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Train on a folder and write all formats; gives the record."""
    say(f"{folder.name}: {', '.join(formats)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        place = Path(temp)
        flags = {
            "image_dir": folder, "architecture": arguments.architecture, "export": ",".join(formats),
            "output_graph": place / "m.pb", "output_labels": place / "labels.txt", "summaries_dir": place / "s",
            "bottleneck_dir": place / "b", "model_dir": arguments.model_dir, "cross_validation_folds": 0,
        }  # fmt: skip
        words = python_module("retrain", *(f"--{name}={value}" for name, value in flags.items()))
        run = subprocess.run([*map(str, words), "--offline"], stdout=subprocess.DEVNULL, check=False)
        record = place / "m.exports.json"
        if not record.is_file():
            sys.exit(f"the run on {folder} failed with exit code {run.returncode}")
        found: dict[str, Any] = json.loads(record.read_text())
        return found


def _cells(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    files = f"{row['files_largest_difference']:.1e} of 1e-02, {row['files_agreeing']}/{row['files']}"
    return (
        name, row["format"], f"{row['bytes'] / 1e6:.2f}", f"{row['ms']:.1f}",
        f"{100 * row['right'] / row['photographs']:.1f} %", f"{row['agreeing']}/{row['photographs']}",
        f"{row['largest_difference']:.1e}", f"{row['max_difference']:.0e}", files if row["files"] else "-",
        "yes" if row["kept"] else "NO",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
