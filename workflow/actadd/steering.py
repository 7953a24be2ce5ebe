"""Recording and changing the residual stream: the method itself (paper, Algorithm 1).

Everything is a forward pre-hook on a decoder block, so "layer l" is by construction the residual
stream at the input of block l. Which columns of a batch are changed is decided once, in absolute
columns of the padded prompt; a forward pass changes those of them that it reads. So the prefill is
changed and a cached decode step, which reads later columns only, is not; and without a cache the
same prompt positions are changed again at each recomputation, the generated ones never.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from actadd.alignment import Position, aligned
from actadd.errors import UserError

Phase = Literal["prefill", "every_step"]


@dataclass(frozen=True, eq=False)
class Addition:
    """A steering vector to be added to the residual stream (Algorithm 1: c, h_A and l).

    vector: float [positions, d_model] of any dtype and device; row i belongs to the i-th aligned
        prompt position, counted from BOS.
    layer: block whose input is changed, 0-indexed.
    coefficient: factor of the vector.
    position: where the rows are aligned in a prompt, see `actadd.alignment.aligned`.
    dimensions: only the first so many entries of d_model are added; None means all of them.
    phase: "prefill" as in the paper, or "every_step", which also adds the vector's last row to
        every token that is generated (a control: it shows what re-adding breaks).
    Raises TypeError if vector is no tensor, ValueError if it has not two axes.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> addition = Addition(vector, layer=1, coefficient=5)
    >>> bool((addition.scaled() == 5 * vector).all())
    True
    """

    vector: Tensor
    layer: int
    coefficient: float
    position: Position = "front"
    dimensions: int | None = None
    phase: Phase = "prefill"

    def __post_init__(self) -> None:
        if not isinstance(self.vector, Tensor):
            kind = type(self.vector).__name__
            raise TypeError(f"vector is a {kind}; write a torch.Tensor [positions, d_model]")
        if self.vector.ndim != 2:
            shape = tuple(self.vector.shape)
            raise ValueError(f"vector has the shape {shape}; write [positions, d_model]")

    def scaled(self) -> Tensor:
        """coefficient * vector, zero beyond the first `dimensions`; [positions, d_model]."""
        rows = self.coefficient * self.vector
        if self.dimensions is not None:
            rows = rows.clone()
            rows[:, self.dimensions :] = 0
        return rows


class Touch(NamedTuple):
    """One row of the trace: what was added where. `position` counts from the row's BOS."""

    row: int
    layer: int
    position: int
    step: int
    norm: float


def blocks(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks of a causal language model, in order.

    They are the one ModuleList as long as the config's number of layers, which holds for GPT-2,
    GPT-J, GPT-NeoX, OPT, LLaMA, Mistral, Qwen, Gemma, Phi, BLOOM, Falcon and their kin.
    Raises UserError if there is no such list, or more than one.
    """
    depth = model.config.get_text_config().num_hidden_layers
    found = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == depth
        and all(hasattr(child, "forward") and len(list(child.children())) > 1 for child in module)
    ]
    if len(found) != 1:
        raise UserError(
            f"{type(model).__name__} has {len(found)} lists of {depth} blocks where one was "
            "expected; this architecture is not supported"
        )
    return found[0]


@contextmanager
def _hooks_on_inputs(model: nn.Module, layers: Sequence[int], visit) -> Iterator[None]:
    """Calls visit(layer, hidden) before each block; what it returns replaces the block's input."""

    def make(layer: int):
        def hook(_module, args, kwargs):
            if args:
                changed = visit(layer, args[0])
                return None if changed is None else ((changed, *args[1:]), kwargs)
            changed = visit(layer, kwargs["hidden_states"])
            return None if changed is None else (args, {**kwargs, "hidden_states": changed})

        return hook

    modules = blocks(model)
    for layer in layers:
        if not 0 <= layer < len(modules):
            raise UserError(f"layer {layer} does not exist: the model has 0 to {len(modules) - 1}")
    with ExitStack() as stack:
        for layer in layers:
            handle = modules[layer].register_forward_pre_hook(make(layer), with_kwargs=True)
            stack.callback(handle.remove)
        yield


@torch.inference_mode()
def record_activations(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None = None
) -> Tensor:
    """The residual stream at the input of every block, from one forward pass (Algorithm 1, step 2).

    input_ids, attention_mask: int [batch, tokens], on the model's device; padding may be left or
    right. Returns float [layers, batch, tokens, d_model] in the model's dtype, on its device;
    columns of padding hold what the model makes of them. Raises UserError if the model's blocks
    cannot be found.

    >>> ids, mask = prompt_batch(tokenizer, ["I went up to my friend and said"])
    >>> stream = record_activations(model, ids, mask)
    >>> stream.shape == (model.config.num_hidden_layers, *ids.shape, model.config.hidden_size)
    True
    """
    recorded: dict[int, Tensor] = {}
    layers = range(len(blocks(model)))
    with _hooks_on_inputs(model, layers, lambda layer, hidden: recorded.update({layer: hidden})):
        model(**model_inputs(model, input_ids, attention_mask), use_cache=False)
    first = recorded[0].device
    return torch.stack([recorded[layer].to(first) for layer in layers])


def device_of(module: nn.Module) -> torch.device:
    """Where a module computes and takes its inputs.

    A module whose weights lie elsewhere between its passes (on the CPU or a disk) says so in the
    hook that brings them; its weights themselves are on no device then.
    """
    hook = getattr(module, "_hf_hook", None)
    for each in getattr(hook, "hooks", [hook]):
        place = getattr(each, "execution_device", None)
        if place is not None:
            return torch.device(place)
    return next(module.parameters()).device


def input_device(model: nn.Module) -> torch.device:
    """Where a causal language model takes its token ids, however it is spread over devices."""
    return device_of(model.get_input_embeddings())


def model_inputs(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, seen: int = 0
) -> dict[str, Tensor]:
    """Keyword arguments for a forward pass over columns seen.. of a padded batch.

    Position ids count real tokens only: most architectures do not derive them from the mask.
    """
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if _takes_position_ids(type(model)):
        inputs["position_ids"] = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, seen:]
    return inputs


