"""Reads mutants in every way in which this program reads bytes, in a process that may crash, and says what came of it.

``python mutants_child.py SEED FIRST COUNT RECORD``: mutants FIRST to FIRST + COUNT. The one at work stands in the file
RECORD, as 8 bytes, so that a crash or a hang has a number; the last line printed is what was found, as JSON.
``python mutants_child.py --files RECORD FILE ...``: the same with files as they are.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import struct
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# Of the processor's time, so that a busy machine does not look like a hang; and of the clock, for what waits.
HANG_S, WAIT_S = 5, 120
MOST_RSS = 1 << 30
# What an allocation must not ask for: far above the goal, so that MemoryError does not hide what passes it.
_ADDRESS_SPACE = 8 << 30
_MOST_BROKEN = 20
# Of the ways, those whose answer is a picture.
_DECODERS = {"training", "sky"}


def ways() -> dict[str, Callable[[bytes], object]]:
    """Name each way and give what takes it: bytes in, ImageError or an answer out."""
    from retrain.alike import fingerprint
    from retrain.doctor.files import Job, examine_bytes
    from retrain.images import InputSpec, SkyStretch, decode_rgb, decode_upright, deep_format, sniff_format
    from retrain.images.dates import day_taken
    from retrain.images.deep import deep_as_bmp
    from retrain.images.spec import LIMITS
    from retrain.images.tf1 import decode_tf1

    plain = InputSpec(16, 24, 127.5, 127.5)
    sky = SkyStretch("percentile")
    stretched = InputSpec(16, 24, 127.5, 127.5, SkyStretch("zscale"))
    seen, seen_sky = Job("a/b.jpg", "a/b.jpg", 0), Job("a/b.fits", "a/b.fits", 0, sky=sky)

    def only_deep(do: Callable[[bytes], object]) -> Callable[[bytes], object]:
        # Whatever else is read as without a stretch.
        return lambda data: do(data) if deep_format(data) else None

    return {
        "format": sniff_format,
        "training": lambda data: decode_rgb(data, plain),
        "upright": lambda data: decode_upright(data, 9, 9),
        "tf1": lambda data: decode_tf1(data, plain),
        "date": day_taken,
        "doctor": lambda data: examine_bytes(seen, data),
        "sky": only_deep(lambda data: decode_rgb(data, stretched)),
        "sky as bmp": only_deep(lambda data: deep_as_bmp(data, sky, LIMITS)),
        "sky likeness": only_deep(lambda data: fingerprint(data, sky)),
        "sky doctor": only_deep(lambda data: examine_bytes(seen_sky, data)),
    }


def peak_rss() -> int:
    """Bytes. Trap: getrusage counts the parent's from before this process was this program."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


class Record:
    """Which case is at work, kept where it outlives this process; and what came of all."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.counts: Counter[str] = Counter()
        self.broken: list[dict[str, Any]] = []
        self.warned: dict[str, int] = {}
        self.rss_by: dict[str, int] = {}
        self._rss = 0
        self.at = -1

    def begin(self, number: int) -> None:
        os.pwrite(self._file, struct.pack("<q", number), 0)
        self.at = number
        signal.setitimer(signal.ITIMER_PROF, HANG_S)
        signal.setitimer(signal.ITIMER_REAL, WAIT_S)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        rss = peak_rss()
        if rss > max(self._rss * 1.1, 300 << 20):
            self.rss_by[str(self.at)] = rss
        self._rss = max(self._rss, rss)

    def warn(self, message: Warning | str, *_: object, **__: object) -> None:
        # Numbers are left out, so that each kind is one.
        self.warned.setdefault(re.sub(r"\d+", "N", str(message))[:200], self.at)

    def report(self) -> dict[str, Any]:
        facts = {"counts": self.counts, "broken": self.broken, "warned": self.warned}
        return facts | {"rss": self._rss, "rss_by": self.rss_by}


def read_in_every_way(data: bytes, number: int, how: dict[str, Callable[[bytes], object]], record: Record) -> None:
    from retrain.errors import ImageError

    answers: set[str] = set()
    for way, do in how.items():
        record.begin(number)
        try:
            if do(data) is not None:
                answers.add(way)
        except ImageError as error:
            record.counts[error.reason] += 1
        except BaseException as error:  # noqa: BLE001 - this is what is looked for
            record.counts["broken"] += 1
            if len(record.broken) < _MOST_BROKEN:
                said = "".join(traceback.format_exception(error))[-1500:]
                record.broken.append({"number": number, "way": way, "text": said})
        record.end()
    record.counts["decoded" if answers & _DECODERS else "refused"] += 1


def drive(cases: Iterable[tuple[int, bytes]], record_path: str) -> dict[str, Any]:
    """Read cases in every way.

    Args:
        cases: number and bytes of each.
        record_path: where the number of the one at work is kept.
    """
    record, how = Record(record_path), ways()
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    warnings.showwarning = record.warn  # type: ignore[assignment]
    for number, data in cases:
        read_in_every_way(data, number, how, record)
        record.counts["cases"] += 1
    return record.report()


def _mutants(seed: int, first: int, count: int) -> Iterator[tuple[int, bytes]]:
    import mutants
    import seeds_images

    seeds = seeds_images.seeds() + seeds_images.finds() + seeds_images.awkward()
    for number in range(first, first + count):
        yield number, mutants.mutant(seeds, seed, number)


def _files(paths: list[str]) -> Iterator[tuple[int, bytes]]:
    return ((number, Path(path).read_bytes()) for number, path in enumerate(paths))


def main(words: list[str]) -> int:
    if words[0] == "--files":
        found = drive(_files(words[2:]), words[1])
    else:
        seed, first, count = map(int, words[:3])
        found = drive(_mutants(seed, first, count), words[3])
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:0] = [str(here), str(here.parent)]
    sys.exit(main(sys.argv[1:]))
