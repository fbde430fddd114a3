"""A run on photographs with several labels each, where it is another one than of one label a photograph.

teaching.py cross-validates, trains the head and chooses the thresholds; judging.py measures it and writes the numbers
down; showing.py puts them into the report and TensorBoard.
"""

from retrain.several.judging import LabelJudgement, judge_labels
from retrain.several.showing import show_labels
from retrain.several.teaching import cross_labels, discover_labels, targets_of, train_labels

__all__ = [
    "LabelJudgement",
    "cross_labels",
    "discover_labels",
    "judge_labels",
    "show_labels",
    "targets_of",
    "train_labels",
]
