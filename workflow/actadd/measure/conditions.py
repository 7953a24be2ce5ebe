"""Conditions of an experiment: what the config writes as a grid, spelled out one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import product
from math import prod
from typing import Any

from actadd.base.files import canonical_json
from actadd.base.kinds import option
from actadd.engine.decoding.sampling import SAMPLING
from actadd.measure.additions import (
    COLUMNS,
    DEPTHS,
    DOSE,
    Addition,
    Gate,
    operation_of,
    strength_of,
    swept_keys,
)
from actadd.measure.methods import METHODS, Contexts


@dataclass(frozen=True, eq=False)
class Condition:
    """A method with its settings; with the experiment's prompts and samples it makes a cell.

    Fields with a description are the keys that every condition of a config may have, where
    something is drawn. contexts: what stands before the prompts. sampling: how completions are
    drawn. draw: number of the draw of a random vector with several; all draws are one control.
    """

    name: str
    method: str
    contexts: Contexts = field(default_factory=Contexts)
    additions: tuple[Addition, ...] = ()
    sampling: dict[str, float] = option(
        "Settings that differ from the experiment's; a list is swept.", {}, swept=True
    )
    seed: int | None = option(
        "In place of the config's seed; a list is swept.",
        None,
        swept=True,
        column="Int32",
        minimum=0,
    )
    group: str | None = option("Only the rows of the dataset with this group.", None)
    draw: int | None = None

    @property
    def prefix(self) -> str:
        """The text that the config puts before prompts, in whichever context."""
        return self.contexts.contrasted or self.contexts.prefix

    @property
    def label(self) -> str:
        """A short name that tells conditions of one experiment apart."""
        parts = [each.text for each in self.additions]
        drawn = "" if self.draw is None else f", draw {self.draw}"
        return f"{self.name} ({' + '.join(parts)}{drawn})" if parts else self.name

    def coordinates(self) -> dict[str, Any]:
        """Columns that place the condition in a table.

        The usual case of one addition has plain columns; `additions` holds all of them as JSON. The
        draws of one control have the same coordinates.
        """
        records = [addition.record() for addition in self.additions]
        one = records[0] if len(records) == 1 else {}
        columns = {name: one.get(name) for name in COLUMNS}
        if one:
            columns["coefficient"] = float(self.additions[0].coefficient)
            columns["position"] = str(one["position"])
        return {
            "condition": self.name,
            "method": self.method,
            "vector": "+".join(addition.vector for addition in self.additions) or None,
            **columns,
            "additions": canonical_json(records),
            **{name: self.sampling.get(name) for name in SAMPLING},
            "seed": self.seed,
        }


def column_types(drawn: bool) -> dict[str, str]:
    """Dtypes of the columns of `Condition.coordinates` that may be empty.

    drawn: whether the table has a column of draws.
    """
    return {
        "vector": "string",
        **COLUMNS,
        **dict.fromkeys(SAMPLING, "float64"),
        **dict.fromkeys(("seed", *(["draw"] if drawn else [])), "Int32"),
    }


def expand(
    entries: dict[str, dict[str, Any]],
    choices: dict[str, dict[str, Any]] | None = None,
    sampling: dict[str, float] | None = None,
    seed: int | None = None,
) -> list[Condition]:
    """All conditions of an experiment, ordered by method and name.

    The config's own order does not count: keys that were only moved must change nothing.
    entries: the experiment's `conditions`. Lists of keys that are swept give all combinations, and
    several additions multiply; so do lists of `sampling` and `seed`. choices: for additions with
    `choice`, what was chosen on the development split: the layer, the position if it was swept, and
    the strength where the addition has none. sampling, seed: those of the experiment, for
    conditions that do not set them.
    """
    conditions = []
    order = {name: (METHODS[entry["method"]].order, name) for name, entry in entries.items()}
    for name in sorted(entries, key=order.__getitem__):
        entry = entries[name]
        grids = [list(_spell_out(addition, choices)) for addition in entry.get("additions", [])]
        samplings = [
            {**(sampling or {}), **settings} for settings in _many(entry.get("sampling", {}))
        ]
        seeds = _many(entry.get("seed", seed))
        for drawn, number, settings, *additions, draw in product(
            samplings, seeds, _settings(entry), *grids, _draws(entry)
        ):
            method = METHODS[entry["method"]]
            added = {"additions": additions} if additions else {}
            conditions.append(
                Condition(
                    name,
                    entry["method"],
                    method(method.options(**settings, **added)),
                    tuple(additions),
                    drawn,
                    number,
                    entry.get("group"),
                    draw,
                )
            )
    return conditions


def _settings(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The method's own settings of a condition, additions aside, one for each value swept."""
    values = {
        each.name: _many(entry[each.name]) if each.metadata["swept"] else [entry[each.name]]
        for each in fields(METHODS[entry["method"]].options)
        if each.name in entry and each.name != "additions"
    }
    return [dict(zip(values, some, strict=True)) for some in product(*values.values())]


