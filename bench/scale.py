"""How the cache scales: 1,000, 10,000 and 100,000 photographs, each step in a fresh process.

python bench/scale.py                       all three sizes; 100,000 keep both cores busy for two to three minutes
python bench/scale.py --sizes 1000 10000

Cold: every photograph is read, decoded, extracted with the bundled backbone and written to the cache. Warm: the same
again, unchanged: folder scan, verification by stat, loading. Both as a run does them (retrain/gather.py), each in a
process of its own that reports what it took. "Beyond" is the peak of resident memory less what was resident when
everything was imported and the backbone open, less the matrix and less the index: the records, digests and paths that
are kept of every photograph. It is flat where extraction keeps nothing else.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ROOT, machine, print_table, run_child, save, say

SIZES = (1_000, 10_000, 100_000)
CLASSES = 10
WARM_ROUNDS = 3
_WIDTH, _HEIGHT = 64, 48


def main() -> None:
    """Measure, print a table, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="photographs (default: all)")
    parser.add_argument("--folder", metavar="DIR", help="where to lay out the photographs (default: a temporary one)")
    parser.add_argument("--step", nargs=3, metavar=("KIND", "PHOTOS", "CACHE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(take_step(*given.step)))
        return
    from retrain.backbones import find_backbone, prepare_backbone
    from retrain.console import Console

    # Converted beforehand, once: that is no part of what is measured.
    prepare_backbone(find_backbone("mobilenet_0.50_224"), ROOT / "tf_files" / "models", offline=True, console=Console())
    results = [measure(size, given.folder) for size in given.sizes]
    print_table(*table(results))
    for line in verdicts(results):
        print(line)
    save("scale", {"sizes": results})


def measure(size: int, folder: str | None) -> dict[str, Any]:
    """Lay out so many photographs, extract them, and load them again some times."""
    with tempfile.TemporaryDirectory(prefix="bench-scale-", dir=folder) as temp:
        photos, cache = Path(temp) / "photos", Path(temp) / "bottlenecks"
        say(f"writing {size:,} photographs")
        write_photographs(photos, size)
        # Git's rule for racy timestamps: what was written within 2 s of being read is read again.
        time.sleep(2.5)
        say(f"extracting {size:,}")
        cold = child("cold", photos, cache)
        warm = [child("warm", photos, cache) for _ in range(WARM_ROUNDS)]
        return {
            "size": size,
            "cold": cold,
            "warm": warm,
            "cache_bytes": sum(file.stat().st_size for file in cache.iterdir()),
            "load_average": machine()["load_average"],
        }


def child(kind: str, photos: Path, cache: Path) -> dict[str, Any]:
    """Take a step in a process of its own."""
    done = run_child([sys.executable, Path(__file__), "--step", kind, photos, cache])
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**facts, "process_s": done.wall_s, "process_cpu_s": done.cpu_s, "process_peak_mb": done.peak_mb}


def write_photographs(folder: Path, count: int) -> None:
    """Write small JPEG files with contents of their own: a smooth colour, and its number behind the picture."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(64):
        picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((_WIDTH, _HEIGHT))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        pictures.append(file.getvalue())
    for index in range(count):
        target = folder / f"class {index % CLASSES}" / f"{index:06}.jpg"
        if index < CLASSES:
            target.parent.mkdir(parents=True)
        target.write_bytes(pictures[index % len(pictures)] + b"number %d" % index)


def take_step(kind: str, photos: str, cache: str) -> dict[str, Any]:
    """Scan, verify or extract, load; in this process, which is a fresh one."""
    from retrain.backbones import FrozenBackbone, find_backbone, prepare_backbone
    from retrain.bottlenecks import BottleneckStore, cache_path, collect_features
    from retrain.console import Console
    from retrain.dataset import scan_folder
    from retrain.engines import LocalEngine

    quiet = Console(quiet=True)
    backbone = prepare_backbone(
        find_backbone("mobilenet_0.50_224"), ROOT / "tf_files" / "models", offline=True, console=quiet
    )
    engine = LocalEngine(FrozenBackbone(backbone.tflite, backbone.spec.input_spec))
    warm_up(engine, Path(photos))
    begin_mb, start, cpu = resident_mb(), time.perf_counter(), time.process_time()
    with watched_descriptors() as most:
        catalog = scan_folder(photos, "folder")
        scanned = time.perf_counter()
        path = cache_path(cache, backbone.spec.name, backbone.fingerprint)
        with BottleneckStore(path, backbone.fingerprint, backbone.spec.feature_width) as store:
            features = collect_features(catalog, store, engine, quiet, 0.0, str(Path(cache) / "skipped.csv"))
    end, end_cpu = time.perf_counter(), time.process_time()
    if features.extracted != (len(catalog.records) if kind == "cold" else 0):
        raise SystemExit(f"expected the {kind} step to extract all or nothing, got {features.extracted}")
    return {
        "wall_s": end - start,
        "cpu_s": end_cpu - cpu,
        "scan_s": scanned - start,
        "begin_mb": begin_mb,
        "peak_mb": peak_mb(),
        "end_mb": resident_mb(),
        "matrix_mb": features.matrix.nbytes / 2**20,
        "index_mb": index_bytes(features) / 2**20,
        "descriptors": most[0],
    }


def warm_up(engine: Any, photos: Path) -> None:
    """Have every thread open its interpreter, so that memory is compared beyond start-up."""
    from retrain.bottlenecks import Job

    some = sorted(photos.glob("*/*"))[:64]
    for _ in engine.extract([Job(index, str(path)) for index, path in enumerate(some)], ()):
        pass


def index_bytes(features: Any) -> int:
    """Add up what is kept of every photograph besides its vector: its record, its digest, its places in lists."""
    places = 4 * sys.getsizeof([None] * len(features.sha256s))
    parts = [
        (record, record.path, record.size, record.mtime_ns, record.ctime_ns) for record in features.catalog.records
    ]
    return (
        places + sum(sys.getsizeof(part) for row in parts for part in row) + sum(map(sys.getsizeof, features.sha256s))
    )


def resident_mb() -> float:
    """Memory resident now; where the system does not say, the peak so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return peak_mb()
    return pages * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Peak of resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@contextmanager
def watched_descriptors() -> Iterator[list[int]]:
    """Count open file descriptors twenty times a second; the list holds the most seen, 0 where it cannot be asked."""
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], sum(1 for _ in Path("/proc/self/fd").iterdir()))

    watcher = threading.Thread(target=watch, daemon=True)
    if Path("/proc/self/fd").is_dir():
        watcher.start()
    try:
        yield most
    finally:
        done.set()
        if watcher.is_alive():
            watcher.join()


