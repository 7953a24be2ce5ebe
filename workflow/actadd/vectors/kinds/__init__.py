"""Kinds of steering vector: one file for each, its prompts and what it makes of activations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import Kind, Kinds, declares

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.prompts import Reader

    # Prompt name -> float32 [tokens, d_model], the residual stream at one layer.
    Streams = Mapping[str, np.ndarray]

# Prompt name -> token ids, BOS included.
Prompts = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class VectorKind(Kind):
    """function(streams, options) returns one layer's vector, float32 [positions, d_model].

    A kind with several draws returns [draws, positions, d_model]. streams: prompt name -> float32
    [tokens, d_model].

    prompts(options, reader) returns the token ids of the prompts whose streams are read, by name.
    A kind without it takes those of another vector, which its option `borrows` names and which is
    of a kind in `lenders`; or its rows are in a file, which its option `file` names, and
    function(path, options) returns them, layer -> float32 [positions, d_model].

    row: what the vector's one row stands for, as a column of norms.csv says it; "" if its positions
    are those of its prompts, or a file's. control: it steers nowhere on purpose.
    """

    prompts: "Callable[[Any, Reader], Prompts] | None" = None
    borrows: str | None = None
    lenders: tuple[str, ...] = ()
    file: str | None = None
    row: str = ""
    control: bool = False


def vector_kind(
    options: type, *, name: str | None = None, **traits: Any
) -> Callable[[Callable[..., Any]], VectorKind]:
    """Declare a kind of vector; traits: further fields of `VectorKind`."""
    return declares(VectorKind, options, name, **traits)


VECTOR_KINDS: Kinds[VectorKind] = Kinds(VectorKind, __name__, "kind of vector")
