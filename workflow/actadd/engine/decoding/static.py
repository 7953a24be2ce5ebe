"""Decode steps of fixed shape, which on a GPU are captured once and replayed.

Between two steps nothing goes to the host: the cache has its whole room from the beginning, the
sampler works on a fixed number of tokens, and what stops a batch or needs the ordinary sampler is
looked at every few steps. A step that has to be drawn again is reset to and repeated.
"""

import weakref
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from actadd.engine.decoding.decode_changes import DecodeChanges
from actadd.engine.decoding.decode_kernel import is_usable
from actadd.engine.decoding.fixed_attention import fixed_parts, takes_attention
from actadd.engine.decoding.fixed_cache import FixedCache, is_by_columns
from actadd.engine.decoding.fixed_sampler import fixed_tokens
from actadd.engine.decoding.sampler import next_tokens
from actadd.engine.decoding.sampling import BROKEN, FINISHED, Sampling
from actadd.engine.hooks import hooks_on_inputs
from actadd.engine.structure import takes

# Whether a GPU's steps are captured; otherwise they run as they are, as on a CPU.
CAPTURES = True
# Steps between two looks at whether all rows have ended and all tokens are right.
LOOK = 8
# Repeated steps after which the rest of a batch is drawn by the ordinary sampler.
REPEATS = 2
# Columns by which the cache's room grows, so that batches of other lengths share a graph.
ROOM = 16
# Relative difference of logits that other kernels' rounding makes, at most.
BOUNDS = {torch.float64: 1e-8, torch.float32: 1e-3}
# Graphs kept for a model: each holds a cache.
GRAPHS = 4


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
        weights = tuple(part.data_ptr() for part in (*model.parameters(), *model.buffers()))
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
            hash(weights),
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
        self.logits: Tensor | None = None
        self.graphs: list[Any] = []
        self.repeats = 0

    def fill(self, batch: Batch) -> None:
        """Take over a batch of the same shape, before its second step."""
        width = batch.mask.shape[1]
        self.cache.fill(batch.cache, width)
        self.lengths = batch.mask.sum(dim=1, keepdim=True)
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
        """What tokens are drawn from, at least float32 [drawn, vocabulary]."""
        assert self.logits is not None
        logits = self.logits if self.logits.dtype == torch.float64 else self.logits.float()
        if self.contrast is None:
            return logits
        logits, contrasted = logits.chunk(2)
        return logits + self.contrast * (contrasted - logits)

    def agrees(self, expected: Tensor) -> bool:
        """Whether `logits` are these [rows, vocabulary], up to rounding of other kernels."""
        assert self.logits is not None
        numbers = expected.isfinite().all(dim=-1)
        ours, theirs = (each[numbers].double() for each in (self.logits, expected))
        bound = BOUNDS.get(self.dtype, 0.05)
        return bool((ours - theirs).norm() <= bound * theirs.norm())

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
        cuda: Any = torch.cuda
        pool = None
        for half in (lambda: self.forward(model), self.choose):
            graph = cuda.CUDAGraph()
            with cuda.graph(graph, pool=pool):
                half()
            pool = graph.pool()
            self.graphs.append(graph)
        self.captured_logits = self.logits

    def _set_up(self, model: nn.Module) -> None:
        """One step whose results are dropped: libraries' first calls may not be captured."""
        state = [
            each.clone() for each in (self.counts, self.ended, self.broken, self.raw, self.written)
        ]
        stream: Any = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.forward(model)
            self.choose()
        torch.cuda.current_stream().wait_stream(stream)
        for each, before in zip(
            (self.counts, self.ended, self.broken, self.raw, self.written), state, strict=True
        ):
            each.copy_(before)
        self.last.fill_(self.steps)
        self._go_to(1)

    def read(self, model: nn.Module) -> None:
        """One forward pass, replayed where it was captured."""
        if self.graphs and CAPTURES:
            self.graphs[0].replay()
            self.logits = self.captured_logits
        else:
            self.forward(model)

    def run(self, model: nn.Module) -> Tensor:
        """All steps from the second on; int64 [drawn, steps taken]."""
        step, repeats = 1, 0
        while step < self.steps:
            if repeats >= REPEATS:
                self._ordinary_step(model)
                step += 1
            else:
                until = min(step + LOOK, self.steps)
                for _ in range(step, until):
                    self.read(model)
                    if self.graphs and CAPTURES:
                        self.graphs[1].replay()
                    else:
                        self.choose()
                step = until
                wrong = int(self.wrong)
                if wrong < self.steps:
                    self._return_to(wrong, step)
                    self._ordinary_step(model)
                    repeats += 1
                    self.repeats += 1
                    step = wrong + 1
            if step < self.steps and int(self.last) < self.steps:
                break
        return self.written[:, : int(self.last) + 1].clone()

    def _ordinary_step(self, model: nn.Module) -> None:
        self.read(model)
        logits = self.drawing_logits()
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


