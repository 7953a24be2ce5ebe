"""Conditions of an experiment: what the config writes as a grid, spelled out one by one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from actadd.files import canonical, canonical_json

METHODS = ("unsteered", "prompting", "actadd")
SWEPT = ("layer", "source_layer", "coefficient", "position", "dimensions")


@dataclass(frozen=True, eq=False)
class Condition:
    """A method with its additions; with the experiment's prompts and samples it makes a cell.

    additions: dictionaries of vector, source_layer, layer, coefficient, position, dimensions,
    phase. prefix: text put before every prompt (method prompting).
    """

    name: str
    method: str
    prefix: str = ""
    additions: tuple[dict[str, Any], ...] = field(default=())

    @property
    def label(self) -> str:
        """A short name that tells conditions of one experiment apart."""
        parts = [
            f"{a['vector']} at layer {a['layer']} times {a['coefficient']:g}"
            for a in self.additions
        ]
        return f"{self.name} ({' + '.join(parts)})" if parts else self.name

    def coordinates(self) -> dict[str, Any]:
        """Columns that place the condition in a table.

        The usual case of one addition has plain columns; `additions` holds all of them as JSON.
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
        }


def expand(entries: dict[str, dict], choices: dict[str, dict] | None = None) -> list[Condition]:
    """All conditions of an experiment, ordered by method and name.

    The config's own order does not count: keys that were only moved must change nothing.
    entries: the experiment's `conditions`. Lists in an addition are swept, all combinations, and
    several additions multiply. choices: for additions with `choice`, the layer and coefficient
    chosen on the development split.
    """
    conditions = []
    for name in sorted(entries, key=lambda name: (METHODS.index(entries[name]["method"]), name)):
        entry = entries[name]
        options = [list(_spell_out(addition, choices)) for addition in entry.get("additions", [])]
        for additions in product(*options):
            conditions.append(
                Condition(name, entry["method"], entry.get("prefix", ""), tuple(additions))
            )
    return conditions


def _spell_out(addition: dict, choices: dict[str, dict] | None) -> Iterator[dict[str, Any]]:
    addition = dict(addition)
    if "choice" in addition:
        chosen = (choices or {})[addition.pop("choice")]
        # A factor turns a chosen setting round, or scales it, without choosing anew.
        factor = addition.pop("factor", 1)
        addition |= {"layer": chosen["layer"], "coefficient": factor * chosen["coefficient"]}
        addition.setdefault("source_layer", chosen["source_layer"])
    swept = {
        name: addition[name] if isinstance(addition.get(name), list) else [addition.get(name)]
        for name in SWEPT
    }
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
            given = addition.get("source_layer", addition.get("layer"))
            if given is None:
                given = candidates[addition["choice"]]
            layers = given if isinstance(given, list) else [given]
            needed |= {(addition["vector"], layer) for layer in layers}
    return needed
