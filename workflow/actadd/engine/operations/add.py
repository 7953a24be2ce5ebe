"""Activation addition."""

from typing import TYPE_CHECKING

from actadd.engine.operations import Strength, operation

if TYPE_CHECKING:
    from torch import Tensor


@operation(reads_stream=False, dose="vector")
def add(vectors: "Tensor", options: Strength) -> "Tensor":
    """Add the vector, times the coefficient (paper, Algorithm 1, step 4)."""
    return options.coefficient * vectors
