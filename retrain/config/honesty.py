"""What makes the numbers honest: flags of RunConfig that split the photographs and measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrain.config.flag import AS_USUAL, CHECK, Flag
from retrain.config.flag import flag as _flag
from retrain.config.splits import GROUP_BY_HELP, NEAR_DUPLICATES_HELP, SPLIT_FILE_HELP, SUBFOLDER_SPLITS_HELP

if TYPE_CHECKING:
    from retrain.config.flags import RunConfig


@dataclass(frozen=True)
class CheckFlags:
    """The flags under the heading of honest numbers."""

    testing_percentage: int = _flag(
        10, Flag("share of the photographs kept for the final test, in percent", CHECK, 0, 99)
    )
    validation_percentage: int = _flag(
        10, Flag("share of the photographs that choose the best step, in percent", CHECK, 0, 99)
    )
    split_rule: str = _flag(
        "content",
        Flag(
            "what decides a photograph's side: 'content' hashes its bytes, so that renaming and moving change nothing; "
            "'poets' hashes the path as typed, bit for bit as the original did",
            CHECK,
            choices=("content", "poets"),
            metavar="RULE",
        ),
    )
    group_by: str = _flag("", Flag(GROUP_BY_HELP, CHECK, metavar="RULE"))
    split_file: str = _flag("", Flag(SPLIT_FILE_HELP, CHECK, metavar="FILE"))
    near_duplicates: str = _flag(
        "together", Flag(NEAR_DUPLICATES_HELP, CHECK, choices=("together", "ignore"), metavar="WHAT")
    )
    subfolder_splits: bool = _flag(True, Flag(SUBFOLDER_SPLITS_HELP, CHECK))
    test_batch_size: int = _flag(-1, Flag("photographs of the final test, drawn at random; -1: all of them", CHECK, -1))
    validation_batch_size: int = _flag(
        100, Flag("photographs of each validation logged, drawn class by class; -1: all of them", CHECK, -1)
    )
    cross_validation_folds: int = _flag(
        AS_USUAL,
        Flag(
            "parts for cross-validated accuracy over all photographs; 0: leave it out; -1: 5, and 0 for a whole "
            "network (see --train), which is trained once more for each",
            CHECK,
            AS_USUAL,
            100,
        ),
    )
    cross_validation_repeats: int = _flag(
        1, Flag("how often cross-validation is repeated with other parts; 5 steadies the figures", CHECK, 1, 100)
    )
    calibrate: bool = _flag(
        True,
        Flag(
            "divide the model's logits by the temperature that makes its cross-validated scores most believable; "
            "which label is first does not change; needs cross-validation",
            CHECK,
        ),
    )
    learning_curve: bool = _flag(
        False,
        Flag(
            "train on ever more of the photographs as well, and say how many more are needed, and of which class; "
            "takes up to 6 times as long as cross-validation",
            CHECK,
        ),
    )
    unknown_false_alarms: float = _flag(
        0.05,
        Flag(
            "share of photographs like yours, 0 to 0.5, that label_image may call 'unknown' because they are too "
            "little like the nearest training photographs; 0: it never does for that reason",
            CHECK,
            0,
            0.5,
        ),
    )
    coverage: float = _flag(
        0.9,
        Flag(
            "share of photographs, 0 to 0.999, whose set of labels (label_image --sets) is to hold the right one; "
            "needs cross-validation; 0: no sets",
            CHECK,
            0,
            0.999,
        ),
    )
    print_misclassified_test_images: bool = _flag(False, Flag("list the errors of the final test", CHECK))


def crossing_problems(config: RunConfig) -> list[str]:
    """Say which flags ask for more of a cross-validation that is off.

    Args:
        config: the flags.

    Returns:
        One sentence a problem.
    """
    if config.folds:
        return []
    asked = {
        f"--cross_validation_repeats={config.cross_validation_repeats}": config.cross_validation_repeats > 1,
        "--learning_curve": config.learning_curve,
    }
    return [
        f"got {name} without cross-validation, which leaves nothing to measure it by; give "
        "--cross_validation_folds 5, or leave it away"
        for name, given in asked.items()
        if given
    ]
