"""What is done to the residual stream of a batch, planned in absolute columns of its padding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from actadd.base.errors import UserError
from actadd.engine.operations import OPERATIONS, Operation, unit
from actadd.engine.placement import Phase, Position, changed


@dataclass(frozen=True, eq=False)
class Gate:
    """A condition on a prompt, decided while it is read (CAST, Lee et al. 2024).

    It is open if the projection of the stream at `layer`, its mean over the prompt's tokens but
    BOS, on the direction of `vector` [d_model] is above `threshold`.
    Raises ValueError if vector has not one axis.
    """

    vector: Tensor
    layer: int
    threshold: float

    def __post_init__(self) -> None:
        if self.vector.ndim != 1:
            shape = tuple(self.vector.shape)
            raise ValueError(f"the gate's vector has the shape {shape}; write [d_model]")

    def opens(self, stream: Tensor) -> bool:
        """Whether it is open for a prompt; stream: what its block reads, [tokens, d_model]."""
        return bool(projected(stream, self.vector) > self.threshold)


def projected(stream: Tensor, vector: Tensor) -> Tensor:
    """What a gate compares with its threshold: the projection of a prompt's mean but BOS.

    stream: [tokens, d_model] of the prompt. vector: [d_model], of any length. Returns a scalar.
    """
    wide = torch.promote_types(stream.dtype, torch.float32)
    tokens = stream[1:] if len(stream) > 1 else stream
    mean, direction = tokens.to(wide).mean(dim=0), vector.to(stream.device, wide)
    return mean @ unit(direction)


@dataclass(frozen=True, eq=False)
class Addition:
    """A steering vector and what it does to the residual stream (Algorithm 1: c, h_A and l).

    vector: float [positions, d_model] of any dtype and device; row i belongs to the i-th aligned
        prompt position, counted from BOS.
    layer: block whose input is changed, 0-indexed.
    coefficient: factor of the vector; of another operation, its strength.
    position: where the rows are aligned in a prompt, see `placement.aligned`.
    dimensions: only the first so many entries of d_model are used; None means all of them.
    phase: "prefill" as in the paper; "decode", where the vector's last row acts on every token
        that is generated; or "every_step", both of them.
    operation: what the vector does to the stream, by its name or as a decorated function of your
        own; "add" adds it.
    options: further options of the operation.
    gate: it acts only on prompts for which the gate is open; its layer is not above `layer`.
    Raises TypeError if vector is no tensor, ValueError if it has not two axes, UserError if there
    is no such operation or option, or the gate is decided too late.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> addition = Addition(vector, layer=1, coefficient=5)
    >>> bool((addition.scaled() == 5 * vector).all())
    True
    """

    vector: Tensor
    layer: int
    coefficient: float | None = None
    position: Position = "front"
    dimensions: int | None = None
    phase: Phase = "prefill"
    operation: str | Operation = "add"
    options: Mapping[str, Any] = field(default_factory=dict)
    gate: Gate | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.vector, Tensor):
            kind = type(self.vector).__name__
            raise TypeError(f"vector is a {kind}; write a torch.Tensor [positions, d_model]")
        if self.vector.ndim != 2:
            shape = tuple(self.vector.shape)
            raise ValueError(f"vector has the shape {shape}; write [positions, d_model]")
        self.settings()
        if self.gate and self.gate.layer > self.layer:
            raise UserError(
                f"gate: layer {self.gate.layer} is read after layer "
                f"{self.layer}, at which the vector acts; write a layer up to {self.layer}"
            )

    @property
    def lowest(self) -> int:
        """The lowest layer that has to be read or changed."""
        return min(self.layer, self.gate.layer) if self.gate else self.layer

    @property
    def kind(self) -> Operation:
        """The operation. Raises UserError if there is none of that name."""
        if isinstance(self.operation, Operation):
            return self.operation
        if self.operation not in OPERATIONS:
            raise UserError(
                f"operation {self.operation!r} is unknown; write one of {', '.join(OPERATIONS)}"
            )
        return OPERATIONS[self.operation]

    def settings(self) -> Any:
        """The operation's options, coefficient included. Raises UserError for an unknown one."""
        known = [each.name for each in fields(self.kind.options)]
        if unknown := sorted(self.options.keys() - known):
            raise UserError(
                f"the operation {self.kind.name} has no option {unknown[0]!r}; write one of "
                f"{', '.join(known)}"
            )
        strength = {} if self.coefficient is None else {self.kind.strength: self.coefficient}
        values = {**self.options, **strength}
        if self.kind.strength not in values and self.kind.needs_strength:
            raise UserError(
                f"the operation {self.kind.name} has no {self.kind.strength}; write one as "
                "coefficient, or in options"
            )
        return self.kind.options(**values)

    def rows(self) -> Tensor:
        """The vector, zero beyond the first `dimensions`; [positions, d_model]."""
        if self.dimensions is None:
            return self.vector
        rows = self.vector.clone()
        rows[:, self.dimensions :] = 0
        return rows

    def scaled(self) -> Tensor:
        """What `add` adds: coefficient * vector, zero beyond `dimensions`; [positions, d_model]."""
        return self.kind(self.rows(), self.settings())