def beyond_mb(step: dict[str, Any]) -> float:
    """Peak memory beyond start-up, the matrix and the index."""
    return float(step["peak_mb"] - step["begin_mb"] - step["matrix_mb"] - step["index_mb"])


def table(results: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Lay the figures out, a line a size."""
    head = ["photographs", "cold, ms each", "cold, s", "peak MB", "beyond MB", "matrix MB", "index MB", "open files"]
    head += ["warm, s (best)", "warm CPU s", "scan s", "warm beyond MB", "cache, bytes each"]
    rows = []
    for result in results:
        size, cold = result["size"], result["cold"]
        warm = min(result["warm"], key=lambda step: step["wall_s"])
        rows.append(
            [
                f"{size:,}",
                f"{1000 * cold['wall_s'] / size:.2f}",
                f"{cold['wall_s']:.1f}",
                f"{cold['peak_mb']:.0f}",
                f"{beyond_mb(cold):.1f}",
                f"{cold['matrix_mb']:.0f}",
                f"{cold['index_mb']:.1f}",
                str(cold["descriptors"]),
                f"{warm['wall_s']:.2f}",
                f"{warm['cpu_s']:.2f}",
                f"{warm['scan_s']:.2f}",
                f"{beyond_mb(warm):.1f}",
                f"{result['cache_bytes'] / size:,.0f}",
            ]
        )
    return head, rows


def verdicts(results: list[dict[str, Any]]) -> list[str]:
    """Say how memory grows, and whether the goals are met."""
    small, large = results[0], results[-1]
    lines = []
    if large["size"] > small["size"]:
        peaks = [step["peak_mb"] - step["matrix_mb"] - step["index_mb"] for step in (small["cold"], large["cold"])]
        lines.append(
            f"Peak memory less matrix and index: {peaks[0]:.0f} MB for {small['size']:,}, {peaks[1]:.0f} MB for "
            f"{large['size']:,}, {100 * (peaks[1] / peaks[0] - 1):+.0f} % (goal: flat within 10 %)"
        )
    best = min(step["wall_s"] for step in large["warm"])
    lines.append(f"Warm re-run of {large['size']:,}: {best:.2f} s (goal at 100,000: 4 s)")
    return lines


if __name__ == "__main__":
    main()
