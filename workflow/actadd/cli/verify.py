"""`actadd verify`: whether results are there and as they were made, and what makes them anew."""

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
from actadd.store.cells import sealed
from actadd.store.provenance import read, record_beside

# Folders of results whose files all have a record, or are in one.
RECORDED = sorted(
    {
        pattern.split("/")[0]
        for stage in layout.STAGES.values()
        for pattern in stage.outputs.values()
        if "/" in pattern
    }
)
# Lines of output for files; further ones are counted.
SHOWN = 20


@dataclass(frozen=True)
class Fault:
    """A file that is not as it was made.

    target: what Snakemake is asked for, to have it made; None for a cell. made: all that was made
    with it, by the record. stray: it lies beside a record that does not name it, so that no job
    made it.
    """

    path: Path
    what: str
    target: Path | None
    made: tuple[Path, ...] = ()
    stray: bool = False


@dataclass(frozen=True)
class Checked:
    """How many files were looked at, and what is wrong with some."""

    count: int
    faults: list[Fault]


def check(results: Path) -> Checked:
    """Compares every file under a folder of results with the sums in the records, and the cells."""
    faults: list[Fault] = []
    listed: set[Path] = set()
    records = sorted(results.rglob("*provenance.json"))
    for record in records:
        faults += _of_record(record, listed)
    recorded = {_output(path, results) for path in listed}
    for path in _unlisted(results, listed, {fault.target for fault in faults}):
        stray = record_beside(path) is not None or _output(path, results) in recorded
        what = "is in no record" if stray else "no record says what it was made from"
        faults.append(Fault(path, what, _output(path, results), stray=stray))
    cells = [path for path in files(results / "store") if is_cell(path)]
    faults += [
        Fault(path, "its sum is not that of its bytes", None)
        for path in cells
        if not sealed(path.read_bytes())
    ]
    return Checked(len(records) + len(listed) + len(cells), faults)


def _of_record(record: Path, listed: set[Path]) -> Iterator[Fault]:
    """What is wrong with a record and the files that it lists, which are added to `listed`."""
    try:
        content = read(record)
    except DamagedFile as error:
        yield Fault(record, str(error).removeprefix(f"{record} "), record)
        return
    if content is None:
        yield Fault(record, "is no record of a job", record)
        return
    outputs = dict.fromkeys(record.parent / Path(name).parts[0] for name in content["outputs"])
    for name, wanted in content["outputs"].items():
        file = record.parent / name
        listed.add(file)
        if not file.is_file():
            what = "is gone"
        elif sums.sha256(file) != wanted:
            what = "its sha256 is not that of its record"
        else:
            continue
        yield Fault(file, what, record.parent / Path(name).parts[0], (*outputs, record))


def _output(path: Path, results: Path) -> Path:
    """What Snakemake makes as one: the file, or the folder in which it left the time of making."""
    for folder in path.relative_to(results).parents:
        if (results / folder / ".snakemake_timestamp").exists():
            return results / folder
    return path


def _unlisted(results: Path, listed: set[Path], known: set[Path | None]) -> Iterator[Path]:
    """Files that no record lists, but for those whose record is known to be damaged."""
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
            if not any(place == path.with_suffix("") or place in path.parents for place in stems):
                yield path


def show(checked: Checked, graph: Graph, configs: list[Path]) -> None:
    """Prints the faults, one a line, and the command that makes the faulty files anew."""
    for fault in checked.faults[:SHOWN]:
        typer.echo(f"{fault.path}: {fault.what}")
    if len(checked.faults) > SHOWN:
        typer.echo(f"and {len(checked.faults) - SHOWN} more")
    typer.echo(f"{checked.count} files, {len(checked.faults)} not as they were made")
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
        for path in (fault.made or (fault.path,))
        if path.exists()
    )
    cells = [fault.path for fault in checked.faults if fault.target is None]
    if ours:
        files = f" --configfile {shlex.join(map(str, configs))}" if configs else ""
        typer.echo("this makes them anew:")
        typer.echo(f"  snakemake --cores all{files} --force {shlex.join(map(str, ours))}")
    if cells:
        typer.echo("cells are computed anew by the run that needs them, once they are deleted:")
        typer.echo(f"  rm {shlex.join(map(str, cells))}")
    if others:
        typer.echo("not of this config; name its file (actadd verify CONFIG), or delete them:")
        typer.echo(f"  rm -r {shlex.join(map(str, others))}")

    if stray:
        typer.echo("made by no job; move them to a place outside, or delete them:")
        typer.echo(f"  rm {shlex.join(map(str, stray))}")
