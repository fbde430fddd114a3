"""The process that decodes: jobs on standard input, vectors on standard output.

Runs as ``python -m retrain.engines.child``, started by process.py and tied to who started it (retrain.leash); ends
when its input does.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import IO

from retrain.engines.digests import SharedDigests
from retrain.engines.frames import (
    Failure,
    answer_bytes,
    failure_bytes,
    greeting_bytes,
    receive_job,
    receive_order,
)
from retrain.engines.local import LocalEngine
from retrain.extraction import Description, ExtractFunction, Job

# Where memory runs out, this process is to be killed, not the one that holds the run: 0 is as any other, 1000 first.
_KILL_ME_FIRST = "500"


def main() -> None:
    """Answer jobs until there are no more; never returns."""
    # Ctrl-C is for the run, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # not Linux, or not allowed: then the kernel decides by size
        Path("/proc/self/oom_score_adj").write_text(_KILL_ME_FIRST)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not come among the answers
    try:
        serve(sys.stdin.buffer, answers)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run raises it
        failure = Failure(type(error).__name__, str(error), traceback.format_exc())
        answers.write(failure_bytes(failure))
    answers.flush()
    sys.stderr.flush()
    # Nothing here needs to be put in order, and libraries take their time to do so.
    os._exit(0)


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """Answer jobs until there are no more.

    Args:
        orders: an order and jobs, see frames.py.
        answers: gets a greeting and an answer a job, in their order.

    Raises:
        EOFError: nobody is there any more.
    """
    order, known = receive_order(orders)
    extract_one = made(order.description)
    answers.write(greeting_bytes())
    answers.flush()
    engine = LocalEngine(extract_one, order.threads, ahead=order.ahead)
    for answer in engine.extract(_jobs(orders), SharedDigests(known)):
        answers.write(answer_bytes(answer))
        answers.flush()


def made(description: Description) -> ExtractFunction:
    """Make an extractor again.

    Args:
        description: who makes it, and of what.

    Returns:
        It.
    """
    module, _, function = description.maker.partition(":")
    extract_one: ExtractFunction = getattr(import_module(module), function)(**description.arguments)
    return extract_one


def _jobs(orders: IO[bytes]) -> Iterator[Job]:
    """Read jobs in a thread: who sends them must never wait for an answer to be read."""
    waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def read() -> None:
        with contextlib.suppress(EOFError):
            while (job := receive_job(orders)) is not None:
                waiting.put(job)
        waiting.put(None)  # also where nobody is there any more, and writing answers will fail

    threading.Thread(target=read, name="jobs", daemon=True).start()
    return iter(waiting.get, None)


if __name__ == "__main__":
    main()
