"""Recording and changing the residual stream: the method itself (paper, Algorithm 1).

Everything is a forward pre-hook on a decoder block, so "layer l" is by construction the residual
stream at the input of block l. Which columns of a batch are changed is decided once, in absolute
columns of the padded prompt; a forward pass changes those of them that it reads. So the prefill is
changed and a cached decode step, which reads later columns only, is not; and without a cache the
same prompt positions are changed again at each recomputation, the generated ones never.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from actadd.base.errors import UserError
from actadd.engine.alignment import Position, aligned

Phase = Literal["prefill", "every_step"]
# What configs call the number of decoder blocks.
DEPTHS = ("num_hidden_layers", "decoder_layers", "num_decoder_layers")
# What models call their cache, as an argument and as a field of their output.
CACHES = ("past_key_values", "cache_params", "state", "past_buckets_states", "mems", "cache")


@dataclass(frozen=True, eq=False)
class Addition:
    """A steering vector to be added to the residual stream (Algorithm 1: c, h_A and l).

    vector: float [positions, d_model] of any dtype and device; row i belongs to the i-th aligned
        prompt position, counted from BOS.
    layer: block whose input is changed, 0-indexed.
    coefficient: factor of the vector.
    position: where the rows are aligned in a prompt, see `alignment.aligned`.
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


# Language models whose blocks have hooks of ours just now.
_hooked: Counter[nn.Module] = Counter()


def _verified(model: nn.Module) -> None:
    """Verifies a model that was not yet, unless it is within another context of this module.

    By name: verification changes no number, so no cell's key depends on its code.
    """
    if not _hooked[language_model(model)]:
        import_module("actadd.models.verification").ensure(model)


def language_model(model: nn.Module) -> nn.Module:
    """The causal language model in `model`, however it is wrapped.

    A wrapper (PEFT, `torch.compile`, data parallelism, a user's own module) holds one; it is the
    outermost `PreTrainedModel`, or `model` itself if that brings a config of its own.
    Raises UserError if there is none, or more than one side by side.
    """
    if isinstance(model, PreTrainedModel):
        return model
    outermost: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, PreTrainedModel) and module not in inside:
            outermost.append(module)
            inside.update(module.modules())
    if not outermost and hasattr(model, "config"):
        return model
    if len(outermost) != 1:
        names = ", ".join(type(each).__name__ for each in outermost) or "none"
        raise UserError(
            f"{type(model).__name__} holds {len(outermost)} transformers models ({names}) where "
            "one was expected; pass the causal language model itself"
        )
    return outermost[0]


