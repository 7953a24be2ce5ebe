"""Decode steps of fixed shape, which on a GPU are captured once and replayed.

Between two steps nothing goes to the host: the cache has its whole room from the beginning, the
sampler works on a fixed number of tokens, and what stops a batch or needs the ordinary sampler is
looked at every few steps. A step that has to be drawn again is reset to and repeated.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actadd.engine.decoding.decode_changes import DecodeChanges
from actadd.engine.decoding.decode_kernel import is_usable
from actadd.engine.decoding.fixed_attention import fixed_parts, takes_attention
from actadd.engine.decoding.fixed_cache import FixedCache
from actadd.engine.decoding.fixed_sampler import fixed_tokens
from actadd.engine.decoding.sampler import next_tokens
from actadd.engine.decoding.sampling import BROKEN, FINISHED, Sampling
from actadd.engine.hooks import hooks_on_inputs
from actadd.engine.structure import takes

# Whether a GPU's steps are captured; otherwise they run as they are, as on a CPU.
CAPTURES = True
# Steps between two looks at whether all rows have ended and all tokens are right.
LOOK = 4
# Repeated steps after which the rest of a batch is drawn by the ordinary sampler.
REPEATS = 2
# Columns by which the cache's room grows, so that batches of other lengths share a graph.
ROOM = 16
# Relative difference of logits that other kernels' rounding makes, at most. In half precision it
# grows with depth to some hundredths; a wrong mask or position makes more than the last.
BOUNDS = {torch.float64: 1e-8, torch.float32: 1e-3}
HALF_BOUND = 0.2


def weights(model: nn.Module) -> int:
    """A number for where a model's weights lie, which a captured graph holds as it is."""
    # Not by `parameters()`, which makes a name for each.
    each = (
        tensor
        for part in model.modules()
        for tensor in (*part._parameters.values(), *part._buffers.values())
    )
    return hash(tuple(tensor.data_ptr() for tensor in each if tensor is not None))


