"""Has a network trained in a process of its own, shows how far it is, and reads what it came to."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from retrain import errors
from retrain.console import Advance, Console, printable
from retrain.errors import RetrainError
from retrain.interrupts import Interrupts
from retrain.trainer.job import Job, write_job
from retrain.trainer.outcome import Epoch, Trained, finished
from retrain.trainer.process import Event, TrainingProcess

# A step of a large network on a slow machine, its checkpoint, and the epoch's validation may lie before the end.
STOPPING_S = 120.0
# After the last word: files are closed, and workers on other machines say goodbye to each other.
ENDING_S = 60.0
# How a lack of memory is told: by the system's signal, by Python, by TensorFlow, by the C library.
_MEMORY = re.compile(r"^SIGKILL|memory|OOM|bad_alloc|resource exhausted", re.IGNORECASE)

__all__ = ["Epoch", "Trained", "train_network"]


def train_network(job: Job, folder: Path, console: Console) -> Trained:
    """Train a network, go on with it from its last checkpoint, or take what is trained already.

    Args:
        job: what to do.
        folder: of this job's checkpoints and of what it comes to; made where it is not there.
        console: told how it goes.

    Returns:
        The trained network.

    Raises:
        NumericalError: the loss is no number any more; nothing was written.
        RetrainError: one of its kinds, as the training process raised it, or that process ended.
        KeyboardInterrupt: Ctrl-C; a checkpoint was waited for, as for SIGTERM.
    """
    trained = finished(job, folder)
    if trained is not None:
        console.line(f"This network is trained already, {_steps(trained.step)}: {folder}")
        return trained
    write_job(job, folder)
    with TrainingProcess(folder) as process:
        watching = _Watching(job, process, console)
        try:
            watching.follow()
            for _ in process.events(ENDING_S):
                pass
        except RetrainError:
            raise
        except BaseException as reason:  # Ctrl-C or SIGTERM: the process goes on until it is told
            with Interrupts.patiently():
                watching.stop(signal.SIGINT if isinstance(reason, KeyboardInterrupt) else signal.SIGTERM)
            raise
    trained = finished(job, folder)
    if trained is None:
        raise RetrainError(
            f"expected a whole trained network in {folder}, but its files do not fit what the training wrote of them; "
            "run the same command again, which goes on from the last checkpoint"
        )
    console.line(_summary(job, trained))
    return trained


class _Watching:
    """Follows one training process."""

    def __init__(self, job: Job, process: TrainingProcess, console: Console) -> None:
        self._job, self._process, self._console = job, process, console
        # Where the same command would go on: the last checkpoint.
        self._kept = 0
        self._step = 0
        self._is_done = False

    def follow(self) -> None:
        """Show what happens until all is done."""
        events = self._process.events()
        if self._begin(events):
            return
        left = self._images(self._job.steps) - self._images(self._step)
        with self._console.stage("Training", left, "images") as advance:
            for event in events:
                if self._see(event, advance):
                    return
        self._has_died()

    def stop(self, number: int) -> None:
        """Have the process write a checkpoint, and wait for it.

        Args:
            number: SIGINT or SIGTERM.
        """
        self._console.line("Stopping: the step at hand is finished and a checkpoint written; once more ends it at once")
        self._process.ask_to_stop(number)
        stopped = False
        for event in self._process.events(STOPPING_S):
            self._remember(event)
            stopped = stopped or event["event"] in ("interrupted", "done")
        if not stopped:
            self._console.warn("the training process ended, or was ended, without a checkpoint of its last steps")
        self._console.line(f"The same command {self._advice()}")

    def _begin(self, events: Iterator[Event]) -> bool:
        """Whether it was over before it started: another command trained the same meanwhile."""
        for event in events:
            if event["event"] == "start":
                self._tell_start(event)
                break
            if self._see(event, _nowhere):
                break
        else:
            self._has_died()
        return self._is_done

    def _see(self, event: Event, advance: Advance) -> bool:
        """Show one event; whether it was the last."""
        kind = event["event"]
        if kind == "error":
            raise _as_raised(str(event["kind"]), str(event["text"]))
        if kind == "interrupted":
            raise RetrainError(f"the training process was told to stop by others; the same command {self._advice()}")
        if kind == "step":
            self._advance(event, advance)
        elif kind == "epoch":
            self._console.line(epoch_line(event, self._job.settings.epochs))
        elif kind == "rate":
            self._console.line(f"Learning rate found: {float(event['learning_rate']):.3g}, where the loss fell fastest")
        elif kind == "warning":
            self._console.warn(printable(str(event["text"])))
        self._remember(event)
        return self._is_done

    def _remember(self, event: Event) -> None:
        self._is_done = event["event"] == "done"
        if event["event"] in ("checkpoint", "interrupted"):
            self._kept = int(event["step"])

    def _tell_start(self, event: Event) -> None:
        self._kept = self._step = int(event["from_step"])
        steps, each = int(event["steps"]), int(event["steps_an_epoch"])
        frozen = f" ({int(event['frozen']):,} stay frozen)" if event["frozen"] else ""
        self._console.line(
            f"Training {int(event['trained']):,} parameters{frozen}: {_steps(steps)}, {each:,} an epoch, "
            f"{int(event['batch_size'])} photographs a step"
        )
        if self._step:
            self._console.line(f"Going on from step {self._step:,} of {steps:,}")

    def _advance(self, event: Event, advance: Advance) -> None:
        step = int(event["step"])
        count, self._step = self._images(step) - self._images(self._step), step
        advance(count, f"loss {_pair(event['loss'], 'accuracy ', event['accuracy'])}")

    def _images(self, step: int) -> int:
        """Photographs that were gone through by a step; an epoch's last batch may be smaller."""
        epochs, rest = divmod(step, self._job.steps_an_epoch)
        count = len(self._job.training)
        return epochs * count + min(rest * self._job.settings.batch_size, count)

    def _has_died(self) -> NoReturn:
        words = self._process.last_words()
        less = "; a smaller --train_batch_size needs less memory" if _MEMORY.search(words) else ""
        raise RetrainError(f"the training process ended by itself: {words}\nthe same command {self._advice()}{less}")

    def _advice(self) -> str:
        if self._is_done:
            return "takes the network, which is trained"
        return f"goes on from step {self._kept:,}" if self._kept else "starts this training again"


