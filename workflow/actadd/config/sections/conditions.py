"""Conditions of an experiment: their keys, those of additions, and what must hold of them."""

import dataclasses
import functools
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from actadd.base.kinds import Rule, option
from actadd.config.kinds import Family
from actadd.config.sections.rules import Natural, Probability, Problem, known, listed
from actadd.engine.operations import OPERATIONS
from actadd.measure.conditions import DEFAULT_OPERATION

LAYERS: Any = {"title": "a layer number from 0 on, or a list of them"}
SHARES: Any = {"title": "a share above 0 and up to 1 (a depth may be 0), or a list of them"}
SWEPT = Rule(min_length=1, unique=True)
Layers = Natural | Annotated[list[Natural], SWEPT]
Shares = Probability | Annotated[list[Probability], SWEPT]
Position = Literal["front", "middle", "back", "all"]


@dataclass(frozen=True, kw_only=True)
class OwnSampling:
    """Settings of a condition; the experiment's take the place of those that it lacks."""

    temperature: float | None = option("As the experiment's.", None, minimum=0)
    top_p: float | None = option("As the experiment's.", None, minimum=0, maximum=1)
    frequency_penalty: float | None = option("As the experiment's.", None)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Keys of an addition, whatever its operation."""

    vector: str = option("Vector that is added.", section="vectors")
    layer: Layers | None = option(
        "Block at whose input it is added, counted from 0.", None, **LAYERS
    )
    source_layer: Layers | None = option(
        "Layer that it is taken from; layer if not given.", None, **LAYERS
    )
    depth: Shares | None = option(
        "In place of layer, a share of the model's blocks.", None, **SHARES
    )
    source_depth: Shares | None = option(
        "In place of source_layer, a share of the model's blocks.", None, **SHARES
    )
    match_norm: bool | None = option(
        "Scale the vector to the norm that it has at the injection layer.", None
    )
    choice: str | None = option("Take layer and coefficient from this choice.", None)
    factor: float | None = option(
        "Multiplies a chosen coefficient; -1 turns the direction round.", None
    )
    position: Position | Annotated[list[Position], SWEPT] | None = option(
        "Which tokens of the prompt the rows are added to; front, from BOS on, if not given.",
        None,
        title="front, middle, back or all, or a list of them",
    )
    dimensions: Shares | None = option(
        "Only the first entries of d_model, as a share of them.", None, **SHARES
    )
    phase: Literal["prefill", "every_step"] | None = option(
        "prefill, if not given, adds to the prompt alone; every_step also to each drawn token.",
        None,
    )


@functools.cache
def _addition_keys(operation: str) -> type:
    """The keys of an addition with an operation; a choice may stand for its coefficient."""
    declaration = OPERATIONS[operation].options
    hints = typing.get_type_hints(declaration, include_extras=True)
    keys = []
    for each in dataclasses.fields(declaration):
        optional = each.name == "coefficient" and each.default is dataclasses.MISSING
        key = dataclasses.field(default=None, metadata=each.metadata) if optional else each
        keys.append((each.name, hints[each.name], key))
    return dataclasses.make_dataclass(
        "Addition", keys, bases=(Placement,), frozen=True, kw_only=True
    )


Addition = Annotated[
    Any,
    Family(
        "operation",
        lambda: {name: _addition_keys(name) for name in OPERATIONS},
        "What the vector does to the residual stream.",
        DEFAULT_OPERATION,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Condition:
    method: Literal["unsteered", "prompting", "preadd", "actadd"] = option(
        "Nothing, a prefix, a contrasted context (PREADD), or vectors that are added."
    )
    prefix: str | None = option(
        "Text put before every prompt; for preadd, before those of the contrasted context. It is "
        "tokens of its own, but of completions one that ends in a space is read with the prompt.",
        None,
        min_length=1,
        max_length=2000,
    )
    strength: float | None = option(
        "How much the contrasted context's logits count (method preadd, its alpha).", None
    )
    group: str | None = option("Only the rows of the dataset with this group.", None)
    sampling: OwnSampling | Annotated[list[OwnSampling], Rule(min_length=1)] | None = option(
        "Settings that differ from the experiment's; a list is swept.",
        None,
        title="sampling settings that differ from the experiment's, or a list of such",
    )
    seed: Natural | Annotated[list[Natural], SWEPT] | None = option(
        "In place of the config's seed; a list is swept.", None, title="a seed, or a list of them"
    )
    additions: list[Addition] | None = option(
        "Vectors that are added, all at once; lists in them are swept.", None, min_length=1
    )


# method -> keys that it needs, and keys that it may have beside those of every condition.
METHOD_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "unsteered": (set(), {"prefix"}),
    "prompting": ({"prefix"}, set()),
    "preadd": ({"prefix", "strength"}, set()),
    "actadd": ({"additions"}, {"prefix"}),
}


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
        yield from _addition(config, f"{key}.additions.{index}", entry, addition)


def _method(key: str, measure: str, details: dict[str, Any]) -> Iterator[Problem]:
    method = details["method"]
    needed, allowed = METHOD_KEYS[method]
    for missing in sorted(needed - details.keys()):
        yield key, f"method {method} needs the key {missing!r}; add it"
    special = {"additions", "prefix", "strength"}
    for extra in sorted((special - needed - allowed) & details.keys()):
        yield f"{key}.{extra}", f"method {method} takes no {extra}; remove it"
    if measure == "completions":
        if "prefix" in details and method in ("unsteered", "actadd"):
            yield f"{key}.prefix", "for completions that is method prompting; write that instead"
        return
    for extra in sorted({"sampling", "seed", "group"} & details.keys()):
        yield f"{key}.{extra}", f"{measure} draws nothing, so it has no {extra}; remove it"
    if method == "preadd":
        yield f"{key}.method", "preadd is a way of drawing completions; remove it"


def _addition(
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
    kind = config["vectors"][addition["vector"]]["kind"]
    if "all" in positions and kind not in ("mean_difference", "file"):
        yield f"{key}.position", f"all needs a vector of one row, a mean_difference, not a {kind}"
    if kind == "mean_difference" and "position" not in addition:
        yield key, "a mean_difference vector has one row; write position: back or all"
    late = {"back", "all"} & set(positions)
    if measure != "completions" and (late or addition.get("phase") == "every_step"):
        yield (
            key,
            f"with measure {measure}, {', '.join(sorted(late)) or 'every_step'} leaves no "
            "prediction that was not changed directly; write front or middle, and phase: prefill",
        )
