"""R31: what is installed is what was locked, and no locked version has a known hole.

The lock names a SHA-256 for each file, which pip holds every download against (``--require-hashes``). Whether a version
has a known hole only an advisory service can say: where none can be reached, this part fails rather than pass unasked.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOALS = ("R31",)
ABOUT_MINUTES = 2
ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
_SERVICES = ("pypi", "osv")


def unhashed(lock: str) -> list[str]:
    """List the requirements of a lock that no hash holds.

    Args:
        lock: its text.

    Returns:
        Their lines.
    """
    entries = re.split(r"\n(?=\S)", lock.strip())
    return [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


def audit(service: str) -> tuple[int, list[str], list[str]]:
    """Ask an advisory service about every locked version.

    Args:
        service: "pypi" or "osv".

    Returns:
        How many were answered for; known holes, as "NAME VERSION ID"; what could not be asked, or why nothing could.
    """
    words = ["-m", "pip_audit", "-r", str(LOCK), "--require-hashes", "--disable-pip", "-s", service, "-f", "json"]
    done = subprocess.run(
        [sys.executable, *words, "--progress-spinner", "off"], capture_output=True, text=True, check=False, timeout=600
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return 0, [], [(done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:300]]
    holes = [f"{one['name']} {one['version']} {hole['id']}" for one in found for hole in one.get("vulns", ())]
    return sum("vulns" in one for one in found), holes, [one["name"] for one in found if "skip_reason" in one]


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Check the lock and ask each service until one answers for all of it.

    Args:
        place: not used: nothing is kept.
        seed: not used: nothing is drawn.
        tell: told how it goes.

    Returns:
        Figures.

    Raises:
        AssertionError: a requirement has no hash, a version has a known hole, or no service answered.
    """
    text = LOCK.read_text()
    figures: dict[str, Any] = {"locked": text.count("=="), "without a hash": unhashed(text)}
    for service in _SERVICES:
        asked, holes, unasked = audit(service)
        tell(f"{service}: {asked} answered, {len(holes)} holes, {len(unasked)} not answered for {unasked[:1]}")
        figures[service] = {"answered": asked, "holes": holes, "not answered": len(unasked)}
        if not unasked:
            break
    else:
        raise AssertionError(f"no advisory service answered for all of the lock: {figures}")
    if figures["without a hash"] or holes:
        raise AssertionError(f"expected a hash each and no known hole, got {figures}")
    return figures
