"""A weighted sum of vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import UserError
from actadd.base.kinds import option
from actadd.vectors.kinds import vector_kind

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Part:
    vector: str = option("A vector of the config.", section="vectors")
    weight: float = option("Factor of its rows.")


@dataclass(frozen=True, kw_only=True)
class Options:
    parts: list[Part] = option("The vectors that are added up.", min_length=2, max_length=100)


def names(options: Options) -> list[str]:
    """The vectors that are added up, each once."""
    return list(dict.fromkeys(part.vector for part in options.parts))


@vector_kind(Options, vectors=names)
def combination(vectors: "Mapping[str, np.ndarray]", options: Options) -> "np.ndarray":
    """The sum of vectors times their weights, layer by layer and position by position.

    Raises UserError if their numbers of positions differ.
    """
    import numpy as np

    shapes = {name: rows.shape for name, rows in vectors.items()}
    if len(set(shapes.values())) > 1:
        counts = ", ".join(f"{name!r} has {shape[0]}" for name, shape in shapes.items())
        raise UserError(
            f"the parts need the same number of positions, and {counts}; name vectors "
            "whose prompts have the same number of tokens"
        )
    total = sum(part.weight * vectors[part.vector].astype(np.float64) for part in options.parts)
    return np.asarray(total, dtype=np.float32)
