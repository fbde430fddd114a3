"""The process that trains: a job's folder on its command line, an event a line as JSON on standard output.

Runs as ``python -m retrain.trainer.child FOLDER``, started by parent.py. It ends when its input does, which says that
who started it is gone; then, and on SIGINT and SIGTERM, after the step at hand and with a checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retrain.errors import EXIT_INTERRUPTED, RetrainError
from retrain.litert import usable_cores
from retrain.trainer.job import DONE_FILE, Job, read_job
from retrain.trainer.outcome import finished

# A process that nobody listens to any more ends by now, whatever it is at; the last checkpoint is whole.
_LEFT_ALONE_S = 3.0


def main() -> int:
    """Train the network of a job.

    Returns:
        An exit code of retrain.errors.
    """
    parser = argparse.ArgumentParser(prog="python -m retrain.trainer.child", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the job, with its job.json in it")
    folder: Path = parser.parse_args().folder
    # Whatever a library prints must not come among the events.
    speaker = Speaker(os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    stopping = Stopping()
    stopping.listen(sys.stdin.fileno())
    return serve(folder, speaker.tell, stopping)


class Speaker:
    """Writes events; several threads may.

    Args:
        stream: unbuffered.
    """

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - FileIO
        self._stream, self._lock = stream, threading.Lock()

    def tell(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write an event.

        Args:
            event: its name.
            facts: what JSON can hold.
        """
        line = json.dumps({"event": event, **facts}).encode() + b"\n"
        # Who listened may be gone; the end of the input says so, and a checkpoint is still to be written.
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._stream.write(line)


class Stopping:
    """Whether the training is to stop: asked by a signal, or by the end of the input."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    def __call__(self) -> bool:
        """Whether it is."""
        return self._asked.is_set()

    def ask(self) -> None:
        """Ask for it."""
        self._asked.set()

    def listen(self, descriptor: int) -> None:
        """Take signals from now on, and watch the input; to be called in the main thread.

        Args:
            descriptor: of the input.
        """
        numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform == "win32":
            numbers.append(signal.SIGBREAK)
        for number in numbers:
            # Asked twice it stops no sooner: one Ctrl-C may arrive from the terminal and from the parent.
            signal.signal(number, lambda number, frame: self.ask())
        threading.Thread(target=self._watch, args=(descriptor,), name="input", daemon=True).start()

    def _watch(self, descriptor: int) -> None:
        # Trap: a thread that holds sys.stdin while the interpreter ends aborts the process.
        while os.read(descriptor, 1024):
            pass
        self.ask()
        ending = threading.Timer(_LEFT_ALONE_S, os._exit, (EXIT_INTERRUPTED,))
        ending.daemon = True
        ending.start()


def serve(folder: Path, tell: Callable[..., None], stopping: Stopping) -> int:
    """Train a job, unless it is trained already or another process is at it, and tell how it ended.

    Args:
        folder: of the job.
        tell: takes the name of an event and its facts.
        stopping: whether to stop.

    Returns:
        An exit code of retrain.errors.
    """
    try:
        job = read_job(folder)
        step = _train(job, folder, tell, stopping)
    except RetrainError as error:
        tell("error", kind=type(error).__name__, text=str(error))
        return error.exit_code
    except OSError as error:
        tell("error", kind=RetrainError.__name__, text=f"{error.filename or folder}: {error.strerror or error}")
        return RetrainError.exit_code
    if step is None:
        return 0
    tell("interrupted", step=step)
    return EXIT_INTERRUPTED


def _train(job: Job, folder: Path, tell: Callable[..., None], stopping: Stopping) -> int | None:
    """Train; the step of the last checkpoint where it was interrupted, None where all is done."""
    # Here, because they import TensorFlow's seconds of modules, which what is over or refused must not wait for.
    from retrain.trainer.checkpoints import alone
    from retrain.trainer.strategies import is_chief

    if not is_chief(job.settings.strategy):
        return _trained(job, folder, tell, stopping)

    def waiting() -> None:
        tell("warning", text=f"another process is training this network in {folder}; waiting until it ends")

    with alone(folder, waiting, stopping) as mine:
        return _trained(job, folder, tell, stopping) if mine else 0


def _trained(job: Job, folder: Path, tell: Callable[..., None], stopping: Stopping) -> int | None:
    if finished(job, folder) is not None:
        done = json.loads((folder / DONE_FILE).read_text())
        tell("done", **{name: done[name] for name in ("step", "network_sha256", "head_sha256")})
        return None
    _quieten()
    import tensorflow as tf

    from retrain.trainer.loop import Interrupted, Training
    from retrain.trainer.strategies import lost_worker, open_strategy

    # Both decide the last digits of a sum: bit for bit the same is a promise only with them settled.
    tf.config.experimental.enable_op_determinism()
    tf.config.threading.set_intra_op_parallelism_threads(usable_cores())
    try:
        Training(job, folder, open_strategy(job.settings.strategy), tell, stopping).run()
    except Interrupted as stopped:
        return stopped.step
    except tf.errors.OpError as error:
        raise lost_worker(error) or RetrainError(f"TensorFlow failed: {error.message}") from error
    return None


def _quieten() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Keras imports scikit-learn where it finds it, for wrappers that are not used here: 0.7 s.
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
