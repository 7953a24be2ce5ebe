"""`actadd verify`: whether results are complete and unchanged, and how to make them again."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from actadd.base.errors import DamagedFile
from actadd.cli.store import files, is_cell
from actadd.pipeline import layout
from actadd.pipeline.graph import Graph
from actadd.store import sums
from actadd.store.cells import is_intact
from actadd.store.provenance import read, record_beside

# Folders of results in which every file is a record or is listed in one.
RECORDED = sorted(
    {
        pattern.split("/")[0]
        for stage in layout.STAGES.values()
        for pattern in stage.outputs.values()
        if "/" in pattern
    }
)
# Faults that are printed; further ones are counted.
MAX_LINES = 20


@dataclass(frozen=True)
class Fault:
    """A file that is missing or not as it was made.

    target: the output that Snakemake can make again; None for a cell. outputs: all outputs of the
    same job, by the record. stray: whether it is beside a record that does not list it, so that no
    job made it.
    """

    path: Path
    what: str
    target: Path | None
    outputs: tuple[Path, ...] = ()
    stray: bool = False


@dataclass(frozen=True)
class Checked:
    """The number of files that were checked, and the faults."""

    count: int
    faults: list[Fault]


def check(results: Path) -> Checked:
    """Compare every file in a folder of results with the sums in the records, and the cells."""
    faults: list[Fault] = []
    listed: set[Path] = set()
    records = sorted(results.rglob("*provenance.json"))
    for record in records:
        faults += _of_record(record, listed)
    recorded = {_output(path, results) for path in listed}
    for path in _unlisted(results, listed, {fault.target for fault in faults}):
        stray = record_beside(path) is not None or _output(path, results) in recorded
        fault = "is in no record" if stray else "has no record of its inputs"
        faults.append(Fault(path, fault, _output(path, results), stray=stray))
    cells = [path for path in files(results / "store") if is_cell(path)]
    faults += [
        Fault(path, "its sum is not that of its bytes", None)
        for path in cells
        if not is_intact(path.read_bytes())
    ]
    return Checked(len(records) + len(listed) + len(cells), faults)


def _of_record(record: Path, listed: set[Path]) -> Iterator[Fault]:
    """The faults of a record and of the files that it lists, which are added to `listed`."""
    try:
        content = read(record)
    except DamagedFile as error:
        yield Fault(record, str(error).removeprefix(f"{record} "), record)
        return
    if content is None:
        yield Fault(record, "is not a record of a job", record)
        return
    outputs = dict.fromkeys(record.parent / Path(name).parts[0] for name in content["outputs"])
    for name, sha256 in content["outputs"].items():
        file = record.parent / name
        listed.add(file)
        if not file.is_file():
            what = "is gone"
        elif sums.sha256(file) != sha256:
            what = "its sha256 is not that of its record"
        else:
            continue
        yield Fault(file, what, record.parent / Path(name).parts[0], (*outputs, record))


def _output(path: Path, results: Path) -> Path:
    """The output of Snakemake that a file belongs to: itself, or a folder with a timestamp."""
    for folder in path.relative_to(results).parents:
        if (results / folder / ".snakemake_timestamp").exists():
            return results / folder
    return path


def _unlisted(results: Path, listed: set[Path], known: set[Path | None]) -> Iterator[Path]:
    """Files that no record lists, except those whose record is known to be damaged."""
    folders = {path.parent for path in known if path and path.name == "provenance.json"}
    stems = {
        path.with_name(path.name.removesuffix(".provenance.json"))
        for path in known
        if path and path.name.endswith(".provenance.json")
    }
    for folder in RECORDED:
        for path in sorted((results / folder).rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(results).parts)
            ours = path in listed or path.name.endswith("provenance.json")
            if hidden or ours or not path.is_file() or path.parent in folders:
                continue
            if not any(stem == path.with_suffix("") or stem in path.parents for stem in stems):
                yield path


def show(checked: Checked, graph: Graph, configs: list[Path]) -> None:
    """Print the faults, one a line, and the command that makes the faulty files again."""
    for fault in checked.faults[:MAX_LINES]:
        typer.echo(f"{fault.path}: {fault.what}")
    if len(checked.faults) > MAX_LINES:
        typer.echo(f"and {len(checked.faults) - MAX_LINES} more")
    typer.echo(f"{checked.count} files, {len(checked.faults)} with a fault")
    stray = dict.fromkeys(fault.path for fault in checked.faults if fault.stray)
    faults = [fault for fault in checked.faults if fault.target and not fault.stray]
    outputs = {
        path for job in graph.everything() for paths in job.outputs.values() for path in paths
    }
    ours = dict.fromkeys(fault.target for fault in faults if str(fault.target) in outputs)
    others = dict.fromkeys(
        path
        for fault in faults
        if fault.target not in ours
        for path in (fault.outputs or (fault.path,))
        if path.exists()
    )
    cells = [fault.path for fault in checked.faults if fault.target is None]
    if ours:
        files = f" --configfile {shlex.join(map(str, configs))}" if configs else ""
        typer.echo("make them again with:")
        typer.echo(f"  snakemake --cores all{files} --force {shlex.join(map(str, ours))}")
    if cells:
        typer.echo("delete these cells, and the next run that needs them computes them again:")
        typer.echo(f"  rm {shlex.join(map(str, cells))}")
    if others:
        typer.echo("not of this config; name its file (actadd verify CONFIG), or delete them:")
        typer.echo(f"  rm -r {shlex.join(map(str, others))}")
    if stray:
        typer.echo("not written by any job; move them out of the results or delete them:")
        typer.echo(f"  rm {shlex.join(map(str, stray))}")
