"""Kinds of steering vector: one file for each, its prompts and what it makes of activations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import Kind, Kinds, build, declares

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
    Its option `borrows` names another vector of pairs, whose streams are taken instead.

    Of a kind with `vectors`, these are the names of other vectors, and function(vectors, options)
    takes their rows at a layer, name -> float32 [positions, d_model]. Of a kind with `file`, an
    option of that name, function(path, options) returns the rows in the file, layer -> float32
    [positions, d_model].

    row(options): what the vector's one row stands for, as a column of norms.csv says it; "" if it
    has a row for each position of its prompts. least_pairs: contrast pairs that it needs, 0 if it
    is not derived from pairs. control: it steers nowhere on purpose.
    """

    prompts: "Callable[[Any, Reader], Prompts] | None" = None
    borrows: str | None = None
    vectors: Callable[[Any], list[str]] | None = None
    file: str | None = None
    row: Callable[[Any], str] | None = None
    least_pairs: int = 0
    control: bool = False


def vector_kind(
    options: type, *, name: str | None = None, **traits: Any
) -> Callable[[Callable[..., Any]], VectorKind]:
    """Declare a kind of vector; traits: further fields of `VectorKind`."""
    return declares(VectorKind, options, name, **traits)


VECTOR_KINDS: Kinds[VectorKind] = Kinds(VectorKind, __name__, "kind of vector")


def parts_of(entry: Mapping[str, Any]) -> list[str]:
    """The vectors that a vector is computed from, by its config entry; none if from activations."""
    kind = VECTOR_KINDS[entry["kind"]]
    return kind.vectors(build(kind.options, entry)) if kind.vectors else []
