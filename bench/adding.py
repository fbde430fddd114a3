"""What 100 photographs more cost: a model of 3,670 is there, 100 are added, and the same command is run again.

    python bench/adding.py SET

A SET is a folder of class folders, from which the photographs are laid out as bench/doctor_large.py does: 500 x 375.
Each round takes the 100 away, runs (so that the model is that of the others), puts others there, never seen before, and
measures the run, whole process. "the same again" is a run on which nothing changed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import Child, add_backbone, print_table, python_module, run_child, save, say, span
from doctor_large import lay_out
from photographs import class_folders

PHOTOGRAPHS, ADDED, GOAL_S = 3_670, 100, 6.0


def main() -> int:
    """Lay out, measure, print the table, write the results."""
    given = _parse()
    with tempfile.TemporaryDirectory(prefix="bench-adding-") as temp:
        again, added = measure(Path(temp), given)
    rows = [
        ["the same again", "", span([one.wall_s for one in again], "s"), f"{max(one.peak_mb for one in again):.0f} MB"],
        [
            f"{given.added} more",
            f"<= {GOAL_S:g} s",
            span([one.wall_s for one in added], "s"),
            f"{max(one.peak_mb for one in added):.0f} MB",
        ],
    ]
    print_table([f"{given.photographs:,} photographs", "goal", "measured", "peak"], rows)
    save("adding", {"photographs": given.photographs, "added": given.added,
                    "again_s": [one.wall_s for one in again], "added_s": [one.wall_s for one in added]})  # fmt: skip
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="SET", type=Path, help="folder of class folders")
    parser.add_argument("--photographs", type=int, default=PHOTOGRAPHS, help="default: %(default)s")
    parser.add_argument("--added", type=int, default=ADDED, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    add_backbone(parser)
    given = parser.parse_args()
    if not given.set.is_dir() or not class_folders(given.set):
        parser.error(f"expected a folder of class folders of JPEG photographs, got {given.set}")
    return given


def measure(temp: Path, given: argparse.Namespace) -> tuple[list[Child], list[Child]]:
    """Lay out the photographs and those that come later; run with and without them."""
    photos, later = temp / "photos", temp / "later"
    total = given.photographs + given.rounds * given.added
    lay_out(given.set, photos, total, (500, 375))
    held_back = _hold_back(photos, later, total - given.photographs)
    say(f"{given.photographs:,} photographs laid out; the first run extracts them")
    run(photos, temp, given)
    again, added = [], []
    for number in range(given.rounds):
        again.append(run(photos, temp, given))
        some = held_back[number * given.added : (number + 1) * given.added]
        for name in some:
            (later / name).rename(photos / name)
        added.append(run(photos, temp, given))
        for name in some:
            (photos / name).rename(later / name)
        run(photos, temp, given)
    return again, added


def _hold_back(photos: Path, later: Path, count: int) -> list[Path]:
    """Move the last photographs of each class in turn away; their paths below the folder."""
    by_class = [sorted(folder.iterdir(), reverse=True) for folder in sorted(photos.iterdir())]
    chosen = [path for paths in zip(*by_class, strict=False) for path in paths][:count]
    names = [path.relative_to(photos) for path in chosen]
    for name in names:
        (later / name.parent).mkdir(parents=True, exist_ok=True)
        (photos / name).rename(later / name)
    return names


def run(photos: Path, temp: Path, given: argparse.Namespace) -> Child:
    """Run the command once, in a process of its own."""
    out = temp / "run"
    places = ["--bottleneck_dir", temp / "cache", "--output_graph", out / "graph.pb", "--output_labels",
              out / "labels.txt", "--summaries_dir", out / "summaries", "--model_dir", given.model_dir]  # fmt: skip
    words = ["--image_dir", photos, "--architecture", given.architecture, "--offline", *places]
    child = run_child(python_module("retrain", *words))
    say(f"{child.wall_s:.2f} s, {child.cpu_s:.2f} s of processors, {child.peak_mb:.0f} MB")
    return child


if __name__ == "__main__":
    raise SystemExit(main())
