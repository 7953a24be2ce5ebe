"""A key-value cache with room, since transformers' own copies itself at each token."""

from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from actadd.steering import language_model


class RoomyLayer(DynamicLayer):
    """A `DynamicLayer` that writes new tokens into room kept for them.

    What attention gets is a view of what is there so far, so nothing is computed on empty room, as
    it would be with transformers' static cache.
    """

    def __init__(self, room: int):
        """room: tokens that the layer will hold in the end."""
        super().__init__()
        self.room = room
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args, **kwargs
    ) -> tuple[Tensor, Tensor]:
        """Adds key and value states [rows, heads, tokens, width]; returns all of them so far."""
        seen = self.get_seq_length()
        end = seen + key_states.shape[-2]
        if seen == 0:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return self.keys, self.values
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            self._buffers = (self._spacious(self.keys, end), self._spacious(self.values, end))
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, seen:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def _spacious(self, states: Tensor, end: int) -> Tensor:
        rows, heads, seen, width = states.shape
        buffer = states.new_empty(rows, heads, max(self.room, end), width)
        buffer[:, :, :seen] = states
        return buffer

    def reorder_cache(self, beam_idx: Tensor) -> None:
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
    cache = DynamicCache(config=language_model(model).config)
    cache.layers = [
        RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache
