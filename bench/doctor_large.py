"""The doctor on large folders: how long it takes with a warm cache, and what memory it needs as the folder grows.

    python bench/doctor_large.py SET                                  3,670 photographs of 500 x 375
    python bench/doctor_large.py SET --photographs 10000 30000 --width 64 --height 48 --rounds 1

A SET is a folder of class folders. As many different photographs as asked for are laid out from it: each a cut of half
to four fifths of each side, at a random place, half of them mirrored, brought to one size and saved as JPEG of quality
90. The first run of the doctor is cold: it fills the cache. The others are warm, each a process of its own: median of
--rounds. With --no_features the bottlenecks are left out, and near duplicates are looked for by looks alone.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from common import Child, add_backbone, median, print_table, python_module, run_child, save, say, span
from photographs import QUALITY, class_folders
from PIL import Image

PHOTOGRAPHS = 3_670
# Photographs that one process makes at a time.
_TOGETHER = 64
_GOAL_S = 5.0


class Cut(NamedTuple):
    """One photograph to make."""

    source: Path
    target: Path
    number: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Measured:
    """What the doctor took on one folder; seconds of whole processes, MB of resident memory."""

    photographs: int
    cold_s: float
    cold_mb: float
    warm_s: tuple[float, ...]
    warm_mb: float


def main() -> int:
    """Lay out, measure, print the table, write the results."""
    given = _parse()
    found = []
    for count in given.photographs:
        with tempfile.TemporaryDirectory(prefix="bench-doctor-", dir=given.folder) as temp:
            found.append(measure(Path(temp), count, given))
        say(str(found[-1]))
    rows = [[f"{one.photographs:,}", f"{one.cold_s:.1f} s", f"{one.cold_mb:,.0f} MB", *_warm(one)] for one in found]
    print_table(["photographs", "cold", "peak", "warm", "peak"], rows)
    facts = {"size": [given.width, given.height], "features": not given.no_features}
    save("doctor_large", {**facts, "folders": [asdict(one) for one in found]})
    return 0


def _warm(one: Measured) -> list[str]:
    if not one.warm_s:
        return ["-", "-"]
    goal = f", goal {_GOAL_S:g} s" if one.photographs == PHOTOGRAPHS else ""
    return [span(one.warm_s, "s") + goal, f"{one.warm_mb:,.0f} MB"]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", metavar="SET", type=Path, help="folder of class folders")
    parser.add_argument("--photographs", type=int, nargs="+", default=[PHOTOGRAPHS], metavar="N", help="default: 3670")
    parser.add_argument("--width", type=int, default=500, help="pixels (default: %(default)s)")
    parser.add_argument("--height", type=int, default=375, help="pixels (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="warm runs (default: %(default)s)")
    parser.add_argument("--no_features", action="store_true", help="as of the doctor")
    parser.add_argument("--folder", metavar="DIR", help="where to lay out the photographs (default: a temporary one)")
    add_backbone(parser)
    given = parser.parse_args()
    if not given.set.is_dir() or not class_folders(given.set):
        parser.error(f"expected a folder of class folders of JPEG photographs, got {given.set}")
    return given


def measure(temp: Path, count: int, given: argparse.Namespace) -> Measured:
    """Lay out so many photographs, and have the doctor look at them again and again."""
    photos = temp / "photos"
    lay_out(given.set, photos, count, (given.width, given.height))
    say(f"{count:,} photographs laid out")
    cold = run_doctor(photos, temp, given)
    warm = [run_doctor(photos, temp, given) for _ in range(given.rounds)]
    shutil.rmtree(photos)
    seconds = tuple(one.wall_s for one in warm)
    return Measured(count, cold.wall_s, cold.peak_mb, seconds, median([one.peak_mb for one in warm]) if warm else 0.0)


def run_doctor(photos: Path, temp: Path, given: argparse.Namespace) -> Child:
    """Run the doctor once, in a process of its own."""
    places = ["--bottleneck_dir", temp / "cache", "--output_dir", temp / "doctor", "--model_dir", given.model_dir]
    words = ["--image_dir", photos, "--architecture", given.architecture, *places]
    child = run_child(python_module("retrain", "doctor", *words, *["--no_features"] * given.no_features))
    say(f"{child.wall_s:.2f} s, {child.cpu_s:.2f} s of processors, {child.peak_mb:.0f} MB")
    return child


def lay_out(source: Path, target: Path, count: int, size: tuple[int, int]) -> None:
    """Make so many different photographs, as many of each class."""
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(_cut, _cuts(source, target, count, size), chunksize=_TOGETHER):
            pass


def _cuts(source: Path, target: Path, count: int, size: tuple[int, int]) -> Iterator[Cut]:
    classes = class_folders(source)
    share, more = divmod(count, len(classes))
    for place, (name, paths) in enumerate(classes.items()):
        (target / name).mkdir(parents=True)
        for number, path in enumerate(islice(cycle(paths), share + (place < more))):
            yield Cut(path, target / name / f"{number:06}.jpg", number, size)


def _cut(cut: Cut) -> None:
    draw = random.Random(f"{cut.target.parent.name}/{cut.number}")
    with Image.open(cut.source) as image:
        picture = image.convert("RGB")
    width, height = (round(side * draw.uniform(0.5, 0.8)) for side in picture.size)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    box = (left, top, left + width, top + height)
    made = picture.resize(cut.size, Image.Resampling.BILINEAR, box=box)
    if draw.random() < 0.5:
        made = made.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    made.save(cut.target, "JPEG", quality=QUALITY)


if __name__ == "__main__":
    raise SystemExit(main())
