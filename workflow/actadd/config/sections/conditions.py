"""Conditions of an experiment: their keys, those of additions, and what must hold of them."""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.config.kinds import SWEPT, Family, declared, keys, optional
from actadd.config.sections.rules import Natural, Problem, known, listed
from actadd.config.sections.vectors import row_of
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.operations import OPERATIONS
from actadd.measure.additions import (
    DEFAULT_OPERATION,
    DOSE,
    Addition,
    Dosed,
    Shorthands,
    operation_of,
    strength_of,
)
from actadd.measure.conditions import at_depth
from actadd.measure.measures import MEASURES
from actadd.measure.methods import METHODS
from actadd.vectors.kinds import VECTOR_KINDS

# Keys of an addition that another one may stand for.
REPLACED = {name for _, _, field in keys(Shorthands) for name in field.metadata["replaces"]}


@functools.cache
def _addition(operation: type, strength: str, dosed: bool) -> type:
    """The keys of an addition.

    operation: the dataclass of its operation's options. strength: the one that says how strongly it
    acts. dosed: whether that may be a dose.
    """
    placed = [key for key in keys(Addition) if key[2].metadata and key[0] != "operation"]
    every = [key for key in placed if "description" in key[2].metadata]
    left_out = [
        key if key[2].default is dataclasses.MISSING and key[0] not in REPLACED else optional(key)
        for key in (*every, *keys(Shorthands))
    ]
    # A choice may stand for a strength, but not for one that has a default.
    added = [
        optional(key) if key[0] == strength and key[2].default is dataclasses.MISSING else key
        for key in keys(operation)
    ]
    added += keys(Dosed) if dosed else []
    return declared("Addition", [*left_out, *added])


