"""Objects of the package steering-vectors."""

from typing import Any

from actadd.base.errors import UserError
from actadd.vectors.formats import blocks_before, one_row
from actadd.vectors.steering_vectors import SteeringVectors


def to_steering_vectors(vectors: SteeringVectors) -> Any:
    """A `steering_vectors.SteeringVector`, whose `apply` adds its one row to every token.

    Raises UserError if there are several rows that are not zero, or layer 0; ImportError without
    the package.
    """
    import torch
    from steering_vectors import SteeringVector

    blocks = blocks_before(vectors, "a steering_vectors.SteeringVector")
    rows = one_row(vectors, "a steering_vectors.SteeringVector")
    activations = {blocks[layer]: torch.from_numpy(row.copy()) for layer, row in rows.items()}
    return SteeringVector(activations, "decoder_block")


def from_steering_vectors(vector: Any, model: str = "") -> SteeringVectors:
    """What a `steering_vectors.SteeringVector` holds. Raises UserError if it is not of blocks."""
    if vector.layer_type != "decoder_block":
        raise UserError(
            f"layer_type {vector.layer_type!r} is not the residual stream between blocks; "
            "train the vector with layer_type='decoder_block'"
        )
    rows = {}
    for block, row in vector.layer_activations.items():
        if row.numel() != row.shape[-1]:
            raise UserError(f"block {block} holds {list(row.shape)} numbers; give it one row")
        # numpy has no bfloat16; what is wider stays as it is and is rounded once.
        row = row.detach().cpu().reshape(1, -1)
        wide = row.float() if row.is_floating_point() and row.itemsize < 4 else row
        rows[block + 1] = wide.numpy()
    return SteeringVectors(rows, position="all", model=model)
