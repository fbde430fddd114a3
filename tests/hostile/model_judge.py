"""Opens model files in every way there is, in a process of its own, and says what came of it, a line of JSON each.

Run as ``python model_judge.py LIST WAY ...``: a JSON list of [name, path]. A line before each attempt, so that a crash has a
name. Whatever is opened, started or connected to is seen by an audit hook.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from mutants_child import peak_rss

from retrain.errors import RetrainError

MEMORY_BYTES = 3 << 30
# An attempt that takes longer than this hangs.
HANG_S = 60
SUSPECT = ("subprocess.", "socket.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "pty.", "pickle.find_class")


def listen() -> list[str]:
    seen: list[str] = []

    def hook(event: str, words: tuple[object, ...]) -> None:
        if event.startswith(SUSPECT) or (event == "open" and "/canary" in str(words[0])):
            seen.append(f"{event} {words!r}"[:300])

    sys.addaudithook(hook)
    return seen


def open_it(path: Path) -> str:
    from retrain.classifier import Classifier

    return f"opened, {len(Classifier.open(path).bundle.labels)} labels"


def label_it(path: Path) -> str:
    """As somebody does who brings the labels that a stranger's model lacks."""
    from retrain.classifier import Classifier

    with Classifier.open(path, labels=["a", "b"]) as model:
        return f"opened, scores {model.scores(np.zeros((2, 2, 3), np.uint8))}"


def show_it(path: Path) -> str:
    from retrain.commands.show import show
    from retrain.console import Console

    with redirect_stdout(io.StringIO()) as said:
        show([str(path)], Console())
    return said.getvalue()[:2000]


def describe_it(path: Path) -> str:
    from retrain.graphs.foreign import describe_graph

    return str(describe_graph(path.read_bytes()))


def convert_it(path: Path) -> str:
    """What --backbone_graph hands to TensorFlow."""
    from retrain.graphs.foreign import describe_graph, inference_graph

    data = path.read_bytes()
    return f"{len(inference_graph(data, describe_graph(data)))} bytes"


WAYS: dict[str, Callable[[Path], str]] = {
    "open": open_it, "label": label_it, "show": show_it, "describe_graph": describe_it, "backbone_graph": convert_it,
}  # fmt: skip


def main() -> int:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if "label" in sys.argv:  # what is harmless is run in TensorFlow, whose import starts a process and opens a socket
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        import tensorflow  # noqa: F401
    seen = listen()
    for name, text in json.loads(Path(sys.argv[1]).read_text()):
        path = Path(text)
        for way in sys.argv[2:]:
            if way in ("describe_graph", "backbone_graph") and (path.suffix != ".pb" or not path.is_file()):
                continue
            print(json.dumps({"name": name, "way": way}), flush=True)
            signal.alarm(HANG_S)
            answer = judge(WAYS[way], path)
            signal.alarm(0)
            facts = {"seen": seen[:], "peak_rss": peak_rss()}
            print(json.dumps({"name": name, "way": way, **answer, **facts}), flush=True)
            seen.clear()
    return 0


def judge(do: Callable[[Path], str], path: Path) -> dict[str, str]:
    try:
        return {"outcome": "done", "text": do(path)}
    except RetrainError as error:
        return {"outcome": "refused", "text": str(error), "kind": type(error).__name__}
    except BaseException as error:  # noqa: BLE001 - a traceback for the person who opened it
        import traceback

        return {"outcome": "traceback", "text": traceback.format_exc()[-3000:], "kind": type(error).__name__}


if __name__ == "__main__":
    sys.exit(main())
