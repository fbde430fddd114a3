"""What a process of its own costs extraction: the same photographs in this process and in another, in turn.

    python bench/isolation.py --image_dir DIR [--rounds 5] [--photographs 84,1000,4000]

Each number of photographs is laid out of the folder's own, with other bytes behind each copy. Beside it: starting the
process alone, and the memory of both. Nothing fails when a goal is missed: read the table.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import machine, median, print_table, save

from retrain.backbones import FrozenBackbone, find_backbone, prepare_backbone
from retrain.console import Console
from retrain.engines import LocalEngine, SeparateEngine
from retrain.extraction import Job

ARCHITECTURE = "mobilenet_0.50_224"


def main() -> int:
    """Measure all, print the table, write the results."""
    arguments = _parse()
    start, facts, rows = machine(), {}, []
    backbone = prepare_backbone(
        find_backbone(ARCHITECTURE), arguments.model_dir, offline=True, console=Console(quiet=True)
    )
    for count in map(int, arguments.photographs.split(",")):
        with tempfile.TemporaryDirectory(prefix="bench-") as temp:
            jobs = laid_out(arguments.image_dir, Path(temp), count)
            here, there = [], []
            for number in range(arguments.rounds + 1):
                pair = [
                    timed(engine(FrozenBackbone(backbone.tflite, backbone.spec.input_spec)), jobs)
                    for engine in (LocalEngine, SeparateEngine)
                ]
                if number:
                    here.append(pair[0])
                    there.append(pair[1])
        wall, cpu = (median([b[i] - a[i] for a, b in zip(here, there, strict=True)]) for i in (0, 1))
        base = [median([one[i] for one in here]) for i in (0, 1)]
        facts[count] = {"here": here, "there": there}
        cells = [f"{b:.2f} s, {a:+.2f} s ({a / b:+.1%})" for a, b in ((wall, base[0]), (cpu, base[1]))]
        rows.append((f"{count} photographs", *cells))
    print_table(("extraction", "wall here, and more there", "processor time here, and more there"), rows)
    kinds = {"this process": resource.RUSAGE_SELF, "the largest child": resource.RUSAGE_CHILDREN}
    peaks = {name: resource.getrusage(kind).ru_maxrss // 1024 for name, kind in kinds.items()}
    print("Peak memory, MB:", ", ".join(f"{name} {peak}" for name, peak in peaks.items()))
    save("isolation", {"machine_at_start": start, "rounds": arguments.rounds, "figures": facts, "peaks_mb": peaks})
    return 0


def laid_out(folder: Path, place: Path, count: int) -> list[Job]:
    """Copy photographs until there are so many different ones."""
    sources = sorted(path for path in folder.rglob("*") if path.is_file())
    jobs = []
    for number in range(count):
        target = place / f"{number}.jpg"
        target.write_bytes(sources[number % len(sources)].read_bytes() + b"copy %d" % number)
        jobs.append(Job(number, str(target)))
    return jobs


def timed(engine: LocalEngine | SeparateEngine, jobs: Sequence[Job]) -> tuple[float, float]:
    """Extract all, in wall-clock and processor seconds."""
    wall, cpu = time.perf_counter(), _processor_s()
    vectors = sum(answer.vector is not None for answer in engine.extract(jobs, ()))
    if not vectors:
        raise SystemExit("none of them could be extracted")
    return time.perf_counter() - wall, _processor_s() - cpu


def _processor_s() -> float:
    used = [resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image_dir", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--model_dir", type=Path, default=Path("tf_files/models"), help="of the converted backbone")
    parser.add_argument("--photographs", default="84,1000,4000", help="how many, each (default: 84,1000,4000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement (default: 5)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
