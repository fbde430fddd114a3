"""The heads that ours are compared with: the original's recipe, Keras' idiom, scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
from common import ROOT  # noqa: F401 - puts the repository on the path
from threadpoolctl import threadpool_limits

from retrain.head import ClassBalancedSampler, Floats, Indices, softmax
from retrain.head.optimizers import optimizer
from retrain.head.recipe import ADAM, Recipe

ORIGINAL_STEPS, ORIGINAL_RATE, ORIGINAL_BATCH, ORIGINAL_SD = 4000, 0.01, 100, 0.001
# As in the tutorials on transfer learning: Dense on pooled features, Adam at its defaults, batches of 32. They train
# for 10 to 20 epochs; 50 are kinder to sets as small as these.
KERAS_EPOCHS, KERAS_RATE, KERAS_BATCH = 50, 0.001, 32
STRENGTHS = np.logspace(-4, 1, 11)
FOLDS = 5


def truncated_normal(shape: tuple[int, int], sd: float, generator: np.random.Generator) -> Floats:
    """Draw as tf.truncated_normal does: what lies beyond two standard deviations is drawn again."""
    values = generator.normal(0, 1, shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = generator.normal(0, 1, int(beyond.sum()))
    return (values * sd).astype(np.float32)


def original_guesses(features: Floats, labels: Indices, training: Indices, test: Indices, seed: int) -> Indices:
    """Train as retrain.py of the codelab does, last step kept, and classify the test photographs."""
    x, y, generator = features[training], labels[training], np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    weights = truncated_normal((features.shape[1], classes), ORIGINAL_SD, generator)
    biases, one_hot = np.zeros(classes, np.float32), np.eye(classes, dtype=np.float32)
    sampler = ClassBalancedSampler(y, generator)
    with threadpool_limits(1, user_api="blas"):
        for _ in range(ORIGINAL_STEPS):
            batch = sampler.draw(ORIGINAL_BATCH)
            error = softmax(x[batch] @ weights + biases) - one_hot[y[batch]]
            error *= np.float32(ORIGINAL_RATE / ORIGINAL_BATCH)
            weights -= x[batch].T @ error
            biases -= error.sum(axis=0)
    guesses: Indices = (features[test] @ weights + biases).argmax(axis=1)
    return guesses


def keras_guesses(features: Floats, labels: Indices, training: Indices, test: Indices, seed: int) -> Indices:
    """Train Dense(C, activation="softmax") with Adam as Keras does, in NumPy, and classify the test photographs."""
    x, y, generator = features[training], labels[training], np.random.default_rng(seed)
    classes = int(labels.max()) + 1
    limit = np.sqrt(6 / (x.shape[1] + classes))
    weights = generator.uniform(-limit, limit, (x.shape[1], classes)).astype(np.float32)
    biases, one_hot = np.zeros(classes, np.float32), np.eye(classes, dtype=np.float32)
    recipe = Recipe(1, KERAS_RATE, KERAS_BATCH, 0.0, optimizer=ADAM)
    movers = [optimizer(recipe, part.shape) for part in (weights, biases)]
    with threadpool_limits(1, user_api="blas"):
        for _ in range(KERAS_EPOCHS):
            for batch in np.array_split(generator.permutation(len(x)), -(-len(x) // KERAS_BATCH)):
                error = softmax(x[batch] @ weights + biases) - one_hot[y[batch]]
                error /= np.float32(len(batch))
                movers[0].apply(weights, x[batch].T @ error, np.float32(KERAS_RATE))
                movers[1].apply(biases, error.sum(axis=0), np.float32(KERAS_RATE))
    guesses: Indices = (features[test] @ weights + biases).argmax(axis=1)
    return guesses


def sklearn_guesses(features: Floats, labels: Indices, training: Indices, test: Indices) -> Indices:
    """Scale, choose the strength of the penalty by cross-validation, fit, and classify the test photographs."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(min(FOLDS, int(np.bincount(labels[training]).min())), shuffle=True, random_state=0)
    # Every value spelt out that scikit-learn 1.9 would warn about.
    regression = LogisticRegressionCV(
        Cs=STRENGTHS, cv=folds, l1_ratios=(0,), max_iter=5000, scoring="accuracy", use_legacy_attributes=False
    )
    with threadpool_limits(1, user_api="blas"):
        model = make_pipeline(StandardScaler(), regression).fit(features[training], labels[training])
        guesses: Indices = model.predict(features[test])
        return guesses
