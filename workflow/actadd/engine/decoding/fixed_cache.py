"""A key-value cache whose tensors keep their shape and address, as a captured graph needs it."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer, StaticLayer

from actadd.engine.decoding.kv_cache import RoomyLayer

# Layers whose states lie in columns of the padded batch, the last ones of them at least.
BY_COLUMNS = (DynamicLayer, RoomyLayer, DynamicSlidingWindowLayer)


class FixedLayer(StaticLayer):
    """A `StaticLayer` that writes at a column that all layers share.

    Transformers' own counts columns in each layer by itself, with three kernels more, and shifts a
    sliding window by a number that a captured graph would keep. Here a window is a matter of the
    mask alone.
    """

    def __init__(self, room: int, column: Tensor, sliding: bool) -> None:
        """room: columns; column: int64 [], the one that the running pass writes."""
        initialize: Any = super().__init__
        initialize(room)
        self.is_sliding = sliding
        self.cumulative_length = column

    def fill(self, keys: Tensor, values: Tensor, width: int) -> None:
        """Take over states [rows, heads, tokens, width of a head], the last before column width."""
        if not self.is_initialized:
            shape = (*keys.shape[:2], self.max_cache_len)
            self.keys = keys.new_zeros(*shape, keys.shape[-1])
            self.values = values.new_zeros(*shape, values.shape[-1])
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        first = width - keys.shape[-2]
        self.keys[:, :, first:width] = keys
        self.values[:, :, first:width] = values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All columns' states, those of the running pass written at its column."""
        assert self.keys is not None and self.values is not None
        self.keys.index_copy_(2, self.cumulative_length, key_states)
        self.values.index_copy_(2, self.cumulative_length, value_states)
        return self.keys, self.values


def is_by_columns(cache: Any) -> bool:
    """Whether a cache that has read a prompt can be continued in a fixed one."""
    layers = getattr(cache, "layers", None)
    return bool(layers) and all(
        type(layer) in BY_COLUMNS and layer.is_initialized
        for layer in layers
    )


class FixedCache(Cache):
    """One `FixedLayer` for each layer of a cache that has read the prompts."""

    def __init__(self, read: Any, room: int, column: Tensor) -> None:
        super().__init__(
            layers=[FixedLayer(room, column, bool(layer.is_sliding)) for layer in read.layers]
        )

    def fill(self, read: Any, width: int) -> None:
        """Take over what another cache holds of the first `width` columns."""
        for layer, source in zip(self.layers, read.layers, strict=True):
            layer.fill(source.keys, source.values, width)
