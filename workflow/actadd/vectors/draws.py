"""Vectors that a seed draws, one or several."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import option

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    seed: int | None = option(
        "Seed of what is drawn; the config's own if not given.", None, minimum=0
    )
    draws: int | None = option(
        "How many vectors are drawn, 1 if not given. A condition that adds the vector is run with "
        "each, and all of them are one row of summaries, figures and tables.",
        None,
        title="a number of draws, 1 to 100",
        minimum=1,
        maximum=100,
    )


def likened(options: Any) -> list[str]:
    """The vectors that a kind with the option `like` is computed from."""
    return [options.like]


def drawn(
    options: DrawOptions, draw: "Callable[[np.random.Generator], np.ndarray]"
) -> "np.ndarray":
    """What `draw` makes of a generator, float32 [positions, d_model].

    Of several draws, [draws, positions, d_model]: the first is that of one draw, and no two seeds
    share any.
    """
    import numpy as np

    rows = [draw(generator).astype(np.float32) for generator in generators(options)]
    return rows[0] if len(rows) == 1 else np.stack(rows)


def generators(options: DrawOptions) -> "list[np.random.Generator]":
    """The source of randomness of each draw."""
    import numpy as np

    source = np.random.Philox(key=options.seed)
    return [np.random.Generator(source.jumped(each)) for each in range(options.draws or 1)]


def gaussian(generator: "np.random.Generator", norms: "np.ndarray", width: int) -> "np.ndarray":
    """Gaussian rows, float64 [positions, width], of given norms, [positions, 1]."""
    import numpy as np

    noise = generator.standard_normal((len(norms), width))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return noise * norms
