"""Conditions of an experiment: what the config writes as a grid, spelled out one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from actadd.base.files import canonical, canonical_json

METHODS = ("unsteered", "prompting", "preadd", "actadd")
SWEPT = ("layer", "source_layer", "coefficient", "position", "dimensions")
SAMPLING = ("temperature", "top_p", "frequency_penalty")


@dataclass(frozen=True, eq=False)
class Condition:
    """A method with its additions; with the experiment's prompts and samples it makes a cell.

    additions: dictionaries of vector, source_layer, layer, coefficient, position, dimensions (a
    share of d_model, or None), phase, match_norm. prefix: text put before every prompt; for method
    preadd, before the prompts of the contrasted context, which counts `strength` times (PREADD's
    alpha). sampling and seed: how completions are drawn. group: only the dataset's rows of it.
    draw: number of the draw of a random vector with several; all draws are one control.
    """

    name: str
    method: str
    prefix: str = ""
    additions: tuple[dict[str, Any], ...] = field(default=())
    strength: float | None = None
    sampling: dict[str, float] = field(default_factory=dict)
    seed: int | None = None
    group: str | None = None
    draw: int | None = None

    @property
    def label(self) -> str:
        """A short name that tells conditions of one experiment apart."""
        parts = [
            f"{a['vector']} at layer {a['layer']} times {a['coefficient']:g}"
            for a in self.additions
        ]
        drawn = "" if self.draw is None else f", draw {self.draw}"
        return f"{self.name} ({' + '.join(parts)}{drawn})" if parts else self.name

    def coordinates(self) -> dict[str, Any]:
        """Columns that place the condition in a table.

        The usual case of one addition has plain columns; `additions` holds all of them as JSON. The
        draws of one control have the same coordinates.
        """
        one = self.additions[0] if len(self.additions) == 1 else {}
        vectors = "+".join(addition["vector"] for addition in self.additions)
        return {
            "condition": self.name,
            "method": self.method,
            "vector": vectors or None,
            "source_layer": one.get("source_layer"),
            "layer": one.get("layer"),
            "coefficient": None if not one else float(one["coefficient"]),
            "position": one.get("position"),
            "dimensions": one.get("dimensions"),
            "phase": one.get("phase"),
            "additions": canonical_json(self.additions),
            **{name: self.sampling.get(name) for name in SAMPLING},
            "seed": self.seed,
        }


def expand(
    entries: dict[str, dict],
    choices: dict[str, dict] | None = None,
    sampling: dict[str, float] | None = None,
    seed: int | None = None,
) -> list[Condition]:
    """All conditions of an experiment, ordered by method and name.

    The config's own order does not count: keys that were only moved must change nothing.
    entries: the experiment's `conditions`. Lists in an addition are swept, all combinations, and
    several additions multiply; so are lists of `sampling` and `seed`. choices: for additions with
    `choice`, the layer and coefficient chosen on the development split. sampling, seed: the
    experiment's own, for conditions that do not set them.
    """
    conditions = []
    for name in sorted(entries, key=lambda name: (METHODS.index(entries[name]["method"]), name)):
        entry = entries[name]
        options = [list(_spell_out(addition, choices)) for addition in entry.get("additions", [])]
        own = [{**(sampling or {}), **settings} for settings in _many(entry.get("sampling", {}))]
        seeds = _many(entry.get("seed", seed))
        for drawn, number, *additions, draw in product(own, seeds, *options, _draws(entry)):
            conditions.append(
                Condition(
                    name,
                    entry["method"],
                    entry.get("prefix", ""),
                    tuple(additions),
                    entry.get("strength"),
                    drawn,
                    number,
                    entry.get("group"),
                    draw,
                )
            )
    return conditions


def _draws(entry: dict) -> list[int | None]:
    """Numbers of the draws that a condition is run for; one without a number if nothing says so.

    `draws` of its additions are the vectors' own, which the config puts there; where several say
    so, they say the same, and each draw of the condition takes the vectors' draws of its number.
    """
    several = {addition["draws"] for addition in entry.get("additions", []) if "draws" in addition}
    return list(range(several.pop())) if several else [None]


def grid_size(entries: dict[str, dict]) -> int:
    """How many conditions `expand` makes of an experiment's `conditions`, without making them."""

    def ways(entry: dict, *names: str) -> int:
        return prod(len(_many(entry.get(name))) for name in names)

    return sum(
        ways(entry, "sampling", "seed")
        * len(_draws(entry))
        * prod(ways(addition, *SWEPT) for addition in entry.get("additions", []))
        for entry in entries.values()
    )


def _many(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def at_depth(entries: dict[str, dict], layers: int) -> dict[str, dict]:
    """Conditions with every `depth` written as the `layer` it means in a model of `layers` blocks.

    A depth is a share of the blocks: one config then fits models of any size.
    """

    def layer(depth: float | list) -> int | list[int]:
        found = [min(layers - 1, round(share * layers)) for share in _many(depth)]
        return list(dict.fromkeys(found)) if isinstance(depth, list) else found[0]

    def placed(addition: dict) -> dict:
        names = {"depth": "layer", "source_depth": "source_layer"}
        return {names.get(k, k): layer(v) if k in names else v for k, v in addition.items()}

    return {
        name: {**entry, "additions": [placed(addition) for addition in entry["additions"]]}
        if "additions" in entry
        else entry
        for name, entry in entries.items()
    }


def _spell_out(addition: dict, choices: dict[str, dict] | None) -> Iterator[dict[str, Any]]:
    addition = dict(addition)
    if "choice" in addition:
        chosen = (choices or {})[addition.pop("choice")]
        # A factor turns a chosen setting round, or scales it, without choosing anew.
        factor = addition.pop("factor", 1)
        addition |= {"layer": chosen["layer"], "coefficient": factor * chosen["coefficient"]}
        addition.setdefault("source_layer", chosen["source_layer"])
    swept = {name: _many(addition.get(name)) for name in SWEPT}
    for values in product(*swept.values()):
        spelled = dict(zip(SWEPT, values, strict=True))
        if spelled["source_layer"] is None:
            spelled["source_layer"] = spelled["layer"]
        yield canonical(
            {
                "vector": addition["vector"],
                **spelled,
                "position": spelled["position"] or "front",
                "phase": addition.get("phase", "prefill"),
                "match_norm": addition.get("match_norm", False),
            }
        )


def vectors_needed(
    entries: dict[str, dict], candidates: dict[str, list[int]]
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
