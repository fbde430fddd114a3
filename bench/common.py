"""What the benchmarks share: machine description, children measured from outside, tables, results on disk."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
RESULTS = BENCH / "results"

# The benchmarks are run as files, so that the repository itself is not on the path by itself.
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

_PACKAGES = ("numpy", "pillow", "ai-edge-litert", "tensorflow", "keras", "scikit-learn")


@dataclass(frozen=True)
class Child:
    """What a finished child process took; its own children are counted in."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Row:
    """One line of the table of figures."""

    figure: str
    goal: str
    measured: str


def run_child(words: Sequence[str | Path]) -> Child:
    """Run a command from the repository's root and measure it; stops the benchmark when the command fails."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report = Path(folder) / "report.json"
        launcher = [sys.executable, "-I", "-S", str(BENCH / "launch.py"), str(report)]
        done = subprocess.run([*launcher, *map(str, words)], capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, words))}\nfailed with {done.returncode}:\n{done.stderr[-2000:]}")
        return Child(**json.loads(report.read_text()), stdout=done.stdout, stderr=done.stderr)


def python_module(module: str, *words: str | Path) -> list[str | Path]:
    """Spell ``python -m module words`` with the interpreter that runs this."""
    return [sys.executable, "-m", module, *words]


def imports_tensorflow(module: str, *words: str | Path) -> bool:
    """Run ``python -m module words`` once, and see in the interpreter's own list whether it imported TensorFlow."""
    listed = run_child([sys.executable, "-X", "importtime", "-m", module, *words]).stderr
    names = [line.rsplit("|", 1)[-1].strip() for line in listed.splitlines() if line.startswith("import time:")]
    if "retrain" not in names:
        raise SystemExit(f"-X importtime did not list the imports of {module}; this check proves nothing then")
    return any(name == "tensorflow" or name.startswith("tensorflow.") for name in names)


def median(values: Sequence[float]) -> float:
    """Middle value."""
    return statistics.median(values)


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Divide round by round, as far as both took part: of times, how many times as long theirs took as ours."""
    return [their / our for their, our in zip(theirs, ours, strict=False)]


def span(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Say a median with its range: "0.31 s (0.30 to 0.35, 9 runs)"."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f} {unit} (1 run)"
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}, {len(values)} runs)"


def add_backbone(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which backbone, and where its converted files are."""
    parser.add_argument("--architecture", default="mobilenet_0.50_224", help="backbone (default: %(default)s)")
    parser.add_argument(
        "--model_dir",
        type=Path,
        default=ROOT / "tf_files" / "models",
        help="folder of converted backbones (default: tf_files/models of this repository)",
    )


def parse_sets(parser: argparse.ArgumentParser, good: int) -> argparse.Namespace:
    """Read a command line with ``sets`` and ``--splits``, and refuse too few splits and folders that are not there."""
    arguments = parser.parse_args()
    if arguments.splits < 2:
        parser.error(f"expected --splits of at least 2, for a standard error, got {arguments.splits}; {good} is good")
    missing = [str(folder) for folder in arguments.sets if not folder.is_dir()]
    if missing:
        parser.error(f"expected folders of class folders, but there is no folder {', '.join(missing)}")
    return arguments


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say(text: str) -> None:
    """Tell what is being measured, on standard error."""
    print(text, file=sys.stderr, flush=True)


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Describe where and with what a figure was taken."""
    return {
        "cpu": _cpu_name(),
        "cores": cores(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "retrain")),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def save(name: str, facts: dict[str, Any]) -> None:
    """Write what was measured, with the machine's description, to bench/results/."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine(), **facts}, indent=1) + "\n")
    load = machine()["load_average"]
    print(f"\n{_cpu_name()}; load average {load and load[0]:.1f}. Written to {path.relative_to(ROOT)}")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
