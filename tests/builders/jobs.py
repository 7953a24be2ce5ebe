"""Jobs of a workspace, run in this process."""

from pathlib import Path

from actadd.base.files import read_json


def arguments_of(space, program: str, *parts: str) -> list[str]:
    """The arguments with which the workflow last ran a program; `parts` are in them."""
    result = [read_json(path) for path in (space.folder / "imports").glob("*.json")]
    (chosen,) = {
        tuple(record["arguments"])
        for record in result
        if record["program"] == f"programs.{program}"
        and all(any(part in argument for argument in record["arguments"]) for part in parts)
    }
    return list(chosen)


def hidden(folder: Path) -> list[Path]:
    """Temporary files that are left somewhere in a folder."""
    return [path for path in folder.rglob(".*") if path.name != ".snakemake_timestamp"]
