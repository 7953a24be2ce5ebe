"""What acts on the residual stream of generated tokens, in tensors of fixed shape."""

from typing import Any

import torch
from torch import Tensor

from actadd.engine.additions import Stage
from actadd.engine.steering import Steering


class DecodeChanges:
    """The stages of a batch that act in decode steps: for each a table [rows, d_model].

    A row in which a stage does not act, or stands behind a closed gate, has zeros there, which
    change nothing.
    """

    def __init__(self, steering: Steering | None, rows: int) -> None:
        """steering: of the prompts, after they were read; rows: of the batch in decode steps."""
        self.stages: list[tuple[int, Stage]] = []
        self.tables: list[Tensor] = []
        for layer, stage, values in steering.repeated() if steering else ():
            self.stages.append((layer, Stage(stage.kind, stage.options)))
            self.tables.append(values.repeat_interleave(rows // len(values), dim=0))

    @property
    def key(self) -> tuple[Any, ...]:
        """What a captured step holds of them; the tables are read anew in each step."""
        return tuple(
            (layer, stage.kind.name, id(stage.kind), repr(stage.options), table.dtype)
            if stage.kind.reads_stream
            else (layer, table.dtype)
            for (layer, stage), table in zip(self.stages, self.tables, strict=True)
        )

    @property
    def layers(self) -> list[int]:
        return sorted({layer for layer, _ in self.stages})

    def to(self, device: torch.device) -> None:
        self.tables = [table.to(device, copy=True) for table in self.tables]

    def fill(self, others: "DecodeChanges") -> None:
        """Take over the tables of a batch with the same key."""
        for table, other in zip(self.tables, others.tables, strict=True):
            table.copy_(other)

    def change(self, layer: int, hidden: Tensor) -> Tensor:
        """The stream [rows, 1, d_model] that a block reads in place of `hidden`."""
        for (stage_layer, stage), table in zip(self.stages, self.tables, strict=True):
            if stage_layer != layer:
                continue
            if stage.kind.reads_stream:
                hidden = stage.new_rows(hidden[:, 0], table)[:, None]
            else:
                hidden = hidden + table.to(hidden.dtype)[:, None]
        return hidden
