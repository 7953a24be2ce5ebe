"""nnsight, whose block of a traced `generate` applies to the prefill only by default."""

from collections.abc import Sequence
from typing import Any

from common import Peer, Setting, main
from nnsight import TransformersModel, save
from torch import Tensor


class Nnsight(Peer):
    """Adds the difference of each position at the prompt's first positions."""

    name = "nnsight"
    distribution = "nnsight"

    def derive(self) -> None:
        """Record the input of each layer of the grid in one traced pass over the pair."""
        self.traced = TransformersModel(self.model, tokenizer=self.tokenizer)
        blocks = self.traced.model.layers
        layers = self.task.layers
        with self.traced.trace(self.contrast_ids()):
            streams = save([blocks[layer].input.clone() for layer in layers])
        self.vectors = {
            layer: pair[0] - pair[1] for layer, pair in zip(layers, streams, strict=True)
        }

    def generate(self, setting: Setting, rows: int, options: dict[str, Any]) -> Tensor:
        block = self.traced.model.layers[setting.layer]
        added = setting.coefficient * self.vectors[setting.layer]
        with self.traced.generate(self.inputs(rows), **options) as tracer:
            block.input[:, : added.shape[0]] += added
            ids = tracer.result.save()
        return ids

    def generate_grid(
        self, settings: Sequence[Setting], samples: int, options: dict[str, Any]
    ) -> Tensor:
        """An invoke for each setting; the library joins their rows into one batch."""
        blocks = self.traced.model.layers
        with self.traced.generate(**options) as tracer:
            for setting in settings:
                with tracer.invoke(self.inputs(samples)):
                    added = setting.coefficient * self.vectors[setting.layer]
                    blocks[setting.layer].input[:, : added.shape[0]] += added
            with tracer.invoke():
                ids = tracer.result.save()
        return ids


if __name__ == "__main__":
    main(Nnsight)
