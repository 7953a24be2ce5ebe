"""`actadd store`: the size of the cell store, and the removal of cells that nothing needs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from actadd.base.errors import DamagedFile, UserError
from actadd.base.files import remove
from actadd.base.names import unknown
from actadd.cli.plan import cell_keys, score_cells
from actadd.cli.terminal import size
from actadd.measure.measures import MEASURES
from actadd.pipeline import layout
from actadd.pipeline.graph import Graph
from actadd.store.provenance import record_beside, recorded

# Tables name a cell by this many characters of its key.
SHORT = 16


@dataclass
class Needed:
    """Cells in use, by the first characters of their keys; and entries whose cells are unknown."""

    cells: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)

    def add_scores(self, what: str, completions: Path, entry: dict[str, Any]) -> None:
        """Add the cells of a scorer's table. entry: the scorer's entry in its job's spec."""
        try:
            self.cells |= {key[:SHORT] for key, _ in score_cells(completions, entry)}
        except UserError as error:
            self.unknown.append(f"{what}: {error}")


def files(store: Path) -> list[Path]:
    """The store's files: cells, and notes of cells that failed."""
    return sorted(path for path in store.glob("??/*") if path.is_file())


def is_cell(path: Path) -> bool:
    return path.suffix == ".parquet" and not path.name.startswith(".")


def needed(graph: Graph) -> Needed:
    """The cells of the tables in results, and those of the config's experiments.

    The latter include experiments without a table yet, for example after a killed run.
    """
    needs = Needed()
    for measure in MEASURES:
        for path in layout.on_disk("cells", "table", measure=measure).values():
            needs.cells |= _cells_of(path)
    for path in layout.on_disk("scores", "scores").values():
        if (record := record_beside(path)) is None:
            # The job was killed before it wrote the record; the next run repeats it.
            needs.unknown.append(f"{path}: it has no record of its inputs")
            continue
        content = recorded(record)
        [completions] = (name for name in content["inputs"] if name.endswith(".parquet"))
        needs.add_scores(str(path), record.parent / completions, content["spec"]["scorer"])
    for experiment, entry in graph.config["experiments"].items():
        for model in entry["models"]:
            try:
                keys = cell_keys(graph, model, experiment, fresh=False)
                needs.cells |= {key[:SHORT] for key in keys}
            except UserError as error:
                needs.unknown.append(f"{experiment} on {model}: {error}")
            for scorer in entry.get("scorers", []):
                add_planned_scores(needs, graph, model, experiment, scorer)
    return needs


def add_planned_scores(
    needs: Needed, graph: Graph, model: str, experiment: str, scorer: str
) -> None:
    """Add the cells of scores that the config declares."""
    [completions] = graph.scores(model, experiment, scorer).inputs["completions"]
    what = f"scores of {experiment} on {model} by {scorer}"
    needs.add_scores(what, Path(completions.path), graph.scorer_entry(scorer))


def _cells_of(path: Path) -> set[str]:
    """The cells of a table; raises DamagedFile, which names the file, if it is not one."""
    try:
        batches = pq.ParquetFile(path).iter_batches(columns=["cell"])
        return {cell for batch in batches for cell in batch.column("cell").unique().to_pylist()}
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedFile(
            f"{path} is damaged: delete it and run the workflow again, before the store is pruned"
        ) from error


@dataclass(frozen=True)
class Pruned:
    """Files removed from the store, or to be removed; bytes freed; number of files kept."""

    removed: list[Path]
    freed: int
    kept: int
    unknown: list[str]


def prune(graph: Graph, store: Path, dry_run: bool = False) -> Pruned:
    """Remove the files of the store that nothing uses.

    Every cell of a table in results and every known cell of the config's experiments and scores is
    kept. Raises UserError while the workflow is running, since it may be writing cells.
    """
    if not dry_run:
        _refuse_if_locked()
    used = needed(graph)
    removed = [path for path in files(store) if path.name[:SHORT] not in used.cells]
    freed = sum(path.stat().st_size for path in removed)
    kept = len(files(store)) - len(removed)
    if not dry_run:
        for path in removed:
            path.unlink()
    return Pruned(removed, freed, kept, used.unknown)


def _refuse_if_locked() -> None:
    locks = Path(".snakemake/locks")
    if locks.is_dir() and any(locks.iterdir()):
        raise UserError(
            "the workflow is running here, or was killed: wait, or run snakemake --unlock, before "
            "cells are removed from the store"
        )


def forget(graph: Graph, store: Path, experiment: str) -> list[Path]:
    """Remove an experiment's cells and their tables, so that the next run computes them again.

    Cells that it shares with other experiments are computed again too, with the same numbers.
    Returns the removed files. Raises UserError if the config has no such experiment.
    """
    config = graph.config["experiments"]
    if experiment not in config:
        raise UserError(f"--forget: {unknown('experiment', experiment, config)}")
    _refuse_if_locked()
    cells, outputs = Needed(), []
    for model in config[experiment]["models"]:
        job = graph.cells(model, experiment)
        [table] = map(Path, job.outputs["table"])
        if table.exists():
            cells.cells |= _cells_of(table)
        scores = [
            graph.scores(model, experiment, scorer)
            for scorer in config[experiment].get("scorers", [])
        ]
        for each in scores:
            scorer = each.names["scorer"]
            add_planned_scores(cells, graph, model, experiment, scorer)
        for each in (job, *scores):
            shards = [file.path for file in each.inputs["shards"]]
            outputs += [*each.outputs.get("table", []), *each.outputs.get("scores", []), *shards]
    removed = [path for path in files(store) if path.name[:SHORT] in cells.cells]
    removed += [Path(path) for path in outputs if Path(path).exists()]
    for path in removed:
        remove(path)
    return removed


def show(store: Path) -> None:
    """Print the size of the store."""
    paths = files(store)
    cells = sum(map(is_cell, paths))
    failed = sum(path.name.endswith(".failed.json") for path in paths)
    line = f"{store}: {cells} cells, {size(sum(path.stat().st_size for path in paths))}"
    typer.echo(line + (f"; {failed} cells failed when they were last tried" if failed else ""))


def show_pruned(pruned: Pruned, dry_run: bool) -> None:
    """Print the removed files, then their number and size."""
    for path in pruned.removed:
        typer.echo(str(path))
    verb = "would be removed" if dry_run else "removed"
    kept = f"{pruned.kept} kept"
    typer.echo(f"{len(pruned.removed)} files with {size(pruned.freed)} {verb}, {kept}")
    if pruned.unknown:
        typer.echo(
            f"not known yet, so nothing of it is protected: the cells of {len(pruned.unknown)} "
            "experiments or scores that were never run as the config has them"
        )
        for line in pruned.unknown:
            typer.echo(f"  {line}")
