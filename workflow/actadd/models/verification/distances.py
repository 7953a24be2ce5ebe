"""Token ids that any model reads, and distances between the numbers of two passes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError

# Stream [layers, rows, tokens, d_model] and logits [rows, tokens, vocabulary] of a pass.
Pass = tuple[Tensor, Tensor]
# (layer, stream that its block reads) -> the stream that it reads instead.
Change = Callable[[int, Tensor], Tensor]
# Distances of some positions: (row, first column from BOS, float64 [columns]).
Offs = list[tuple[int, int, Tensor]]


def add_vectors(vectors: dict[int, list[tuple[int, Tensor]]]) -> Change:
    """Adds vectors in every row; vectors: layer -> (column, vector) each."""

    def change(layer: int, read: Tensor) -> Tensor:
        read = read.clone()
        for column, vector in vectors.get(layer, []):
            read[:, column] += vector.to(read)
        return read

    return change


def ordinary_ids(model: Any) -> Tensor:
    """Ids of text tokens: not special, not of images or audio, and within the output head."""
    config = model.config
    size = model.get_input_embeddings().weight.shape[0]
    texts = (config, config.get_text_config())
    special = {
        number
        for each in texts
        for name, value in each.to_dict().items()
        if "token" in name
        for number in (value if isinstance(value, list) else [value])
        if isinstance(number, int)
    }
    # The first ids are special in many vocabularies, even if the config does not say so.
    first = 5 if size > 16 else 0
    return torch.tensor([number for number in range(first, size) if number not in special])


def first_id(model: Any, picked: list[int]) -> int:
    bos = getattr(model.config.get_text_config(), "bos_token_id", None)
    size = model.get_input_embeddings().weight.shape[0]
    # The config's default may be larger than a small vocabulary.
    return bos if isinstance(bos, int) and 0 <= bos < size else picked.pop()


def stacked(inputs: list[tuple[int, Tensor]], depth: int) -> Tensor:
    """(layer, block input) pairs as [layers, rows, tokens, d_model]; UserError if they are not."""
    if [layer for layer, _ in inputs] != list(range(depth)):
        raise UserError("they do not run one after the other, each once")
    first = inputs[0][1]
    if any(read.shape != first.shape or read.ndim != 3 for _, read in inputs):
        raise UserError(f"it has forms such as {list(first.shape)}")
    return torch.stack([read.to(first.device) for _, read in inputs])


def unequal(measured: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The count of numbers that differ, except NaN."""
    return float(sum(int(differs(a, b).sum()) for a, b in zip(measured, expected, strict=True)))


def differs(measured: Tensor, expected: Tensor) -> Tensor:
    """Whether each number differs; NaN in both, which padding may hold, counts as equal."""
    return (measured != expected) & ~(measured.isnan() & expected.isnan())


def off_by(batch: Pass, alone: Pass, row: int) -> Tensor:
    """The distance of a row of a batch from the same row alone; float64 [tokens]."""
    tokens = min(batch[1].shape[-2], alone[1].shape[-2])
    streams = distance(batch[0][:, row, :tokens], alone[0][:, 0, :tokens])
    return torch.maximum(streams.amax(0), apart(batch[1][row, :tokens], alone[1][0, :tokens]))


def apart(logits: Tensor, reference: Tensor) -> Tensor:
    """The distance of logits after their mean, which no probability depends on, is subtracted.

    Tokens that a model never predicts have logits of minus infinity, or the lowest number.
    """
    never = (logits == reference) & (reference <= torch.finfo(reference.dtype).min / 2)
    both = [each.cpu().double().masked_fill(never.cpu(), 0) for each in (logits, reference)]
    return distance(*(each - each.mean(-1, keepdim=True) for each in both))


def distance(values: Tensor, reference: Tensor) -> Tensor:
    values, reference = values.cpu().double(), reference.cpu().double()
    apart = (values - reference).norm(dim=-1)
    # Two zero vectors, such as untrained embeddings, are equal.
    return torch.where(apart == 0, apart, apart / reference.norm(dim=-1))


def widened(ids: Tensor, width: int, pad: int) -> Tensor:
    return nn.functional.pad(ids, (0, width - ids.shape[1]), value=pad)
