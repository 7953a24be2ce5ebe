"""Random rows that are orthogonal to a vector's, as a control."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.vectors.draws import DrawOptions, drawn, gaussian, likened
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Options(DrawOptions):
    like: str = option(
        "The vector to which the random rows are orthogonal at each layer and position, and whose "
        "norm they get.",
        section="vectors",
    )


@vector_kind(Options, vectors=likened, control=True)
def orthogonal(vectors: "Mapping[str, np.ndarray]", options: Options) -> "np.ndarray":
    """Gaussian rows without their part along a vector's, with its norm at each position."""
    import numpy as np

    from actadd.vectors.pairs import unit

    vector = vectors[options.like].astype(np.float64)
    along, norms = unit(vector), np.linalg.norm(vector, axis=1, keepdims=True)

    def draw(generator: np.random.Generator) -> np.ndarray:
        noise = gaussian(generator, np.ones_like(norms), vector.shape[1])
        noise -= (noise * along).sum(axis=1, keepdims=True) * along
        return unit(noise) * norms

    return drawn(options, draw)
