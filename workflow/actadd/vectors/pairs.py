"""Contrast pairs: their options in a config, their prompts, and their activations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from actadd.base.errors import UserError
from actadd.base.kinds import option
from actadd.vectors.draws import DrawOptions, generators
from actadd.vectors.kinds import Prompts
from actadd.vectors.prompts import Reader, SolePrompt

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from actadd.vectors.kinds import Streams

    # Positive and negative activations, float64 [pairs, d_model] each -> a direction, [d_model].
    Direction = Callable[[np.ndarray, np.ndarray], np.ndarray]

Token = Literal["last", "mean", "all"] | int
SIDES = ("positive", "negative")
FOLDS = 5
# The place where a vector's one row is read, for a column of norms.csv.
ROWS = {"last": "last tokens", "mean": "mean of tokens", "all": ""}


@dataclass(frozen=True, kw_only=True)
class Rows:
    dataset: str = option("Dataset whose rows are pairs.", section="datasets")
    split: str = option("Only the rows of this split.", "all")


@dataclass(frozen=True, kw_only=True)
class PairOptions(DrawOptions):
    positive: list[SolePrompt] | None = option(
        "Prompts to steer towards.", None, min_length=1, max_length=1000
    )
    negative: list[SolePrompt] | None = option(
        "Prompts that are subtracted, as many.", None, min_length=1, max_length=1000
    )
    pairs: Rows | None = option(
        "In place of positive and negative, rows of a dataset: the text is the prompt to steer "
        "towards, the target the one that is subtracted.",
        None,
    )
    like: str | None = option(
        "The vector whose pairs are taken in place of prompts here: the model does not read them "
        "again.",
        None,
        section="vectors",
    )
    token: Token | None = option(
        "Where in each prompt the residual stream is read: at its last token, which is the "
        "default; as the mean over the tokens after BOS; at all positions, if all prompts have "
        "the same number of tokens; or at one position, counted from BOS, 0, or the end, -1.",
        None,
        title="last, mean, all, or a position such as 3 or -2",
    )
    count: int | None = option(
        "So many of the pairs, drawn at random by the seed; all of them if not given. With one "
        "seed a smaller draw is part of a larger one.",
        None,
        minimum=1,
    )

    def problems(self, key: str) -> Iterator[tuple[str, str]]:
        """(key, sentence) of what is wrong with the options together."""
        written = [side for side in (*SIDES, "pairs") if getattr(self, side) is not None]
        if self.like is not None:
            if written:
                yield (
                    f"{key}.{written[0]}",
                    f"like takes the pairs of {self.like!r}; remove {' and '.join(written)}, or "
                    "like",
                )
        elif self.pairs is not None:
            if written != ["pairs"]:
                yield (
                    f"{key}.{written[0]}",
                    f"pairs takes the prompts from {self.pairs.dataset!r}; remove "
                    f"{' and '.join(written[:-1])}, or pairs",
                )
        elif len(written) < len(SIDES):
            [missing, *_] = [side for side in SIDES if side not in written]
            yield (
                key,
                f"the key {missing!r} is missing; write positive and negative prompts, or pairs: a "
                "dataset of them, or like: the vector whose pairs are taken",
            )
        elif len(self.positive or ()) != len(self.negative or ()):
            yield (
                key,
                f"{len(self.positive or ())} positive and {len(self.negative or ())} negative "
                "prompts; write as many of one as of the other",
            )
        if self.token == 0:
            yield (
                f"{key}.token",
                "0 is BOS, where all prompts are alike; write a position from 1 on, or from the "
                "end, such as -1",
            )


def row(options: PairOptions) -> str:
    """The place where a vector's one row is read; "" if it has a row for each position."""
    token = options.token or "last"
    return ROWS[token] if isinstance(token, str) else f"token {token}"


def prompts(options: PairOptions, reader: Reader) -> Prompts:
    """All prompts, as n.positive and n.negative, without padding.

    Raises UserError if one of them has no token where the stream is to be read.
    """
    pairs = zip(options.positive or (), options.negative or (), strict=True)
    ids = {
        f"{index}.{side}": reader.ids(entry)
        for index, pair in enumerate(pairs)
        for side, entry in zip(SIDES, pair, strict=True)
    }
    check_tokens(options, {name: len(tokens) for name, tokens in ids.items()}, reader.key)
    return ids


