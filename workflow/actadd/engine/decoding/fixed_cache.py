"""A key-value cache whose tensors keep their shape and address, as a captured graph needs it."""

import weakref
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer, StaticLayer

from actadd.engine.decoding.decode_kernel import attend, by_torch
from actadd.engine.decoding.kv_cache import RoomyLayer

# Layers whose states lie in columns of the padded batch, the last ones of them at least.
BY_COLUMNS = (DynamicLayer, RoomyLayer, DynamicSlidingWindowLayer)


class FixedLayer(StaticLayer):
    """A `StaticLayer` that writes at a column that all layers share.

    Transformers' own counts columns in each layer by itself, with three kernels more, and shifts a
    sliding window by a number that a captured graph would keep. Here a window is a matter of the
    mask alone.
    """

    def __init__(self, room: int, column: Tensor, sliding: bool, fuses: bool = False) -> None:
        """room: columns; column: int64 [], the one that the running pass writes.

        fuses: whether what is written waits for `attend`, whose kernel writes it.
        """
        initialize: Any = super().__init__
        initialize(room)
        self.is_sliding = sliding
        self.cumulative_length = column
        self.fuses = fuses
        self.states: tuple[Tensor, Tensor] | None = None
        self.new: tuple[Tensor, Tensor] | None = None

    def fill(self, keys: Tensor, values: Tensor, width: int) -> None:
        """Take over states [rows, heads, tokens, width of a head], the last before column width."""
        if self.states is None:
            shape = (*keys.shape[:2], self.max_cache_len)
            self.states = (
                keys.new_zeros(*shape, keys.shape[-1]),
                values.new_zeros(*shape, values.shape[-1]),
            )
            self.keys, self.values = self.states
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
            # So that attention, which gets tensors alone, finds its layer.
            vars(self.states[0])["fixed_layer"] = weakref.proxy(self)
        first = width - keys.shape[-2]
        for states, read in zip(self.states, (keys, values), strict=True):
            states[:, :, first:width] = read

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All columns' states, those of the running pass written at its column, or to be."""
        assert self.states is not None
        self.new = key_states, value_states
        if not self.fuses:
            self.write()
        return self.states

    def write(self) -> None:
        """Write what waits to be written."""
        if self.new is not None and self.states is not None:
            for states, new in zip(self.states, self.new, strict=True):
                states.index_copy_(2, self.cumulative_length, new)
        self.new = None

    def attend(self, query: Tensor, mask: Tensor, scale: float) -> Tensor:
        """What the new tokens read, [rows, 1, heads, width]; arguments as of `by_torch`."""
        assert self.states is not None
        if self.new is None:
            return by_torch(query, *self.states, mask, scale)
        new, self.new = self.new, None
        return attend(query, *new, *self.states, mask, self.cumulative_length, scale)


def repeated(rows: Tensor, samples: int) -> Tensor:
    """Each row `samples` times in succession; torch's own may ask the device how many there are."""
    if samples == 1:
        return rows
    return rows[:, None].expand(-1, samples, *rows.shape[1:]).flatten(0, 1)


class PromptLayer(DynamicLayer):
    """Keeps the states of one pass; transformers' own begins with a tensor copied from the host."""

    def __init__(self, sliding: bool) -> None:
        initialize: Any = super().__init__
        initialize()
        self.is_sliding = sliding

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The states of the pass, [rows, heads, tokens, width]."""
        self.keys, self.values, self.is_initialized = key_states, value_states, True
        return key_states, value_states


def is_by_columns(cache: Any) -> bool:
    """Whether a cache that has read a prompt can be continued in a fixed one."""
    layers = getattr(cache, "layers", None) or [None]
    return all(type(layer) in BY_COLUMNS and layer.is_initialized for layer in layers)


class FixedCache(Cache):
    """One `FixedLayer` for each layer of a cache that has read the prompts."""

    def __init__(self, read: Any, room: int, column: Tensor, fuses: bool = False) -> None:
        """read: a cache that has read prompts; the others as for `FixedLayer`."""
        self.fixed = [
            FixedLayer(room, column, bool(layer.is_sliding), fuses) for layer in read.layers
        ]
        super().__init__(layers=list(self.fixed))

    def for_prompts(self) -> Cache:
        """An empty cache for one pass, of which this one can take over the states."""
        return Cache(layers=[PromptLayer(layer.is_sliding) for layer in self.fixed])

    def fill(self, read: Any, width: int, samples: int = 1) -> None:
        """Take over what another cache holds of the first `width` columns.

        samples: how often each of its rows stands here, in succession.
        """
        for layer, source in zip(self.fixed, read.layers, strict=True):
            layer.fill(repeated(source.keys, samples), repeated(source.values, samples), width)

    def empty(self) -> None:
        """Set all states to zero."""
        for layer in self.fixed:
            for states in layer.states or ():
                states.zero_()

    @property
    def is_whole(self) -> bool:
        """Whether nothing waits to be written."""
        return all(layer.new is None for layer in self.fixed)
