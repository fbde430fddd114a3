"""``python -m scripts.soak``: run the parts, keep what each one measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from retrain import fsio

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"


def parts() -> dict[str, Any]:
    """Find the parts.

    Returns:
        name -> module, in the order of their names.
    """
    here = Path(__file__).parent
    names = sorted(found.name for found in iter_modules([str(here)]) if not found.name.startswith("_"))
    return {name: import_module(f"scripts.soak.{name}") for name in names}


def main(words: Sequence[str] | None = None) -> int:
    """Run the parts that were asked for.

    Args:
        words: the command line; None: this process's.

    Returns:
        0, or 1 where a part failed.
    """
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "faults"), str(ROOT / "tests" / "hostile")]
    known = parts()
    given = _read(words, list(known))
    if given.list:
        for name, part in known.items():
            print(f"{name:12} {', '.join(part.GOALS):24} about {part.ABOUT_MINUTES} minutes")
        return 0
    record = Path(given.record) if given.record else RESULTS / f"soak-{datetime.now(UTC):%Y%m%d}.json"
    done = _read_record(record)
    chosen = given.parts or [name for name in known if name not in done["parts"] or given.again]
    failed = [name for name in chosen if not _run_part(name, known[name], given, record, done)]
    print(f"{len(chosen) - len(failed)} parts done, {len(failed)} failed {' '.join(failed)}; {record}")
    return 1 if failed else 0


def _read(words: Sequence[str] | None, known: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.soak", description="The long tests of reliability.")
    parser.add_argument("parts", nargs="*", help="default: all that the record does not have yet")
    parser.add_argument("--list", action="store_true", help="say what parts there are")
    parser.add_argument("--again", action="store_true", help="also what the record has")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    parser.add_argument("--place", metavar="DIR", default="soak", help="where to work (default: soak)")
    parser.add_argument("--record", metavar="FILE", help="default: bench/results/soak-DATE.json")
    given = parser.parse_args(words)
    unknown = [name for name in given.parts if name not in known]
    if unknown:
        parser.error(f"expected parts among {' '.join(known)}, got {' '.join(unknown)}")
    return given


def _read_record(record: Path) -> dict[str, Any]:
    if record.exists():
        found: dict[str, Any] = json.loads(record.read_text())
        return found
    return {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores", "parts": {}}


def _run_part(name: str, part: Any, given: argparse.Namespace, record: Path, done: dict[str, Any]) -> bool:  # noqa: ANN401
    """Run one part and write what it measured, also where it failed: its figures are of no use half told."""
    place = Path(given.place) / name
    place.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    print(f"{name}: {', '.join(part.GOALS)}, about {part.ABOUT_MINUTES} minutes", flush=True)
    try:
        found = {"figures": part.run(place.absolute(), given.seed, lambda text: print(f"  {text}", flush=True))}
    except Exception as error:  # noqa: BLE001 - the next part can still be run
        traceback.print_exc()
        found = {"failed": f"{type(error).__name__}: {error}"}
    found |= {"minutes": round((time.monotonic() - start) / 60, 1), "seed": given.seed}
    done["parts"][name] = found
    fsio.write_text(record, json.dumps(done, indent=1) + "\n")
    print(json.dumps(found, indent=1), flush=True)
    return "failed" not in found


if __name__ == "__main__":
    raise SystemExit(main())
