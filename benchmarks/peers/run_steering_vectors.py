"""steering-vectors, which adds the last tokens' difference at all positions and at every step."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from common import Peer, Setting, block_before, main, row_coefficients
from steering_vectors import SteeringVector, train_steering_vector
from torch import Tensor


class SteeringVectors(Peer):
    """Layers are numbered by the block whose output is changed."""

    name = "steering-vectors"
    distribution = "steering-vectors"

    def derive(self) -> None:
        """Train all layers at once; then one vector object each, since it steers all its layers."""
        pair = (self.task.bos + self.task.positive, self.task.bos + self.task.negative)
        blocks = {layer: block_before(layer) for layer in self.task.layers}
        trained = train_steering_vector(
            self.model, self.tokenizer, [pair], layers=list(blocks.values())
        )
        self.vectors = {
            layer: SteeringVector({block: trained.layer_activations[block]}, trained.layer_type)
            for layer, block in blocks.items()
        }

    def generate(self, setting: Setting, rows: int, options: dict[str, Any]) -> Tensor:
        vector = self.vectors[setting.layer]
        with vector.apply(self.model, multiplier=setting.coefficient):
            return self.model.generate(**self.inputs(rows), **options)

    def generate_grid(
        self, settings: Sequence[Setting], samples: int, options: dict[str, Any]
    ) -> Tensor:
        """The library's `operator` computes what is added, so it can differ by row."""
        with ExitStack() as stack:
            for layer, vector in self.vectors.items():
                by_row = _times(row_coefficients(settings, samples, layer))
                stack.enter_context(vector.apply(self.model, operator=by_row))
            return self.model.generate(**self.inputs(len(settings) * samples), **options)


def _times(coefficients: Tensor):
    def operator(_stream: Tensor, vector: Tensor) -> Tensor:
        return coefficients * vector

    return operator


if __name__ == "__main__":
    main(SteeringVectors)
