"""pyvene, which adds the difference of each position at the prompt's first positions only."""

from collections.abc import Sequence
from typing import Any

import pyvene
from common import Peer, Setting, main, row_coefficients
from torch import Tensor


class Pyvene(Peer):
    """An intervenable model for each layer, and one for all layers."""

    name = "pyvene"
    distribution = "pyvene"

    def derive(self) -> None:
        """Collect the input of each layer of the grid in one pass over the pair."""
        layers = self.task.layers
        ids = self.contrast_ids()
        self.positions = list(range(ids.shape[1]))
        collecting = self._intervenable(layers, pyvene.CollectIntervention)
        (_, streams), _ = collecting(
            {"input_ids": ids}, unit_locations={"base": self.positions}, use_cache=False
        )
        self.vectors = {
            layer: pair[0] - pair[1] for layer, pair in zip(layers, streams, strict=True)
        }
        self.steered = {
            layer: self._intervenable([layer], pyvene.AdditionIntervention) for layer in layers
        }
        self.steered_everywhere = self._intervenable(layers, pyvene.AdditionIntervention)

    def generate(self, setting: Setting, rows: int, options: dict[str, Any]) -> Tensor:
        added = setting.coefficient * self.vectors[setting.layer].expand(rows, -1, -1)
        return self._generate(self.steered[setting.layer], [added], rows, options)

    def generate_grid(
        self, settings: Sequence[Setting], samples: int, options: dict[str, Any]
    ) -> Tensor:
        """A source representation with all rows holds a vector for each row."""
        added = [
            row_coefficients(settings, samples, layer) * vector
            for layer, vector in self.vectors.items()
        ]
        return self._generate(self.steered_everywhere, added, len(settings) * samples, options)

    def _intervenable(self, layers: Sequence[int], kind: type) -> pyvene.IntervenableModel:
        interventions = [
            {
                "layer": layer,
                "component": "block_input",
                # Without this, collecting yields a third of each position for three positions.
                "max_number_of_units": len(self.positions),
                "intervention_type": kind,
            }
            for layer in layers
        ]
        return pyvene.IntervenableModel(interventions, self.model)

    def _generate(
        self,
        steered: pyvene.IntervenableModel,
        added: list[Tensor],
        rows: int,
        options: dict[str, Any],
    ) -> Tensor:
        _, ids = steered.generate(
            self.inputs(rows),
            source_representations=added,
            unit_locations={"base": self.positions},
            intervene_on_prompt=True,
            **options,
        )
        return ids


if __name__ == "__main__":
    main(Pyvene)
