"""A driver in a process of its own: python drive.py PHOTOS CACHE LOG. Starts a Ray of two cores on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

from extractors import Slow
from support import FINGERPRINT, WIDTH

from retrain.bottlenecks import BottleneckStore, collect_features
from retrain.commandline import exit_codes
from retrain.console import Console
from retrain.dataset import scan_photographs
from retrain.engines import RayEngine


def main() -> int:
    photos, cache, log = sys.argv[1:]
    with exit_codes("drive") as code, BottleneckStore(Path(cache), FINGERPRINT, WIDTH) as store:
        engine = RayEngine(Slow(Path(log), 0.01), cores=2)
        features = collect_features(
            scan_photographs(photos, "folder"), store, engine, Console(quiet=True), 5.0, f"{cache}.skipped.csv"
        )
        print(features.extracted)
    return code[0]


if __name__ == "__main__":
    sys.exit(main())
