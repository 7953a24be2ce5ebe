"""Verification of a model, when it is prepared and when another program first uses it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from actadd.base.errors import UserError, error_context
from actadd.base.files import remove, write_json
from actadd.engine.batching import is_out_of_memory
from actadd.engine.hooks import is_hooked
from actadd.engine.structure import input_device, language_model
from actadd.models.verification.checks import Checks

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
    """Check that the library steers a model correctly; takes seconds for a small model.

    model: a causal language model on its device, in the dtype of the experiments, wrapped or not.
    Returns its class, model_type, dtype and device, the noise, and for each of PROPERTIES the
    measured "difference", the allowed "bound" and whether it "passed". The numbers are relative
    distances; for properties that are compared bit by bit, counts of wrong numbers.
    Raises UserError with one sentence that names the first property that does not hold.

    >>> verify(model)["properties"]["padding"]["passed"]
    True
    """
    return _whole(examine(model))


def verified(
    spec: dict[str, Any], model_dir: Path, output: Path, otherwise_removed: Path | None = None
) -> None:
    """Load a prepared model, verify it and write the record as JSON.

    spec: dtype, and compute as `loading.load` takes it. Of dtype auto, the record says under
    "auto" what was decided. otherwise_removed: a folder to remove if the model is refused. Raises
    UserError that names the model's config key.
    """
    started = time.perf_counter()
    try:
        write_json(output, _record(spec["dtype"], model_dir, {"threads": 1, **spec["compute"]}))
    except BaseException:
        if otherwise_removed:
            remove(otherwise_removed)
        raise
    print(f"verified in {time.perf_counter() - started:.1f} s", flush=True)


def _record(dtype: str, model_dir: Path, compute: dict[str, Any]) -> dict[str, Any]:
    """The record of a prepared model in a dtype, or in the one that auto takes."""
    from actadd.models import dtypes
    from actadd.models.loading import MIXED, load

    decision = dtypes.decide(model_dir, compute) if dtype == dtypes.AUTO else None
    taken = decision["dtype"] if decision else dtype
    record = examine(load(model_dir, dtype=taken, **compute))
    if decision:
        if (broken := _broken(record)) and taken != dtypes.EXACT:
            decision = dtypes.refused(decision, broken)
            taken = dtypes.EXACT
            record = examine(load(model_dir, dtype=taken, **compute))
        print(f"dtype auto: {taken}, as {decision['because']}", flush=True)
        record["auto"] = decision
    if taken == MIXED:
        # Its parameters are float32.
        record["dtype"] = MIXED
    with error_context(f"models.{model_dir.name}", "; take another model"):
        return _whole(record)


# Packages whose hooks belong to a model.
PACKAGES = ("torch", "transformers", "accelerate", "peft", "bitsandbytes")
# The state of each model when it was verified.
_verified: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


def ensure(model: nn.Module) -> None:
    """Verify a model, unless it was verified in its present state or already has our hooks."""
    if is_hooked(model):
        return
    state = _state(model)
    if _verified.get(model) != state:
        try:
            with _without_user_hooks(model):
                verify(model)
        except UserError as error:
            remedy = "with verify=False it is steered all the same"
            if any(module.training for module in language_model(model).modules()):
                remedy = "it is in training mode, so call model.eval() first"
            raise UserError(f"{error}; {remedy}") from error
        _verified[model] = state


@contextmanager
def _without_user_hooks(model: nn.Module) -> Iterator[None]:
    """Remove the hooks of the user's own code while the block runs, but not those of PACKAGES."""
    registries = []
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            registries.append((hooks, dict(hooks)))
            for key, hook in registries[-1][1].items():
                if str(getattr(hook, "__module__", "")).split(".")[0] not in PACKAGES:
                    del hooks[key]
    try:
        yield
    finally:
        for hooks, before in registries:
            hooks.clear()
            hooks.update(before)


def _state(model: nn.Module) -> int:
    """A hash of everything but its weights that decides how a model is steered."""
    base = language_model(model)
    modules = [
        (
            type(module),
            module.training,
            # Replaced, for example by accelerate; or compiled in place.
            "forward" in vars(module),
            module._compiled_call_impl is not None,
        )
        for module in model.modules()
    ]
    attention = getattr(base.config, "_attn_implementation", None)
    return hash((tuple(modules), attention, base.dtype, input_device(model)))


def examine(model: nn.Module) -> dict[str, Any]:
    """The record of `verify`, up to and including the first property that does not hold."""
    base: Any = language_model(model)
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
        checks = Checks(model)
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
                    # NaN fails both comparisons.
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


def _broken(record: dict[str, Any]) -> str | None:
    """The property that does not hold."""
    checks = record["properties"].items()
    return next((name for name, check in checks if not check["passed"]), None)


def _whole(record: dict[str, Any]) -> dict[str, Any]:
    """The record itself; raises UserError if a property does not hold."""
    if broken := _broken(record):
        raise UserError(_sentence(record, broken, record["properties"][broken]))
    return record


def _raised(error: Exception) -> dict[str, Any]:
    lines = str(error).strip().splitlines() or [""]
    reason = lines[0] if isinstance(error, UserError) else f"{type(error).__name__}: {lines[0]}"
    return {"difference": None, "bound": None, "passed": False, "error": reason[:200]}


def _sentence(record: dict[str, Any], name: str, check: dict[str, Any]) -> str:
    measured = "{off} (off by {difference:.2g}, allowed {bound:.2g})"
    raised = "the check of its {name} fails: {error}"
    form = raised if "error" in check else measured
    return (
        f"{record['model']} ({record['family']}) in {record['dtype']} cannot be steered right: "
        + form.format(off=PROPERTIES[name], name=name, **check)
    )
