"""What a head is to be trained by: the flags that decide it, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

# Kinds of head, the simplest first: of equally good ones the earlier is preferred. One layer; one with vectors of
# length 1; two; as many as there are photographs.
SOFTMAX, LOGISTIC, COSINE, KNN, MLP = "softmax", "logistic", "cosine", "knn", "mlp"
KINDS = (SOFTMAX, LOGISTIC, COSINE, MLP, KNN)
# Not a kind: all of them are to be compared.
AUTO = "auto"
BALANCED, UNWEIGHTED = "balanced", "none"
CLASS_WEIGHTS = (BALANCED, UNWEIGHTED)
CONSTANT, COSINE_SCHEDULE = "constant", "cosine"
SCHEDULES = (CONSTANT, COSINE_SCHEDULE)
SGD, MOMENTUM, ADAM = "sgd", "momentum", "adam"
OPTIMIZERS = (SGD, MOMENTUM, ADAM)
# What is left to the head, and what becomes of it; of MLP, whose momentum goes ten times as far a step, as well.
USUAL, AS_USUAL = "usual", -1
USUAL_STEPS, USUAL_RATE, USUAL_BATCH, USUAL_DECAY = 4000, 0.01, 100, 0.03
MLP_STEPS, MLP_PATIENCE = 1000, 300

# What every recipe has said of itself from the first model on; the others only where they are not as they always were.
_ALWAYS_TOLD = (
    "steps",
    "learning_rate",
    "batch_size",
    "weight_decay",
    "eval_interval",
    "validation_batch_size",
    "seed",
)


@dataclass(frozen=True)
class Recipe:
    """How to train a head.

    Args:
        steps: steps of gradient descent.
        learning_rate: size of a step.
        batch_size: photographs a step.
        weight_decay: the weights shrink by learning_rate times this each step.
        eval_interval: measure every so many steps, and on the last.
        validation_batch_size: photographs of a logged validation, drawn class by class; -1 for all.
        seed: of the random draws.
        kind: one of KINDS; AUTO until one of them has been chosen.
        class_weights: BALANCED, every class counts alike, or UNWEIGHTED, every photograph does.
        label_smoothing: share of each label that is spread over all classes, 0 to 1; Szegedy et al., "Rethinking the
            Inception architecture for computer vision", 2016, CVPR.
        schedule: what becomes of the learning rate: CONSTANT, or COSINE_SCHEDULE down to 0 (Loshchilov and Hutter,
            "SGDR: stochastic gradient descent with warm restarts", 2017, ICLR).
        early_stopping: stop after so many steps without a lower validation loss; 0: never.
        optimizer: SGD, MOMENTUM or ADAM.
        hidden_units: of the hidden layer of MLP.
        dropout: share of them that is left out at each step, 0 to below 1.
    """

    steps: int
    learning_rate: float
    batch_size: int
    weight_decay: float
    eval_interval: int = 10
    validation_batch_size: int = 100
    seed: int = 0
    kind: str = SOFTMAX
    class_weights: str = BALANCED
    label_smoothing: float = 0.0
    schedule: str = CONSTANT
    early_stopping: int = 0
    optimizer: str = SGD
    hidden_units: int = 128
    dropout: float = 0.5

    def settled(self, kind: str) -> Recipe:
        """Name a kind of head, and settle what was left to it.

        Args:
            kind: one of KINDS.

        Returns:
            The recipe of that head: USUAL and AS_USUAL give way to its own.
        """
        of_mlp = kind == MLP
        return replace(
            self,
            kind=kind,
            steps=int(_or_usual(self.steps, MLP_STEPS if of_mlp else USUAL_STEPS)),
            learning_rate=_or_usual(self.learning_rate, USUAL_RATE),
            batch_size=int(_or_usual(self.batch_size, USUAL_BATCH)),
            weight_decay=_or_usual(self.weight_decay, USUAL_DECAY),
            schedule=CONSTANT if self.schedule == USUAL else self.schedule,
            optimizer=(MOMENTUM if of_mlp else SGD) if self.optimizer == USUAL else self.optimizer,
            early_stopping=(MLP_PATIENCE if of_mlp else 0) if self.early_stopping == AS_USUAL else self.early_stopping,
        )

    def ended_at(self, step: int) -> Recipe:
        """Give the recipe that ends where a head was kept, for others to be trained as far as it was.

        A head that was kept at an early step is less sure of itself than one that went on to the last. What is to tell
        of it on photographs that it has seen, out-of-fold scores and their temperature, must have gone as far.

        Args:
            step: of the head, counted from 0.

        Returns:
            The recipe with so many steps and no early stopping; as it is where nothing is trained step by step, and
            where the rate falls towards a last step, which cannot come sooner without changing those before it.
        """
        if not self.descends or self.schedule != CONSTANT:
            return self
        return replace(self, steps=step + 1, early_stopping=0)

    @property
    def descends(self) -> bool:
        """Whether it is trained step by step, rather than solved."""
        return self.kind in (SOFTMAX, MLP)

    @property
    def wants_validation(self) -> bool:
        """Whether photographs beside those that are trained on decide when to stop."""
        return self.descends and self.early_stopping > 0

    def facts(self) -> dict[str, float | str]:
        """Tell what decides the head, for the model's description.

        Returns:
            name -> value; of the newer fields only those that are not at their default, so that the description of a
            model that is trained as ever stays as it was, to the byte.
        """
        usual = Recipe(self.steps, self.learning_rate, self.batch_size, self.weight_decay)
        return {
            name: value for name, value in asdict(self).items() if name in _ALWAYS_TOLD or value != getattr(usual, name)
        }


def _or_usual(value: float, usual: float) -> float:
    return usual if value == AS_USUAL else value
