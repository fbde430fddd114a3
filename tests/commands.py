"""Whole commands in processes of their own, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHOTOS = ROOT / "tf_files" / "cluster_photos"


def environment() -> dict[str, str]:
    """This process's, with this repository's code, its warnings as errors, and one date for all models."""
    strict = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::DeprecationWarning:retrain"}
    return {**os.environ, **strict, "SOURCE_DATE_EPOCH": "1763812800"}


def python(*words: str | Path, cwd: Path = ROOT, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run ``python WORDS`` of this environment and collect what it says. Models have one date, so that bytes compare."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
