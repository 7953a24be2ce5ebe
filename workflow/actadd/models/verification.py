"""Whether a model is steered right: checked on its own weights, with a handful of short prompts.

Each property is compared with a reference that shares no code with the library: one unpadded row,
read whole without a cache, with hooks written out here. The distance of a position is
||a - b|| / ||b|| of its vector (of logits: less their mean, which no probability depends on), the
largest over layers.

What is no matter of rounding is compared bit for bit. For the rest, other passes of the unsteered
model say how far rounding takes each position: several copies of the row; the row padded on the
right, where padding changes no position; and copies whose stream is rounded otherwise at each
block, since some shapes happen to be computed alike, and a router of experts may lie at a tie. A
property may be off by four times that noise, which is never taken to be less than the median of all
positions, or than a few rounding errors of the dtype and of the float32 of its sums.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError, named
from actadd.base.files import remove, write_json
from actadd.engine.additions import Addition, TraceEntry
from actadd.engine.batching import is_out_of_memory, left_pad
from actadd.engine.drawing.kv_cache import Reading
from actadd.engine.hooks import is_hooked, record_activations
from actadd.engine.shared_layers import outputs_below, resumed_at
from actadd.engine.steering import steer
from actadd.engine.structure import (
    blocks,
    cache_name,
    input_device,
    language_model,
    model_inputs,
)

# Tokens of each prompt, tokens that follow it, and columns of their batch: each row has padding.
LENGTHS, FOLLOWING, WIDTH = (5, 3, 8), 2, 9
# Rounding errors that the noise is at least taken to be: of float32, in which sums are kept, and of
# the dtype.
SINGLE, OWN = 8, 2
# Copies of a row whose streams are rounded otherwise.
ROUNDED = 4
# A property may be off by this many times the noise.
FACTOR = 4
# The bound in float64. A model that computes a part in float32 all the same has the bound of
# float32; noise larger than the second number shows that it does.
FLOAT64, PURE = 1e-9, 1e-11
# Where another shape alone moves a position this far, nothing can be told from it. Rounding anew
# counts as this much at most, so that a fault still shows.
UNSTEADY = 0.1
# Norm of an added vector, as a share of the residual stream's usual norm there.
SHARE = 0.5

# Property -> what is wrong if it does not hold.
PROPERTIES = {
    "repetition": "the same pass twice gives other numbers, as in training mode",
    "range": "its numbers are not finite, as where float16 overflows: take another dtype",
    "batching": "rounding alone changes its numbers so much that nothing can be told",
    "stream": "its blocks do not read the residual stream as [rows, tokens, d_model], each once",
    "causality": "a token's numbers depend on tokens behind it",
    "positions": "it does not derive the positions that it is given",
    "padding": "a left-padded row differs from the row alone",
    "cache": "decoding with a cache differs from reading the whole text again",
    "resumption": "a pass that starts at a higher block differs from a whole one",
    "additions": "an addition does not change exactly the planned rows and positions",
    "effect": "an addition changes no logits",
    "steering": "logits of a steered batch differ from those of each row steered alone",
    "removal": "logits after steering are not what they were before",
}


def verify(model: nn.Module) -> dict[str, Any]:
    """Checks that the library steers a model right; seconds for a small one.

    model: a causal language model on its device, in the dtype of the experiments, wrapped or not.
    Returns its class, model_type, dtype and device, the noise, and for each of PROPERTIES what was
    measured ("difference"), what is allowed ("bound") and whether it passed. The numbers are
    relative, see above; of additions and hooks, how many are not as planned.
    Raises UserError with one sentence that names the first property that does not hold.

    >>> verify(model)["properties"]["padding"]["passed"]
    True
    """
    record = examine(model)
    for name, found in record["properties"].items():
        if not found["passed"]:
            raise UserError(_sentence(record, name, found))
    return record


def verified(
    spec: dict, model_dir: Path, output: Path, otherwise_removed: Path | None = None
) -> None:
    """Loads a prepared model, verifies it and writes the record as JSON.

    spec: dtype, and compute as `loading.load` takes it. otherwise_removed: a folder that does
    not stay if the model is refused. Raises UserError that names the model's config key.
    """
    from actadd.models.loading import load

    started = time.perf_counter()
    try:
        model = load(model_dir, dtype=spec["dtype"], **{"threads": 1, **spec["compute"]})
        with named(f"models.{model_dir.name}", "; take another model"):
            write_json(output, verify(model))
    except BaseException:
        if otherwise_removed:
            remove(otherwise_removed)
        raise
    print(f"verified in {time.perf_counter() - started:.1f} s", flush=True)


# Packages whose hooks are a part of how a model computes.
PACKAGES = ("torch", "transformers", "accelerate", "peft", "bitsandbytes")
# What a model was when it was verified.
_known: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def ensure(model: nn.Module) -> None:
    """Verify a model unless it was, as it is now, or has hooks of ours: within them it was."""
    if is_hooked(model):
        return
    state = _state(model)
    if _known.get(model) != state:
        try:
            with _own_hooks_aside(model):
                verify(model)
        except UserError as error:
            remedy = "with verify=False it is steered all the same"
            if any(module.training for module in language_model(model).modules()):
                remedy = "it is in training mode, so call model.eval() first"
            raise UserError(f"{error}; {remedy}") from error
        _known[model] = state


@contextmanager
def _own_hooks_aside(model: nn.Module) -> Iterator[None]:
    """Hooks of the user's own code do not see the passes; those of packages belong to the model."""
    kept = []
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            kept.append((hooks, dict(hooks)))
            for key, hook in kept[-1][1].items():
                if str(getattr(hook, "__module__", "")).split(".")[0] not in PACKAGES:
                    del hooks[key]
    try:
        yield
    finally:
        for hooks, before in kept:
            hooks.clear()
            hooks.update(before)