def _takes_position_ids(kind: type) -> bool:
    return "position_ids" in inspect.signature(kind.forward).parameters


@contextmanager
def steer(
    model: nn.Module,
    additions: Sequence[Addition] | Sequence[Sequence[Addition]],
    attention_mask: Tensor,
    trace: list[Touch] | None = None,
    prompt_lengths: Sequence[int] | None = None,
) -> Iterator[None]:
    """Adds vectors to the residual stream while the context lasts (Algorithm 1, steps 3 and 4).

    additions: a list of additions, made in every row; or one such list for each row of the batch
        (empty: the row is unsteered). A batch with a multiple of these rows holds each of them
        several times in succession, as the samples of one prompt do, and with them
        `num_return_sequences` of the model's own `generate`.
    attention_mask: int [batch, tokens] of the padded prompts; padding may be left or right and is
        never changed.
    trace: if given, a `Touch` is appended for everything that is added.
    prompt_lengths: tokens of each row, from its BOS on, in which vectors are aligned; the default
        is the whole row. Shorter where a text to be scored follows the prompt in the same row.

    The hooks are removed when the context ends, however it ends. Works around the model's own
    `generate` as well as `actadd.generation.generate`, with and without a cache.
    Raises UserError if a vector is longer than its prompt or a layer does not exist, and ValueError
    if there are other rows of additions than of the batch.

    >>> vector = steering_vector(model, tokenizer, "Love", "Hate", layer=1)
    >>> love = Addition(vector, layer=1, coefficient=5)
    >>> ids, mask = prompt_batch(tokenizer, ["I hate you because", "The weather was"])
    >>> with steer(model, [love], mask):
    ...     both = model.generate(ids, attention_mask=mask, max_new_tokens=4)
    >>> with steer(model, [[love], []], mask):
    ...     first_alone = model.generate(ids, attention_mask=mask, max_new_tokens=4)
    >>> both.shape == first_alone.shape
    True
    """
    starts = attention_mask.int().argmax(dim=1).tolist()
    lengths = list(prompt_lengths or attention_mask.sum(dim=1).tolist())
    if all(isinstance(addition, Addition) for addition in additions):
        additions = [additions] * len(starts)
    if len(additions) != len(starts):
        raise ValueError(f"{len(additions)} rows of additions for a batch of {len(starts)}")

    # layer -> (row, column) -> what is added there; layer -> row -> what is added at each step.
    planned: dict[int, dict[tuple[int, int], Tensor]] = {}
    repeated: dict[int, dict[int, Tensor]] = {}
    for row, row_additions in enumerate(additions):
        for addition in row_additions:
            scaled = addition.scaled()
            cells = planned.setdefault(addition.layer, {})
            for index, place in enumerate(
                aligned(addition.position, len(scaled), int(lengths[row]))
            ):
                key = (row, starts[row] + place)
                value = scaled[0] if addition.position == "all" else scaled[index]
                cells[key] = cells[key] + value if key in cells else value
            if addition.phase == "every_step":
                rows = repeated.setdefault(addition.layer, {})
                rows[row] = rows[row] + scaled[-1] if row in rows else scaled[-1]

    state = {"seen": 0, "step": -1}

    def note_progress(_module, args, kwargs):
        cache = kwargs.get("past_key_values")
        state["seen"] = cache.get_seq_length() if cache is not None else 0
        state["step"] += 1

    packed = {
        layer: (
            torch.tensor([row for row, _ in cells]),
            torch.tensor([column for _, column in cells]),
            torch.stack(list(cells.values())),
        )
        for layer, cells in planned.items()
        if cells
    }

    def add(layer: int, hidden: Tensor) -> Tensor | None:
        copies, rest = divmod(hidden.shape[0], len(additions))
        if rest or not copies:
            raise ValueError(
                f"the batch has {hidden.shape[0]} rows, the additions were given for "
                f"{len(additions)}"
            )
        seen, read = state["seen"], hidden.shape[1]
        changed = None
        if layer in packed:
            rows, columns, values = packed[layer]
            here = (columns >= seen) & (columns < seen + read)
            if here.any():
                changed = hidden.clone()
                added = values[here].to(hidden)
                for copy in range(copies):
                    changed[rows[here] * copies + copy, columns[here] - seen] += added
                _record(layer, copies, rows[here], columns[here], added)
        for row, value in repeated.get(layer, {}).items():
            # Cached steps read one new column; without a cache all new ones are read again.
            first = max(starts[row] + lengths[row], seen)
            if seen + read > first:
                changed = hidden.clone() if changed is None else changed
                changed[row * copies : (row + 1) * copies, first - seen :] += value.to(hidden)
                columns = range(first, seen + read)
                _record(layer, copies, [row] * len(columns), columns, [value] * len(columns))
        return changed

    def _record(layer, copies, rows, columns, values):
        if trace is not None:
            trace.extend(
                Touch(
                    int(row) * copies + copy,
                    layer,
                    int(column) - starts[row],
                    state["step"],
                    float(value.norm()),
                )
                for row, column, value in zip(rows, columns, values, strict=True)
                for copy in range(copies)
            )

    layers = sorted({*packed, *repeated})
    with _hooks_on_inputs(model, layers, add):
        handle = model.register_forward_pre_hook(note_progress, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
