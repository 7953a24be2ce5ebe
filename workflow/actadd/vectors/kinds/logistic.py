"""A logistic probe of many pairs."""

from typing import TYPE_CHECKING

from actadd.vectors import pairs
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams

# Weights of the data beside the penalty, from which one is chosen; of activations with norm 1.
STRENGTHS = tuple(10.0**exponent for exponent in range(-3, 4))


@vector_kind(pairs.PairOptions, prompts=pairs.prompts, borrows="like", row=pairs.row, least_pairs=2)
def logistic(streams: "Streams", options: pairs.PairOptions) -> "np.ndarray":
    """The weights of a logistic regression that tells positive from negative, with an L2 penalty.

    The penalty's strength is that of the lowest log loss on pairs that are held out.
    """
    return pairs.directed(streams, options, probe)


def probe(positive: "np.ndarray", negative: "np.ndarray") -> "np.ndarray":
    """The weights, [d_model], of a probe of two classes, float64 [pairs, d_model] each.

    Both sides of a pair are held out at once.
    """
    import numpy as np

    count = len(positive)
    features = np.concatenate([positive, negative])
    features = features - features.mean(axis=0)
    size = np.sqrt((features**2).sum(axis=1).mean())
    if size == 0:
        return np.zeros(features.shape[1])
    # The weights are a sum of rows, so a basis of these is enough: as many numbers as prompts.
    left, scales, basis = np.linalg.svd(features / size, full_matrices=False)
    features, labels = left * scales, np.repeat([1.0, -1.0], count)
    fold = np.tile(pairs.folds(count), 2)
    losses = np.zeros(len(STRENGTHS))
    for held_out in range(fold.max() + 1):
        trained, tested = fold != held_out, fold == held_out
        start = None
        for index, strength in enumerate(STRENGTHS):
            # What is fitted with one strength is a good start for the next.
            start = fit(features[trained], labels[trained], strength, 1e-4, start)
            margins = labels[tested] * (features[tested] @ start[:-1] + start[-1])
            losses[index] += np.logaddexp(0, -margins).sum()
    best = STRENGTHS[int(losses.argmin())]
    weights: np.ndarray = fit(features, labels, best, 1e-9)[:-1] @ basis
    return weights


def fit(
    features: "np.ndarray",
    labels: "np.ndarray",
    strength: float,
    tolerance: float,
    start: "np.ndarray | None" = None,
) -> "np.ndarray":
    """Weights and, last, the intercept, which is not penalised."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    # Divided by the strength and the rows, so that the tolerance means the same for each.
    penalty = 1 / strength / len(labels)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        weights, intercept = point[:-1], point[-1]
        margins = labels * (features @ weights + intercept)
        pull = -labels * expit(-margins) / len(labels)
        value = np.logaddexp(0, -margins).mean() + penalty * weights @ weights / 2
        return float(value), np.append(features.T @ pull + penalty * weights, pull.sum())

    options = {"gtol": tolerance, "ftol": 0.0, "maxiter": 10_000, "maxfun": 20_000}
    first = np.zeros(features.shape[1] + 1) if start is None else start
    point: np.ndarray = minimize(loss, first, jac=True, method="L-BFGS-B", options=options).x
    return point