@dataclass
class _Known:
    """What is known of a model: graphs by what they hold as it is, and what is in the way."""

    decoders: OrderedDict[Any, Decoder] = field(default_factory=OrderedDict)
    obstacle: str | None = None
    checked: bool = False


_models: "weakref.WeakKeyDictionary[nn.Module, _Known]" = weakref.WeakKeyDictionary()


def _known(model: nn.Module) -> _Known:
    return _models.setdefault(model, _Known())


def is_checked(model: nn.Module) -> bool:
    """Whether a model's static step was compared with the ordinary one."""
    return _known(model).checked


def is_open(model: nn.Module) -> bool:
    """Whether nothing is known that keeps a model, as it is just now, from static steps."""
    return _known(model).obstacle is None and not _has_hooks(model)


def takes_over(model: nn.Module, cache: Any) -> bool:
    """Whether a batch whose prompts are in this cache can go on in static steps; says why not."""
    known = _known(model)
    known.obstacle = _obstacle(model, cache)
    if known.obstacle:
        _report(model, known.obstacle)
    return known.obstacle is None


def _obstacle(model: nn.Module, cache: Any) -> str | None:
    if cache is None or not is_by_columns(cache):
        return "its cache is not one of columns"
    if len({part.device for part in model.parameters()}) > 1:
        return "it lies on several devices"
    return None


def _has_hooks(model: nn.Module) -> bool:
    """Whether something else acts in the passes, of which a captured graph would know nothing."""
    return any(
        part._forward_hooks or part._forward_pre_hooks or hasattr(part, "_hf_hook")
        for part in model.modules()
    )


def _report(model: nn.Module, reason: str) -> None:
    print(f"{type(model).__name__}: ordinary decode steps, since {reason}", flush=True)


def prepared(model: nn.Module, batch: Batch) -> Decoder:
    """A decoder that holds a batch: one of an earlier batch of its kind, or a new one."""
    kept = _known(model).decoders
    key = batch.key(model)
    try:
        if key not in kept:
            while len(kept) >= GRAPHS:
                kept.popitem(last=False)
            kept[key] = Decoder(model, batch)
        kept.move_to_end(key)
        kept[key].fill(batch)
        return kept[key]
    except torch.OutOfMemoryError:
        kept.clear()
        raise


def finished(model: nn.Module, decoder: Decoder, expected: Tensor | None = None) -> Tensor | None:
    """Draw all tokens from the second on; int64 [drawn, steps taken], the first included.

    expected: the ordinary pass's logits [rows, vocabulary] of the next step, to check a model at
    its first use. Returns None, and says why, if the model cannot go this way.
    """
    known = _known(model)
    try:
        if expected is not None:
            decoder.forward(model)
            if not decoder.agrees(expected):
                raise ValueError("a static step's logits are not those of an ordinary one")
            known.checked = True
        if CAPTURES and decoder.column.is_cuda and not decoder.graphs:
            decoder.capture(model)
        return decoder.run(model)
    except torch.OutOfMemoryError:
        known.decoders.clear()
        raise
    except Exception as error:
        known.decoders.clear()
        known.obstacle = f"{type(error).__name__}: {error}".splitlines()[0]
        _report(model, known.obstacle)
        return None
    finally:
        if not decoder.graphs:
            known.decoders.clear()


def forget(model: nn.Module) -> None:
    """Free a model's graphs with their caches, and what is known of it."""
    _models.pop(model, None)
