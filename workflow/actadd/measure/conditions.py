"""Conditions of an experiment: what the config writes as a grid, spelled out one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from itertools import product
from math import prod
from typing import Any

from actadd.base.files import canonical, canonical_json
from actadd.base.kinds import option
from actadd.engine.decoding.sampling import SAMPLING
from actadd.engine.operations import OPERATIONS
from actadd.engine.placement import Phase, Position
from actadd.measure.methods import METHODS, Contexts

DEFAULT_OPERATION = "add"
# What a key takes whose type alone does not say it well.
LAYERS = "a layer number from 0 on, or a list of them"
SHARES = "a share above 0 and up to 1 (a depth may be 0), or a list of them"


@dataclass(frozen=True, kw_only=True)
class Addition:
    """One vector of a condition: which, where, when, and by which operation.

    Fields without a description are not keys of a config. coefficient: strength of the operation,
    one of its options. options: its other options.
    """

    vector: str = option("Vector that is added.", section="vectors")
    operation: str = option("What the vector does to the residual stream.", DEFAULT_OPERATION)
    source_layer: int | None = option(
        "Layer that it is taken from; layer if not given.",
        None,
        swept=True,
        column="Int32",
        title=LAYERS,
        minimum=0,
    )
    layer: int = option(
        "Block at whose input it is added, counted from 0.",
        swept=True,
        column="Int32",
        title=LAYERS,
        minimum=0,
    )
    coefficient: float = field(metadata={"column": "float64"})
    position: Position = option(
        "Which tokens of the prompt the rows are added to: front from BOS on, or all but BOS.",
        "front",
        swept=True,
        column="string",
        title="front, middle, back or all, or a list of them",
    )
    dimensions: float | None = option(
        "Only the vector's first entries, as a share of d_model.",
        None,
        swept=True,
        column="float64",
        title=SHARES,
        minimum=0,
        maximum=1,
    )
    phase: Phase = option(
        "prefill adds to the prompt alone; every_step also to each drawn token.",
        "prefill",
        column="string",
    )
    match_norm: bool = option(
        "Scale the vector to the norm that it has at the injection layer.", False
    )
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> int:
        """The layer that the vector is taken from."""
        return self.layer if self.source_layer is None else self.source_layer

    @property
    def layers(self) -> set[int]:
        """The layers whose vectors are read; match_norm compares with the injection layer's."""
        return {self.source, self.layer} if self.match_norm else {self.source}

    def record(self) -> dict[str, Any]:
        """The whole addition as canonical JSON data; the usual operation goes without saying."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values |= {"source_layer": self.source, **values.pop("options")}
        if self.operation == DEFAULT_OPERATION:
            del values["operation"]
        return canonical(values)


@dataclass(frozen=True, kw_only=True)
class Shorthands:
    """Keys that an addition of a config may have in place of others."""

    depth: float | None = option(
        "In place of layer, a share of the model's blocks.",
        None,
        swept=True,
        replaces=("layer",),
        title=SHARES,
        minimum=0,
        maximum=1,
    )
    source_depth: float | None = option(
        "In place of source_layer, a share of the model's blocks.",
        None,
        swept=True,
        replaces=("source_layer",),
        title=SHARES,
        minimum=0,
        maximum=1,
    )
    choice: str | None = option(
        "Take layer and coefficient from this choice.", None, replaces=("layer", "coefficient")
    )
    factor: float | None = option(
        "Multiplies a chosen coefficient; -1 turns the direction round.", None
    )


# Key of a share of the blocks -> key of the layer that it means.
DEPTHS = {
    each.name: each.metadata["replaces"][0] for each in fields(Shorthands) if each.metadata["swept"]
}
COLUMNS = {
    each.name: each.metadata["column"] for each in fields(Addition) if each.metadata.get("column")
}
# Keys of an addition whose lists are swept, whatever its operation; layer is the outermost loop.
SWEPT = sorted(
    [each.name for each in fields(Addition) if each.metadata.get("swept")] + ["coefficient"],
    key=lambda name: (name != "layer", list(COLUMNS).index(name)),
)


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
        parts = [
            f"{each.vector} at layer {each.layer} times {each.coefficient:g}"
            for each in self.additions
        ]
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
            columns["coefficient"] = float(one["coefficient"])
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
    `choice`, the layer and coefficient chosen on the development split. sampling, seed: those of
    the experiment, for conditions that do not set them.
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
    """Conditions with every `depth` written as the `layer` it means in a model of `layers` blocks.

    A depth is a share of the blocks: one config then fits models of any size.
    """

    def layer(depth: float | list[float]) -> int | list[int]:
        numbers = [min(layers - 1, round(share * layers)) for share in _many(depth)]
        return list(dict.fromkeys(numbers)) if isinstance(depth, list) else numbers[0]

    def placed(addition: dict[str, Any]) -> dict[str, Any]:
        return {
            DEPTHS.get(key, key): layer(value) if key in DEPTHS else value
            for key, value in addition.items()
        }

    return {
        name: {**entry, "additions": [placed(addition) for addition in entry["additions"]]}
        if "additions" in entry
        else entry
        for name, entry in entries.items()
    }


def _operation_options(addition: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an addition's operation: name -> field."""
    kind = OPERATIONS[addition.get("operation", DEFAULT_OPERATION)]
    return {each.name: each for each in fields(kind.options)}


def swept_keys(addition: Mapping[str, Any]) -> list[str]:
    """Keys of a config's addition whose lists are swept, the outermost loop first."""
    options = _operation_options(addition).items()
    return [
        *SWEPT,
        *(name for name, each in options if each.metadata["swept"] and name not in SWEPT),
    ]


def _spell_out(
    entry: dict[str, Any], choices: dict[str, dict[str, Any]] | None
) -> Iterator[Addition]:
    """The additions that an entry of a config stands for."""
    entry = dict(entry)
    if "choice" in entry:
        chosen = (choices or {})[entry.pop("choice")]
        # A factor turns a chosen setting round, or scales it, without choosing anew.
        factor = entry.pop("factor", 1)
        entry |= {"layer": chosen["layer"], "coefficient": factor * chosen["coefficient"]}
        entry.setdefault("source_layer", chosen["source_layer"])
    options = _operation_options(entry)
    strength = options.pop("coefficient")
    if strength.default is not MISSING:
        entry.setdefault("coefficient", strength.default)
    names = [each.name for each in fields(Addition)]
    swept = swept_keys(entry)
    for values in product(*(_many(entry.get(name)) for name in swept)):
        spelled = {**entry, **dict(zip(swept, values, strict=True))}
        stated = {name: value for name, value in spelled.items() if value is not None}
        yield Addition(
            **{name: stated[name] for name in names if name in stated},
            options={name: stated[name] for name in options if name in stated},
        )


def modules_of(entries: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """Modules of the methods and operations that an experiment's `conditions` use, sorted."""
    methods = {METHODS[entry["method"]].module for entry in entries.values()}
    operations = {
        OPERATIONS[addition.get("operation", DEFAULT_OPERATION)].module
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
            layers = addition.get("layer", candidates.get(addition.get("choice", ""), []))
            sources = addition.get("source_layer", layers)
            # The injection layer's own vector says what norm to scale to.
            used = _many(sources) + (_many(layers) if addition.get("match_norm") else [])
            needed |= {(addition["vector"], layer) for layer in used}
    return needed
