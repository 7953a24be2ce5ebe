"""Changing the residual stream: the method itself (paper, Algorithm 1).

Everything is a forward pre-hook on a decoder block, so "layer l" is by construction the residual
stream at the input of block l. Which columns of a batch are changed is decided once, in absolute
columns of the padded prompt; a forward pass changes those of them that it reads. So the prefill is
changed and a cached decode step, which reads later columns only, is not; and without a cache the
same prompt positions are changed again at each recomputation, the generated ones never.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError
from actadd.engine.additions import Addition, Gate, Stage, TraceEntry, stages
from actadd.engine.hooks import hooks_on_inputs
from actadd.engine.structure import CACHES, blocks, columns_before, reader

# Additions in every row, or those of each row.
Additions = Sequence[Addition] | Sequence[Sequence[Addition]]


@contextmanager
def steer(
    model: nn.Module,
    additions: Additions,
    attention_mask: Tensor,
    trace: list[TraceEntry] | None = None,
    prompt_lengths: Sequence[int] | None = None,
) -> Iterator["Steering"]:
    """`actadd.steer` without verification; yields what it has done so far."""
    steering = Steering(model, additions, attention_mask, trace, prompt_lengths)
    with hooks_on_inputs(model, steering.layers, steering.change), ExitStack() as stack:
        read = reader(model, blocks(model))
        for handle in (
            read.register_forward_pre_hook(steering.begin_pass, with_kwargs=True),
            read.register_forward_hook(steering.end_pass),
        ):
            stack.callback(handle.remove)
        yield steering
    steering.check()


class Steering:
    """What is planned for a batch, and what the passes over it have done."""

    def __init__(
        self,
        model: nn.Module,
        additions: Additions,
        attention_mask: Tensor,
        trace: list[TraceEntry] | None,
        prompt_lengths: Sequence[int] | None,
    ) -> None:
        self.name = type(model).__name__
        self.trace = trace
        self.starts: list[int] = attention_mask.int().argmax(dim=1).tolist()
        self.lengths = [int(n) for n in prompt_lengths or attention_mask.sum(dim=1).tolist()]
        rows = _by_row(additions, len(self.starts))
        self.planned = stages(rows, self.starts, self.lengths)
        # (row, gate) -> whether it is open, once it is decided; each gate's rows by layer.
        self.open: dict[tuple[int, Gate], bool] = {}
        # What the last prompts held, and whether the running pass reads new ones.
        self.prompts: Tensor | None = None
        self.deciding = False
        self.gates: dict[int, list[tuple[int, Gate]]] = {}
        for row, gate in dict.fromkeys(
            (row, addition.gate) for row, several in enumerate(rows) for addition in several
        ):
            if gate is not None:
                self.gates.setdefault(gate.layer, []).append((row, gate))
        self.layers = sorted({*self.planned, *self.gates})
        self.at_prompts = any(
            stage.cells for layer_stages in self.planned.values() for stage in layer_stages
        )
        # Columns before the running pass, columns that it reads, and its number.
        self.seen, self.read, self.step = 0, 0, -1
        self.counted: dict[int, int] = {}
        # Layers that the running pass still has to change; whether any pass changed anything.
        self.due: set[int] = set()
        self.changed = False

    def begin_pass(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
        inputs = {**arguments.pop("kwargs", {}), **arguments}
        tokens = next(
            inputs[name] for name in ("input_ids", "inputs_embeds") if inputs.get(name) is not None
        )
        self.read = tokens.shape[1]
        self.seen = columns_before(inputs, self.read, self.counted)
        for name in CACHES:
            if inputs.get(name) is not None:
                self.counted[id(inputs[name])] = self.seen + self.read
        self.step += 1
        self.due = {
            layer
            for layer, layer_stages in self.planned.items()
            if any(self._reached(stage.columns).any() for stage in layer_stages)
        }
        if self.gates:
            self.deciding = self.step == 0 or (self.seen == 0 and self._are_new(tokens))
            if self.deciding:
                self.prompts = self._prompts(tokens).clone()
                self.due.update(self.gates)

    def _prompts(self, tokens: Tensor) -> Tensor:
        end = max(start + length for start, length in zip(self.starts, self.lengths, strict=True))
        return tokens[:, :end]

    def _are_new(self, tokens: Tensor) -> bool:
        """Whether the prompts are other ones; without a cache each pass reads them again."""
        prompts = self._prompts(tokens)
        return self.prompts is None or not torch.equal(prompts, self.prompts.to(prompts.device))

    def end_pass(self, *_: Any) -> None:
        if self.due:
            raise UserError(
                f"{self.name}: block {min(self.due)} did not run where a vector is to act "
                "on its input; this architecture is not supported"
            )

    def check(self) -> None:
        """Raises UserError if passes were made and none changed anything."""
        if self.at_prompts and self.step >= 0 and not self.changed:
            raise UserError(
                f"{self.name}: nothing was changed, since the cache held the prompt before: "
                "read the prompt within `steer`, with an empty cache"
            )

    def change(self, layer: int, hidden: Tensor) -> Tensor | None:
        """The stream [rows, tokens, d_model] that a block reads in place of `hidden`."""
        if hidden.shape[1] != self.read:
            raise UserError(
                f"{self.name}: block {layer} reads {list(hidden.shape)} where [rows, "
                f"{self.read} tokens, d_model] was expected; this architecture is not supported"
            )
        copies, rest = divmod(hidden.shape[0], len(self.starts))
        if rest or not copies:
            raise ValueError(
                f"the batch has {hidden.shape[0]} rows, the additions were given for "
                f"{len(self.starts)}"
            )
        self.due.discard(layer)
        if self.deciding:
            self._decide(layer, hidden, copies)
        changed: Tensor | None = None
        for stage in self.planned.get(layer, ()):
            reached = self._reached(stage.columns)
            if self.gates:
                acting = [self._acts(stage, row) for row in stage.rows.tolist()]
                reached &= torch.tensor(acting, dtype=torch.bool)
            if reached.any():
                changed = hidden.clone() if changed is None else changed
                self._at_prompt(stage, layer, changed, copies, reached)
            for row, value in stage.repeated.items():
                if self.gates and not self._acts(stage, row):
                    continue
                # Cached steps read one new column; without a cache all new ones are read again.
                first = max(self.starts[row] + self.lengths[row], self.seen)
                if self.seen + self.read > first:
                    changed = hidden.clone() if changed is None else changed
                    self._at_generated(stage, layer, changed, copies, row, value, first)
        self.changed |= changed is not None
        return changed

    def _decide(self, layer: int, hidden: Tensor, copies: int) -> None:
        """Decide the gates of a layer, on the prompts as its block reads them."""
        for row, gate in self.gates.get(layer, ()):
            end = self.starts[row] + self.lengths[row]
            if self.seen or end > self.read:
                raise UserError(
                    f"{self.name}: a gate is decided on a whole prompt, and only a part was read; "
                    "read the prompt in one pass, with an empty cache"
                )
            self.open[row, gate] = gate.opens(hidden[row * copies, self.starts[row] : end])
            # To leave a prompt as it is may be what is asked for.
            self.changed = True

    def repeated(self) -> Iterator[tuple[int, Stage, Tensor]]:
        """(layer, stage, what it uses at a generated token of each row) of stages that act there.

        In the order in which they act, once the prompts were read. The last is [rows, d_model] of
        the vectors' dtype, zero in a row where the stage does not act.
        """
        for layer, layer_stages in sorted(self.planned.items()):
            for stage in layer_stages:
                acting = {r: v for r, v in stage.repeated.items() if self._acts(stage, r)}
                if acting:
                    some = next(iter(acting.values()))
                    zero = torch.zeros_like(some)
                    rows = [
                        acting.get(row, zero).to(some.device) for row in range(len(self.starts))
                    ]
                    yield layer, stage, torch.stack(rows)

    def _acts(self, stage: Stage, row: int) -> bool:
        """Whether a stage acts on a row: without a gate, or behind an open one."""
        gate = stage.gates[row]
        return gate is None or self.open[row, gate]

    def _reached(self, columns: Tensor) -> Tensor:
        return (columns >= self.seen) & (columns < self.seen + self.read)

    def _at_prompt(
        self, stage: Stage, layer: int, hidden: Tensor, copies: int, reached: Tensor
    ) -> None:
        rows, columns = stage.rows[reached], stage.columns[reached]
        values = stage.values[reached]
        added = None if stage.kind.reads_stream else values.to(hidden)
        counts = rows.unique_consecutive(return_counts=True)[1].tolist() if added is None else []
        changes = []
        for copy in range(copies):
            cells = rows * copies + copy, columns - self.seen
            if added is not None:
                hidden[cells] += added
                changes.append(added)
            else:
                before = hidden[cells]
                after = stage.changed_rows(before, values, counts)
                hidden[cells] = after
                changes.append(after - before)
        self._record(stage, layer, rows.tolist(), columns.tolist(), changes)

    def _at_generated(
        self,
        stage: Stage,
        layer: int,
        hidden: Tensor,
        copies: int,
        row: int,
        value: Tensor,
        first: int,
    ) -> None:
        columns = range(first, self.seen + self.read)
        part = hidden[row * copies : (row + 1) * copies, first - self.seen :]
        if stage.kind.reads_stream:
            before = part.flatten(0, 1)
            after = stage.new_rows(before, value.expand_as(before))
            part[:] = after.view_as(part)
            changes = list((after - before).view_as(part))
        else:
            part += value.to(hidden)
            changes = [value.expand(len(columns), -1)] * copies
        self._record(stage, layer, [row] * len(columns), columns, changes)

    def _record(
        self,
        stage: Stage,
        layer: int,
        rows: Sequence[int],
        columns: Sequence[int],
        changes: Sequence[Tensor],
    ) -> None:
        """Trace what changed at (row, column), in each copy of the rows [columns, d_model]."""
        if self.trace is None:
            return
        copies = len(changes)
        self.trace.extend(
            TraceEntry(
                row * copies + copy,
                layer,
                column - self.starts[row],
                self.step,
                float(changes[copy][index].norm()),
                stage.names[row],
            )
            for index, (row, column) in enumerate(zip(rows, columns, strict=True))
            for copy in range(copies)
        )


def _by_row(additions: Additions, rows: int) -> list[Sequence[Addition]]:
    """The additions of each row. Raises ValueError if they are of another number of rows."""
    common = [each for each in additions if isinstance(each, Addition)]
    if len(common) == len(additions):
        return [common] * rows
    by_row = [each for each in additions if not isinstance(each, Addition)]
    if len(by_row) != rows:
        raise ValueError(f"{len(by_row)} rows of additions for a batch of {rows}")
    return by_row
