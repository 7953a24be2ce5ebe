"""Directional ablation."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.engine.operations import operation, projection, unit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Ablation:
    share: float = option(
        "Share of the projection on the vector that is removed.",
        1,
        swept=True,
        column="float64",
        minimum=0,
        maximum=1,
    )


@operation(Ablation, strength="share", sets_projection=True)
def ablate(stream: "Tensor", vectors: "Tensor", options: Ablation) -> "Tensor":
    """Take the vector's direction out of the stream, or a share of it: s - share (s.u) u (Arditi et
    al. 2024).
    """
    units = unit(vectors)
    return stream - options.share * projection(stream, units) * units
