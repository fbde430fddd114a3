"""R25: Ctrl-C and SIGTERM at random moments, hundreds of fake runs and fifty of the real command."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

GOALS = ("R25",)
ABOUT_MINUTES = 12
FAKE, EARLY, REAL = 300, 40, 50
# The very beginning: interpreter and imports.
EARLY_S = 0.3
# Interruptions between two runs that are let end.
_CHAIN = 5


def run(place: Path, seed: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Interrupt runs.

    Args:
        place: where to work.
        seed: of all moments.
        tell: told how far it is.

    Returns:
        Figures by name.

    Raises:
        AssertionError: a command ended otherwise than it should, or left something; with what it said.
    """
    fake_run, kills, signals = import_module("fake_run"), import_module("kills"), import_module("signals_")
    fake, real = place / "fake", place / "real"
    words = {
        "fake": (fake, [*signals.FAKE, *fake_run.prepare(fake)], FAKE),
        "real": (real, [*signals.REAL, *kills.real_flags(real, place / "models")], REAL),
    }
    real.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    for name, (folder, command, count) in words.items():
        interrupted = signals.Interrupted(folder, command, seed)
        whole = fake_run.artefacts(folder)
        codes = _interrupt(interrupted, whole, count, 0.0, tell, name)
        early = _interrupt(interrupted, whole, EARLY, EARLY_S, tell, f"{name}, first {EARLY_S} s")
        figures[name] = {"moments": interrupted.count, "longest_s": round(interrupted.longest_s, 3)}
        figures[name] |= {"ended_by": codes, "ended_early_by": early}
        if interrupted.longest_s > signals.DONE_S:
            raise AssertionError(f"seed {seed}: {interrupted.longest_s:.2f} s from the signal to the end")
    return figures


def _interrupt(
    interrupted: Any,  # noqa: ANN401
    whole: dict[str, str],
    count: int,
    latest_s: float,
    tell: Callable[[str], None],
    name: str,
) -> dict[str, int]:
    fake_run = import_module("fake_run")
    codes: dict[str, int] = {}
    for number in range(count):
        code = str(interrupted.once(latest_s).code)
        codes[code] = codes.get(code, 0) + 1
        if number % _CHAIN == _CHAIN - 1:
            interrupted.complete()
            found = fake_run.artefacts(interrupted.folder)
            if found != whole:
                different = sorted({path for path, _ in set(found.items()) ^ set(whole.items())})
                raise AssertionError(f"{name}, moment {number}: not as after an undisturbed run: {different}")
            interrupted.clean()
            tell(f"{name}: {number + 1} of {count}, longest {interrupted.longest_s:.2f} s")
    return codes
