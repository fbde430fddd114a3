"""Extraction on Ray against the local engine: what Ray costs, and what a second node brings.

python bench/ray_nodes.py                                       the photographs of this repository, 40 times over
python bench/ray_nodes.py --image_dir DIR --copies 8 --rounds 5

Three sides do the same photographs in turn, each in a process of its own, with the cache and its one writer as a run
has them: the local engine with one thread, Ray with one node of one core, Ray with two nodes of one core. The two
clusters stay up all the while. Start-up (connecting, workers starting, the backbone opened there, the first answers) is
told apart from the pace, which is taken from the 257th answer on. Two nodes on one machine share its disk and its
memory bandwidth, and the driver, the writer and Ray itself need some of its cores: more nodes than that tell nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import ROOT, machine, print_table, ratios, run_child, save, say, span
from extraction import enlarged

ARCHITECTURE = "mobilenet_0.50_224"
SIDES = {"local": "local engine, 1 thread", "one": "Ray, 1 node of 1 core", "two": "Ray, 2 nodes of 1 core"}
# The first commit: by then every worker has started and is at its pace.
WARM_UP = 256
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback only
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",  # by default 15: whatever else runs would slow Ray's sides more than the local one
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


def main() -> int:
    """Measure, print the table, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--image_dir", type=Path, default=ROOT / "tf_files" / "cluster_photos", help="folder of class folders"
    )
    parser.add_argument("--copies", type=int, default=40, help="so many times over (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, in turn (default: 3)")
    parser.add_argument("--side", nargs=4, metavar=("ADDRESS", "PHOTOS", "TFLITE", "CACHE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(take_side(*given.side)))
        return 0
    before = machine()
    rounds = measure(given.image_dir.resolve(), given.copies, given.rounds)
    report(rounds)
    save("ray_nodes", {"machine_before": before, "copies": given.copies, "rounds": rounds})
    return 0


def measure(image_dir: Path, copies: int, number: int) -> list[dict[str, dict[str, float]]]:
    """Take each side in turn, after a round that does not count."""
    from retrain.backbones import find_backbone, prepare_backbone
    from retrain.console import Console

    models = ROOT / "tf_files" / "models"
    tflite = prepare_backbone(find_backbone(ARCHITECTURE), models, offline=True, console=Console(quiet=True)).tflite
    with clusters() as addresses, enlarged(image_dir, copies) as photos, enlarged(image_dir, 1) as few:
        for address in addresses.values():
            run_side(address, few, tflite)
        rounds = []
        for turn in range(number):
            say(f"round {turn + 1} of {number}")
            rounds.append({name: run_side(addresses[name], photos, tflite) for name in SIDES})
        return rounds


@contextmanager
def clusters() -> Iterator[dict[str, str]]:
    """Have a cluster of one node and one of two, all on the loopback interface; the address of each side."""
    os.environ |= {**QUIET, "PYTHONPATH": str(ROOT)}
    import logging

    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.ERROR)

    node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
    started: list[Any] = []
    try:
        for size in (1, 2):
            say(f"starting Ray with {size} node{'s' * (size - 1)}")
            cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
            started.append(cluster)
            for _ in range(size - 1):
                cluster.add_node(**node)
        yield {"local": "local", "one": started[0].address, "two": started[1].address}
    finally:
        for cluster in started:
            cluster.shutdown()


def run_side(address: str, photos: Path, tflite: Path) -> dict[str, float]:
    """Have a fresh process extract all photographs into a fresh cache."""
    with tempfile.TemporaryDirectory(prefix="bench-") as temp:
        words = [sys.executable, __file__, "--side", address, photos, tflite, Path(temp) / "cache.sqlite"]
        answer: dict[str, float] = json.loads(run_child(words).stdout)
        return answer


class Timed:
    """An engine, and the moment of each answer."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.start = 0.0
        self.moments: list[float] = []

    def extract(self, jobs: Sequence[Any], known: Container[bytes]) -> Iterator[Any]:
        """Extract, noting the time."""
        self.start = time.perf_counter()
        for answer in self._engine.extract(jobs, known):
            self.moments.append(time.perf_counter())
            yield answer


def take_side(address: str, photos: str, tflite: str, cache: str) -> dict[str, float]:
    """Extract as a run does, and say how long it took until the first answers and what the pace was then."""
    from retrain.backbones import FrozenBackbone, find_backbone
    from retrain.bottlenecks import BottleneckStore, collect_features
    from retrain.console import Console
    from retrain.dataset import scan_folder
    from retrain.engines import LocalEngine, RayEngine

    spec = find_backbone(ARCHITECTURE)
    backbone = FrozenBackbone(Path(tflite), spec.input_spec)
    engine = Timed(LocalEngine(backbone, 1) if address == "local" else RayEngine(backbone, address))
    with BottleneckStore(Path(cache), "ab" * 32, spec.feature_width) as store:
        start = time.perf_counter()
        features = collect_features(
            scan_folder(photos, "folder"), store, engine, Console(quiet=True), 5.0, f"{cache}.csv"
        )
        whole = time.perf_counter() - start
    moments, from_ = engine.moments, min(WARM_UP, len(engine.moments) - 2)
    return {
        "photographs": features.extracted,
        "first_answer_s": moments[0] - engine.start,
        "per_s": (len(moments) - 1 - from_) / (moments[-1] - moments[from_]),
        "whole_s": whole,
    }


def report(rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print the pace of each side, and the two ratios, each taken within a round."""
    pace = {name: [taken[name]["per_s"] for taken in rounds] for name in SIDES}
    lines = []
    for name, text in SIDES.items():
        first = [taken[name]["first_answer_s"] for taken in rounds]
        lines.append((text, "", f"{span(pace[name], 'images/s', 0)}; first answer after {span(first, 's')}"))
    overhead = [100 * (ratio - 1) for ratio in ratios(pace["local"], pace["one"])]
    lines.append(("overhead of Ray, one core against one", "<= 10 %", span(overhead, "%", 1)))
    lines.append(("two nodes against one", ">= 1.8 x", span(ratios(pace["two"], pace["one"]), "x")))
    print_table(("figure", "goal", "measured"), lines)


if __name__ == "__main__":
    sys.exit(main())
