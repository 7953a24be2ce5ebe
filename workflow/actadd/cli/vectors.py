"""`actadd vectors`: the steering vectors in results."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actadd.base.errors import DamagedFile, UserError
from actadd.cli.terminal import table
from actadd.pipeline import layout
from actadd.store.provenance import recorded


@dataclass(frozen=True)
class DerivedVector:
    """A vector at every layer. ratios: layer -> its largest norm over the residual stream's."""

    model: str
    name: str
    entry: dict[str, Any]
    positions: int
    ratios: dict[int, float]


def derived(results: Path) -> list[DerivedVector]:
    """The vectors in a folder of results, by model and name."""
    vectors = []
    for (model, name), norms in layout.on_disk("vectors", "norms", results).items():
        ratios: dict[int, float] = {}
        try:
            with norms.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            for row in rows:
                layer = int(row["layer"])
                ratios[layer] = max(ratios.get(layer, 0.0), float(row["ratio"]))
            positions = 1 + max(int(row["position"]) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedFile(
                f"{norms} is damaged: delete it and run the workflow again"
            ) from error
        entry = recorded(norms.with_name("provenance.json"))["spec"]["vector"]
        vectors.append(DerivedVector(model, name, entry, positions, ratios))
    if not vectors:
        raise UserError(
            f"there are no vectors in {results}; derive those of the config with "
            "snakemake --cores all, or try one with actadd try"
        )
    return vectors


def prompts(entry: dict[str, Any]) -> str:
    """A short text about the prompts or the file that a vector is derived from."""
    if entry["kind"] == "pair":
        return f"{entry['positive']!r} - {entry['negative']!r}"
    if entry["kind"] == "single":
        return repr(entry["prompt"])
    if entry["kind"] == "file":
        return f"from {entry['file']}"
    seed = f", {entry['count']} drawn" if "count" in entry else ""
    seed += f", seed {entry['seed']}" if "seed" in entry else ""
    several = f", {entry['draws']} draws" if "draws" in entry else ""
    if "like" in entry:
        return f"like {entry['like']}{seed}{several}"
    if "parts" in entry:
        return " + ".join(f"{part['weight']:g} {part['vector']}" for part in entry["parts"])
    if "pairs" in entry:
        return f"rows of {entry['pairs']['dataset']}{seed}{several}"
    first = str(entry["positive"][0])[:30]
    return f"{len(entry['positive'])} pairs, first {first!r}{seed}{several}"


def show(vectors: list[DerivedVector]) -> None:
    rows = [
        (
            vector.model,
            vector.name,
            vector.entry["kind"],
            str(len(vector.ratios)),
            str(vector.positions),
            f"{min(vector.ratios.values()):.2g} to {max(vector.ratios.values()):.2g}",
            prompts(vector.entry),
        )
        for vector in vectors
    ]
    columns = ("model", "vector", "kind", "layers", "positions", "norm / stream's", "prompts")
    table(columns, rows, numbers=("layers", "positions", "norm / stream's"))
