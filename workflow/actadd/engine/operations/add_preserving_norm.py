"""Activation addition that keeps the stream's norm."""

from typing import TYPE_CHECKING

from actadd.engine.operations import Strength, operation

if TYPE_CHECKING:
    from torch import Tensor


@operation(dose="vector")
def add_preserving_norm(stream: "Tensor", vectors: "Tensor", options: Strength) -> "Tensor":
    """Add the vector, times the coefficient, and rescale to the norm from before: t |s| / |t| with
    t = s + c v.
    """
    moved = stream + options.coefficient * vectors
    norm = moved.norm(dim=-1, keepdim=True)
    # Without a norm there is nothing to rescale.
    factor = stream.norm(dim=-1, keepdim=True) / norm
    return (moved * factor).where(norm > 0, moved)
