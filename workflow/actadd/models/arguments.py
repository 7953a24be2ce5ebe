"""Arguments of the functions for other programs, checked before a model is run.

A value of another type is a TypeError, a value that a config would refuse a UserError; each says
what to write instead.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, get_args

import torch
from torch import Tensor, nn

from actadd.base.errors import UserError, quote
from actadd.engine.additions import Addition
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.placement import Phase


def check_model(model: object) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model is a {_type(model)}; write a loaded model, such as "
            'AutoModelForCausalLM.from_pretrained("gpt2")'
        )


def check_whole(name: str, value: Any) -> int:
    """A whole number of any type, of numpy and torch too; else raises TypeError."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a {_type(value)}; write a whole number") from None


def check_tokens(function: str, input_ids: object, attention_mask: object) -> None:
    """Raises TypeError, with the call that is meant, for anything but tensors of tokens."""
    for name, value in (("input_ids", input_ids), ("attention_mask", attention_mask)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{function}: {name} is a {_type(value)}, not a tensor; encode texts first: "
                f'ids, mask = prompt_batch(tokenizer, ["..."]), then {function}(model, ids, mask)'
            )


def check_drawing(sampling: object, uniforms: object, stop_ids: object, **numbers: object) -> None:
    """How tokens are drawn. numbers: whole numbers from 1 on, by the name of their argument."""
    if not isinstance(sampling, Sampling):
        raise TypeError(
            f"sampling is a {_type(sampling)}; write Sampling(temperature=1, top_p=0.3)"
        )
    for name, least, most in (("temperature", 0, math.inf), ("top_p", 0, 1)):
        value = getattr(sampling, name)
        if not isinstance(value, int | float) or not least <= value <= most:
            limits = f"a number from 0 to {most}" if most == 1 else "a number from 0 on"
            raise UserError(f"sampling: {name} is {quote(value)}; write {limits}")
    if uniforms is not None and not isinstance(uniforms, Tensor):
        raise TypeError(f"uniforms is a {_type(uniforms)}; write a float64 tensor")
    if isinstance(stop_ids, str) or not isinstance(stop_ids, Sequence | set | Tensor):
        raise TypeError(
            f"stop_ids is a {_type(stop_ids)}; write a list of ids, such as "
            "[tokenizer.eos_token_id]"
        )
    for name, value in numbers.items():
        if check_whole(name, value) < 1:
            raise UserError(f"{name} is {value}; write a whole number from 1 on")


def check_additions(additions: Any) -> None:
    """What a config would refuse in additions. Raises TypeError for anything but lists of them."""
    if isinstance(additions, Addition):
        raise TypeError("additions is one Addition; write a list: [addition]")
    if isinstance(additions, str | Mapping | Tensor) or not isinstance(additions, Sequence):
        raise TypeError(f"additions is a {_type(additions)}; {LISTED}")
    rows = [each for each in additions if not isinstance(each, Addition)]
    for row in rows:
        wrong = [] if isinstance(row, list | tuple) else [row]
        wrong += [each for each in row if not isinstance(each, Addition)] if not wrong else []
        if wrong:
            raise TypeError(f"additions holds a {_type(wrong[0])}; {LISTED}")
    for row in rows or [additions]:
        for addition in row:
            _check_addition(addition)
        setting = [each for each in row if each.kind.sets_projection]
        for one, other in combinations(setting, 2):
            if _meet(one, other):
                names = " and ".join(dict.fromkeys((one.kind.name, other.kind.name)))
                raise UserError(
                    f"operation: {names} contradict each other: two additions set the projection "
                    f"on one vector at layer {one.layer} and the same tokens; remove one"
                )


LISTED = "write a list of Addition(vector, layer=6, coefficient=5), or such a list for each row"


def _check_addition(addition: Addition) -> None:
    check_whole("layer", addition.layer)
    if isinstance(addition.coefficient, str):
        raise TypeError("coefficient is a str; write a number")
    if addition.coefficient is not None and not math.isfinite(addition.coefficient):
        raise UserError(f"coefficient: {addition.coefficient}; write a finite number")
    if addition.phase not in get_args(Phase):
        raise UserError(
            f"phase: {quote(addition.phase)}; write one of {', '.join(get_args(Phase))}"
        )
    if addition.kind.reads_stream and not addition.rows().any():
        raise UserError(
            f"operation: {addition.kind.name} needs a direction, and the vector for layer "
            f"{addition.layer} is zero at every position; take another layer or vector"
        )
    if addition.gate and math.isnan(addition.gate.threshold):
        raise UserError("gate: its threshold is nan; write a number")
    if addition.gate and not addition.gate.vector.any():
        raise UserError("gate: its vector is zero; take another layer or vector")


def _meet(one: Addition, other: Addition) -> bool:
    """Whether two additions may act with one vector on the same token at one layer."""
    rows = [each.rows().cpu() for each in (one, other)]
    if one.layer != other.layer or not (
        rows[0].shape == rows[1].shape and torch.equal(rows[0], rows[1])
    ):
        return False
    phases = {one.phase, other.phase}
    if "prefill" not in phases:
        return True
    starts = {0 if each.position == "front" else each.position for each in (one, other)}
    # "all" is every position but BOS.
    return "decode" not in phases and (len(starts) == 1 or ("all" in starts and 0 not in starts))


def _type(value: object) -> str:
    return type(value).__name__
