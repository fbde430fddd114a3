"""The process in the sandbox: pictures on standard input, scores on standard output.

Runs as ``python -m retrain.sandbox.child [LEASH]``, started by model.py; ends when its input does.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from retrain import leash
from retrain.errors import ModelError
from retrain.sandbox.bounds import MAX_PICTURE_BYTES, Bounds
from retrain.sandbox.loading import Opened, load_tensorflow, open_graph, open_saved_model
from retrain.sandbox.lockdown import lock_down
from retrain.sandbox.wire import receive, send

# Of what TensorFlow says to a model.
MAX_TEXT = 2000
# What TensorFlow says before it comes to the point.
_PREAMBLE = re.compile(r"^Graph execution error:.*?\nNode: '[^']*'\n", re.DOTALL)


def main(words: list[str]) -> int:
    """Lock down, open the model, and answer pictures until the input ends.

    Args:
        words: the descriptor of the pipe that this process dies with, where there is one.

    Returns:
        0, or 6 where the model cannot be opened.
    """
    # Ctrl-C reaches this process, too: the caller decides what it means, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if words and sys.platform == "linux":
        leash.tie(int(words[0]))  # now, too: TensorFlow's import takes seconds
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not come among the answers
    pictures = sys.stdin.buffer
    order, _ = receive(pictures, 0)
    bounds = Bounds(**order["bounds"])
    threads = bounds.threads or len(_cores())
    load_tensorflow()
    path = Path(order["path"])
    content = None if path.is_dir() else _read(path, bounds.file_bytes)
    _work_nowhere()
    done = lock_down([path] if content is None else [], bounds, threads, int(words[0]) if words else None)
    send(answers, {"limits": done.limits, "unenforced": done.unenforced, "threads": threads})
    names = (order["input_node"], order["output_node"], threads)
    try:
        opened = open_saved_model(path, *names) if content is None else open_graph(content, *names)
        facts = {"input_node": opened.input_node, "output_node": opened.output_node, "shape": opened.shape}
    except Exception as error:  # noqa: BLE001 - TensorFlow raises all kinds; the caller is told
        send(answers, _failure(error))
        return ModelError.exit_code
    send(answers, facts)
    with contextlib.suppress(EOFError):
        serve(pictures, answers, opened)
    return 0


def serve(pictures: IO[bytes], answers: IO[bytes], opened: Opened) -> None:
    """Answer pictures.

    Args:
        pictures: messages with the shape and, float32, the numbers.
        answers: gets messages with the shape and, float32, the scores; or with an error.
        opened: the model.

    Raises:
        EOFError: there are no more.
    """
    while True:
        facts, payload = receive(pictures, MAX_PICTURE_BYTES)
        try:
            picture = np.frombuffer(payload, np.float32).reshape(facts["shape"])
            scores = np.ascontiguousarray(opened.run(picture), np.float32)
        except Exception as error:  # noqa: BLE001 - as above
            send(answers, _failure(error))
            continue
        send(answers, {"shape": scores.shape}, scores.tobytes())


def _failure(error: Exception) -> dict[str, Any]:
    text = str(getattr(error, "message", "") or error) or type(error).__name__
    text = _PREAMBLE.sub("", text[:MAX_TEXT])
    return {"error": " ".join(text.split())}


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ModelError(f"{path} has more than {most} bytes")
    return content


def _work_nowhere() -> None:
    """Go into a folder that is not there any more: nothing can be made in it, and nothing is left of it."""
    folder = tempfile.mkdtemp(prefix="retrain-sandbox-")
    os.chdir(folder)
    with contextlib.suppress(OSError):  # Windows keeps a folder that somebody is in; it is empty
        Path(folder).rmdir()


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
