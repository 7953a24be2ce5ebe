"""Random rows, as a control."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.vectors.draws import DrawOptions, drawn, gaussian
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


@dataclass(frozen=True, kw_only=True)
class Options(DrawOptions):
    like: str = option(
        "The pair whose norm at each position the random rows get.", section="vectors"
    )


@vector_kind(Options, borrows="like", lenders=("pair",), control=True)
def random(streams: "Streams", options: Options) -> "np.ndarray":
    """Gaussian rows with the norm of a pair's at each position (paper, appendix: random vector)."""
    import numpy as np

    pair = streams["0.positive"] - streams["0.negative"]
    norms = np.linalg.norm(pair.astype(np.float64), axis=1, keepdims=True)
    return drawn(options, lambda generator: gaussian(generator, norms, pair.shape[1]))
