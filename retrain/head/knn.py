"""All training photographs vote for their class, the more the more alike: weights exp(cosine / tau).

Wu, Xiong, Yu and Lin, "Unsupervised feature learning via non-parametric instance discrimination", 2018, CVPR. Vectors
are of length 1, the keys centred after that: votes are then a softmax over the photographs, a layer that every export
has, and centring is 0.6 points better than leaving it out (81.9 and 81.3 %, mean of five sets).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.bottlenecks import Rows
from retrain.errors import UsageError
from retrain.head.checking import finite_head, require_finite_rows, require_training
from retrain.head.choice import spread
from retrain.head.layers import NOTHING, Dense, Head, Normalise, Softmax, softmax
from retrain.head.logistic import counting
from retrain.head.recipe import Recipe
from retrain.head.sampling import Indices
from retrain.head.scaling import Floats

# More would make a model larger than its backbone, and slower: 5,000 vectors of 512 are 10 MB and 2.5 million products.
MOST_PHOTOGRAPHS = 5000
# The temperature is chosen by leaving at most so many photographs out, one at a time.
MOST_LEFT_OUT = 1000
TAUS = tuple(float(value) for value in np.geomspace(0.01, 0.32, 16))
# Share of each vote that is spread over all classes, so that no class is ever impossible.
SPREADS = (0.01, 0.03, 0.1)
ADVICE = "Look for features that are far larger than all others"


@dataclass(frozen=True)
class Votes:
    """How votes are weighed.

    Args:
        tau: what cosines are divided by.
        spread: share of each vote that is spread over all classes.
        loss: mean loss of photographs left out one at a time, nats.
    """

    tau: float
    spread: float
    loss: float


def too_many(training_count: int) -> str:
    """Say whether there are too many photographs to let all of them vote.

    Args:
        training_count: photographs or views that are trained on.

    Returns:
        One sentence; empty if there are not.
    """
    if training_count <= MOST_PHOTOGRAPHS:
        return ""
    return (
        f"expected at most {MOST_PHOTOGRAPHS:,} training photographs for --head knn, whose model holds the vector of "
        f"each, got {training_count:,}; use --head logistic, or --head auto, which leaves knn out"
    )


def fit_knn(
    rows: Rows, labels: Indices, training: Indices, recipe: Recipe, class_count: int, groups: Indices | None = None
) -> Head:
    """Keep the training vectors, and choose by leave-one-out log loss how far a vote reaches.

    Args:
        rows: (N, D), as the backbone gives them.
        labels: intp (N,), 0 to class_count - 1.
        training: intp (n,), which are learnt from, at most MOST_PHOTOGRAPHS.
        recipe: its class_weights; BALANCED lets the votes of each class weigh the same in all.
        class_count: C.
        groups: intp (n,), equal for those that are left out together; None: each stands for itself.

    Returns:
        Normalise, a layer of n units, Softmax, and a layer of votes.

    Raises:
        NumericalError: a feature or a weight is NaN or infinite.
        UsageError: there is nothing to train on, or too much.
    """
    require_training(training)
    if problem := too_many(len(training)):
        raise UsageError(problem)
    y = labels[training]
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        require_finite_rows(rows)
        unit = Normalise().apply(rows.take(training))
        centre = unit.mean(axis=0)
        keys = Normalise().apply(unit - centre)
        counts = counting(y, recipe)
        members = np.arange(len(y)) if groups is None else groups
        votes = _choose(unit - centre, keys, counts, y, members, class_count)
        return finite_head(_head(keys, centre, np.log(counts), y, votes, class_count), ADVICE)


def _head(keys: Floats, centre: Floats, weights: Floats, y: Indices, votes: Votes, class_count: int) -> Head:
    near = np.ascontiguousarray(keys.T / np.float32(votes.tau))
    before = (Normalise(), Dense(near, weights - centre @ near), Softmax())
    ballots = np.full((len(y), class_count), votes.spread / class_count, np.float32)
    ballots[np.arange(len(y)), y] += np.float32(1 - votes.spread)
    return Head(ballots, np.zeros(class_count, np.float32), 0, before, NOTHING)


def _choose(centred: Floats, keys: Floats, counts: Floats, y: Indices, members: Indices, class_count: int) -> Votes:
    """Leave photographs out, each with its group, and see how well the others' votes say what it is."""
    asked = spread(len(y), MOST_LEFT_OUT)
    own = members[asked][:, np.newaxis] == members
    some = ~own.all(axis=1)  # a photograph whose group is all there is has nobody to ask
    asked, own = asked[some], own[some]
    if not len(asked):
        return Votes(TAUS[len(TAUS) // 2], SPREADS[0], float("nan"))
    ballots = np.eye(class_count, dtype=np.float32)[y]
    near, weights = centred[asked] @ keys.T, np.log(counts)
    tried = []
    for tau in TAUS:
        shares = softmax(np.where(own, -np.inf, near / np.float32(tau) + weights).astype(np.float32)) @ ballots
        right = shares[np.arange(len(asked)), y[asked]]
        for share in SPREADS:
            losses = -np.log(right * (1 - share) + share / class_count)
            tried.append(Votes(tau, share, float(np.average(losses, weights=counts[asked]))))
    return min(tried, key=lambda one: one.loss)
