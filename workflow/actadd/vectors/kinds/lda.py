"""Linear discriminant analysis of many pairs."""

from typing import TYPE_CHECKING

from actadd.vectors import pairs
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


# Of two prompts the spread is one line, and the formula shrinks nothing.
@vector_kind(pairs.PairOptions, prompts=pairs.prompts, borrows="like", row=pairs.row, least_pairs=3)
def lda(streams: "Streams", options: pairs.PairOptions) -> "np.ndarray":
    """The direction that separates positive from negative best for their spread within each side.

    The inverse of the covariance within the sides, shrunk by Ledoit and Wolf's formula, times the
    difference of the means.
    """
    return pairs.directed(streams, options, discriminant)


def discriminant(positive: "np.ndarray", negative: "np.ndarray") -> "np.ndarray":
    """The direction of two classes, float64 [prompts, d_model] each.

    The covariance is D + U'U with a diagonal D and few rows in U, so that its inverse needs a
    system of as many unknowns as prompts (Woodbury). Returns the difference of the means where
    nothing is shrunk, as where a side does not spread at all.
    """
    import numpy as np

    difference: np.ndarray = positive.mean(axis=0) - negative.mean(axis=0)
    diagonal, rows = np.zeros_like(difference), []
    for side in (positive, negative):
        centred = side - side.mean(axis=0)
        scale = _scale(side)
        shrinkage, level = _shrinkage(centred / scale)
        diagonal += shrinkage * level * scale**2 / 2
        rows.append(centred * np.sqrt((1 - shrinkage) / len(side) / 2))
    if not diagonal.all():
        return difference
    spread = np.concatenate(rows)
    scaled = spread / diagonal
    system = np.eye(len(spread)) + scaled @ spread.T
    return difference / diagonal - np.linalg.solve(system, scaled @ difference) @ scaled


def _scale(side: "np.ndarray") -> "np.ndarray":
    """Each number's standard deviation, [d_model]; 1 where all are the same."""
    import numpy as np

    rounding = len(side) * np.finfo(side.dtype).eps
    variance, mean = side.var(axis=0), side.mean(axis=0)
    same = variance <= rounding * variance + (rounding * mean) ** 2
    return np.where(same, 1.0, np.sqrt(variance))


def _shrinkage(centred: "np.ndarray") -> tuple[float, float]:
    """(Shrinkage, mean variance) of rows with mean 0 (Ledoit and Wolf 2004, their lemma 3.3)."""
    count, width = centred.shape
    squares = (centred**2).sum(axis=1)
    level = float(squares.sum() / count / width)
    # The norm of the covariance is that of the smaller matrix of products of prompts.
    norm = float(((centred @ centred.T) ** 2).sum() / count**2)
    error = float(((squares**2).sum() / count - norm) / count)
    distance = norm - width * level**2
    if error <= 0 or distance <= 0:
        return 0.0, level
    return min(error, distance) / distance, level
