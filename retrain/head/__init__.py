"""The new last layer, trained on cached bottleneck vectors.

sampling.py draws the batches as the original does; scaling.py brings features to one size; softmax.py trains the layer;
folds.py trains it several times over for cross-validation.
"""

from retrain.head.folds import cross_validate
from retrain.head.sampling import ClassBalancedSampler, Indices
from retrain.head.scaling import Floats
from retrain.head.softmax import Head, Observer, Recipe, StepReport, softmax, train_softmax

__all__ = [
    "ClassBalancedSampler",
    "Floats",
    "Head",
    "Indices",
    "Observer",
    "Recipe",
    "StepReport",
    "cross_validate",
    "softmax",
    "train_softmax",
]
