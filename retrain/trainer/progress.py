"""How far a training is: all that JSON can hold of what a checkpoint keeps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from retrain.head.choice import MIN_VALIDATION_FOR_CHOICE
from retrain.trainer.job import Job


@dataclass
class Sums:
    """Losses and right answers, added up.

    Args:
        loss: sum over photographs, nats.
        right: photographs whose class was right.
        count: photographs.
    """

    loss: float = 0.0
    right: float = 0.0
    count: float = 0.0

    def add(self, loss: float, right: float, count: float) -> None:
        """Take photographs into account.

        Args:
            loss: their mean loss.
            right: how many were right.
            count: how many they are.
        """
        self.loss += loss * count
        self.right += right
        self.count += count

    @property
    def means(self) -> tuple[float, float]:
        """Mean loss, and share of right answers."""
        count = max(1.0, self.count)
        return self.loss / count, self.right / count


@dataclass
class Progress:
    """How far a training is.

    Args:
        step: steps taken.
        epoch: at hand, from 0.
        position: batches of it that were trained on.
        of_epoch: sums over these.
        of_interval: sums since the last report.
        history: an epoch that has ended each, as its event.
        best_epoch: the one with the lowest validation loss, from 1; 0: none yet.
        best_step: step at its end.
        best_loss: its validation loss; None: none yet.
        rate: of the last layer, found or given; None: still to be found.
        curve: rates tried and their losses.
        cores: that the steps were calculated on; sums of other numbers of threads round otherwise.
    """

    step: int = 0
    epoch: int = 0
    position: int = 0
    of_epoch: Sums = field(default_factory=Sums)
    of_interval: Sums = field(default_factory=Sums)
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_step: int = 0
    best_loss: float | None = None
    rate: float | None = None
    curve: list[tuple[float, float]] = field(default_factory=list)
    cores: int = 0

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Progress:
        """Read what facts() gave.

        Args:
            facts: from JSON.

        Returns:
            The progress.

        Raises:
            KeyError, TypeError: it is none.
        """
        sums = {name: Sums(**facts[name]) for name in ("of_epoch", "of_interval")}
        return cls(**{**facts, **sums, "curve": [(rate, loss) for rate, loss in facts["curve"]]})

    def facts(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        return asdict(self)

    def take(self, loss: float, right: float, count: float) -> None:
        """Count a step.

        Args:
            loss: mean of the batch.
            right: of its photographs.
            count: of its photographs.
        """
        self.step += 1
        self.position += 1
        self.of_epoch.add(loss, right, count)
        self.of_interval.add(loss, right, count)

    def end_epoch(self, validation: tuple[float, float] | None) -> dict[str, Any]:
        """Count an epoch.

        Args:
            validation: mean loss and accuracy over the validation photographs; None where there are none.

        Returns:
            What the epoch came to, as its event has it.
        """
        loss, accuracy = self.of_epoch.means
        seen: dict[str, Any] = {"epoch": self.epoch + 1, "step": self.step, "loss": loss, "accuracy": accuracy}
        seen["validation_loss"], seen["validation_accuracy"] = validation or (None, None)
        self.history.append(seen)
        if validation and (self.best_loss is None or validation[0] < self.best_loss):
            self.best_epoch, self.best_step, self.best_loss = self.epoch + 1, self.step, validation[0]
        self.epoch, self.position, self.of_epoch = self.epoch + 1, 0, Sums()
        return seen

    def is_over(self, job: Job) -> bool:
        """Whether nothing is left to train; within an epoch there always is, also where it is gone on with.

        Args:
            job: how many epochs, and how long to wait for a lower validation loss.
        """
        waited = self.step - self.best_step
        stops = chooses(job) and 0 < job.settings.early_stopping <= waited
        return self.position == 0 and (self.epoch >= job.settings.epochs or stops)


def chooses(job: Job) -> bool:
    """Say whether the best epoch's weights are kept, rather than the last's.

    Args:
        job: its early_stopping and validation photographs; a few of these can prefer an epoch by chance.
    """
    return job.settings.early_stopping > 0 and len(job.validation) >= MIN_VALIDATION_FOR_CHOICE
