"""Conditions of an experiment: their keys, those of additions, and what must hold of them."""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.config.kinds import SWEPT, Family, declared, keys, optional
from actadd.config.sections.rules import Natural, Problem, known, listed
from actadd.config.sections.vectors import row_of
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.operations import OPERATIONS
from actadd.measure.conditions import DEFAULT_OPERATION, Addition, Shorthands
from actadd.measure.measures import MEASURES
from actadd.measure.methods import METHODS
from actadd.vectors.kinds import VECTOR_KINDS

# Keys of an addition that another one may stand for.
REPLACED = {name for _, _, field in keys(Shorthands) for name in field.metadata["replaces"]}


@functools.cache
def _addition(operation: type) -> type:
    """The keys of an addition. operation: the dataclass of its operation's options."""
    placed = [key for key in keys(Addition) if key[2].metadata and key[0] != "operation"]
    every = [key for key in placed if "description" in key[2].metadata]
    left_out = [
        key if key[2].default is dataclasses.MISSING and key[0] not in REPLACED else optional(key)
        for key in (*every, *keys(Shorthands))
    ]
    # A choice may stand for a coefficient, but not for one that has a default.
    added = [
        optional(key) if key[0] in REPLACED and key[2].default is dataclasses.MISSING else key
        for key in keys(operation)
    ]
    return declared("Addition", [*left_out, *added])


Additions = list[
    Annotated[
        Any,
        Family(
            "operation",
            OPERATIONS,
            "What the vector does to the residual stream.",
            DEFAULT_OPERATION,
            lambda operation: _addition(operation.options),
        ),
    ]
]
OwnSampling: Any = declared("OwnSampling", map(optional, keys(Sampling)))


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Keys of a condition, whatever its method, where something is drawn."""

    sampling: OwnSampling | Annotated[list[OwnSampling], Rule(min_length=1)] | None = option(
        "Settings that differ from the experiment's; a list is swept.",
        None,
        title="sampling settings that differ from the experiment's, or a list of such",
    )
    seed: Natural | Annotated[list[Natural], SWEPT] | None = option(
        "In place of the config's seed; a list is swept.", None, title="a seed, or a list of them"
    )
    group: str | None = option("Only the rows of the dataset with this group.", None)


@functools.cache
def _condition(method: type) -> type:
    """The keys of a condition. method: the dataclass of its method's options."""
    of_method = [
        (name, Additions if name == "additions" else hint, field)
        for name, hint, field in keys(method)
    ]
    return declared("Condition", [*of_method, *keys(Condition)])


AnyCondition = Annotated[
    Any,
    Family(
        "method",
        METHODS,
        "How other completions are got: what is put before the prompts, or added.",
        options=lambda method: _condition(method.options),
    ),
]
DRAWN = {name for name, _, _ in keys(Condition)}


def problems(
    config: dict[str, Any], key: str, entry: dict[str, Any], details: dict[str, Any]
) -> Iterator[Problem]:
    yield from _method(key, entry["measure"], details)
    additions = details.get("additions", [])
    draws = sorted({addition["draws"] for addition in additions if "draws" in addition})
    if len(draws) > 1:
        yield (
            f"{key}.additions",
            f"their random vectors have {' and '.join(map(str, draws))} draws; give them as many "
            "draws each",
        )
    settings = [{**entry["sampling"], **own} for own in listed(details.get("sampling", {}))]
    if any(settings.count(own) > 1 for own in settings):
        yield (
            f"{key}.sampling",
            "with the experiment's own settings two of them are the same; write each once",
        )
    for index, addition in enumerate(additions):
        yield from _addition_problems(config, f"{key}.additions.{index}", entry, addition)


def _method(key: str, measure: str, details: dict[str, Any]) -> Iterator[Problem]:
    name = details["method"]
    method = METHODS[name]
    if MEASURES[measure].draws:
        for extra in sorted(set(method.only_given) & details.keys()):
            yield (
                f"{key}.{extra}",
                f"where something is drawn, as for {measure}, method {name} takes no {extra}; "
                "remove it, or write method prompting",
            )
        return
    for extra in sorted(DRAWN & details.keys()):
        yield f"{key}.{extra}", f"{measure} draws nothing, so it has no {extra}; remove it"
    if method.only_drawn:
        yield f"{key}.method", f"{name} is a way of drawing completions; remove the condition"


def _addition_problems(
    config: dict[str, Any], key: str, entry: dict[str, Any], addition: dict[str, Any]
) -> Iterator[Problem]:
    for depth, layer in (("depth", "layer"), ("source_depth", "source_layer")):
        if depth in addition and layer in addition:
            yield key, f"{depth} and {layer} say the same; keep one"
    if "choice" in addition:
        yield from known(f"{key}.choice", addition["choice"], entry.get("choices", {}), "choice")
        for field in ("layer", "depth", "coefficient"):
            if field in addition:
                yield (
                    f"{key}.{field}",
                    f"the choice {addition['choice']!r} sets it; remove it",
                )
    else:
        for field in ("layer", "coefficient"):
            if field not in addition and not (field == "layer" and "depth" in addition):
                yield key, f"the key {field!r} is missing; write it, or a choice"
        if "factor" in addition:
            yield f"{key}.factor", "only a chosen coefficient has a factor; write the coefficient"
    for field in ("layer", "source_layer"):
        for layer in listed(addition.get(field, [])):
            for model in entry["models"]:
                depth = config["models"][model]["layers"]
                if layer >= depth:
                    yield (
                        f"{key}.{field}",
                        f"{layer} is beyond {model}, whose layers are 0 to {depth - 1}",
                    )
    yield from _position(config, key, entry["measure"], addition)


def _position(
    config: dict[str, Any], key: str, measure: str, addition: dict[str, Any]
) -> Iterator[Problem]:
    positions = listed(addition.get("position", "front"))
    name = config["vectors"][addition["vector"]]["kind"]
    one_row = row_of(config["vectors"], addition["vector"])
    # Only the file tells how many rows it holds.
    if "all" in positions and not (one_row or VECTOR_KINDS[name].file):
        one = " or ".join(each for each, other in VECTOR_KINDS.items() if other.row)
        yield (
            f"{key}.position",
            f"all needs a vector of one row, such as a {one}, and {addition['vector']!r} has more",
        )
    if one_row and "position" not in addition:
        yield key, f"a {name} vector has one row; write position: back or all"
    late = {"back", "all"} & set(positions)
    if not MEASURES[measure].draws and (late or addition.get("phase") == "every_step"):
        yield (
            key,
            f"with measure {measure}, {', '.join(sorted(late)) or 'every_step'} leaves no "
            "prediction that was not changed directly; write front or middle, and phase: prefill",
        )
