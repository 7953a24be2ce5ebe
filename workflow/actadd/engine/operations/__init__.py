"""Steering operations: one file for each, what becomes of the residual stream at chosen positions.

In their formulas s is the stream at a position, v the vector's row there, and u = v / |v|.

Where and when an operation acts (layer, position, phase) is the same for all of them and not their
concern.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from actadd.base.kinds import Kind, Kinds, declares, option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Options of an operation whose strength is a coefficient; redeclare it for bounds."""

    coefficient: float = option(
        "Strength of the operation; of what adds, the factor of the vector.",
        swept=True,
        column="float64",
    )


@dataclass(frozen=True, kw_only=True)
class Operation(Kind):
    """One way of changing the stream.

    function(stream, vectors, options) returns the new stream. stream: [n, d_model], the rows that
    are changed, of whatever texts, in the model's dtype but at least float32. vectors: the steering
    vector's row for each of them, of the same shape, dtype and device. Rows whose vector is zero
    have no direction and stay as they are, whatever the function returns there.

    With reads_stream=False, function(vectors, options) instead returns what is added to the stream,
    in the vector's own dtype. It is then computed once for each text, and what consecutive
    operations add at one position is summed before it is rounded to the model's dtype.

    strength: the option that says how strongly it acts. sets_projection: the projection on the
    vector does not depend on what it was before, so that two of them contradict each other.
    nothing_at_zero: a strength of 0 leaves the stream as it is.
    dose: what a strength of 1 adds, of which the strength may be given as a share of the stream's
    norm: the "vector", or a vector of length one ("unit"); None if it may not.
    """

    reads_stream: bool = True
    strength: str = "coefficient"
    sets_projection: bool = False
    nothing_at_zero: bool = True
    dose: Literal["vector", "unit"] | None = None

    @property
    def needs_strength(self) -> bool:
        """Whether the strength has no default."""
        defaults = {each.name: each.default for each in fields(self.options)}
        return defaults[self.strength] is MISSING


def operation(
    options: type = Strength, *, name: str | None = None, **traits: Any
) -> Callable[[Callable[..., "Tensor"]], Operation]:
    """Declare a steering operation; its name is the function's unless told.

    traits: further fields of `Operation`.
    """
    return declares(Operation, options, name, **traits)


OPERATIONS: Kinds[Operation] = Kinds(Operation, __name__, "steering operation")


def unit(vectors: "Tensor") -> "Tensor":
    """The vectors at length 1, [n, d_model]."""
    # The square of a tiny number is 0 in float32.
    scaled = vectors / vectors.abs().amax(dim=-1, keepdim=True)
    return scaled / scaled.norm(dim=-1, keepdim=True)


def projection(stream: "Tensor", units: "Tensor") -> "Tensor":
    """The stream's component along unit vectors, [n, 1]."""
    return (stream * units).sum(dim=-1, keepdim=True)
