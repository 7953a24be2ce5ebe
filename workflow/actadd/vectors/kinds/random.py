"""Random rows, as a control."""

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
        "The vector whose norm at each layer and position the random rows get.", section="vectors"
    )


@vector_kind(Options, vectors=likened, control=True)
def random(vectors: "Mapping[str, np.ndarray]", options: Options) -> "np.ndarray":
    """Gaussian rows with a vector's norm at each position (paper, appendix: random vector)."""
    import numpy as np

    vector = vectors[options.like]
    norms = np.linalg.norm(vector.astype(np.float64), axis=1, keepdims=True)
    return drawn(options, lambda generator: gaussian(generator, norms, vector.shape[1]))
