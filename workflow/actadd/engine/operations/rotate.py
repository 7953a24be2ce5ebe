"""Angular steering."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.engine.operations import operation, projection, unit

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Rotation:
    degrees: float = option(
        "Angle by which the stream is turned towards the vector, in degrees; a negative one turns "
        "it away.",
        swept=True,
        column="float64",
        minimum=-360,
        maximum=360,
    )


@operation(Rotation, strength="degrees")
def rotate(stream: "Tensor", vectors: "Tensor", options: Rotation) -> "Tensor":
    """Turn the stream in the plane of stream and vector, its norm kept: s cos a + |s| w sin a, with
    w the unit vector of what u has across s (angular steering, Vu and Nguyen 2025).
    """
    import torch

    norm = stream.norm(dim=-1, keepdim=True)
    along, units = stream / norm, unit(vectors)
    across = units - projection(units, along) * along
    length = across.norm(dim=-1, keepdim=True)
    angle = math.radians(options.degrees)
    turned = math.cos(angle) * stream + math.sin(angle) * norm * (across / length)
    # Of parallel vectors only rounding is left across: they have no plane.
    plane = length > torch.finfo(stream.dtype).eps ** 0.5
    return turned.where(plane, stream)
