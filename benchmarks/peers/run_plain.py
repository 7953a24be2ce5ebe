"""Plain transformers with a forward pre-hook, as in the code of activation addition's authors.

Steers the prompt's first positions, each with the difference at that position, in the prefill only.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from common import Peer, Setting, main, row_coefficients
from torch import Tensor, nn


class Plain(Peer):
    """transformers alone."""

    name = "plain"
    distribution = "transformers"

    def derive(self) -> None:
        """One pass over the pair yields the difference at every layer of the grid."""
        streams: dict[int, Tensor] = {}
        with ExitStack() as stack:
            for layer in self.task.layers:
                keep = _keeper(streams, layer)
                handle = self._block(layer).register_forward_pre_hook(keep)
                stack.callback(handle.remove)
            self.model(self.contrast_ids())
        self.vectors = {layer: pair[0] - pair[1] for layer, pair in streams.items()}

    def generate(self, setting: Setting, rows: int, options: dict[str, Any]) -> Tensor:
        added = setting.coefficient * self.vectors[setting.layer]
        with self._adding(setting.layer, added):
            return self.model.generate(**self.inputs(rows), **options)

    def generate_grid(
        self, settings: Sequence[Setting], samples: int, options: dict[str, Any]
    ) -> Tensor:
        """A hook for each layer adds to each row the vector of its setting, or nothing."""
        with ExitStack() as stack:
            for layer, vector in self.vectors.items():
                added = row_coefficients(settings, samples, layer) * vector
                stack.enter_context(self._adding(layer, added))
            return self.model.generate(**self.inputs(len(settings) * samples), **options)

    def _block(self, layer: int) -> nn.Module:
        return self.model.model.layers[layer]

    @contextmanager
    def _adding(self, layer: int, added: Tensor) -> Iterator[None]:
        """Add [positions, width], or one for each row, to the start of a block's input."""
        positions = added.shape[-2]

        def add(_block: nn.Module, args: tuple[Tensor, ...]) -> None:
            # After the prefill, a pass has one new token.
            if args[0].shape[1] > 1:
                args[0][:, :positions] += added

        handle = self._block(layer).register_forward_pre_hook(add)
        try:
            yield
        finally:
            handle.remove()


def _keeper(streams: dict[int, Tensor], layer: int):
    def keep(_block: nn.Module, args: tuple[Tensor, ...]) -> None:
        streams[layer] = torch.clone(args[0])

    return keep


if __name__ == "__main__":
    main(Plain)
