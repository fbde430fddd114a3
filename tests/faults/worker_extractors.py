"""Extractors that end the process they run in, or worse, where a file's bytes say so; and runs whose decoder does.

python tests/faults/worker_extractors.py FLAGS...     a run (fake_run.py) that extracts in a process of its own, by
                                                      a backbone that obeys what stands behind the picture
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from retrain.backbones.extractor import FrozenBackbone, describe, parts  # noqa: E402 - the path first
from retrain.errors import ImageError, NumericalError  # noqa: E402
from retrain.extraction import Description  # noqa: E402

WIDTH = 4
# What a file's bytes end with -> what its decoder does.
DEEDS = {
    b"ABORT": os.abort,
    b"SEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"KILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    b"EXIT": lambda: os._exit(3),
    b"BUG": lambda: {}["a mistake"],
    b"NAN": lambda: _raise(NumericalError("a feature is not a finite number")),
    b"DAMAGED": lambda: _raise(ImageError("damaged", "no picture")),
    b"MEMORY": lambda: _allocate(),
    b"SLOW": lambda: time.sleep(0.1),
    b"NOISE": lambda: print("a library says something", file=sys.stderr, flush=True),
}


class Obedient:
    """Does what the bytes say, then gives features of them."""

    def __init__(self, log: str = "") -> None:
        self.log = log

    def description(self) -> Description:
        return Description("worker_extractors:Obedient", {"log": self.log})

    def __call__(self, data: bytes) -> np.ndarray:
        note(self.log)
        obey(data)
        return np.frombuffer(data.ljust(16, b"\0")[:16], np.uint8).reshape(WIDTH, 4).sum(axis=1).astype(np.float32)

    def views(self, data: bytes, sha256: bytes, numbers: Sequence[int]) -> np.ndarray:
        return np.stack([self(data) + number for number in numbers])


class ObedientBackbone(FrozenBackbone):
    """The real one, but for what stands behind the picture."""

    log = ""

    def __call__(self, data: bytes) -> np.ndarray:
        note(self.log)
        if data.endswith(b"NAN"):
            spec = self._input_spec
            return self.features(np.full((spec.height, spec.width, 3), np.nan, np.float32))
        obey(data)
        return super().__call__(data)


def obedient_backbone(log: str, **described: Any) -> ObedientBackbone:
    backbone = ObedientBackbone(*parts(**described))
    backbone.log = log
    return backbone


def note(log: str) -> None:
    """Write down who works."""
    if log:
        with open(log, "a") as file:  # noqa: PTH123
            file.write(f"{os.getpid()}\n")


def obey(data: bytes) -> None:
    for ending, deed in DEEDS.items():
        if data.endswith(ending):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # leave no memory dump behind
            deed()


def run(flags: Sequence[str], log: str = "") -> int:
    """Run as fake_run does, but extract in a process of its own, in which the decoder obeys.

    Args:
        flags: of fake_run.prepare, or more.
        log: gets the id of each process that decodes, a line a picture.

    Returns:
        The exit code.
    """
    import fake_run

    from retrain import cli
    from retrain import run as story

    def description(self: FrozenBackbone) -> Description:
        arguments = describe(self._tflite, self._input_spec, self._distortion)
        return Description("worker_extractors:obedient_backbone", {"log": log, **arguments})

    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    with (
        mock.patch.object(story, "TensorFlowWorker", fake_run.NumpyWorker),
        mock.patch.object(FrozenBackbone, "description", description),
        mock.patch.dict("os.environ", SOURCE_DATE_EPOCH=fake_run.DATE, PYTHONPATH=path),
    ):
        return cli.main(list(flags))


def _raise(error: Exception) -> None:
    raise error


def _allocate() -> None:
    # So much address space as there is now and a little more: the next large array is refused, as at a limit of memory.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**20, resource.RLIM_INFINITY))
    try:
        np.ones(2**28)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], sys.argv[1]))
