"""Token ids that any model reads, and how far the numbers of two passes are apart."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError

# Stream [layers, rows, tokens, d_model] and logits [rows, tokens, vocabulary] of a pass.
Pass = tuple[Tensor, Tensor]
# Of a layer and the stream that its block reads, what it reads instead.
Change = Callable[[int, Tensor], Tensor]
# Distances of some positions: (row, first column from BOS, float64 [columns]).
Offs = list[tuple[int, int, Tensor]]


def added_at(places: dict[int, list[tuple[int, Tensor]]]) -> Change:
    """Adds the vectors of each layer at their columns, in every row."""

    def change(layer: int, read: Tensor) -> Tensor:
        read = read.clone()
        for column, vector in places.get(layer, []):
            read[:, column] += vector.to(read)
        return read

    return change


def ordinary_ids(model: Any) -> Tensor:
    """Token ids that stand for text: no special ones, none of pictures or sounds, in the head."""
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
    # The first ids are special in many vocabularies, whatever the config says.
    first = 5 if size > 16 else 0
    return torch.tensor([number for number in range(first, size) if number not in special])


def first_id(model: Any, picked: list[int]) -> int:
    bos = getattr(model.config.get_text_config(), "bos_token_id", None)
    size = model.get_input_embeddings().weight.shape[0]
    # The default of a config may lie beyond a small vocabulary.
    return bos if isinstance(bos, int) and 0 <= bos < size else picked.pop()


def stacked(seen: list[tuple[int, Tensor]], depth: int) -> Tensor:
    if [layer for layer, _ in seen] != list(range(depth)):
        raise UserError("they do not run one after the other, each once")
    first = seen[0][1]
    if any(read.shape != first.shape or read.ndim != 3 for _, read in seen):
        raise UserError(f"it has forms such as {list(first.shape)}")
    return torch.stack([read.to(first.device) for _, read in seen])


def unequal(measured: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """How many numbers are not the same bits, NaN aside."""
    return float(sum(int(differs(a, b).sum()) for a, b in zip(measured, expected, strict=True)))


def differs(measured: Tensor, expected: Tensor) -> Tensor:
    """Where numbers are not the same, NaN aside, which padding may hold."""
    return (measured != expected) & ~(measured.isnan() & expected.isnan())


def off_by(batch: Pass, alone: Pass, row: int) -> Tensor:
    """How far a row of a pass is from that row alone; float64 [tokens]."""
    tokens = min(batch[1].shape[-2], alone[1].shape[-2])
    streams = distance(batch[0][:, row, :tokens], alone[0][:, 0, :tokens])
    return torch.maximum(streams.amax(0), apart(batch[1][row, :tokens], alone[1][0, :tokens]))


def apart(logits: Tensor, reference: Tensor) -> Tensor:
    """The distance of logits, less what no probability depends on.

    Tokens that a model never predicts have logits of minus infinity, or the lowest number.
    """
    never = (logits == reference) & (reference <= torch.finfo(reference.dtype).min / 2)
    both = [each.cpu().double().masked_fill(never.cpu(), 0) for each in (logits, reference)]
    return distance(*(each - each.mean(-1, keepdim=True) for each in both))


def distance(values: Tensor, reference: Tensor) -> Tensor:
    values, reference = values.cpu().double(), reference.cpu().double()
    apart = (values - reference).norm(dim=-1)
    # Vectors of zero, such as embeddings that were never trained, are equal.
    return torch.where(apart == 0, apart, apart / reference.norm(dim=-1))


def widened(ids: Tensor, width: int, pad: int) -> Tensor:
    return nn.functional.pad(ids, (0, width - ids.shape[1]), value=pad)
