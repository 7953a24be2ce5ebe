"""Random rows, as a control."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


@dataclass(frozen=True, kw_only=True)
class Options:
    like: str = option(
        "The pair whose norm at each position the random rows get.", section="vectors"
    )
    seed: int | None = option(
        "Seed of the random rows; the config's own if not given.", None, minimum=0
    )
    draws: int | None = option(
        "How many random vectors are drawn, 1 if not given. A condition that adds the vector is "
        "run with each, and all of them are one control in summaries, figures and tables.",
        None,
        title="a number of draws, 1 to 100",
        minimum=1,
        maximum=100,
    )


@vector_kind(Options, borrows="like", lenders=("pair",), control=True)
def random(streams: "Streams", options: Options) -> "np.ndarray":
    """Gaussian rows with the norm of a pair's at each position (paper, appendix: random control).

    Of several draws, [draws, positions, d_model]: the first is that of one draw, and no two seeds
    share any.
    """
    import numpy as np

    pair = streams["0.positive"] - streams["0.negative"]
    norms = np.linalg.norm(pair.astype(np.float64), axis=1, keepdims=True)
    controls = []
    for draw in range(options.draws or 1):
        generator = np.random.Generator(np.random.Philox(key=options.seed).jumped(draw))
        noise = generator.standard_normal(pair.shape)
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        controls.append((noise * norms).astype(np.float32))
    return controls[0] if (options.draws or 1) == 1 else np.stack(controls)