Additions = list[
    Annotated[
        Any,
        Family(
            "operation",
            OPERATIONS,
            "What the vector does to the residual stream.",
            DEFAULT_OPERATION,
            lambda kind: _addition(kind.options, kind.strength, kind.dose is not None),
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
    yield from _contradictions(config, key, entry, details) if additions else ()
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
    kind = operation_of(addition)
    if "source_depth" in addition and "source_layer" in addition:
        yield key, "source_depth and source_layer say the same; keep one"
    if DOSE in addition and kind.strength in addition:
        yield key, f"{DOSE} and {kind.strength} say the same; keep one"
    placed = [field for field in ("depth", "layer", "layers") if field in addition]
    if len(placed) > 1:
        yield key, f"{' and '.join(placed)} say the same; keep one"
    if "choice" in addition:
        yield from known(f"{key}.choice", addition["choice"], entry.get("choices", {}), "choice")
        for field in ("layer", "layers", "depth"):
            if field in addition:
                yield (
                    f"{key}.{field}",
                    f"the choice {addition['choice']!r} sets it; remove it",
                )
        if not {kind.strength, DOSE} & addition.keys():
            rule = entry["choices"][addition["choice"]]
            yield from _chosen(config, f"{key}.choice", kind.name, rule)
        elif "factor" in addition:
            yield f"{key}.factor", f"only a chosen strength has a factor; write {kind.strength}"
    else:
        missing = [] if placed else ["layer"]
        if strength_of(addition) not in addition and kind.needs_strength:
            missing.append(kind.strength)
        for field in missing:
            yield key, f"the key {field!r} is missing; write it, or a choice"
        if "factor" in addition:
            yield f"{key}.factor", f"only what is chosen has a factor; write {kind.strength}"
    yield from _gate(config, key, entry, addition)
    for field in ("layer", "layers", "source_layer"):
        every = addition.get(field, [])
        for layer in [] if every == "all" else listed(every):
            for model in entry["models"]:
                depth = config["models"][model]["layers"]
                if layer >= depth:
                    yield (
                        f"{key}.{field}",
                        f"{layer} is beyond {model}, whose layers are 0 to {depth - 1}",
                    )
    yield from _position(config, key, entry, addition)
    if addition.get("phase") == "decode" and entry.get("max_new_tokens") == 1:
        yield (
            f"{key}.phase",
            "the one token of max_new_tokens: 1 is drawn before decode acts; write a larger "
            "max_new_tokens, or phase: prefill",
        )


def _gate(
    config: dict[str, Any], key: str, entry: dict[str, Any], addition: dict[str, Any]
) -> Iterator[Problem]:
    """A gate is decided before its operation acts."""
    if "gate" not in addition:
        return
    if "choice" in addition:
        yield f"{key}.gate", "a layer that is chosen may be below the gate's; write one layer"
    vector = addition["gate"]["vector"]
    if config["vectors"][vector].get("draws", 1) != 1:
        yield f"{key}.gate.vector", f"{vector!r} has several draws; take a vector with one"
    for model in entry["models"]:
        depth, at = config["models"][model]["layers"], addition["gate"]["layer"]
        [placed] = at_depth({"": {"additions": [addition]}}, depth)[""]["additions"]
        lowest = min(listed(placed["layers"] if "layers" in placed else placed["layer"]))
        if at > lowest:
            yield (
                f"{key}.gate.layer",
                f"{at} is read after layer {lowest}, at which the operation acts on {model}; "
                f"write a layer up to {lowest}",
            )


def _chosen(
    config: dict[str, Any], key: str, operation: str, rule: dict[str, Any]
) -> Iterator[Problem]:
    """A strength means something for the operation that was swept alone."""
    sweep = config["experiments"][rule["experiment"]]["conditions"]
    [swept] = sweep[rule["condition"]]["additions"]
    if (name := operation_of(swept).name) != operation:
        yield (
            key,
            f"the strength of {name} is chosen there, not of {operation}; write operation: {name}, "
            "or a strength here, or sweep the other",
        )


def _position(
    config: dict[str, Any], key: str, entry: dict[str, Any], addition: dict[str, Any]
) -> Iterator[Problem]:
    measure = entry["measure"]
    phase = addition.get("phase", "prefill")
    if phase == "decode" and "position" in addition:
        yield (
            f"{key}.position",
            "with phase: decode no token of the prompt is changed; remove it, or write phase: "
            "every_step",
        )
    placed = "position" in addition or _chooses_position(config, entry, addition)
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
    if one_row and not placed and phase != "decode":
        yield key, f"a {name} vector has one row; write position: back or all"
    measure = entry["measure"]
    late = {"back", "all"} & set(positions) if not entry.get("changed_positions") else set()
    if not MEASURES[measure].draws and (late or phase != "prefill"):
        yield (
            key,
            f"with measure {measure}, {', '.join(sorted(late)) or phase} leaves no "
            "prediction that was not changed directly; write front or middle, and phase: prefill",
        )


def _chooses_position(
    config: dict[str, Any], entry: dict[str, Any], addition: dict[str, Any]
) -> bool:
    """Whether the position of an addition is chosen."""
    if "choice" not in addition:
        return False
    rule = entry["choices"][addition["choice"]]
    [swept] = config["experiments"][rule["experiment"]]["conditions"][rule["condition"]][
        "additions"
    ]
    return isinstance(swept.get("position"), list)


def _contradictions(
    config: dict[str, Any], key: str, entry: dict[str, Any], details: dict[str, Any]
) -> Iterator[Problem]:
    """Two operations that set the projection on one vector at one place: the first is in vain."""
    for model in entry["models"]:
        at = at_depth({"": details}, config["models"][model]["layers"])[""]["additions"]
        setting = [(n, each) for n, each in enumerate(at) if operation_of(each).sets_projection]
        for (first, one), (second, other) in combinations(setting, 2):
            if _meet(one, other):
                names = dict.fromkeys((operation_of(one).name, operation_of(other).name))
                yield (
                    f"{key}.additions.{second}",
                    f"{' and '.join(names)} contradict each other: additions {first} and {second} "
                    f"both set the projection on {one['vector']} at the same layer and tokens; "
                    "remove one",
                )


def _meet(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two additions may act with one vector on the same token at one layer."""

    def values(addition: dict[str, Any], *names: str) -> set[Any]:
        return {value for name in names for value in listed(addition.get(name, []))}

    if one["vector"] != other["vector"]:
        return False
    layers = [values(each, "layer", "layers") for each in (one, other)]
    sources = [
        values(each, "source_layer") or injected
        for each, injected in zip((one, other), layers, strict=True)
    ]
    chosen = "choice" in one and one.get("choice") == other.get("choice")
    if not chosen and not (layers[0] & layers[1] and sources[0] & sources[1]):
        return False
    phases = [each.get("phase", "prefill") for each in (one, other)]
    if "prefill" not in phases:
        return True
    if "decode" in phases:
        return False
    first, second = (
        {0 if start == "front" else start for start in listed(each.get("position", "front"))}
        for each in (one, other)
    )
    # "all" is every position but BOS.
    return bool(first & second) or ("all" in first | second and bool(first - {0} and second - {0}))