def _draws(entry: dict[str, Any]) -> list[int | None]:
    """Indices of the draws that a condition runs for; [None] without draws.

    `draws` of an addition is copied from its vector. Several additions must agree, and draw i of
    the condition uses draw i of each vector.
    """
    several = {addition["draws"] for addition in entry.get("additions", []) if "draws" in addition}
    return list(range(several.pop())) if several else [None]


def grid_size(entries: dict[str, dict[str, Any]]) -> int:
    """How many conditions `expand` makes of an experiment's `conditions`, without making them."""
    return sum(
        prod(len(_many(entry.get(name))) for name in ("sampling", "seed"))
        * len(_settings(entry))
        * len(_draws(entry))
        * prod(
            len(_many(addition.get(name)))
            for addition in entry.get("additions", [])
            for name in swept_keys(addition)
        )
        for entry in entries.values()
    )


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def at_depth(entries: dict[str, dict[str, Any]], layers: int) -> dict[str, dict[str, Any]]:
    """Conditions with every `depth`, and all `layers`, written as the layers of a model of `layers`
    blocks.

    A depth is a share of the blocks: one config then fits models of any size.
    """

    def layer(depth: float | list[float]) -> int | list[int]:
        numbers = [min(layers - 1, round(share * layers)) for share in _many(depth)]
        return list(dict.fromkeys(numbers)) if isinstance(depth, list) else numbers[0]

    def placed(addition: dict[str, Any]) -> dict[str, Any]:
        every = {"layers": list(range(layers))} if addition.get("layers") == "all" else {}
        return {
            DEPTHS.get(key, key): layer(value) if key in DEPTHS else value
            for key, value in {**addition, **every}.items()
        }

    return {
        name: {**entry, "additions": [placed(addition) for addition in entry["additions"]]}
        if "additions" in entry
        else entry
        for name, entry in entries.items()
    }


def _spell_out(
    entry: dict[str, Any], choices: dict[str, dict[str, Any]] | None
) -> Iterator[Addition]:
    """The additions that an entry of a config stands for."""
    entry, kind = dict(entry), operation_of(entry)
    if "choice" in entry:
        chosen = (choices or {})[entry.pop("choice")]
        entry["layer"] = chosen["layer"]
        entry.setdefault("source_layer", chosen["source_layer"])
        if "position" in chosen:
            entry.setdefault("position", chosen["position"])
        # A factor turns a chosen setting round, or scales it, without choosing anew.
        factor = entry.pop("factor", 1)
        if not {kind.strength, DOSE} & entry.keys():
            entry[chosen.get("strength", kind.strength)] = factor * chosen["coefficient"]
    options = {each.name: each for each in fields(kind.options)}
    default, strength = options.pop(kind.strength).default, strength_of(entry)
    if strength == kind.strength and not kind.needs_strength:
        entry.setdefault(strength, default)
    names = [each.name for each in fields(Addition) if each.name != "coefficient"]
    swept = swept_keys(entry)
    for values in product(*(_many(entry.get(name)) for name in swept)):
        spelled = {**entry, **dict(zip(swept, values, strict=True))}
        stated = {name: value for name, value in spelled.items() if value is not None}
        if "gate" in stated:
            stated["gate"] = Gate(**stated["gate"])
        yield Addition(
            coefficient=stated[strength],
            dosed=strength == DOSE,
            **{name: stated[name] for name in names if name in stated},
            options={name: stated[name] for name in options if name in stated},
        )


def modules_of(entries: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Modules of the methods and operations that an experiment's `conditions` use, sorted."""
    methods = {METHODS[entry["method"]].module for entry in entries.values()}
    operations = {
        operation_of(addition).module
        for entry in entries.values()
        for addition in entry.get("additions", [])
    }
    return tuple(sorted(methods | operations))


def vectors_needed(
    entries: dict[str, dict[str, Any]], candidates: dict[str, list[int]]
) -> set[tuple[str, int]]:
    """(vector, source layer) pairs that an experiment may read.

    candidates: for each choice, the layers among which it is made.
    """
    needed = set()
    for entry in entries.values():
        for addition in entry.get("additions", []):
            chosen = candidates.get(addition.get("choice", ""), [])
            layers = addition.get("layers", addition.get("layer", chosen))
            sources = addition.get("source_layer", layers)
            # The injection layer's own vector says what norm to scale to.
            used = _many(sources) + (_many(layers) if addition.get("match_norm") else [])
            needed |= {(addition["vector"], layer) for layer in used}
            if gate := addition.get("gate"):
                needed.add((gate["vector"], gate["layer"]))
    return needed
