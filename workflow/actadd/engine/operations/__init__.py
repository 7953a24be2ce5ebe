"""Steering operations: one file for each, what becomes of the residual stream at chosen positions.

Where and when an operation acts (layer, position, phase) is the same for all of them and not their
concern.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import Kind, Kinds, declares, option

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Strength:
    """What every operation's options hold; redeclared where it has bounds or a default."""

    coefficient: float = option(
        "Strength of the operation; of add, the factor of the vector.", swept=True, column="float64"
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
    """

    reads_stream: bool = True


def operation(
    options: type[Strength] = Strength, *, name: str | None = None, reads_stream: bool = True
) -> Callable[[Callable[..., "Tensor"]], Operation]:
    """Declare a steering operation; its name is the function's unless told."""
    return declares(Operation, options, name, reads_stream=reads_stream)


OPERATIONS: Kinds[Operation] = Kinds(Operation, __name__, "steering operation")


def options_of(kind: Operation, values: dict[str, Any]) -> Any:
    """An operation's options from values that may be numbers of any kind."""
    return kind.options(**{**values, "coefficient": float(values["coefficient"])})
