"""The process of worker.py: a call a line on standard input, an answer a line on standard output.

Runs as ``python -m retrain.exporters.child.serve``; ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import IO, Any

from retrain.errors import RetrainError
from retrain.graphs.sessions import import_sessions

_PACKAGE = "retrain.exporters.child"


def main() -> int:
    """Answer calls until the input ends.

    Returns:
        0.
    """
    # Ctrl-C reaches this process, too: the run decides what it means, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not come among the answers
    # Keras imports scikit-learn where it finds it, for wrappers that are not used here.
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
    import_sessions()  # now, while the run is busy with other things; conversions import the rest when they come

    serve(sys.stdin.buffer, answers, _import_the_rest)
    return 0


def serve(calls: IO[bytes], answers: IO[bytes], prepare: Callable[[str], object] = len) -> None:
    """Answer calls until there are no more.

    Args:
        calls: lines of JSON: function, facts.
        answers: gets a line of JSON for each: returned, or kind and error.
        prepare: is told the module of each call first.
    """
    for line in calls:
        answers.write(json.dumps(_answer(json.loads(line), prepare)).encode() + b"\n")
        answers.flush()


def _import_the_rest(module: str) -> None:
    """Import all of TensorFlow for what does more than run a graph.

    Trap: Keras, imported before it, would import TensorFlow, which imports Keras.
    """
    if module != "graph":
        importlib.import_module("tensorflow")


def _answer(call: dict[str, Any], prepare: Callable[[str], object]) -> dict[str, Any]:
    module, name = call["function"].split(":")
    try:
        prepare(module)
        function = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
        return {"returned": function(**call["facts"])}
    except RetrainError as error:
        return {"kind": type(error).__name__, "error": str(error)}
    except Exception as error:  # noqa: BLE001
        # TensorFlow's converters raise whatever their C++ side led them to: the run says it and ends in good order.
        lines = (str(error).strip() or type(error).__name__).splitlines()
        return {"kind": "ModelError", "error": f"{call['function']}: {' '.join(lines[-3:])}"}


if __name__ == "__main__":
    sys.exit(main())
