"""Passes over a batch that grows, with a key-value cache that has room.

Transformers' own copies itself at each token.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from actadd.engine.structure import cache_name, input_device, language_model, model_inputs, takes

# The cache of models without attention, which take a mask of the columns that are read alone.
RECURRENT = "cache_params"


class RoomyLayer(DynamicLayer):
    """A `DynamicLayer` that writes new tokens into room kept for them.

    What attention gets is a view of what is there so far, so nothing is computed on empty room, as
    it would be with transformers' static cache.
    """

    def __init__(self, room: int) -> None:
        """room: tokens that the layer will hold in the end."""
        initialize: Any = super().__init__
        initialize()
        self.room = room
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All key and value states so far, [rows, heads, tokens, width], with these at the end."""
        seen = self.get_seq_length()
        end = seen + key_states.shape[-2]
        if seen == 0:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return self.keys, self.values
        keys, values = self.keys, self.values
        assert keys is not None and values is not None
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            self._buffers = (self._spacious(keys, end), self._spacious(values, end))
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, seen:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def _spacious(self, states: Tensor, end: int) -> Tensor:
        rows, heads, seen, width = states.shape
        buffer = states.new_empty(rows, heads, max(self.room, end), width)
        buffer[:, :, :seen] = states
        return buffer

    def reorder_cache(self, beam_idx: Any) -> None:
        super().reorder_cache(beam_idx)
        self._buffers = None

    def reset(self) -> None:
        super().reset()
        self._buffers = None


def has_own_cache(model: nn.Module) -> bool:
    """Whether a model takes no cache of transformers', only one of a class of its own."""
    return not getattr(language_model(model), "_supports_default_dynamic_cache", lambda: True)()


def roomy_cache(model: nn.Module, room: int) -> Cache:
    """An empty cache for `room` tokens a row; layers that keep a window only stay transformers'."""
    config: Any = language_model(model).config
    cache = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


class Reading:
    """Forward passes over a batch that grows by a column at a time: prefill, then decode steps."""

    def __init__(
        self, model: nn.Module, room: int, use_cache: bool = True, cache: Any = None
    ) -> None:
        """room: tokens of a row that the cache holds in the end; cache: one to take, empty."""
        self.model = model
        self.name = cache_name(model) if use_cache else None
        # Some models support only their own class of cache, which the first pass creates.
        self.has_own_cache = has_own_cache(model)
        self.cache: Any = cache
        if self.name and not self.has_own_cache and cache is None:
            self.cache = roomy_cache(model, room)
        self.options = {"logits_to_keep": 1} if takes(model, "logits_to_keep") else {}
        self.seen = 0

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last column's logits [rows, vocabulary]; ids, mask: [rows, width], all columns."""
        inputs: dict[str, Any] = model_inputs(self.model, ids[:, self.seen :], mask, self.seen)
        if self.name and self.cache is not None:
            inputs[self.name] = self.cache
        if self.name == RECURRENT:
            inputs["attention_mask"] = mask[:, self.seen :]
        output = self.model(**inputs, use_cache=self.name is not None, **self.options)
        if self.name and self.has_own_cache:
            self.cache = getattr(output, self.name, None)
        if self.cache is not None:
            self.seen = ids.shape[1]
        return output.logits[:, -1]

    def repeat(self, rows: int, samples: int) -> None:
        """Repeat each row `samples` times in succession for the passes that follow."""
        if self.has_own_cache and samples > 1:
            # Not every class repeats its rows right: the next pass reads them all again.
            self.cache, self.seen = None, 0
        elif self.cache is not None:
            numbers = torch.arange(rows, device=input_device(self.model))
            self.cache.reorder_cache(numbers.repeat_interleave(samples))
