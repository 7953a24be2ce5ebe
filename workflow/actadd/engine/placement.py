"""Where and when the residual stream is changed. Needs no torch."""

from collections.abc import Sequence
from typing import Annotated, Literal

from actadd.base.errors import UserError
from actadd.base.kinds import Rule

Alignment = Literal["front", "middle", "back", "all"]
# A number is the position of the vector's first row.
Position = Alignment | Annotated[int, Rule(minimum=0)]
# "prefill": the prompt alone. "decode": each generated token alone, by the vector's last row.
# "every_step": both.
Phase = Literal["prefill", "every_step", "decode"]


def layers_text(layers: Sequence[int]) -> str:
    """Layers in words: "layer 3", "layers 0 to 5", "layers 1, 4"."""
    if len(layers) == 1:
        return f"layer {layers[0]}"
    if list(layers) == list(range(layers[0], layers[0] + len(layers))):
        return f"layers {layers[0]} to {layers[-1]}"
    return f"layers {', '.join(map(str, layers))}"


def changed(position: Position, phase: Phase, rows: int, tokens: int) -> range:
    """Positions of a prompt of `tokens` tokens that are changed; none in decode steps alone.

    Raises UserError as `aligned` does.
    """
    return range(0) if phase == "decode" else aligned(position, rows, tokens)


def aligned(position: Position, rows: int, tokens: int) -> range:
    """Positions (0 = BOS) of a prompt of `tokens` tokens that a vector of `rows` rows changes.

    front, middle and back as in the authors' code: [0, L), [T//2 - L//2, T//2 + L - L//2) and the
    last L. A number is where the first row stands. "all" repeats a one-row vector at every position
    but BOS, as mean-difference steering does; BOS is left out because it is an attention sink of
    outlying norm in most models.
    Raises UserError if the vector does not fit the prompt: the authors never truncate.
    """
    if position == "all":
        if rows != 1:
            raise UserError(
                f"position: all needs a vector of one row, this one has {rows}; "
                "use a vector of one row, such as a mean_difference, or position: front"
            )
        return range(1, tokens)
    if rows > tokens:
        raise UserError(f"the vector has {rows} positions and the prompt only {tokens} tokens")
    starts = {"front": 0, "middle": tokens // 2 - rows // 2, "back": tokens - rows}
    start = starts[position] if isinstance(position, str) else position
    if not 0 <= start <= tokens - rows:
        raise UserError(
            f"position {start} is beyond the prompt: a vector of {rows} rows fits its {tokens} "
            f"tokens from position 0 to {tokens - rows}"
        )
    return range(start, start + rows)
