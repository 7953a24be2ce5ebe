"""The properties of a model that is steered correctly, each compared with a reference.

The reference shares no code with the library: one unpadded row, read whole without a cache, with
hooks that are defined here. The distance of a position is ||a - b|| / ||b|| of its vector (of
logits: after their mean is subtracted, which no probability depends on), the largest over layers.

Numbers that rounding cannot change are compared bit by bit. For the others, further passes of the
unsteered model measure the rounding noise of each position: several copies of the row; the row
padded on the right, where padding changes no position; and copies whose stream is perturbed by
rounding errors at each block, since some shapes happen to use the same kernel, and a router of
experts may be close to a tie. The bound is four times that noise, which is at least the median of
all positions, and at least a few rounding errors of the dtype and of the float32 of its sums.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError
from actadd.engine.additions import Addition, TraceEntry
from actadd.engine.batching import left_pad
from actadd.engine.decoding.kv_cache import Reading
from actadd.engine.hooks import record_activations
from actadd.engine.shared_layers import outputs_below, resumed_at
from actadd.engine.steering import steer
from actadd.engine.structure import (
    blocks,
    cache_name,
    input_device,
    language_model,
    model_inputs,
)
from actadd.models.verification.distances import (
    Change,
    Offs,
    Pass,
    add_vectors,
    apart,
    differs,
    first_id,
    off_by,
    ordinary_ids,
    stacked,
    unequal,
    widened,
)

# Tokens of each prompt, tokens that follow it, and columns of the padded batch of prompts.
LENGTHS, FOLLOWING, WIDTH = (5, 3, 8), 2, 9
# The least noise, in rounding errors: of float32, in which sums are computed, and of the dtype.
SINGLE, OWN = 8, 2
# Copies of a row whose streams are perturbed by rounding errors.
ROUNDED = 4
# The bound, in multiples of the noise.
FACTOR = 4
# The bound in float64. A model that still computes a part in float32 has the bound of float32;
# noise above the second number reveals that.
FLOAT64, PURE = 1e-9, 1e-11
# A position that another batch shape alone moves this far cannot be checked. Noise from perturbed
# streams counts at most this much, so that an error still shows.
UNSTEADY = 0.1
# Norm of an added vector, as a share of the residual stream's median norm at the layer.
SHARE = 0.5


class Checks:
    """One method for each property, which returns the measured difference and its bound."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.base: Any = language_model(model)
        self.device = input_device(model)
        self.blocks = blocks(model)
        self.depth = len(self.blocks)
        self.generator = torch.Generator().manual_seed(0)
        ids = ordinary_ids(self.base)
        picked = ids[torch.randperm(len(ids), generator=self.generator)].tolist()
        while len(picked) < 64:
            picked += picked
        first = first_id(self.base, picked)
        texts = [[first, *(picked.pop() for _ in range(n + FOLLOWING - 1))] for n in LENGTHS]
        self.texts = [torch.tensor([text], device=self.device) for text in texts]
        pad = next(iter(ids.tolist()))
        whole, mask = left_pad(texts, pad, WIDTH + FOLLOWING)
        self.whole, self.mask = whole.to(self.device), mask.to(self.device)
        self.prompts, self.prompt_mask = self.whole[:, :WIDTH], self.mask[:, :WIDTH]
        self.noise: float | None = None

    # --- references: one unpadded row, without the library ----------------------------------------

    def plain(self, ids: Tensor, change: Change | None = None, **inputs: Tensor) -> Pass:
        """A pass over a whole batch, with its token ids as the only input.

        change: replaces the stream [rows, tokens, d_model] that the block of a layer reads.
        """
        with self.block_inputs(change) as streams:
            output = self.model(input_ids=ids, use_cache=False, **inputs)
        if not hasattr(output, "logits"):
            kind = type(output).__name__
            raise UserError(f"its output is a {kind} without logits; pass the model inside")
        return stacked(streams, self.depth), output.logits

    @contextmanager
    def block_inputs(self, change: Change | None = None) -> Iterator[list[tuple[int, Tensor]]]:
        """(layer, stream that its block reads) of each block that runs, in order."""
        streams: list[tuple[int, Tensor]] = []
        with ExitStack() as stack:
            for layer, block in enumerate(self.blocks):

                def record(_module: nn.Module, args: Any, kwargs: Any, layer: int = layer) -> Any:
                    read = [*args, *kwargs.values()][0]
                    if change:
                        read = change(layer, read)
                    streams.append((layer, read))
                    if not change:
                        return None
                    if args:
                        return (read, *args[1:]), kwargs
                    return args, {**kwargs, next(iter(kwargs)): read}

                stack.callback(block.register_forward_pre_hook(record, with_kwargs=True).remove)
            yield streams

    def batch(self) -> Pass:
        """A pass over the whole left-padded batch, with the library's inputs."""
        with self.block_inputs() as streams:
            logits = self.model(
                **model_inputs(self.model, self.whole, self.mask), use_cache=False
            ).logits
        return stacked(streams, self.depth), logits

    # --- properties -------------------------------------------------------------------------------

    def repetition(self) -> tuple[float, float]:
        self.alone = [self.plain(ids) for ids in self.texts]
        return unequal(self.plain(self.texts[0]), self.alone[0]), 0.0

    def range(self) -> tuple[float, float]:
        # Logits of minus infinity are tokens that a model never predicts.
        wrong = [
            (~stream.isfinite()).sum() + (logits.isnan() | logits.isposinf()).sum()
            for stream, logits in self.alone
        ]
        return float(sum(int(number) for number in wrong)), 0.0

    def batching(self) -> tuple[float, float]:
        width = max(ids.shape[1] for ids in self.texts) + 1
        right = torch.cat([widened(ids, width, int(ids[0, -1])) for ids in self.texts])
        lengths = torch.tensor([ids.shape[1] for ids in self.texts], device=self.device)
        mask = (torch.arange(width, device=self.device) < lengths[:, None]).long()
        padded = self.plain(right, attention_mask=mask)
        shapes = []
        for row, (ids, alone) in enumerate(zip(self.texts, self.alone, strict=True)):
            copies = self.plain(ids.expand(len(self.texts), -1))
            shapes.append(torch.maximum(off_by(copies, alone, 0), off_by(padded, alone, row)))
        pure = self.base.dtype == torch.float64 and bool((torch.cat(shapes) < PURE).all())
        single, eps = (torch.finfo(each).eps for each in (torch.float32, self.base.dtype))
        self.eps = eps if pure else max(eps, single)
        least = FLOAT64 / FACTOR if pure else SINGLE * single + OWN * eps
        noise = [
            torch.maximum(each, self._rounding(ids, alone))
            for each, ids, alone in zip(shapes, self.texts, self.alone, strict=True)
        ]
        usual = self.noise = float(torch.cat(noise).median())
        self.bounds = [FACTOR * each.clamp(min=max(usual, least)) for each in noise]
        for each, bound in zip(shapes, self.bounds, strict=True):
            bound[each > UNSTEADY] = float("inf")
        return float(torch.cat(shapes).median()), UNSTEADY

    def stream(self) -> tuple[float, float]:
        self.padded = self.batch()
        recorded = record_activations(self.model, self.whole, self.mask)
        rows, tokens = self.whole.shape
        if recorded.shape[:3] != (self.depth, rows, tokens):
            raise UserError(f"it has the form {list(recorded.shape)}")
        return unequal((recorded,), (self.padded[0],)), 0.0

    def causality(self) -> tuple[float, float]:
        row = LENGTHS.index(max(LENGTHS))
        shorter = self.plain(self.texts[row][:, : LENGTHS[row]])
        return self._worst([(row, 0, off_by(self.alone[row], shorter, 0))])

    def positions(self) -> tuple[float, float]:
        row = LENGTHS.index(max(LENGTHS))
        with self.block_inputs() as streams:
            inputs = model_inputs(self.model, self.texts[row], None)
            logits = self.model(**inputs, use_cache=False).logits
        outputs = (stacked(streams, self.depth), logits)
        return self._worst([(row, 0, off_by(outputs, self.alone[row], 0))])

    def padding(self) -> tuple[float, float]:
        return self._worst(self._against(self.padded, self.alone))

    def cache(self) -> tuple[float, float]:
        # After the prefill, each row is repeated, as for samples of a prompt.
        first, *others = self._decoded(samples=2)
        copies = [[first, *(each[copy::2] for each in others)] for copy in range(2)]
        self.decoded = copies[0]
        return self._worst([off for each in copies for off in self._steps(each, self.alone)])

    def resumption(self) -> tuple[float, float]:
        inputs = model_inputs(self.model, self.whole, self.mask)
        layer = self.depth - 1
        shared = outputs_below(self.model, inputs, [layer])
        with resumed_at(self.model, layer, shared):
            logits = self.model(**inputs, use_cache=False).logits
        return unequal((logits,), (self.padded[1],)), 0.0

    def additions(self) -> tuple[float, float]:
        """All additions, recorded by hooks before and after the library's, in each pass."""
        self.planned = self._planned()
        trace: list[TraceEntry] = []
        steering = steer(self.model, self.planned, self.prompt_mask, trace)
        with self.block_inputs() as before, steering, self.block_inputs() as after:
            self.steered = self._decoded()
        # Without a cache, each step reads all columns again.
        cached = cache_name(self.model) is not None
        steps = range(1, FOLLOWING + 1)
        passes = [(WIDTH, 0), *((1, WIDTH - 1 + n) if cached else (WIDTH + n, 0) for n in steps)]
        expected = sorted(
            (row, layer, column)
            for read, first in passes
            for row, by_layer in enumerate(self._vectors())
            for layer, vectors in by_layer.items()
            for column, _ in vectors
            if first <= WIDTH - LENGTHS[row] + column < first + read
        )
        changed = sorted((entry.row, entry.layer, entry.position) for entry in trace)
        wrong = int(changed != expected)
        reads = [(layer, *each) for each in passes for layer in range(self.depth)]
        for (layer, read, first), (_, old), (_, new) in zip(reads, before, after, strict=True):
            reference = old.clone()
            for row, by_layer in enumerate(self._vectors()):
                start = WIDTH - LENGTHS[row] - first
                for column, vector in by_layer.get(layer, []):
                    if 0 <= start + column < read:
                        reference[row, start + column] += vector.to(old)
            wrong += int(differs(reference, new).any(-1).sum())
        return float(wrong), 0.0

    def effect(self) -> tuple[float, float]:
        steered = [row for row, additions in enumerate(self.planned) if additions]
        changes = [
            max(
                float((new[row] - old[row]).abs()[differs(new[row], old[row])].amax())
                if bool(differs(new[row], old[row]).any())
                else 0.0
                for new, old in zip(self.steered, self.decoded, strict=True)
            )
            for row in steered
        ]
        return min(changes), 0.0

    def steering(self) -> tuple[float, float]:
        changes = [add_vectors(vectors) for vectors in self._vectors()]
        alone = [self.plain(*each) for each in zip(self.texts, changes, strict=True)]
        # A steered stream may be close to other ties.
        for row, each in enumerate(zip(self.texts, alone, changes, strict=True)):
            self.bounds[row] = torch.maximum(self.bounds[row], FACTOR * self._rounding(*each))
        if getattr(self.base, "is_quantized", False):
            # A row's rounding depends on the other rows, more so if a vector causes outliers.
            offs = [off for _, _, off in self._against(self._reference(changes), alone)]
            noise = float(torch.cat(offs).max().clamp(max=UNSTEADY))
            self.bounds = [bound.clamp(min=FACTOR * noise) for bound in self.bounds]
        with steer(self.model, self.planned, self.mask, prompt_lengths=LENGTHS):
            whole = self.batch()
        return self._worst(self._steps(self.steered, alone) + self._against(whole, alone))

    def removal(self) -> tuple[float, float]:
        return unequal(self.batch(), self.padded), 0.0

    # --- shared by several properties -------------------------------------------------------------

    def _planned(self) -> list[list[Addition]]:
        """Additions of each row: at every layer; none; at the back and at each step."""
        width = self.alone[0][0].shape[-1]
        usual = torch.cat([stream.float().norm(dim=-1).flatten(1) for stream, _ in self.alone], 1)
        scale = SHARE * usual.median(dim=1).values.cpu() / width**0.5

        def vector(layer: int) -> Tensor:
            noise = torch.randn(2, width, generator=self.generator)
            return noise.mul(scale[layer])

        last = self.depth - 1
        return [
            [Addition(vector(layer), layer, 1.0) for layer in range(self.depth)],
            [],
            [
                Addition(vector(last), last, -1.0, "back"),
                Addition(vector(last // 2), last // 2, 1.0, "middle", phase="every_step"),
            ],
        ]

    def _vectors(self) -> list[dict[int, list[tuple[int, Tensor]]]]:
        """The same without the library, for each row: layer -> (column from BOS, vector)."""
        rows: list[dict[int, list[tuple[int, Tensor]]]] = []
        for length, row in zip(LENGTHS, self.planned, strict=True):
            by_layer: dict[int, list[tuple[int, Tensor]]] = {}
            for addition in row:
                vector = float(addition.coefficient or 0) * addition.vector
                first = {"front": 0, "middle": length // 2 - 1, "back": length - 2}
                start = first[str(addition.position)]
                columns = [(start + index, vector[index]) for index in range(2)]
                if addition.phase == "every_step":
                    columns += [(length + step, vector[1]) for step in range(FOLLOWING)]
                by_layer.setdefault(addition.layer, []).extend(columns)
            rows.append(by_layer)
        return rows

    def _reference(self, changes: Sequence[Change]) -> Pass:
        """A pass over the left-padded batch, with each row steered by its own change."""

        def change(layer: int, read: Tensor) -> Tensor:
            rows = []
            for row, (length, steered) in enumerate(zip(LENGTHS, changes, strict=True)):
                start = WIDTH - length
                rows.append(
                    torch.cat(
                        [read[row : row + 1, :start], steered(layer, read[row : row + 1, start:])],
                        dim=1,
                    )
                )
            return torch.cat(rows)

        inputs = model_inputs(self.model, self.whole, self.mask)
        return self.plain(inputs.pop("input_ids"), change, **inputs)

    def _rounding(self, ids: Tensor, alone: Pass, change: Change | None = None) -> Tensor:
        """The distance of a text's pass from copies whose block inputs have rounding errors added.

        Each number changes by up to `eps` of itself. Returns float64 [tokens], at most UNSTEADY.
        """

        def rounded(layer: int, read: Tensor) -> Tensor:
            wide = read.to(torch.promote_types(read.dtype, torch.float32))
            share = 2 * torch.rand(read.shape, generator=self.generator).to(wide) - 1
            read = (wide + self.eps * share * wide).to(read)
            return change(layer, read) if change else read

        copies = self.plain(ids.expand(ROUNDED, -1), rounded)
        offs = [off_by(copies, alone, copy) for copy in range(ROUNDED)]
        return torch.stack(offs).amax(0).clamp(max=UNSTEADY)

    def _decoded(self, samples: int = 1) -> list[Tensor]:
        """Logits of the prompts' last column and of each following token, read with a cache."""
        reading = Reading(self.model, WIDTH + FOLLOWING)
        logits = [reading.logits(self.prompts, self.prompt_mask)]
        reading.repeat(len(self.prompts), samples)
        whole, mask = (each.repeat_interleave(samples, 0) for each in (self.whole, self.mask))
        for width in range(WIDTH + 1, WIDTH + FOLLOWING + 1):
            logits.append(reading.logits(whole[:, :width], mask[:, :width]))
        return logits

    def _steps(self, logits: Sequence[Tensor], alone: Sequence[Pass]) -> Offs:
        """Distances of decoded logits from those of each row read whole."""
        offs: Offs = []
        for row, (_, whole) in enumerate(alone):
            for step, decoded in enumerate(logits):
                column = LENGTHS[row] - 1 + step
                offs.append((row, column, apart(decoded[row], whole[0, column])[None]))
        return offs

    def _against(self, batch: Pass, alone: Sequence[Pass]) -> Offs:
        """Distances of the left-padded batch from its rows alone."""
        offs: Offs = []
        for row, single in enumerate(alone):
            stream, logits = (each[..., -single[1].shape[1] :, :] for each in batch)
            offs.append((row, 0, off_by((stream, logits), single, row)))
        return offs

    def _worst(self, offs: Offs) -> tuple[float, float]:
        """The distance and the bound at the position where their ratio is largest."""
        distances = torch.cat([off.flatten() for _, _, off in offs])
        bounds = torch.cat([self.bounds[row][start:][: len(off)] for row, start, off in offs])
        worst = int((distances / bounds).nan_to_num(nan=float("inf")).argmax())
        return float(distances[worst]), float(bounds[worst])
