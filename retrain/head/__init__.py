"""The new last layer, trained on cached bottleneck vectors.

layers.py is what a head is, recipe.py what it is to be trained by, fitting.py the one way to all of them. sampling.py
draws the batches as the original does; scaling.py brings features to one size. Step by step: trainer.py with
optimizers.py, choice.py (which step is kept) and reports.py (who is told); softmax.py and mlp.py are what it trains.
Solved: logistic.py (penalised.py, lbfgs.py, axes.py), cosine.py, knn.py; inner.py deals the folds that they choose by.
checking.py lets no head pass that is no number. folds.py trains a head several times over for cross-validation,
together.py several at once, learning.py on ever more photographs for the learning curve; choosing.py compares heads
and backbones; multilabel.py is for photographs with several labels, label_folds.py cross-validates
it.
"""

from retrain.head.choosing import Backbone, Choice, Photographs, choose_head, table_rows
from retrain.head.fitting import fit_head
from retrain.head.folds import Crossed, cross_validate, cross_validate_again
from retrain.head.inner import groups_of
from retrain.head.layers import Head, softmax
from retrain.head.recipe import AUTO, Recipe
from retrain.head.reports import Observer, StepReport
from retrain.head.sampling import ClassBalancedSampler, Indices
from retrain.head.scaling import Floats
from retrain.head.softmax import train_softmax
from retrain.head.together import Stopped

__all__ = [
    "AUTO",
    "Backbone",
    "Choice",
    "ClassBalancedSampler",
    "Crossed",
    "Floats",
    "Head",
    "Indices",
    "Observer",
    "Photographs",
    "Recipe",
    "StepReport",
    "Stopped",
    "choose_head",
    "cross_validate",
    "cross_validate_again",
    "fit_head",
    "groups_of",
    "softmax",
    "table_rows",
    "train_softmax",
]
