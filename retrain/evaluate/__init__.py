"""How good the model is, and how sure that is.

intervals.py says how sure; accuracy.py counts right answers, classes.py those of each class; ranking.py has the areas
under curves, resampling.py says how sure average precisions are, calibration.py whether scores are to be believed and
the temperature that mends them; numbers.py puts all of it into one record, several.py all that is measured of several
labels a photograph; growth.py says where the learning curve leads; sentences.py says it plainly.
"""

from retrain.evaluate.accuracy import (
    Accuracy,
    accuracy_of,
    confusion_matrix,
    measure_accuracy,
    measure_repeated,
    measure_top,
)
from retrain.evaluate.calibration import (
    Calibration,
    cool,
    cool_by_others,
    cooled_scores,
    find_temperature,
    measure_calibration,
    useful_temperature,
)
from retrain.evaluate.classes import ClassNumbers
from retrain.evaluate.growth import Growth, Prediction, grow
from retrain.evaluate.intervals import Interval, group_numbers, wilson_interval
from retrain.evaluate.numbers import Numbers, measure, plain
from retrain.evaluate.ranking import PrecisionRecall
from retrain.evaluate.sentences import calibration_sentence, plain_sentence
from retrain.evaluate.several import LabelNumbers, labels_line, labels_sentence, measure_labels

__all__ = [
    "Accuracy",
    "Calibration",
    "ClassNumbers",
    "Growth",
    "Interval",
    "LabelNumbers",
    "Numbers",
    "PrecisionRecall",
    "Prediction",
    "accuracy_of",
    "calibration_sentence",
    "confusion_matrix",
    "cool",
    "cool_by_others",
    "cooled_scores",
    "find_temperature",
    "group_numbers",
    "grow",
    "labels_line",
    "labels_sentence",
    "measure",
    "measure_accuracy",
    "measure_calibration",
    "measure_labels",
    "measure_repeated",
    "measure_top",
    "plain",
    "plain_sentence",
    "useful_temperature",
    "wilson_interval",
]
