"""Stands in for retrain.studio.child: a real run on a fake backbone, or one that misbehaves as its config's seed says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))


def real() -> int:
    import fake_run

    from retrain import gather, run
    from retrain.engines import LocalEngine
    from retrain.publish import further
    from retrain.studio import child

    with (
        mock.patch.object(run, "TensorFlowWorker", fake_run.NumpyWorker),
        mock.patch.object(further, "TensorFlowWorker", fake_run.NumpyWorker),
        mock.patch.object(gather, "SeparateEngine", LocalEngine),
    ):
        return child.main()


def odd() -> int:
    """Say what a library may say among the lines, then end well."""
    stage = {"stage": "Counting", "done": 1, "total": 2, "unit": "things", "left_s": 0.5}
    said = [
        "5",
        "null",
        "[" * 100_000,
        "Überall",
        '{"stage": 7}',
        '{"line": 3}',
        json.dumps(stage),
        '{"line": "the end"}',
    ]
    sys.stdout.buffer.write("\n".join(said).encode() + b"\n\xff\xfe\n")
    return 0


def stuck() -> int:
    """Take no notice of Ctrl-C, and say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print(json.dumps({"line": f"pid {os.getpid()}"}), flush=True)
    time.sleep(600)
    return 0


def waiting() -> int:
    print(json.dumps({"line": f"pid {os.getpid()}"}), flush=True)
    time.sleep(600)
    return 0


def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def complaining() -> int:
    print("a long story\nand its last line", file=sys.stderr)
    return 3


if __name__ == "__main__":
    way = os.environ.get("STUDIO_CHILD", "real")
    if way == "deaf":  # it ends before it reads what to do
        raise SystemExit(9)
    if way != "real":
        sys.stdin.read()
    raise SystemExit(globals()[way]())
