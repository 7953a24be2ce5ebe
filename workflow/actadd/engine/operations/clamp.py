"""A projection that is set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.engine.operations import Strength, operation, projection, unit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Clamp(Strength):
    coefficient: float = option(
        "What the projection on the unit vector is set to, in the stream's own units.",
        swept=True,
        column="float64",
    )


@operation(Clamp, sets_projection=True, nothing_at_zero=False, dose="unit")
def clamp(stream: "Tensor", vectors: "Tensor", options: Clamp) -> "Tensor":
    """Set the stream's projection on the vector's direction to a value: s + (c - s.u) u (as
    features are clamped by Templeton et al. 2024).
    """
    units = unit(vectors)
    return stream + (options.coefficient - projection(stream, units)) * units