@dataclass
class Batch:
    """A batch whose prompts were read and whose first tokens were drawn.

    mask: int64 [rows, width], of the prompts; rows are the drawn ones, with contrast those twice.
    counts: [drawn, vocabulary], of the prompts' tokens and the first. tokens: int64 [drawn], the
    first. ended, broken: bool [drawn]. cache: what the prefill left. uniforms: [drawn, steps].
    stops: int64.
    """

    mask: Tensor
    counts: Tensor
    tokens: Tensor
    ended: Tensor
    broken: Tensor
    cache: Any
    changes: DecodeChanges
    uniforms: Tensor
    sampling: Sampling
    contrast: float | None
    stops: Tensor

    @property
    def steps(self) -> int:
        return self.uniforms.shape[1]

    @property
    def room(self) -> int:
        """Columns that the cache needs, in whole blocks."""
        return -(-(self.mask.shape[1] + self.steps - 1) // ROOM) * ROOM

    def key(self, model: nn.Module) -> tuple[Any, ...]:
        """What a captured step holds as it is; a batch with the same key may use it."""
        return (
            self.mask.shape[0],
            tuple(self.counts.shape),
            self.counts.dtype,
            self.room,
            self.steps,
            self.sampling,
            self.contrast,
            tuple(self.stops.tolist()),
            self.changes.key,
            weights(model),
        )


class Decoder:
    """The state of a batch in tensors of fixed shape, and the step that goes on from it."""

    def __init__(self, model: nn.Module, batch: Batch) -> None:
        """batch: any of this shape; its states are taken over by `fill`."""
        device = batch.tokens.device
        rows, drawn = len(batch.mask), len(batch.tokens)
        self.sampling, self.contrast, self.steps = batch.sampling, batch.contrast, batch.steps
        self.column = torch.zeros((), dtype=torch.long, device=device)
        self.step = torch.zeros((), dtype=torch.long, device=device)
        self.dtype: torch.dtype = batch.cache.layers[0].keys.dtype
        fuses = takes_attention(model) and is_usable(device, self.dtype)
        self.cache = FixedCache(batch.cache, batch.room, self.column, fuses)
        self.mask = torch.zeros(rows, batch.room, dtype=torch.long, device=device)
        self.positions = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.tokens = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.counts = torch.zeros_like(batch.counts)
        self.uniforms = torch.zeros_like(batch.uniforms)
        # What was drawn, also in rows that have ended, and what of it counts.
        self.raw = torch.zeros(drawn, batch.steps, dtype=torch.long, device=device)
        self.written = torch.zeros_like(self.raw)
        self.ended, self.broken = batch.ended.clone(), batch.broken.clone()
        self.stops = batch.stops.clone()
        # The step after which all rows have ended, and the first that must be drawn again.
        self.last = torch.zeros((), dtype=torch.long, device=device)
        self.wrong = torch.zeros((), dtype=torch.long, device=device)
        self.changes = batch.changes
        self.changes.to(device)
        self.lengths = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self.width = 0
        self.logits: Tensor | None = None
        self.captured_logits: Tensor | None = None
        self.graphs: list[Any] = []
        # Of what kinds prompts were that were read for it; once one comes again it is captured.
        self.starts: OrderedDict[Any, Any] = OrderedDict()
        self.repeats = 0
        # Relative difference of its logits from an ordinary step's, where it was checked.
        self.difference = float("nan")
        # Whether the cache may hold what is not a number, which no mask hides.
        self.stained = False

    def fill(self, batch: Batch) -> None:
        """Take over a batch of the same shape, before its second step."""
        width = batch.mask.shape[1]
        self.clean()
        self.cache.fill(batch.cache, width)
        self.lengths.copy_(batch.mask.sum(dim=1, keepdim=True))
        self.width = width
        self.mask.zero_()
        self.mask[:, :width] = batch.mask
        self.counts.copy_(batch.counts)
        self.uniforms.copy_(batch.uniforms)
        self.ended.copy_(batch.ended)
        self.broken.copy_(batch.broken)
        self.raw[:, 0] = batch.tokens
        self.written[:, 0] = batch.tokens.masked_fill(batch.broken, BROKEN)
        self.changes.fill(batch.changes)
        self.last.fill_(self.steps)
        self._go_to(1)

    def clean(self) -> None:
        """Empty the cache of what is not a number."""
        if self.stained:
            self.cache.empty()
        self.stained = False

    def _go_to(self, step: int) -> None:
        """Set what a step begins with, but counts and ends of rows."""
        self.step.fill_(step)
        self.column.fill_(self.width + step - 1)
        self.mask[:, self.width + step - 1 :] = 0
        self.positions.copy_(self.lengths + step - 1)
        self.tokens.copy_(self._following(self.raw[:, step - 1]))
        self.wrong.fill_(self.steps)

    def _following(self, tokens: Tensor) -> Tensor:
        return (tokens if self.contrast is None else tokens.repeat(2))[:, None]

    def _stops(self, tokens: Tensor) -> Tensor:
        # Not by isin, which may sort.
        return (tokens[..., None] == self.stops).any(dim=-1)

    def forward(self, model: nn.Module) -> None:
        """Read the last tokens: `logits` [rows, vocabulary]."""
        self.mask.index_fill_(1, self.column, 1)
        inputs: dict[str, Any] = {"input_ids": self.tokens, "attention_mask": self.mask}
        if takes(model, "position_ids"):
            inputs["position_ids"] = self.positions
        if takes(model, "logits_to_keep"):
            inputs["logits_to_keep"] = 1
        with ExitStack() as stack:
            stack.enter_context(fixed_parts(model))
            if self.changes.layers:
                stack.enter_context(
                    hooks_on_inputs(model, self.changes.layers, self.changes.change)
                )
            output = model(**inputs, past_key_values=self.cache, use_cache=True)
        if not self.cache.is_whole:
            raise ValueError("a block does attention in a way of its own")
        self.logits = output.logits[:, -1]

    def drawing_logits(self) -> Tensor:
        """What tokens are drawn from, [drawn, vocabulary]; of contrasts at least float32."""
        assert self.logits is not None
        if self.contrast is None:
            return self.logits
        logits, contrasted = self.logits.to(self.counts.dtype).chunk(2)
        return logits + self.contrast * (contrasted - logits)

    def agrees(self, expected: Tensor) -> bool:
        """Whether `logits` are these [rows, vocabulary], up to rounding of other kernels."""
        assert self.logits is not None
        numbers = expected.isfinite().all(dim=-1)
        ours, theirs = (each[numbers].double() for each in (self.logits, expected))
        distance, size = (ours - theirs).norm(), theirs.norm()
        self.difference = float(distance / size)
        return bool(distance <= BOUNDS.get(self.dtype, HALF_BOUND) * size)

    def choose(self) -> None:
        """Draw tokens and go on, without a look at them."""
        noise = self.uniforms.index_select(1, self.step[None])[:, 0]
        tokens, finite, right = fixed_tokens(
            self.drawing_logits(), self.counts, noise, self.sampling
        )
        self.accept(tokens, finite, right)

    def accept(self, tokens: Tensor, finite: Tensor, right: Tensor) -> None:
        """Write drawn tokens [drawn] down and set what the next step begins with."""
        self.broken |= ~self.ended & ~finite
        live = ~(self.ended | self.broken)
        wrong = (live & ~right).any() & (self.wrong == self.steps)
        self.wrong.copy_(torch.where(wrong, self.step, self.wrong))
        written = tokens.masked_fill(self.ended, FINISHED).masked_fill(self.broken, BROKEN)
        self.raw.index_copy_(1, self.step[None], tokens[:, None])
        self.written.index_copy_(1, self.step[None], written[:, None])
        self.ended |= self._stops(tokens)
        done = (self.ended | self.broken).all() & (self.last == self.steps)
        self.last.copy_(torch.where(done, self.step, self.last))
        if self.sampling.temperature:
            self.counts.scatter_add_(1, tokens[:, None], torch.ones_like(self.counts[:, :1]))
        self.tokens.copy_(self._following(tokens))
        for number in (self.step, self.column, self.positions):
            number += 1

    def capture(self, model: nn.Module) -> None:
        """Make graphs of the two halves of a step."""
        self._set_up(model)
        self.graphs.append(captured(lambda: self.forward(model), None))
        self.captured_logits = self.logits
        self.graphs.append(captured(self.choose, self.pool))

    @property
    def pool(self) -> Any:
        """Memory that all graphs of this decoder share: no two of them run at once."""
        return self.graphs[0].pool()

    def _set_up(self, model: nn.Module) -> None:
        """One step whose results are dropped: libraries' first calls may not be captured."""
        state = [
            each.clone() for each in (self.counts, self.ended, self.broken, self.raw, self.written)
        ]
        for half in (lambda: self.forward(model), self.choose):
            on_other_stream(half)
        for each, before in zip(
            (self.counts, self.ended, self.broken, self.raw, self.written), state, strict=True
        ):
            each.copy_(before)
        self.last.fill_(self.steps)
        self._go_to(1)

    @property
    def replays(self) -> bool:
        return bool(self.graphs) and CAPTURES

    def read(self, model: nn.Module) -> None:
        """One forward pass, replayed where it was captured."""
        if self.replays:
            self.graphs[0].replay()
            self.logits = self.captured_logits
        else:
            self.forward(model)

    def draw(self) -> None:
        """The other half of a step."""
        if self.replays:
            self.graphs[1].replay()
        else:
            self.choose()

    def run(self, model: nn.Module) -> Tensor | None:
        """All steps from the second on; int64 [drawn, steps taken].

        None if the very first token has to be drawn again, for which there are no logits.
        """
        step, repeats = 1, 0
        before: Callable[[], list[int]] | None = None
        while step < self.steps:
            if repeats >= REPEATS:
                self._ordinary_step(model)
                step += 1
                wrong, last = self._numbers()()
            else:
                until = min(step + LOOK, self.steps)
                for _ in range(step, until):
                    self.read(model)
                    self.draw()
                step, now = until, self._numbers()
                # While the device takes these steps the host looks at what was before them.
                looked, before = (before if step < self.steps else now), now
                if looked is None:
                    continue
                wrong, last = looked()
                if wrong == 0:
                    self.stained = True
                    return None
                if wrong < self.steps:
                    self._return_to(wrong, step)
                    self._ordinary_step(model)
                    repeats += 1
                    self.repeats += 1
                    step, before = wrong + 1, None
                    wrong, last = self._numbers()()
            if last < self.steps:
                break
        self.stained = bool(self.broken.any())
        return self.written[:, : int(self.last) + 1].clone()

    def _numbers(self) -> Callable[[], list[int]]:
        """The first step that has to be drawn again and the last of all, once the device is there.

        Asked for now, read when it is called.
        """
        both = torch.stack([self.wrong, self.last])
        if not both.is_cuda:
            return both.tolist
        host = torch.empty(2, dtype=torch.long, pin_memory=True)
        host.copy_(both, non_blocking=True)
        event: Any = torch.cuda.Event()
        event.record()

        def read() -> list[int]:
            event.synchronize()
            numbers: list[int] = host.tolist()
            return numbers

        return read

    def _ordinary_step(self, model: nn.Module) -> None:
        self.read(model)
        logits = self.drawing_logits().to(self.counts.dtype)
        noise = self.uniforms.index_select(1, self.step[None])[:, 0]
        tokens = next_tokens(logits, self.counts, noise, self.sampling)
        self.accept(tokens, logits.amax(dim=-1).isfinite(), torch.ones_like(self.ended))

    def _return_to(self, step: int, now: int) -> None:
        """Undo the steps from `step` on, of which a token was wrong."""
        undone = self.raw[:, step:now]
        self.counts.scatter_add_(1, undone, -torch.ones_like(undone, dtype=self.counts.dtype))
        self.ended.copy_(self._stops(self.raw[:, :step]).any(dim=1))
        self.broken.copy_(self.written[:, step - 1] == BROKEN)
        self.last.fill_(self.steps)
        self._go_to(step)


def captured(work: Callable[[], None], pool: Any) -> Any:
    """A graph of what `work` launches; pool: of other graphs, whose memory it may use too."""
    cuda: Any = torch.cuda
    graph = cuda.CUDAGraph()
    with cuda.graph(graph, pool=pool):
        work()
    return graph


def on_other_stream(work: Callable[[], None]) -> None:
    """Run work that is to be captured as libraries want it before."""
    stream: Any = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        work()
    torch.cuda.current_stream().wait_stream(stream)
