"""repeng, which adds a direction of norm 1 at all positions and at every step.

Its default fit, a PCA of differences, is meaningless for one pair (one point has no variance), so
the centred fit is used, which yields the normalised difference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from common import Peer, Setting, block_before, main, row_coefficients
from repeng import ControlModel, ControlVector, DatasetEntry
from torch import Tensor


class Repeng(Peer):
    """Layers are numbered by the block whose output is changed."""

    name = "repeng"
    distribution = "repeng"

    def derive(self) -> None:
        pair = DatasetEntry(
            positive=self.task.bos + self.task.positive,
            negative=self.task.bos + self.task.negative,
        )
        self.vector = ControlVector.train(
            self.model,
            self.tokenizer,
            [pair],
            method="pca_center",
            hidden_layers=[block_before(layer) for layer in self.task.layers],
        )

    def generate(self, setting: Setting, rows: int, options: dict[str, Any]) -> Tensor:
        with self._controlled([setting.layer]) as control:
            control.set_control(self.vector, setting.coefficient)
            return control.generate(**self.inputs(rows), **options)

    def generate_grid(
        self, settings: Sequence[Setting], samples: int, options: dict[str, Any]
    ) -> Tensor:
        """`set_raw_control` takes a tensor for each layer, which may hold a vector for each row."""
        directions = {
            block_before(layer): row_coefficients(settings, samples, layer)
            * torch.from_numpy(self.vector.directions[block_before(layer)])
            for layer in self.task.layers
        }
        with self._controlled(self.task.layers) as control:
            control.set_raw_control(directions)
            return control.generate(**self.inputs(len(settings) * samples), **options)

    @contextmanager
    def _controlled(self, layers: Sequence[int]) -> Iterator[ControlModel]:
        """The model wrapped at these layers only, since every wrapped layer costs time."""
        control = ControlModel(self.model, [block_before(layer) for layer in layers])
        try:
            yield control
        finally:
            control.unwrap()


if __name__ == "__main__":
    main(Repeng)
