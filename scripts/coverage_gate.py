"""Goal R29: every branch of the rooms that a stranger's bytes pass through, nine of ten of all, in a run with coverage.

python -m coverage run -m pytest
python -m coverage combine
python scripts/coverage_gate.py
python scripts/coverage_gate.py errors fsio    these rooms alone
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

ALL_PERCENT = 90
# The model guard is what reads the models of strangers; the rest of the room graphs makes our own.
GUARD = ("checked", "foreign", "inline", "labelling")
ROOMS = {
    "errors": "retrain/errors.py",
    "fsio": "retrain/fsio/*",
    "config": "retrain/config/*",
    "dataset": "retrain/dataset/*",
    "images": "retrain/images/*",
    "bottlenecks": "retrain/bottlenecks/*",
    "graphs": ",".join(f"retrain/graphs/{name}.py" for name in GUARD),
    "modelfile": "retrain/modelfile/*",
}


def main(words: Sequence[str] | None = None) -> int:
    """Report what is missing.

    Args:
        words: rooms; none: all of them, and the share of the whole program.

    Returns:
        0, or 1 where a branch of the rooms is not tested or the share is too small.
    """
    rooms = list(sys.argv[1:] if words is None else words)
    unknown = [room for room in rooms if room not in ROOMS]
    if unknown:
        print(f"expected rooms among {' '.join(ROOMS)}, got {' '.join(unknown)}")
        return 2
    include = ",".join(ROOMS[room] for room in rooms or ROOMS)
    failed = _report("--show-missing", "--skip-covered", "--fail-under=100", "--precision=2", f"--include={include}")
    if not rooms:
        failed |= _report("--format=total", f"--fail-under={ALL_PERCENT}")
    return int(failed)


def _report(*options: str) -> bool:
    return subprocess.run([sys.executable, "-m", "coverage", "report", *options], check=False).returncode != 0


if __name__ == "__main__":
    raise SystemExit(main())
