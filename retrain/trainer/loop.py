"""The training of a network from its first step, or from its last checkpoint, to its last."""

from __future__ import annotations

import gc
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retrain import fsio
from retrain.errors import NumericalError
from retrain.litert import usable_cores
from retrain.trainer.batches import Batches
from retrain.trainer.board import Board
from retrain.trainer.checkpoints import Checkpoint, Checkpoints
from retrain.trainer.finder import sweep
from retrain.trainer.job import DONE_FILE, HEAD_FILE, NETWORK_FILE, Job
from retrain.trainer.optimisers import Optimiser, rate_of
from retrain.trainer.progress import Progress, chooses
from retrain.trainer.step import Network, Steps
from retrain.trainer.strategies import Strategy

# Takes the name of an event and its facts, as child.py prints them.
Tell = Callable[..., None]


class Interrupted(Exception):  # noqa: N818 - no error
    """The training was asked to stop, and a checkpoint is on the disk.

    Args:
        step: of that checkpoint.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        super().__init__(f"interrupted at step {step}")


class Training:
    """Trains the network of a job.

    Args:
        job: what to train.
        folder: of its checkpoints and of what it comes to.
        strategy: where steps are calculated.
        tell: told of what happens.
        stopping: whether to stop after the step at hand.
    """

    def __init__(self, job: Job, folder: Path, strategy: Strategy, tell: Tell, stopping: Callable[[], bool]) -> None:
        self._job, self._folder, self._strategy, self._tell, self._stopping = job, folder, strategy, tell, stopping
        self._is_chief = strategy.index == 0
        given = None if job.settings.find_learning_rate else job.settings.learning_rate
        self._progress = Progress(rate=given, cores=usable_cores())
        self._network = Network(job, strategy)
        whole = Batches(job)
        self._batches = whole if strategy.workers == 1 else whole.shard(strategy.index, strategy.workers)
        dtype = self._batches.training(0).element_spec[0].dtype
        self._steps = Steps(job, self._network, strategy, dtype)
        self._validation = self._batches.validation()
        self._coming: Iterator[Any] = iter(())
        self._board = Board(job) if self._is_chief else None
        self._clock = _Clock()

    def run(self) -> None:
        """Train, and write what it comes to.

        Raises:
            Interrupted: stopping said so.
            NumericalError: a loss or a weight is not a finite number; nothing was written of it.
            RetrainError: photographs or checkpoints cannot be read or written.
        """
        kept = self._job.settings.checkpoints_kept
        try:
            with Checkpoints(self._folder, self._job.digest, kept, self._written) as checkpoints:
                with self._batches.errors():
                    self._train(checkpoints)
                self._choose(checkpoints)
                self._finish(checkpoints)
        finally:
            if self._board:
                self._board.close()
        # Not where it was stopped: threads that decode ahead may still be at it.
        self._batches.close()

    def _train(self, checkpoints: Checkpoints) -> None:
        self._resume(checkpoints)
        self._start()
        if self._progress.rate is None:
            self._find_rate(checkpoints)
        # Else Python looks through TensorFlow's million objects again and again: 0.3 s each time, nothing found.
        gc.collect()
        gc.freeze()
        left = self._job.settings.epochs - self._progress.epoch
        if left > 0:
            self._coming = iter(self._batches.training(self._progress.epoch, self._progress.position, left))
        while not self._progress.is_over(self._job):
            self._epoch(checkpoints)

    def _resume(self, checkpoints: Checkpoints) -> None:
        found = checkpoints.latest(self._network.misfit, self._warn) if self._is_chief else None
        found = _shared(found, self._network, self._strategy)
        if found is None:
            return
        cores, self._progress = self._progress.cores, found.progress
        self._network.restore(found.arrays)
        if self._progress.cores != cores:
            self._warn(
                f"the training began on {self._progress.cores} cores and goes on on {cores}: its weights will differ "
                "in their last digits from those of one that was never interrupted"
            )
            self._progress.cores = cores

    def _start(self) -> None:
        job, settings = self._job, self._job.settings
        self._tell(
            "start", steps=job.steps, steps_an_epoch=job.steps_an_epoch, from_step=self._progress.step,
            trained=self._network.trained, frozen=self._network.frozen, batch_size=settings.batch_size,
        )  # fmt: skip
        if settings.early_stopping > 0 and not chooses(job):
            self._warn(
                f"{len(job.validation)} validation photographs are too few to choose an epoch by; all "
                f"{settings.epochs} epochs are trained, and the last one's weights are kept"
            )
        if self._board:
            example = self._batches.example(min(self._progress.epoch, settings.epochs - 1))
            # Stopped between an epoch's last step and its end, that end is still to be shown.
            pending = self._progress.position == job.steps_an_epoch
            shown = max(1, self._progress.step - 1) if pending else self._progress.step
            self._board.start(self._network.trainable, example, shown)

    def _find_rate(self, checkpoints: Checkpoints) -> None:
        """Try rates on the first batches, and put everything back as it was."""
        before = self._network.arrays()
        batches = self._endless()
        taken = 0

        def loss_at(rate: float) -> float:
            nonlocal taken
            loss, _, _, stop = self._steps.train(next(batches), Optimiser.numbers(rate, taken), self._stopping())
            taken += 1
            if stop:
                raise Interrupted(self._progress.step)
            return loss

        found = sweep(loss_at)
        self._network.restore(before)
        if found.rate is None:
            self._warn(
                f"the loss fell at none of the rates that were tried; training with {self._job.settings.learning_rate}"
            )
        self._progress.rate = self._job.settings.learning_rate if found.rate is None else found.rate
        self._progress.curve = list(found.curve)
        self._tell("rate", learning_rate=self._progress.rate, curve=self._progress.curve)
        if self._board:
            self._board.rate(found.curve)
        self._keep(checkpoints)

    def _endless(self) -> Iterator[Any]:
        epoch = 0
        while True:
            yield from self._batches.training(epoch)
            epoch += 1

    def _epoch(self, checkpoints: Checkpoints) -> None:
        if self._progress.position < self._job.steps_an_epoch:
            self._clock.start()
            left = self._job.steps_an_epoch - self._progress.position
            for batch in itertools.islice(self._coming, left):
                self._step(batch, checkpoints)
        validation = self._validate(checkpoints)
        seen = self._progress.end_epoch(validation)
        self._tell("epoch", **seen)
        if self._board:
            self._board.epoch(seen, self._network.trainable)
        self._keep(checkpoints)

    def _step(self, batch: Any, checkpoints: Checkpoints) -> None:  # noqa: ANN401
        progress, settings = self._progress, self._job.settings
        rate = rate_of(settings, self._job.steps, progress.step, progress.rate or 0.0)
        numbers = Optimiser.numbers(rate, progress.step)
        loss, right, count, stop = self._steps.train(batch, numbers, self._stopping())
        if not np.isfinite(loss):
            raise NumericalError(
                f"expected a finite loss, got {loss} at step {progress.step + 1} with the learning rate {rate:.3g}; "
                "nothing of it was written; give a lower --learning_rate, or --find_learning_rate"
            )
        progress.take(loss, right, count)
        self._clock.count += count
        if progress.step % settings.eval_interval == 0 or progress.step == self._job.steps:
            self._report(rate)
        if stop:
            self._stop(checkpoints)
        # The end of an epoch writes its own, with what the epoch came to in it.
        if progress.step % settings.checkpoint_steps == 0 and progress.position < self._job.steps_an_epoch:
            self._keep(checkpoints)

    def _report(self, rate: float) -> None:
        progress = self._progress
        loss, accuracy = progress.of_interval.means
        progress.of_interval = type(progress.of_interval)()
        seen = {
            "step": progress.step, "epoch": progress.epoch + 1, "loss": loss, "accuracy": accuracy,
            "learning_rate": rate, "images_a_second": self._clock.rate(),
        }  # fmt: skip
        self._tell("step", **seen)
        if self._board:
            self._board.step(seen)

    def _validate(self, checkpoints: Checkpoints) -> tuple[float, float] | None:
        self._network.align(self._strategy)
        loss = right = count = 0.0
        for batch in self._validation:
            # Of several workers none may leave the others waiting: they stop together, at the next step.
            if self._strategy.workers == 1 and self._stopping():
                self._stop(checkpoints)
            added = self._steps.validate(batch)
            loss, right, count = loss + added[0], right + added[1], count + added[2]
        return (loss / count, right / count) if count else None

    def _stop(self, checkpoints: Checkpoints) -> None:
        self._keep(checkpoints)
        checkpoints.settle()
        raise Interrupted(self._progress.step)

    def _keep(self, checkpoints: Checkpoints) -> None:
        arrays = self._network.arrays()
        if self._is_chief:
            checkpoints.write(self._progress, arrays)

    def _choose(self, checkpoints: Checkpoints) -> None:
        """Go back to the weights of the best epoch, where that is what was asked for."""
        best = self._progress.best_step
        if not chooses(self._job) or best in (0, self._progress.step):
            return
        checkpoints.settle()
        found = checkpoints.read(best) if self._is_chief else None
        shared = _shared(found, self._network, self._strategy)
        if shared is not None:
            self._network.restore(shared.arrays)

    def _finish(self, checkpoints: Checkpoints) -> None:
        self._network.arrays()  # raises where a weight is no number
        checkpoints.settle()
        if self._is_chief:
            self._write_result()
        # All wait here for the chief; whose folder is on another disk has the same weights, and writes them itself.
        self._strategy.share(np.zeros(1, np.int32))
        if not self._is_chief and not (self._folder / DONE_FILE).exists():
            self._write_result()
        done = json.loads((self._folder / DONE_FILE).read_text())
        self._tell("done", **{name: done[name] for name in ("step", "network_sha256", "head_sha256")})

    def _write_result(self) -> None:
        progress = self._progress
        self._network.trainable.save(self._folder)
        done = {
            "digest": self._job.digest,
            "network_sha256": fsio.sha256_file(self._folder / NETWORK_FILE),
            "head_sha256": fsio.sha256_file(self._folder / HEAD_FILE),
            "step": progress.step,
            "history": progress.history,
            "best_epoch": progress.best_epoch if chooses(self._job) else progress.epoch,
            "learning_rate": progress.rate,
            "curve": progress.curve,
            "trained": self._network.trained,
            "frozen": self._network.frozen,
        }
        fsio.write_text(self._folder / DONE_FILE, json.dumps(done))

    def _written(self, step: int, path: Path) -> None:
        self._tell("checkpoint", step=step, file=path.name)

    def _warn(self, text: str) -> None:
        self._tell("warning", text=text)


class _Clock:
    """Photographs a second, of the time in which steps are taken."""

    def __init__(self) -> None:
        self.count = 0.0
        self._since = time.perf_counter()

    def start(self) -> None:
        self.count, self._since = 0.0, time.perf_counter()

    def rate(self) -> float:
        rate = self.count / max(1e-9, time.perf_counter() - self._since)
        self.start()
        return rate


def _shared(found: Checkpoint | None, network: Network, strategy: Strategy) -> Checkpoint | None:
    """Give all workers the checkpoint that the first one read."""
    if strategy.workers == 1:
        return found
    facts = json.dumps(found.progress.facts()).encode() if found else b""
    size = int(strategy.share(np.array([len(facts)], np.int64))[0])
    if size == 0:
        return None
    text = strategy.share(np.frombuffer(facts or bytes(size), np.uint8)).tobytes()
    own = found.arrays if found else [np.zeros(one.shape, one.dtype.as_numpy_dtype) for one in network.state]
    return Checkpoint(Progress.from_facts(json.loads(text)), [strategy.share(array) for array in own])
