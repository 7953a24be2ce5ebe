"""The pass over prompts in fixed shape, which on a GPU is captured like the steps after it.

A large model's pass over a dozen columns is hundreds of launches, so that the host takes longer
than the device does.
"""

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from actadd.engine.decoding import decoder as steps
from actadd.engine.decoding.decode_changes import DecodeChanges
from actadd.engine.decoding.decoder import Decoder, captured, on_other_stream, weights
from actadd.engine.decoding.fixed_attention import fixed_parts
from actadd.engine.decoding.fixed_cache import repeated
from actadd.engine.decoding.kv_cache import Reading
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.hooks import hooks_on_inputs
from actadd.engine.steering import Steering


@dataclass
class Prompts:
    """A batch before its prompts are read.

    ids, mask: int64 [rows, width]; uniforms: float64 [drawn, steps]; samples: of each prompt.
    """

    ids: Tensor
    mask: Tensor
    steering: Steering | None
    uniforms: Tensor
    sampling: Sampling
    contrast: float | None
    stops: Sequence[int]
    samples: int

    def __post_init__(self) -> None:
        if self.are_plain:
            self.changes = DecodeChanges(self.steering, len(self.ids) * self.samples)

    @property
    def are_plain(self) -> bool:
        """Whether all that acts on the prompts is a sum that no number of theirs decides."""
        steering = self.steering
        if steering is None:
            return True
        stages = [stage for several in steering.planned.values() for stage in several]
        return not steering.gates and not any(
            stage.kind.reads_stream and stage.cells for stage in stages
        )

    @property
    def sums(self) -> list[tuple[int, Any]]:
        """(layer, stage) of what is added at prompt positions, in order."""
        planned = self.steering.planned if self.steering else {}
        return [
            (layer, stage)
            for layer, several in sorted(planned.items())
            for stage in several
            if stage.cells
        ]

    def key(self, model: nn.Module) -> tuple[Any, ...]:
        """What a captured pass and the steps after it hold as it is."""
        return (
            tuple(self.ids.shape),
            self.samples,
            self.uniforms.shape[1],
            self.sampling,
            self.contrast,
            tuple(self.stops),
            tuple((layer, stage.distinct.dtype) for layer, stage in self.sums),
            self.changes.key,
            weights(model),
        )


class Start:
    """The pass over prompts of one kind, and what sets a decoder to its first step."""

    def __init__(self, decoder: Decoder, prompts: Prompts) -> None:
        device = decoder.column.device
        # The decoder holds this, and its memory is to be free as soon as nobody holds it.
        self.decoder, self.samples = weakref.proxy(decoder), prompts.samples
        self.ids, self.mask = (each.to(device, copy=True) for each in (prompts.ids, prompts.mask))
        self.tables = [
            (layer, stage.distinct.new_zeros(*self.ids.shape, stage.distinct.shape[-1]).to(device))
            for layer, stage in prompts.sums
        ]
        self.graph: Any = None

    def fill(self, prompts: Prompts) -> None:
        """Take over prompts of this kind."""
        decoder = self.decoder
        decoder.clean()
        decoder.width = self.ids.shape[1]
        decoder.uniforms.copy_(prompts.uniforms)
        decoder.changes.fill(prompts.changes)
        self.ids.copy_(prompts.ids)
        self.mask.copy_(prompts.mask)
        for (_, table), (_, stage) in zip(self.tables, prompts.sums, strict=True):
            cells = (stage.rows.to(table.device), stage.columns.to(table.device))
            values = stage.distinct.to(table.device)[stage.index.to(table.device)]
            table.zero_()
            table[cells] = values

    def change(self, layer: int, hidden: Tensor) -> Tensor:
        """The stream [rows, width, d_model] that a block reads in place of `hidden`."""
        for table_layer, table in self.tables:
            if table_layer == layer:
                hidden = hidden + table.to(hidden.dtype)
        return hidden

    def read(self, model: nn.Module) -> None:
        """Read the prompts and set what the first token is drawn from."""
        decoder = self.decoder
        reading = Reading(model, self.ids.shape[1], cache=decoder.cache.for_prompts())
        with ExitStack() as stack:
            stack.enter_context(fixed_parts(model, prompts=True))
            layers = sorted({layer for layer, _ in self.tables})
            if layers:
                stack.enter_context(hooks_on_inputs(model, layers, self.change))
            logits = repeated(reading.logits(self.ids, self.mask), self.samples)
        width = self.ids.shape[1]
        decoder.cache.fill(reading.cache, width, self.samples)
        ids, mask = repeated(self.ids, self.samples), repeated(self.mask, self.samples)
        decoder.mask.zero_()
        decoder.mask[:, :width] = mask
        decoder.lengths.copy_(mask.sum(dim=1, keepdim=True))
        decoder.positions.copy_(decoder.lengths - 1)
        drawn = len(decoder.counts)
        decoder.counts.zero_()
        decoder.counts.scatter_add_(1, ids[:drawn], mask[:drawn].to(decoder.counts))
        for rows in (decoder.ended, decoder.broken):
            rows.zero_()
        for number, value in (
            (decoder.step, 0),
            (decoder.column, width - 1),
            (decoder.last, decoder.steps),
            (decoder.wrong, decoder.steps),
        ):
            number.fill_(value)
        if decoder.captured_logits is None:
            decoder.logits = logits
        else:
            decoder.captured_logits.copy_(logits)

    def prepare(self, model: nn.Module) -> None:
        """Capture the pass, where the steps are captured."""
        if self.decoder.replays:
            on_other_stream(lambda: self.read(model))
            self.graph = captured(lambda: self.read(model), self.decoder.pool)

    def run(self, model: nn.Module, prompts: Prompts) -> None:
        """Read prompts of this kind and draw their first tokens."""
        self.fill(prompts)
        if self.graph and steps.CAPTURES:
            self.graph.replay()
        else:
            self.read(model)
        if self.decoder.captured_logits is not None:
            self.decoder.logits = self.decoder.captured_logits
        self.decoder.draw()