class TraceEntry(NamedTuple):
    """One change of the residual stream. `position` counts from the row's BOS.

    norm: of the change, as it was added. operation: its name; of several whose sum was added, all
    of them, joined by "+".
    """

    row: int
    layer: int
    position: int
    step: int
    norm: float
    operation: str


@dataclass(eq=False)
class Stage:
    """One operation on any rows of a batch, at one layer.

    cells: (row, column of the padded batch) -> what is used there, [d_model]: of an operation that
    does not read the stream, what is added; else the vector's row. repeated: row -> the same at
    each generated token. names: row -> the operations that act on it, for the trace. gates: row ->
    the gate behind which they act, if any.
    """

    kind: Operation
    options: Any
    cells: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    repeated: dict[int, Tensor] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    gates: dict[int, Gate | None] = field(default_factory=dict)

    def pack(self) -> None:
        """Make the cells tensors, which a pass picks from."""
        self.rows = torch.tensor([row for row, _ in self.cells], dtype=torch.long)
        self.columns = torch.tensor([column for _, column in self.cells], dtype=torch.long)
        self.values = torch.stack(list(self.cells.values())) if self.cells else torch.empty(0)

    def changed_rows(self, stream: Tensor, values: Tensor, counts: Sequence[int]) -> Tensor:
        """`new_rows` of several batch rows under each other, of so many positions each.

        Each is computed by itself: how a sum is rounded may depend on how many are summed at once,
        and a row's bytes must not depend on those beside it.
        """
        parts = zip(stream.split(counts), values.to(stream.device).split(counts), strict=True)
        return torch.cat([self.new_rows(*part) for part in parts])

    def new_rows(self, stream: Tensor, values: Tensor) -> Tensor:
        """The stream [n, d_model] after the operation; values: [n, d_model] on its device."""
        wide = torch.promote_types(stream.dtype, torch.float32)
        vectors = values.to(stream.device, wide)
        changed = self.kind(stream.to(wide), vectors, self.options).to(stream)
        # Without a direction there is nothing to do.
        return torch.where(vectors.any(-1, keepdim=True), changed, stream)

    def joins(self, kind: Operation, options: Any) -> bool:
        """Whether an operation on another row can be done at once with this one."""
        if not kind.reads_stream:
            return not self.kind.reads_stream
        return self.kind is kind and self.options == options


def stages(
    additions: Sequence[Sequence[Addition]], starts: Sequence[int], lengths: Sequence[int]
) -> dict[int, list[Stage]]:
    """Layer -> what is done there, in order.

    additions: of each row, in the order in which they act. starts: columns of the rows' BOS.
    lengths: tokens of the rows, in which vectors are aligned. What consecutive additions of a row
    add at one position, if they do not read the stream, is summed.
    Raises UserError if a vector is longer than its prompt.
    """
    planned: dict[int, list[Stage]] = {}
    for row, row_additions in enumerate(additions):
        # Layer -> the first stage in which the row's next operation may act.
        following: dict[int, int] = {}
        for addition in row_additions:
            kind, options = addition.kind, addition.settings()
            layer_stages = planned.setdefault(addition.layer, [])
            first = following.get(addition.layer, 0)
            index = first
            while index < len(layer_stages) and not (
                layer_stages[index].joins(kind, options)
                and layer_stages[index].gates.get(row, addition.gate) is addition.gate
            ):
                index += 1
            if index == len(layer_stages):
                layer_stages.append(Stage(kind, options))
            following[addition.layer] = index + kind.reads_stream
            _place(layer_stages[index], addition, row, starts[row], lengths[row])
    for layer_stages in planned.values():
        for stage in layer_stages:
            stage.pack()
    return planned


def _place(stage: Stage, addition: Addition, row: int, start: int, length: int) -> None:
    kind = addition.kind
    stage.gates[row] = addition.gate
    stage.names[row] = f"{stage.names[row]}+{kind.name}" if row in stage.names else kind.name
    values = addition.rows() if kind.reads_stream else addition.scaled()
    positions = changed(addition.position, addition.phase, len(values), length)
    for index, position in enumerate(positions):
        key = (row, start + position)
        value = values[0] if addition.position == "all" else values[index]
        stage.cells[key] = stage.cells[key] + value if key in stage.cells else value
    if addition.phase != "prefill":
        last = values[-1]
        stage.repeated[row] = stage.repeated[row] + last if row in stage.repeated else last
