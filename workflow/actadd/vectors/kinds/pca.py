"""The first principal component of the differences of many pairs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.vectors import pairs
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams

# Below this share of the differences' size, what is left of them without their mean is float32's
# rounding.
ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class Options(pairs.PairOptions):
    center: bool | None = option(
        "Whether the mean of the differences is subtracted before; it is by default. Without, the "
        "component is that of repeng's pca_center and of the package steering-vectors.",
        None,
    )


@vector_kind(Options, prompts=pairs.prompts, borrows="like", row=pairs.row, least_pairs=2)
def pca(streams: "Streams", options: Options) -> "np.ndarray":
    """First principal component of the pairs' differences, towards the positive prompts."""
    import numpy as np

    def component(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        differences = positive - negative
        mean = differences.mean(axis=0)
        spread = differences if options.center is False else differences - mean
        if np.linalg.norm(spread) <= ROUNDING * np.linalg.norm(differences):
            return np.zeros_like(mean)
        first: np.ndarray = np.linalg.svd(spread, full_matrices=False)[2][0]
        return -first if first @ mean < 0 else first

    return pairs.directed(streams, options, component)
