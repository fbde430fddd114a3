"""How the new layer is trained: flags of RunConfig."""

from __future__ import annotations

from dataclasses import dataclass

from retrain.config.flag import AS_USUAL, TRAIN, Flag
from retrain.config.flag import flag as _flag

HEADS = ("softmax", "logistic", "cosine", "knn", "mlp", "auto")
# What --optimizer and --schedule say when the head, or the network, is to decide.
USUAL = "usual"


@dataclass(frozen=True)
class TrainFlags:
    """The flags under the heading of training."""

    head: str = _flag(
        "softmax",
        Flag(
            "what is put on the backbone: 'softmax' (one layer, trained step by step as the original's), 'logistic' "
            "(one layer, solved; its penalty is chosen by cross-validation), 'cosine' (a prototype a class), 'knn' "
            "(all training photographs vote), 'mlp' (a hidden layer); 'auto' compares them by nested cross-validation",
            TRAIN,
            choices=HEADS,
            metavar="HEAD",
        ),
    )
    how_many_training_steps: int = _flag(
        AS_USUAL,
        Flag("steps of gradient descent on the new layer; -1: 4000, and 1000 for --head mlp", TRAIN, AS_USUAL),
    )
    learning_rate: float = _flag(
        float(AS_USUAL),
        Flag("size of a step of gradient descent; -1: 0.01, and a whole network's own (see --train)", TRAIN, AS_USUAL),
    )
    train_batch_size: int = _flag(
        AS_USUAL,
        Flag(
            "photographs a training step, drawn class by class; -1: 100, and a whole network's own (see --train)",
            TRAIN,
            AS_USUAL,
        ),
    )
    weight_decay: float = _flag(
        float(AS_USUAL),
        Flag(
            "share by which learning_rate times this shrinks the weights each step; 0: none, as the original; -1: "
            "0.03, and none for a whole network",
            TRAIN,
            AS_USUAL,
        ),
    )
    class_weights: str = _flag(
        "balanced",
        Flag(
            "what counts alike: 'balanced', every class, as in the original, which draws a class and then one of its "
            "photographs; 'none', every photograph, so that a large class is more likely",
            TRAIN,
            choices=("balanced", "none"),
            metavar="RULE",
        ),
    )
    label_smoothing: float = _flag(
        0.0,
        Flag("share of each label that is spread over all classes, 0 to 0.9; 0: none, as the original", TRAIN, 0, 0.9),
    )
    schedule: str = _flag(
        USUAL,
        Flag(
            "the learning rate: 'constant' as the original's, or 'cosine', half a cosine down to 0 at the last step; "
            "'usual' is constant, and cosine with --train finetune",
            TRAIN,
            choices=(USUAL, "constant", "cosine"),
            metavar="SCHEDULE",
        ),
    )
    optimizer: str = _flag(
        USUAL,
        Flag(
            "how a gradient moves the weights: 'sgd' as the original's, 'momentum' (0.9) or 'adam'; 'usual' is sgd, "
            "momentum for --head mlp, and adam for a whole network",
            TRAIN,
            choices=(USUAL, "sgd", "momentum", "adam"),
            metavar="OPTIMIZER",
        ),
    )
    early_stopping: int = _flag(
        AS_USUAL,
        Flag(
            "stop after so many steps without a lower validation loss, measured every --eval_step_interval steps on at "
            "least ten photographs (of a whole network at the end of each epoch); 0: never; -1: never, and 300 for "
            "--head mlp",
            TRAIN,
            AS_USUAL,
        ),
    )
    hidden_units: int = _flag(128, Flag("units of the hidden layer of --head mlp", TRAIN, 1, 4096))
    dropout: float = _flag(
        0.5, Flag("share of the hidden units of --head mlp that each step leaves out, 0 to 0.9", TRAIN, 0, 0.9)
    )
    eval_step_interval: int = _flag(10, Flag("measure and log every so many steps", TRAIN, 1))
    seed: int = _flag(0, Flag("seed of the random draws; the same seed gives the same bytes", TRAIN, 0, 2**32 - 1))
