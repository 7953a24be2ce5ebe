"""The difference of two prompts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import UserError, quote
from actadd.base.kinds import option
from actadd.vectors.kinds import Prompts, vector_kind
from actadd.vectors.prompts import PairPrompt, Reader, as_written

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


@dataclass(frozen=True, kw_only=True)
class Options:
    positive: PairPrompt = option("Prompt to steer towards; empty is BOS alone.")
    negative: PairPrompt = option("Prompt that is subtracted; empty is BOS alone.")
    pad: str | None = option(
        "Text of the token that pads the shorter prompt; the model's pad if not given.",
        None,
        min_length=1,
    )
    pad_with_bos: bool | None = option("Pad with BOS in place of the model's pad token.", None)

    def problems(self, key: str) -> Iterator[tuple[str, str]]:
        """(key, sentence) of what is wrong with the options together."""
        if self.positive == self.negative:
            both = quote(as_written(self.positive))
            yield key, f"positive and negative are both {both}; make them differ"
        sides = (self.positive, self.negative)
        if all(isinstance(side, str) and not side.strip() for side in sides):
            yield key, "positive and negative are both blank; write a text for one of them"


def prompts(options: Options, reader: Reader) -> Prompts:
    """Both prompts, padded on the right, in token space, to the same length.

    Raises UserError if they are the same tokens, or begin with another BOS.
    """
    tokens = reader.tokens
    pad_id = tokens.bos_id if options.pad_with_bos else tokens.pad_id
    if options.pad is not None:
        pad_id = reader.single_token("pad", options.pad)
    positive, negative = reader.ids(options.positive), reader.ids(options.negative)
    length = max(len(positive), len(negative))
    sides = [ids + [pad_id] * (length - len(ids)) for ids in (positive, negative)]
    if sides[0] == sides[1]:
        written = [quote(as_written(side)) for side in (options.positive, options.negative)]
        raise UserError(
            f"{reader.prefix}{' and '.join(written)} are the same tokens to {tokens.model}, "
            f"{quote(sides[0])}; make them differ"
        )
    if positive[0] != negative[0]:
        first, other = tokens.token(positive[0]), tokens.token(negative[0])
        raise UserError(
            f"{reader.prefix}the positive prompt begins with {first!r}, the negative with "
            f"{other!r}; write both as texts, both as chats, or both as token ids"
        )
    return {"0.positive": sides[0], "0.negative": sides[1]}


@vector_kind(Options, prompts=prompts)
def pair(streams: "Streams", options: Options) -> "np.ndarray":
    """Positive minus negative, position by position (paper, Algorithm 1); row 0 is BOS and zero."""
    return streams["0.positive"] - streams["0.negative"]
