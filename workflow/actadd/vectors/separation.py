"""How well a direction separates the positive from the negative prompts of held-out pairs."""

from typing import TYPE_CHECKING, Any

import numpy as np

from actadd.vectors import pairs

if TYPE_CHECKING:
    from actadd.vectors.kinds import Streams, VectorKind

# Of the activations, which are float32, as a share.
ROUNDING = 1e-5


def separation(
    kind: "VectorKind", streams: "Streams", options: Any, vector: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns of norms.csv for a vector of pairs at one layer, each [positions].

    vector: [positions, d_model]. auc: how often a positive prompt projects further than a negative
    one. d_prime: the difference of the mean projections over their standard deviation. Both are of
    held-out pairs, see `held_out`; NaN for too few pairs. A control is not fitted to what separates
    the pairs, so it is scored itself on all of them. cosine: to the mean difference,
    NaN for a row that is zero. variance: share of the differences' variance that lies along the
    vector.
    """
    activations = pairs.activations(streams, options.token).astype(np.float64)
    differences = activations[:, 0] - activations[:, 1]
    mean = differences.mean(axis=0)
    along = pairs.unit(vector.astype(np.float64))
    spread = differences - mean
    with np.errstate(invalid="ignore"):
        variance = ((spread * along).sum(axis=2) ** 2).sum(axis=0) / (spread**2).sum(axis=(0, 2))
    cosine = (along * pairs.unit(mean)).sum(axis=1)
    if kind.control:
        scores = ((activations - activations.mean(axis=(0, 1))) * along).sum(axis=3)
    else:
        scores = held_out(kind, streams, options)
    return {
        "auc": auc(scores),
        "d_prime": d_prime(scores),
        "cosine": np.where(along.any(axis=1), cosine, np.nan),
        "variance": variance,
    }


def held_out(kind: "VectorKind", streams: "Streams", options: Any) -> np.ndarray:
    """Projections of each pair on a direction of other pairs: [pairs, 2, positions].

    A projection is on the unit vector, from the mean of
    the pairs that are not held out. NaN where these are too few.
    """
    activations = pairs.activations(streams, options.token).astype(np.float64)
    scores = np.full(activations.shape[:3], np.nan)
    count = len(activations)
    fold = pairs.folds(count)
    for each in range(fold.max() + 1):
        [train] = np.nonzero(fold != each)
        if len(train) < max(kind.least_pairs, 1):
            continue
        subset = {
            f"{index}.{side}": streams[f"{pair}.{side}"]
            for index, pair in enumerate(train)
            for side in pairs.SIDES
        }
        rows = kind(subset, options)
        along = pairs.unit((rows if rows.ndim == 2 else rows[0]).astype(np.float64))
        middle = activations[train].mean(axis=(0, 1))
        scores[fold == each] = ((activations[fold == each] - middle) * along).sum(axis=3)
    return scores


def auc(scores: np.ndarray) -> np.ndarray:
    """The area under the ROC curve at each position: 0.5 for no separation, 1 for all.

    scores: [pairs, 2, positions], positive first. NaN if any score is.
    """
    positive, negative = scores[:, None, 0], scores[None, :, 1]
    ordered = (positive > negative) + (positive == negative) / 2
    return np.where(np.isnan(scores).any(axis=(0, 1)), np.nan, ordered.mean(axis=(0, 1)))


def d_prime(scores: np.ndarray) -> np.ndarray:
    """The difference of the means in standard deviations, those of the two sides averaged.

    scores: [pairs, 2, positions], positive first. NaN if there is no deviation, as where all pairs
    have the same two words up to there; what rounding leaves of it is none.
    """
    if len(scores) < 2:
        return np.full(scores.shape[2], np.nan)
    means, variances = scores.mean(axis=0), scores.var(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (means[0] - means[1]) / np.sqrt(variances.mean(axis=0))
    return np.where(np.abs(value) < 1 / ROUNDING, value, np.nan)