def blocks(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks of a causal language model, in order.

    They are the one ModuleList as long as the config's number of layers; of several, as vision and
    text towers of one depth are, the one in the text decoder.
    Raises UserError if there is no such list, or more than one.
    """
    model = language_model(model)
    config = model.config.get_text_config()
    depths = {getattr(config, name, None) for name in DEPTHS}
    candidates = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList)
        and len(module) in depths
        and all(_is_block(child) for child in module)
    ]
    if len(candidates) > 1 and isinstance(model, PreTrainedModel):
        inside = set(model.get_decoder().modules())
        candidates = [module for module in candidates if module in inside]
    if len(candidates) != 1:
        raise UserError(
            f"{type(model).__name__} has {len(candidates)} lists of {config.num_hidden_layers} "
            "blocks where one was expected; this architecture is not supported"
        )
    return candidates[0]


def _is_block(module: nn.Module) -> bool:
    """Whether a module has several parts, or wraps one that has, as `torch.compile` does."""
    parts = list(module.children())
    if len(parts) == 1:
        return _is_block(parts[0])
    return len(parts) > 1 and hasattr(module, "forward")


def _reader(model: nn.Module, modules: nn.ModuleList) -> nn.Module:
    """The innermost module around the blocks that is called with token ids: once in each pass."""
    model = language_model(model)
    name = next(name for name, module in model.named_modules() if module is modules)
    parts = name.split(".")
    around = [model.get_submodule(".".join(parts[:depth])) for depth in range(len(parts))]
    readers = [module for module in around if "input_ids" in _parameters(type(module))]
    return readers[-1] if readers else model


@cache
def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind.forward).parameters


def takes(model: nn.Module, name: str) -> bool:
    """Whether a keyword argument of this name reaches the language model's own forward."""
    parameters = inspect.signature(model.forward).parameters
    passed_on = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    # A subclass may name what it changes and pass on the rest.
    kinds = [kind for kind in type(language_model(model)).__mro__ if "forward" in vars(kind)]
    return (name in parameters or passed_on) and any(name in _parameters(kind) for kind in kinds)


def cache_name(model: nn.Module) -> str | None:
    """The argument, and the output's field, in which a model's cache goes; None without one."""
    return next((name for name in CACHES if takes(model, name)), None)


def _stream(block: nn.Module, args: tuple, kwargs: dict) -> tuple[str | None, Tensor]:
    """The residual stream among a block's arguments, and its name if it is a keyword's."""
    # A wrapper's forward names nothing.
    names = [*(name for name in _parameters(type(block)) if name in kwargs), *kwargs]
    name = None if args else next(iter(names), None)
    hidden = args[0] if args else kwargs.get(name)
    if not isinstance(hidden, Tensor) or hidden.ndim != 3:
        kind = f"{list(hidden.shape)}" if isinstance(hidden, Tensor) else type(hidden).__name__
        raise UserError(
            f"{type(block).__name__} reads a residual stream of the form {kind} where [rows, "
            "tokens, d_model] was expected; this architecture is not supported"
        )
    return name, hidden


@contextmanager
def _uncompiled() -> Iterator[None]:
    """What `torch.compile` made runs as plain Python: its graphs would miss hooks, or keep them.

    The compiler takes seconds to import, so it is not asked where nothing can have been compiled.
    """
    if "torch._dynamo" in sys.modules:
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    try:
        yield
    finally:
        if "torch._dynamo" in sys.modules:
            torch._dynamo.reset()


@contextmanager
def _counted(model: nn.Module) -> Iterator[None]:
    _hooked[model] += 1
    try:
        yield
    finally:
        _hooked[model] -= 1
        if not _hooked[model]:
            del _hooked[model]


@contextmanager
def _hooks_on_inputs(model: nn.Module, layers: Sequence[int], visit) -> Iterator[None]:
    """Calls visit(layer, hidden) before each block; what it returns replaces the block's input."""

    def make(layer: int):
        def hook(module, args, kwargs):
            name, hidden = _stream(module, args, kwargs)
            changed = visit(layer, hidden)
            if changed is None:
                return None
            return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, name: changed})

        return hook

    modules = blocks(model)
    for layer in layers:
        if not 0 <= layer < len(modules):
            raise UserError(f"layer {layer} does not exist: the model has 0 to {len(modules) - 1}")
    with ExitStack() as stack:
        stack.enter_context(_uncompiled())
        stack.enter_context(_counted(language_model(model)))
        for layer in layers:
            handle = modules[layer].register_forward_pre_hook(make(layer), with_kwargs=True)
            stack.callback(handle.remove)
        yield


@torch.inference_mode()
def record_activations(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    verify: bool = True,
) -> Tensor:
    """The residual stream at the input of every block, from one forward pass (Algorithm 1, step 2).

    input_ids, attention_mask: int [batch, tokens], on the model's device; padding may be left or
    right. verify: as of `steer`. Returns float [layers, batch, tokens, d_model] in the model's
    dtype, on its device; columns of padding hold what the model makes of them. Raises UserError if
    the model's blocks cannot be found, or it does not pass its verification.

    >>> ids, mask = prompt_batch(tokenizer, ["I went up to my friend and said"])
    >>> stream = record_activations(model, ids, mask)
    >>> stream.shape == (model.config.num_hidden_layers, *ids.shape, model.config.hidden_size)
    True
    """
    if verify:
        _verified(model)
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
    return device_of(language_model(model).get_input_embeddings())


def model_inputs(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None, seen: int = 0
) -> dict[str, Tensor]:
    """Keyword arguments for a forward pass over columns seen.. of a padded batch.

    Position ids count real tokens only: most architectures do not derive them from the mask.
    """
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if takes(model, "position_ids"):
        inputs["position_ids"] = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, seen:]
    return inputs


