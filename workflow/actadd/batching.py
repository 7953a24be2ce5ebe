"""Token id lists as one batch."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def left_pad(rows: Sequence[Sequence[int]], pad_id: int = 0) -> tuple[Tensor, Tensor]:
    """Token id lists, left-padded: input_ids and attention_mask, int64 [rows, width]."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def by_length(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Numbers of texts in batches of at most `rows`, longest first, with little padding.

    A batch ends before a text that is shorter than 3/4 of its first: one long text among short ones
    would otherwise make all of them as long.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) == rows or 4 * lengths[index] < 3 * lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
