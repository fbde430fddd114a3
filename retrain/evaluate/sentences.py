"""What the numbers can and cannot tell, for a person who has no statistics."""

from __future__ import annotations

from retrain.evaluate.accuracy import Accuracy
from retrain.evaluate.numbers import Numbers


def plain_sentence(test: Accuracy, crossed: Accuracy | None) -> str:
    """Say what the numbers can and cannot tell.

    Args:
        test: of the final test.
        crossed: cross-validated, or None when it was left out.

    Returns:
        One sentence for a person who has no statistics.
    """
    if test.count:
        low, high = 100 * test.low, 100 * test.high
        photographs = f"{test.count} test photograph{'' if test.count == 1 else 's'}"
        start = f"With {photographs} this test cannot tell {low:.0f} % from {high:.0f} %"
    else:
        start = "No photograph was kept for the final test"
    if crossed is None:
        return f"{start}; cross-validation was left out."
    return (
        f"{start}; cross-validation over {crossed.count} says {100 * crossed.value:.0f} % "
        f"({100 * crossed.low:.0f} to {100 * crossed.high:.0f} %)."
    )


def calibration_sentence(numbers: Numbers) -> str:
    """Say in a line what numbers beside accuracy came to.

    Args:
        numbers: of at least one photograph.

    Returns:
        "Balanced accuracy 94.8 % (88.1 to 97.9 %), log loss 0.165, calibration error 4.0 % (3.1 % at temperature
        0.88)".
    """
    before, after = numbers.calibration, numbers.cooled
    start = "" if numbers.balanced_accuracy is None else f"Balanced accuracy {numbers.balanced_accuracy.text()}, l"
    line = f"{start or 'L'}og loss {before.log_loss.value:.3f}, calibration error {100 * before.error:.1f} %"
    if numbers.temperature == 1:
        return line
    return f"{line} ({100 * after.error:.1f} % at temperature {numbers.temperature:.2f})"