def _columns_before(inputs: Mapping[str, Any], read: int, counted: dict[int, int]) -> int:
    """Columns of the padded batch that were read before a pass, by what says so for its cache.

    counted: columns read so far with each cache, by its id, for caches that do not count.
    """
    positions = inputs.get("cache_position")
    if positions is not None:
        return int(positions[0])
    held = next((inputs[name] for name in CACHES if inputs.get(name) is not None), None)
    if held is None or inputs.get("use_cache") is False:
        return 0
    try:
        # Read as a number now: a static cache's own counter goes on while the pass runs.
        return int(held.get_seq_length())
    except (AttributeError, TypeError, ValueError):
        mask = inputs.get("attention_mask")
        if isinstance(mask, Tensor) and mask.ndim == 2 and mask.shape[1] > read:
            return mask.shape[1] - read
        return counted.get(id(held), 0)


@contextmanager
def steer(
    model: nn.Module,
    additions: Sequence[Addition] | Sequence[Sequence[Addition]],
    attention_mask: Tensor,
    trace: list[Touch] | None = None,
    prompt_lengths: Sequence[int] | None = None,
    *,
    verify: bool = True,
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
    verify: whether a model is verified when it is first used, and again after its wrapping,
        dtype or device changed, see `verification.verify`; it runs a few short prompts.

    The hooks are removed when the context ends, however it ends. Works around the model's own
    `generate` as well as `generation.generate`, with any cache and without one. What is
    compiled runs uncompiled within.
    Raises UserError if a vector is longer than its prompt, a layer does not exist, the model does
    not pass its verification or nothing was added in the end, and ValueError if there are other
    rows of additions than of the batch.

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
    if verify:
        _verified(model)
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

    rows_planned = len(additions)
    state = {"seen": 0, "read": 0, "step": -1}
    counted: dict[int, int] = {}
    # Layers that the running pass still has to change; whether any pass changed anything.
    due: set[int] = set()
    done: set[int] = set()

    def begin_pass(module, args, kwargs):
        arguments = inspect.signature(module.forward).bind_partial(*args, **kwargs).arguments
        inputs = {**arguments.pop("kwargs", {}), **arguments}
        read = next(
            inputs[name].shape[1]
            for name in ("input_ids", "inputs_embeds")
            if inputs.get(name) is not None
        )
        seen = _columns_before(inputs, read, counted)
        for name in CACHES:
            if inputs.get(name) is not None:
                counted[id(inputs[name])] = seen + read
        state.update(seen=seen, read=read, step=state["step"] + 1)
        due.clear()
        due.update(
            layer
            for layer, (_, columns, _) in packed.items()
            if ((columns >= seen) & (columns < seen + read)).any()
        )

    def end_pass(*_):
        if due:
            raise UserError(
                f"{type(model).__name__}: block {min(due)} did not run where a vector is to be "
                "added at its input; this architecture is not supported"
            )

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
        seen, read = state["seen"], state["read"]
        if hidden.shape[1] != read:
            raise UserError(
                f"{type(model).__name__}: block {layer} reads {list(hidden.shape)} where [rows, "
                f"{read} tokens, d_model] was expected; this architecture is not supported"
            )
        copies, rest = divmod(hidden.shape[0], rows_planned)
        if rest or not copies:
            raise ValueError(
                f"the batch has {hidden.shape[0]} rows, the additions were given for {rows_planned}"
            )
        changed = None
        due.discard(layer)
        if layer in packed:
            rows, columns, values = packed[layer]
            here = (columns >= seen) & (columns < seen + read)
            if here.any():
                changed = hidden.clone()
                added = values[here].to(hidden)
                for copy in range(copies):
                    changed[rows[here] * copies + copy, columns[here] - seen] += added
                _record(layer, copies, rows[here], columns[here], added)
                done.add(layer)
        for row, value in repeated.get(layer, {}).items():
            # Cached steps read one new column; without a cache all new ones are read again.
            first = max(starts[row] + lengths[row], seen)
            if seen + read > first:
                changed = hidden.clone() if changed is None else changed
                changed[row * copies : (row + 1) * copies, first - seen :] += value.to(hidden)
                columns = range(first, seen + read)
                _record(layer, copies, [row] * len(columns), columns, [value] * len(columns))
                done.add(layer)
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
    reader = _reader(model, blocks(model))
    with _hooks_on_inputs(model, layers, add), ExitStack() as stack:
        for handle in (
            reader.register_forward_pre_hook(begin_pass, with_kwargs=True),
            reader.register_forward_hook(end_pass),
        ):
            stack.callback(handle.remove)
        yield
    if layers and state["step"] >= 0 and not done:
        raise UserError(
            f"{type(model).__name__}: nothing was added, since the cache held the prompt before: "
            "read the prompt within `steer`, with an empty cache"
        )