def _state(model: nn.Module) -> int:
    """What of a model decides how it is steered, its weights aside."""
    base = language_model(model)
    modules = [
        (
            type(module),
            module.training,
            # Replaced, as by accelerate; or compiled in place.
            "forward" in vars(module),
            module._compiled_call_impl is not None,
        )
        for module in model.modules()
    ]
    attention = getattr(base.config, "_attn_implementation", None)
    return hash((tuple(modules), attention, base.dtype, input_device(model)))


def examine(model: nn.Module) -> dict[str, Any]:
    """The record of `verify`, up to and with the first property that does not hold."""
    base = language_model(model)
    record: dict[str, Any] = {
        "model": type(base).__name__,
        "family": base.config.model_type,
        "dtype": str(base.dtype).removeprefix("torch."),
        "device": input_device(model).type,
        "noise": None,
        "properties": {},
    }
    properties = record["properties"]
    try:
        checks = _Checks(model)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        properties["stream"] = _raised(error)
        return record
    with torch.no_grad():
        for name in PROPERTIES:
            try:
                difference, bound = getattr(checks, name)()
                properties[name] = {
                    "difference": difference,
                    "bound": bound,
                    # NaN passes nothing.
                    "passed": difference > 0 if name == "effect" else difference <= bound,
                }
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                properties[name] = _raised(error)
            record["noise"] = checks.noise
            if not properties[name]["passed"]:
                break
    return record


def _raised(error: Exception) -> dict[str, Any]:
    lines = str(error).strip().splitlines() or [""]
    reason = lines[0] if isinstance(error, UserError) else f"{type(error).__name__}: {lines[0]}"
    return {"difference": None, "bound": None, "passed": False, "error": reason[:200]}


def _sentence(record: dict[str, Any], name: str, found: dict[str, Any]) -> str:
    measured = "{off} (off by {difference:.2g}, allowed {bound:.2g})"
    raised = "the check of its {name} fails: {error}"
    form = raised if "error" in found else measured
    return (
        f"{record['model']} ({record['family']}) in {record['dtype']} cannot be steered right: "
        + form.format(off=PROPERTIES[name], name=name, **found)
    )


# Stream [layers, rows, tokens, d_model] and logits [rows, tokens, vocabulary] of a pass.
Pass = tuple[Tensor, Tensor]
# Of a layer and the stream that its block reads, what it reads instead.
Change = Callable[[int, Tensor], Tensor]
# Distances of some positions: (row, first column from BOS, float64 [columns]).
Offs = list[tuple[int, int, Tensor]]


