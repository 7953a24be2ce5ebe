"""The mean difference of pairs of which half are exchanged, as a control."""

from typing import TYPE_CHECKING

from actadd.vectors import pairs
from actadd.vectors.draws import drawn
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


@vector_kind(
    pairs.PairOptions,
    prompts=pairs.prompts,
    borrows="like",
    row=pairs.row,
    least_pairs=2,
    control=True,
)
def shuffled(streams: "Streams", options: pairs.PairOptions) -> "np.ndarray":
    """The mean difference after positive and negative are exchanged in half of the pairs.

    Which half is drawn. An even number of pairs leaves nothing of what all differences share. The
    rows have the norm of the mean difference of the pairs as they are written.
    """
    import numpy as np

    def draw(generator: np.random.Generator) -> np.ndarray:
        signs = np.ones((pairs.count(streams), 1))
        signs[generator.permutation(len(signs))[: len(signs) // 2]] = -1

        def mean(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
            return np.asarray((signs * (positive - negative)).mean(axis=0))

        return pairs.directed(streams, options, mean)

    return drawn(options, draw)
