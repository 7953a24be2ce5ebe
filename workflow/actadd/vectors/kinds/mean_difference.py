"""The mean difference of many pairs of prompts."""

from typing import TYPE_CHECKING

from actadd.vectors import pairs
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


@vector_kind(pairs.PairOptions, prompts=pairs.prompts, borrows="like", row=pairs.row, least_pairs=1)
def mean_difference(streams: "Streams", options: pairs.PairOptions) -> "np.ndarray":
    """The mean over pairs of positive minus negative."""
    import numpy as np

    activations = pairs.activations(streams, options.token)
    differences = activations[:, 0] - activations[:, 1]
    return np.asarray(np.mean(differences, axis=0, dtype=np.float32))
