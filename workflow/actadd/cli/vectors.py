"""`actadd vectors`: the steering vectors that have been made."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actadd.base.errors import DamagedFile, UserError
from actadd.cli.shown import table
from actadd.store.provenance import recorded


@dataclass(frozen=True)
class Made:
    """A vector at every layer. ratios: its largest norm over the residual stream's, by layer."""

    model: str
    name: str
    entry: dict[str, Any]
    positions: int
    ratios: dict[int, float]


def made(results: Path) -> list[Made]:
    """The vectors under a folder of results, by model and name."""
    found = []
    for norms in sorted(results.glob("vectors/*/*/norms.csv")):
        ratios: dict[int, float] = {}
        try:
            with norms.open(encoding="utf-8", newline="") as stream:
                rows = list(csv.DictReader(stream))
            for row in rows:
                layer = int(row["layer"])
                ratios[layer] = max(ratios.get(layer, 0.0), float(row["ratio"]))
            positions = 1 + max(int(row["position"]) for row in rows)
        except (ValueError, KeyError, TypeError) as error:
            said = f"{norms} is damaged: delete it and run the workflow again"
            raise DamagedFile(said) from error
        entry = recorded(norms.with_name("provenance.json"))["spec"]["vector"]
        found.append(Made(norms.parts[-3], norms.parts[-2], entry, positions, ratios))
    if not found:
        raise UserError(
            f"there are no vectors in {results / 'vectors'}; make those of the config with "
            "snakemake --cores all, or try one with actadd try"
        )
    return found


def prompts(entry: dict[str, Any]) -> str:
    """What a vector is made from, shortly."""
    if entry["kind"] == "pair":
        return f"{entry['positive']!r} - {entry['negative']!r}"
    if entry["kind"] == "single":
        return repr(entry["prompt"])
    if entry["kind"] == "file":
        return f"from {entry['file']}"
    if entry["kind"] == "random":
        several = f", {entry['draws']} draws" if "draws" in entry else ""
        return f"like {entry['like']}, seed {entry['seed']}{several}"
    return f"{len(entry['positive'])} pairs, first {str(entry['positive'][0])[:30]!r}"


def show(vectors: list[Made]) -> None:
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