def epoch_line(event: Event, epochs: int) -> str:
    """Say how an epoch ended.

    Args:
        event: of its end.
        epochs: of the whole training.

    Returns:
        "epoch 3 of 30: loss 0.412, accuracy 88.1 %; validation 0.520, 81.3 %".
    """
    said = f"epoch {int(event['epoch'])} of {epochs}: loss {_pair(event['loss'], 'accuracy ', event['accuracy'])}"
    if event["validation_loss"] is None:
        return said
    return f"{said}; validation {_pair(event['validation_loss'], '', event['validation_accuracy'])}"


def _pair(loss: float, words: str, accuracy: float) -> str:
    return f"{float(loss):.3f}, {words}{100 * float(accuracy):.1f} %"


def _summary(job: Job, trained: Trained) -> str:
    best = trained.history[trained.best_epoch - 1] if 0 < trained.best_epoch <= len(trained.history) else None
    said = f"Trained {_steps(trained.step)}, {len(trained.history)} of {job.settings.epochs} epochs"
    if best is None or best.validation_accuracy is None:
        return said
    kept = f"; the weights are those of epoch {best.epoch}"
    return f"{said}{kept}, {100 * best.validation_accuracy:.1f} % of the validation photographs right"


def _steps(count: int) -> str:
    return f"{count:,} step{'' if count == 1 else 's'}"


def _nowhere(count: int = 1, note: str = "") -> None:
    pass


def _as_raised(kind: str, text: str) -> RetrainError:
    found = getattr(errors, kind, None)
    if found is errors.ImageError:
        reason, _, detail = text.partition(": ")
        return errors.ImageError(reason, detail)
    if isinstance(found, type) and issubclass(found, RetrainError):
        return found(text)
    return RetrainError(text if kind == RetrainError.__name__ else f"{kind} in the training process: {text}")
