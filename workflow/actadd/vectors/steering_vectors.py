"""Steering vectors that travel between programs, with what one has to know to add them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from actadd.base.errors import UserError
from actadd.engine.placement import Alignment
from actadd.vectors.vector_files import tensor_digest

if TYPE_CHECKING:
    from actadd.engine.additions import Addition

POSITIONS = get_args(Alignment)


def listed(items: Iterable[Any]) -> str:
    return ", ".join(map(str, items))


@dataclass(frozen=True, eq=False)
class SteeringVectors:
    """A steering vector at one or more layers, and what one has to know to add it.

    rows: layer -> float32 [positions, d_model], of one shape; a layer is a block's input.
    position: where the rows are aligned in a prompt, see `alignment.aligned`.
    model: what the vector was made on, as a hint; formats with a hint carry it.
    coefficient: a factor that is known to work, as a hint; it is not multiplied in.
    contrast: how the vector was made, such as its prompts.
    rounded: whether a number had more digits than float32 holds and was rounded.

    Raises UserError if there is no layer, shapes differ, numbers are not real or not finite, or
    position is "all" and there are several rows.

    >>> import numpy as np
    >>> vectors = SteeringVectors({6: np.ones((2, 8))}, model="gpt2", coefficient=5)
    >>> vectors.addition(6).coefficient
    5
    """

    rows: dict[int, np.ndarray]
    position: Alignment = "front"
    model: str = ""
    coefficient: float | None = None
    contrast: dict[str, Any] = field(default_factory=dict)
    rounded: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rows, Mapping) or any(isinstance(key, str) for key in self.rows):
            raise TypeError("rows: write {layer: array}, with a whole number for each layer")
        rows = {}
        for layer, array in sorted(self.rows.items()):
            values = np.asarray(array)
            if values.dtype.kind != "f":
                raise UserError(
                    f"layer {layer} holds numbers of type {values.dtype}, which no residual stream "
                    "has; write them as float32"
                )
            with np.errstate(over="ignore"):
                rows[int(layer)] = np.ascontiguousarray(values, dtype=np.float32)
            object.__setattr__(self, "rounded", self.rounded or bool((rows[layer] != values).any()))
            if np.isfinite(values).all() and not np.isfinite(rows[layer]).all():
                raise UserError(
                    f"layer {layer} holds numbers beyond float32's range; write a smaller vector "
                    "and a larger coefficient"
                )
        object.__setattr__(self, "rows", rows)
        shapes = {values.shape for values in rows.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2 or 0 in next(iter(shapes)):
            raise UserError(
                "a vector needs one shape [positions, d_model]; there are: "
                f"{listed(sorted(shapes)) or 'none'}"
            )
        if min(rows) < 0:
            raise UserError(f"layer {min(rows)} does not exist; layers are counted from 0")
        for layer, values in rows.items():
            if not np.isfinite(values).all():
                raise UserError(f"layer {layer} holds numbers that are not finite; make it anew")
        if self.position not in POSITIONS:
            raise UserError(f"position {self.position!r} is unknown; write {listed(POSITIONS)}")
        if self.coefficient is not None and not math.isfinite(self.coefficient):
            raise UserError(f"coefficient {self.coefficient} is not finite; write a number")
        if self.position == "all" and self.positions != 1:
            raise UserError(f"position all needs one row, there are {self.positions}; write front")

    @property
    def layers(self) -> list[int]:
        return list(self.rows)

    @property
    def positions(self) -> int:
        return len(next(iter(self.rows.values())))

    def only(self, layers: Iterable[int]) -> "SteeringVectors":
        """The same at some layers; raises UserError if one of them is not there."""
        missing = sorted(set(layers) - self.rows.keys())
        if missing:
            raise UserError(f"layer {missing[0]} is not there; layers are {listed(self.rows)}")
        return replace(self, rows={layer: self.rows[layer] for layer in layers})

    def addition(self, layer: int, coefficient: float | None = None, **options: Any) -> "Addition":
        """The vector at a layer as `actadd.steer` takes it; options: of `actadd.Addition`.

        Raises UserError if there is no such layer, or no coefficient, neither as an argument nor as
        a hint of the file.
        """
        import torch

        from actadd.engine.additions import Addition

        coefficient = self.coefficient if coefficient is None else coefficient
        if coefficient is None:
            raise UserError("the vector carries no coefficient; write one")
        values = torch.from_numpy(self.only([layer]).rows[layer].copy())
        return Addition(values, layer, coefficient, **{"position": self.position, **options})

    def record(self) -> dict[str, Any]:
        """What the files say beside the numbers: the keys of the safetensors metadata."""
        return {
            "model": self.model,
            "layers": self.layers,
            "position": self.position,
            "coefficient": self.coefficient,
            "contrast": self.contrast,
            "sha256": {str(layer): tensor_digest(rows) for layer, rows in self.rows.items()},
        }