def check_tokens(options: PairOptions, lengths: Mapping[str, int], key: str) -> None:
    """Raises UserError unless every prompt has tokens where the stream is to be read.

    lengths: prompt name -> its tokens, BOS included. key: of the vector, "" for none.
    """
    token = options.token or "last"
    at_key = f"{key}.token" if key else "token"
    by_length = sorted(lengths, key=lambda name: (lengths[name], name))
    shortest, longest = by_length[0], by_length[-1]
    least, most = lengths[shortest], lengths[longest]
    if token == "all" and least != most:
        raise UserError(
            f"{at_key}: all needs prompts of equal token counts, and {_written(shortest)} has "
            f"{least}, {_written(longest)} {most}; change the prompts, or write last or mean"
        )
    if token in ("last", "all"):
        return
    position = 1 if token == "mean" else int(token)
    if not 1 <= (position if position > 0 else position + least) < least:
        extent = f"positions 1 to {least - 1}" if least > 1 else "no token"
        raise UserError(
            f"{at_key}: {token} is beyond the prompt {_written(shortest)}, which has {extent} "
            "after BOS; write a position that all prompts have, or last"
        )


def _written(name: str) -> str:
    """A prompt's place in the config, such as positive.3."""
    index, side = name.split(".")
    return f"{side}.{index}"


def subsets(streams: "Streams", options: PairOptions) -> "list[dict[str, np.ndarray]]":
    """The streams of the pairs that each draw takes, as those of pairs 0 to count - 1.

    Raises UserError if there are not as many pairs.
    """
    whole, drawn = count(streams), options.count or 0
    if drawn > whole:
        raise UserError(f"count: {drawn} is more than the {whole} pairs; write at most {whole}")
    orders = (sorted(each.permutation(whole)[:drawn]) for each in generators(options))
    return [
        {
            f"{index}.{side}": streams[f"{pair}.{side}"]
            for index, pair in enumerate(order)
            for side in SIDES
        }
        for order in orders
    ]


def count(streams: "Streams") -> int:
    """How many pairs there are."""
    return sum(name.endswith(".positive") for name in streams)


def folds(count: int) -> "np.ndarray":
    """The fold in which each pair is held out, int [pairs]: five, or as many as there are pairs."""
    import numpy as np

    return np.arange(count) % min(FOLDS, count)


def activations(streams: "Streams", token: Token | None) -> "np.ndarray":
    """The stream of each pair where it is read: [pairs, 2, rows, d_model], positive first.

    Of the streams' own type; a mean over tokens is float64.
    """
    import numpy as np

    def read(stream: np.ndarray) -> np.ndarray:
        if token == "all":
            return stream
        if token == "mean":
            return np.asarray(stream[1:].mean(axis=0, keepdims=True, dtype=np.float64))
        position = -1 if token in (None, "last") else int(token)
        return stream[position][None]

    pairs = range(count(streams))
    return np.stack([[read(streams[f"{index}.{side}"]) for side in SIDES] for index in pairs])


def directed(streams: "Streams", options: PairOptions, direction: "Direction") -> "np.ndarray":
    """A direction at each position with the norm of the pairs' mean difference there.

    So one coefficient means as large an addition whatever the direction is. Returns float32
    [rows, d_model]; a row is zero where there is no direction, or no difference. direction: returns
    one of any norm, or zeros for none.
    """
    import numpy as np

    pairs = activations(streams, options.token).astype(np.float64)
    rows = np.stack([direction(each[:, 0], each[:, 1]) for each in np.moveaxis(pairs, 2, 0)])
    norms = np.linalg.norm((pairs[:, 0] - pairs[:, 1]).mean(axis=0), axis=1, keepdims=True)
    return (unit(rows) * norms).astype(np.float32)


def unit(rows: "np.ndarray") -> "np.ndarray":
    """Rows [..., d_model] of norm 1; zeros stay zeros."""
    import numpy as np

    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
