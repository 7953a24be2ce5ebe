"""Where and when the residual stream is changed. Needs no torch."""

from typing import Literal

from actadd.base.errors import UserError

Position = Literal["front", "middle", "back", "all"]
# "prefill": the prompt alone. "every_step": also each generated token, by the vector's last row.
Phase = Literal["prefill", "every_step"]


def aligned(position: Position, rows: int, tokens: int) -> range:
    """Positions (0 = BOS) of a prompt of `tokens` tokens that a vector of `rows` rows changes.

    front, middle and back as in the authors' code: [0, L), [T//2 - L//2, T//2 + L - L//2) and the
    last L. "all" repeats a one-row vector at every position but BOS, as mean-difference steering
    does; BOS is left out because it is an attention sink of outlying norm in most models.
    Raises UserError if the vector is longer than the prompt: the authors never truncate.
    """
    if position == "all":
        if rows != 1:
            raise UserError(
                f"position: all needs a vector of one row, this one has {rows}; "
                "use a mean_difference vector, or position: front"
            )
        return range(1, tokens)
    if rows > tokens:
        raise UserError(f"the vector has {rows} positions and the prompt only {tokens} tokens")
    start = {
        "front": 0,
        "middle": tokens // 2 - rows // 2,
        "back": tokens - rows,
    }[position]
    return range(start, start + rows)