class _Checks:
    """One method for each property: what was measured, and what is allowed."""

    def __init__(self, model: nn.Module):
        self.model, self.base = model, language_model(model)
        self.device = input_device(model)
        self.blocks = blocks(model)
        self.depth = len(self.blocks)
        self.generator = torch.Generator().manual_seed(0)
        ids = _ordinary_ids(self.base)
        picked = ids[torch.randperm(len(ids), generator=self.generator)].tolist()
        while len(picked) < 64:
            picked += picked
        first = _first_id(self.base, picked)
        texts = [[first, *(picked.pop() for _ in range(n + FOLLOWING - 1))] for n in LENGTHS]
        self.texts = [torch.tensor([text], device=self.device) for text in texts]
        pad = next(iter(ids.tolist()))
        whole, mask = left_pad(texts, pad, WIDTH + FOLLOWING)
        self.whole, self.mask = whole.to(self.device), mask.to(self.device)
        self.prompts, self.prompt_mask = self.whole[:, :WIDTH], self.mask[:, :WIDTH]
        self.noise = None

    # --- references: one unpadded row, nothing of the library -------------------------------------

    def plain(self, ids: Tensor, change: Change | None = None, **inputs: Tensor) -> Pass:
        """A batch read whole, with nothing but its token ids.

        change: of a layer and its stream [rows, tokens, d_model], what its block reads instead.
        """
        with self.watched(change) as seen:
            output = self.model(input_ids=ids, use_cache=False, **inputs)
        if not hasattr(output, "logits"):
            kind = type(output).__name__
            raise UserError(f"its output is a {kind} without logits; pass the model inside")
        return _stacked(seen, self.depth), output.logits

    @contextmanager
    def watched(self, change: Change | None = None) -> Iterator[list]:
        """(layer, what its block reads) of each block that runs, in order."""
        seen: list[tuple[int, Tensor]] = []
        with ExitStack() as stack:
            for layer, block in enumerate(self.blocks):

                def look(_module, args, kwargs, layer=layer):
                    read = [*args, *kwargs.values()][0]
                    if change:
                        read = change(layer, read)
                    seen.append((layer, read))
                    if not change:
                        return None
                    if args:
                        return (read, *args[1:]), kwargs
                    return args, {**kwargs, next(iter(kwargs)): read}

                stack.callback(block.register_forward_pre_hook(look, with_kwargs=True).remove)
            yield seen

    def batch(self) -> Pass:
        """The left-padded batch read whole, with the library's inputs."""
        with self.watched() as seen:
            logits = self.model(
                **model_inputs(self.model, self.whole, self.mask), use_cache=False
            ).logits
        return _stacked(seen, self.depth), logits

    # --- properties -------------------------------------------------------------------------------

    def repetition(self) -> tuple[float, float]:
        self.alone = [self.plain(ids) for ids in self.texts]
        return _unequal(self.plain(self.texts[0]), self.alone[0]), 0.0

    def range(self) -> tuple[float, float]:
        # Logits of minus infinity are tokens that a model never predicts.
        wrong = [
            (~stream.isfinite()).sum() + (logits.isnan() | logits.isposinf()).sum()
            for stream, logits in self.alone
        ]
        return float(sum(int(number) for number in wrong)), 0.0

    def batching(self) -> tuple[float, float]:
        width = max(ids.shape[1] for ids in self.texts) + 1
        right = torch.cat([_widened(ids, width, int(ids[0, -1])) for ids in self.texts])
        lengths = torch.tensor([ids.shape[1] for ids in self.texts], device=self.device)
        mask = (torch.arange(width, device=self.device) < lengths[:, None]).long()
        padded = self.plain(right, attention_mask=mask)
        shapes = []
        for row, (ids, own) in enumerate(zip(self.texts, self.alone, strict=True)):
            copies = self.plain(ids.expand(len(self.texts), -1))
            shapes.append(torch.maximum(_off(copies, own, 0), _off(padded, own, row)))
        pure = self.base.dtype == torch.float64 and bool((torch.cat(shapes) < PURE).all())
        single, eps = (torch.finfo(each).eps for each in (torch.float32, self.base.dtype))
        self.eps = eps if pure else max(eps, single)
        least = FLOAT64 / FACTOR if pure else SINGLE * single + OWN * eps
        noise = [
            torch.maximum(each, self._rounding(ids, own))
            for each, ids, own in zip(shapes, self.texts, self.alone, strict=True)
        ]
        self.noise = float(torch.cat(noise).median())
        self.bounds = [FACTOR * each.clamp(min=max(self.noise, least)) for each in noise]
        for each, bound in zip(shapes, self.bounds, strict=True):
            bound[each > UNSTEADY] = float("inf")
        return float(torch.cat(shapes).median()), UNSTEADY

    def stream(self) -> tuple[float, float]:
        self.padded = self.batch()
        recorded = record_activations(self.model, self.whole, self.mask)
        rows, tokens = self.whole.shape
        if recorded.shape[:3] != (self.depth, rows, tokens):
            raise UserError(f"it has the form {list(recorded.shape)}")
        return _unequal((recorded,), (self.padded[0],)), 0.0

    def causality(self) -> tuple[float, float]:
        row = LENGTHS.index(max(LENGTHS))
        shorter = self.plain(self.texts[row][:, : LENGTHS[row]])
        return self._worst([(row, 0, _off(self.alone[row], shorter, 0))])

    def positions(self) -> tuple[float, float]:
        row = LENGTHS.index(max(LENGTHS))
        with self.watched() as seen:
            inputs = model_inputs(self.model, self.texts[row], None)
            logits = self.model(**inputs, use_cache=False).logits
        outputs = (_stacked(seen, self.depth), logits)
        return self._worst([(row, 0, _off(outputs, self.alone[row], 0))])

    def padding(self) -> tuple[float, float]:
        return self._worst(self._against(self.padded, self.alone))

    def cache(self) -> tuple[float, float]:
        # As samples of a prompt do, each row stands twice after it was read.
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
        return _unequal((logits,), (self.padded[1],)), 0.0

    def additions(self) -> tuple[float, float]:
        """Everything that is added, seen by hooks before and behind the library's, in each pass."""
        self.planned = self._planned()
        trace: list[TraceEntry] = []
        steering = steer(self.model, self.planned, self.prompt_mask, trace)
        with self.watched() as before, steering, self.watched() as behind:
            self.steered = self._decoded()
        # Without a cache each step reads all columns again.
        cached = cache_name(self.model) is not None
        steps = range(1, FOLLOWING + 1)
        passes = [(WIDTH, 0), *((1, WIDTH - 1 + n) if cached else (WIDTH + n, 0) for n in steps)]
        expected = sorted(
            (row, layer, column)
            for read, first in passes
            for row, places in enumerate(self._places())
            for layer, added in places.items()
            for column, _ in added
            if first <= WIDTH - LENGTHS[row] + column < first + read
        )
        touched = sorted((touch.row, touch.layer, touch.position) for touch in trace)
        wrong = int(touched != expected)
        reads = [(layer, *each) for each in passes for layer in range(self.depth)]
        for (layer, read, first), (_, old), (_, new) in zip(reads, before, behind, strict=True):
            wanted = old.clone()
            for row, places in enumerate(self._places()):
                start = WIDTH - LENGTHS[row] - first
                for column, vector in places.get(layer, []):
                    if 0 <= start + column < read:
                        wanted[row, start + column] += vector.to(old)
            wrong += int(_differs(wanted, new).any(-1).sum())
        return float(wrong), 0.0

    def effect(self) -> tuple[float, float]:
        steered = [row for row, added in enumerate(self.planned) if added]
        changes = [
            max(
                float((new[row] - old[row]).abs()[_differs(new[row], old[row])].amax())
                if bool(_differs(new[row], old[row]).any())
                else 0.0
                for new, old in zip(self.steered, self.decoded, strict=True)
            )
            for row in steered
        ]
        return min(changes), 0.0

    def steering(self) -> tuple[float, float]:
        changes = [_added(places) for places in self._places()]
        alone = [self.plain(*each) for each in zip(self.texts, changes, strict=True)]
        # A steered stream may lie at other ties.
        for row, each in enumerate(zip(self.texts, alone, changes, strict=True)):
            self.bounds[row] = torch.maximum(self.bounds[row], FACTOR * self._rounding(*each))
        if getattr(self.base, "is_quantized", False):
            # Rows are rounded with those beside them, the more so where a vector makes outliers.
            offs = [off for _, _, off in self._against(self._by_hand(changes), alone)]
            noise = float(torch.cat(offs).max().clamp(max=UNSTEADY))
            self.bounds = [bound.clamp(min=FACTOR * noise) for bound in self.bounds]
        with steer(self.model, self.planned, self.mask, prompt_lengths=LENGTHS):
            whole = self.batch()
        return self._worst(self._steps(self.steered, alone) + self._against(whole, alone))

    def removal(self) -> tuple[float, float]:
        return _unequal(self.batch(), self.padded), 0.0

    # --- what several of them need ----------------------------------------------------------------

    def _planned(self) -> list[list[Addition]]:
        """Of each row: additions at every layer; none; at the back and at each step."""
        width = self.alone[0][0].shape[-1]
        usual = torch.cat([stream.float().norm(dim=-1).flatten(1) for stream, _ in self.alone], 1)
        scale = SHARE * usual.median(dim=1).values.cpu() / width**0.5

        def vector(layer: int) -> Tensor:
            return scale[layer] * torch.randn(2, width, generator=self.generator)

        last = self.depth - 1
        return [
            [Addition(vector(layer), layer, 1.0) for layer in range(self.depth)],
            [],
            [
                Addition(vector(last), last, -1.0, "back"),
                Addition(vector(last // 2), last // 2, 1.0, "middle", phase="every_step"),
            ],
        ]

    def _places(self) -> list[dict[int, list[tuple[int, Tensor]]]]:
        """The same by hand: of each row, layer -> (column from BOS, vector)."""
        rows: list[dict[int, list[tuple[int, Tensor]]]] = []
        for length, row in zip(LENGTHS, self.planned, strict=True):
            by_layer: dict[int, list[tuple[int, Tensor]]] = {}
            for addition in row:
                vector = addition.coefficient * addition.vector
                first = {"front": 0, "middle": length // 2 - 1, "back": length - 2}
                start = first[addition.position]
                columns = [(start + index, vector[index]) for index in range(2)]
                if addition.phase == "every_step":
                    columns += [(length + step, vector[1]) for step in range(FOLLOWING)]
                by_layer.setdefault(addition.layer, []).extend(columns)
            rows.append(by_layer)
        return rows

    def _by_hand(self, changes: Sequence[Change]) -> Pass:
        """The left-padded batch, each row steered by a hook of its own."""

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

    def _rounding(self, ids: Tensor, own: Pass, change: Change | None = None) -> Tensor:
        """How far a text is taken from its own pass where all that its blocks read is rounded anew.

        Every number is moved by up to `eps` of itself. Returns float64 [tokens], at most UNSTEADY.
        """

        def rounded(layer: int, read: Tensor) -> Tensor:
            wide = read.to(torch.promote_types(read.dtype, torch.float32))
            share = 2 * torch.rand(read.shape, generator=self.generator).to(wide) - 1
            read = (wide + self.eps * share * wide).to(read)
            return change(layer, read) if change else read

        copies = self.plain(ids.expand(ROUNDED, -1), rounded)
        offs = [_off(copies, own, copy) for copy in range(ROUNDED)]
        return torch.stack(offs).amax(0).clamp(max=UNSTEADY)

    def _decoded(self, samples: int = 1) -> list[Tensor]:
        """Logits of the prompts' last column, and of each token that follows, read with a cache."""
        reading = Reading(self.model, WIDTH + FOLLOWING)
        logits = [reading.logits(self.prompts, self.prompt_mask)]
        reading.repeat(len(self.prompts), samples)
        whole, mask = (each.repeat_interleave(samples, 0) for each in (self.whole, self.mask))
        for width in range(WIDTH + 1, WIDTH + FOLLOWING + 1):
            logits.append(reading.logits(whole[:, :width], mask[:, :width]))
        return logits

    def _steps(self, logits: Sequence[Tensor], alone: Sequence[Pass]) -> Offs:
        """Decoded logits from those of each row read whole."""
        offs: Offs = []
        for row, (_, whole) in enumerate(alone):
            for step, found in enumerate(logits):
                column = LENGTHS[row] - 1 + step
                offs.append((row, column, _apart(found[row], whole[0, column])[None]))
        return offs

    def _against(self, batch: Pass, alone: Sequence[Pass]) -> Offs:
        """The left-padded batch from its rows alone."""
        offs: Offs = []
        for row, own in enumerate(alone):
            stream, logits = (each[..., -own[1].shape[1] :, :] for each in batch)
            offs.append((row, 0, _off((stream, logits), own, row)))
        return offs

    def _worst(self, offs: Offs) -> tuple[float, float]:
        """The distance, and what is allowed there, at the position where they are worst."""
        distances = torch.cat([off.flatten() for _, _, off in offs])
        bounds = torch.cat([self.bounds[row][at : at + len(off)] for row, at, off in offs])
        worst = int((distances / bounds).nan_to_num(nan=float("inf")).argmax())
        return float(distances[worst]), float(bounds[worst])


def _added(places: dict[int, list[tuple[int, Tensor]]]) -> Change:
    """Adds the vectors of each layer at their columns, in every row."""

    def change(layer: int, read: Tensor) -> Tensor:
        read = read.clone()
        for column, vector in places.get(layer, []):
            read[:, column] += vector.to(read)
        return read

    return change


def _ordinary_ids(model: nn.Module) -> Tensor:
    """Token ids that stand for text: no special ones, none of pictures or sounds, in the head."""
    config = model.config
    size = model.get_input_embeddings().weight.shape[0]
    texts = (config, config.get_text_config())
    special = {
        number
        for each in texts
        for name, value in each.to_dict().items()
        if "token" in name
        for number in (value if isinstance(value, list) else [value])
        if isinstance(number, int)
    }
    # The first ids are special in many vocabularies, whatever the config says.
    first = 5 if size > 16 else 0
    return torch.tensor([number for number in range(first, size) if number not in special])


def _first_id(model: nn.Module, picked: list[int]) -> int:
    bos = getattr(model.config.get_text_config(), "bos_token_id", None)
    size = model.get_input_embeddings().weight.shape[0]
    # The default of a config may lie beyond a small vocabulary.
    return bos if isinstance(bos, int) and 0 <= bos < size else picked.pop()


def _stacked(seen: list[tuple[int, Tensor]], depth: int) -> Tensor:
    if [layer for layer, _ in seen] != list(range(depth)):
        raise UserError("they do not run one after the other, each once")
    first = seen[0][1]
    if any(read.shape != first.shape or read.ndim != 3 for _, read in seen):
        raise UserError(f"it has forms such as {list(first.shape)}")
    return torch.stack([read.to(first.device) for _, read in seen])


def _unequal(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """How many numbers are not the same bits, NaN aside."""
    return float(sum(int(_differs(a, b).sum()) for a, b in zip(found, wanted, strict=True)))


def _differs(found: Tensor, wanted: Tensor) -> Tensor:
    """Where numbers are not the same, NaN aside, which padding may hold."""
    return (found != wanted) & ~(found.isnan() & wanted.isnan())


def _off(found: Pass, wanted: Pass, row: int) -> Tensor:
    """How far a row of a pass is from that row alone; float64 [tokens]."""
    tokens = min(found[1].shape[-2], wanted[1].shape[-2])
    streams = _distance(found[0][:, row, :tokens], wanted[0][:, 0, :tokens])
    return torch.maximum(streams.amax(0), _apart(found[1][row, :tokens], wanted[1][0, :tokens]))


def _apart(logits: Tensor, wanted: Tensor) -> Tensor:
    """The distance of logits, less what no probability depends on.

    Tokens that a model never predicts have logits of minus infinity, or the lowest number.
    """
    never = (logits == wanted) & (wanted <= torch.finfo(wanted.dtype).min / 2)
    logits, wanted = (each.cpu().double().masked_fill(never.cpu(), 0) for each in (logits, wanted))
    return _distance(*(each - each.mean(-1, keepdim=True) for each in (logits, wanted)))


def _distance(values: Tensor, wanted: Tensor) -> Tensor:
    values, wanted = values.cpu().double(), wanted.cpu().double()
    apart = (values - wanted).norm(dim=-1)
    # Vectors of zero, such as embeddings that were never trained, are equal.
    return torch.where(apart == 0, apart, apart / wanted.norm(dim=-1))


def _widened(ids: Tensor, width: int, pad: int) -> Tensor:
    return nn.functional.pad(ids, (0, width - ids.shape[1]), value=pad)
