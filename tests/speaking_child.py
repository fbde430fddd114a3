"""Stands in for retrain.trainer.child in tests: does what FOLDER/script.json says, line by line. No TensorFlow."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from retrain.trainer.job import DONE_FILE, HEAD_FILE, NETWORK_FILE, read_job

FOLDER = Path(sys.argv[1])
STOPS: list[int] = []


def wait_for_stop(number: int) -> None:
    """Say which signal came; a signal of another kind, or none in a minute, is a failure."""
    until = time.monotonic() + 60
    while not STOPS and time.monotonic() < until:
        time.sleep(0.01)
    if tuple(STOPS) != (number,):
        os._exit(99)


def wait_for_the_end(_: Any) -> None:
    sys.stdin.buffer.read()
    (FOLDER / "orphaned").touch()


def finish(changes: dict[str, Any]) -> None:
    """Write a network, a head and done.json, with what the test changes in it."""
    job, shas = read_job(FOLDER), {}
    arrays = {
        NETWORK_FILE: {"arr_0": np.ones(3, np.float32)},
        HEAD_FILE: {
            "weights": np.full((4, len(job.labels)), 0.5, np.float32),
            "biases": np.zeros(len(job.labels), np.float32),
        },
    }
    for file, named in arrays.items():
        with (FOLDER / file).open("wb") as out:
            np.savez(out, **named)
        shas[file] = hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()
    history = [
        {"epoch": n, "step": n * job.steps_an_epoch, "loss": 1 / n, "accuracy": 1 - 0.5 / n,
         "validation_loss": 2 / n, "validation_accuracy": 0.75}
        for n in range(1, job.settings.epochs + 1)
    ]  # fmt: skip
    told = {
        "digest": job.digest, "network_sha256": shas[NETWORK_FILE], "head_sha256": shas[HEAD_FILE], "step": job.steps,
        "history": history, "best_epoch": len(history), "trained": 10, "frozen": 5,
    }  # fmt: skip
    (FOLDER / DONE_FILE).write_text(json.dumps({**told, **changes}))


def say(event: dict[str, Any]) -> None:
    print(json.dumps(event), flush=True)


ACTIONS = {
    "say": say,
    "print": lambda text: print(text, flush=True),
    "complain": lambda text: print(text, file=sys.stderr, flush=True),
    "signal": lambda number: signal.signal(number, lambda got, frame: STOPS.append(got)),
    "stop": wait_for_stop,
    "orphan": wait_for_the_end,
    "finish": finish,
    "touch": lambda file: (FOLDER / file).touch(),
    "sleep": time.sleep,
    "exit": os._exit,
    "kill": lambda number: os.kill(os.getpid(), number),
}


def main() -> None:
    for action, argument in json.loads((FOLDER / "script.json").read_text()):
        ACTIONS[action](argument)


if __name__ == "__main__":
    main()
