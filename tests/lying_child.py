"""Stands in for retrain.sandbox.child in tests: the name of the model's file says how it misbehaves. No TensorFlow."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import time
from pathlib import Path

from retrain.sandbox.bounds import Bounds
from retrain.sandbox.lockdown import lock_down
from retrain.sandbox.wire import receive, send

INPUT, OUTPUT = sys.stdin.buffer, sys.stdout.buffer
READY = {"limits": ["everything"], "unenforced": [], "threads": 1}
OPENED = {"input_node": "input:0", "output_node": "y:0", "shape": [-1, 2, 2, 3]}


def floats(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


ANSWERS = {
    "good": lambda: send(OUTPUT, {"shape": [1, 2]}, floats(0.25, 0.75)),
    "nan": lambda: send(OUTPUT, {"shape": [1, 2]}, floats(0.25, float("nan"))),
    "two_rows": lambda: send(OUTPUT, {"shape": [2, 2]}, floats(1, 2, 3, 4)),
    "short": lambda: send(OUTPUT, {"shape": [1, 2]}, floats(1)),
    "no_shape": lambda: send(OUTPUT, {}, floats(1)),
    "odd_shape": lambda: send(OUTPUT, {"shape": [-1, -2]}, floats(1, 2)),
    "text_shape": lambda: send(OUTPUT, {"shape": "x" * 60000}, b""),
    "nothing": lambda: send(OUTPUT, {"shape": [1, 0]}),
    "error": lambda: send(OUTPUT, {"error": "\x1b[2Jno\nway" + "x" * 5000}),
    "too_many": lambda: send(OUTPUT, {"shape": [1, 1 << 20]}, bytes(4 << 20)),
    "claims": lambda: OUTPUT.write(struct.pack("<4sII", b"rsb1", 2, 0xFFFFFFFF) + b"{}") and OUTPUT.flush(),
    "claims_json": lambda: OUTPUT.write(struct.pack("<4sII", b"rsb1", 0xFFFFFFFF, 0)) and OUTPUT.flush(),
    "list": lambda: OUTPUT.write(struct.pack("<4sII", b"rsb1", 2, 0) + b"[]") and OUTPUT.flush(),
    "nested": lambda: OUTPUT.write(struct.pack("<4sII", b"rsb1", 60000, 0) + b"[" * 60000) and OUTPUT.flush(),
    "noise": lambda: OUTPUT.write(b"\xff" * 100) and OUTPUT.flush(),
    "ends": lambda: os._exit(3),
    "shouts": lambda: (sys.stderr.write("\x1b]0;x\x07" * 100_000), sys.stderr.flush(), os.abort()),
    "hangs": lambda: time.sleep(600),
    "busy": lambda: spin(),
}


def spin() -> None:
    while True:
        pass


def main() -> None:
    order, _ = receive(INPUT, 0)
    how = Path(order["path"]).stem
    ready = dict(READY)
    if how == "environment":
        ready["limits"] = sorted(os.environ)
    if how in ("busy", "locked"):
        done = lock_down([], Bounds(**order["bounds"]), 1, int(sys.argv[1]))
        ready |= {"limits": done.limits, "unenforced": done.unenforced}
    if how == "silent":
        time.sleep(600)
    send(OUTPUT, ready)
    send(OUTPUT, {"error": "cannot be opened"} if how == "refused" else OPENED)
    while True:
        receive(INPUT, 1 << 20)
        ANSWERS.get(how, ANSWERS["good"])()


if __name__ == "__main__":
    with contextlib.suppress(EOFError):
        main()
