"""Whether --precision can be had: what the processor calculates in, as the operating system lists it."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from retrain.config.flags import RunConfig

LISTING = Path("/proc/cpuinfo")
# Instructions that multiply bfloat16; without them oneDNN calculates it with float32's, and is slower than that.
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def bfloat16_hindrance(listing: Path = LISTING, machine: str = "") -> str | None:
    """Say why this processor is not worth calculating bfloat16 with.

    Args:
        listing: Linux's list of processors.
        machine: kind of processor; empty: this one's.

    Returns:
        Half a sentence, or None where it has the instructions.
    """
    machine = machine or platform.machine()
    if machine.lower() not in ("x86_64", "amd64"):
        return f"it was made for x86 processors, and this is {machine or 'of an unknown kind'}"
    try:
        text = listing.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"only Linux says what a processor can do ({listing} is not there)"
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    if found is None or not set(_INSTRUCTIONS) & set(found[1].split()):
        return f"this processor has none of its instructions ({', '.join(_INSTRUCTIONS)})"
    return None


def precision_problems(config: RunConfig) -> list[str]:
    """Check --precision against the processor and the engine.

    Args:
        config: what a run is told.

    Returns:
        One sentence a problem.
    """
    if config.precision != "bfloat16":
        return []
    problems = []
    hindrance = bfloat16_hindrance()
    if hindrance:
        problems.append(f"got --precision=bfloat16, but {hindrance}; use --precision float32")
    if config.engine != "local":
        problems.append(
            f"got --precision=bfloat16 and --engine={config.engine}, whose nodes calculate in float32; "
            "leave one of them away"
        )
    return problems
