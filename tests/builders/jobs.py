"""Jobs of a workspace, run in this process."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from actadd.base.files import read_json
from actadd.pipeline import layout
from actadd.pipeline.job import Job


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


def compute(job: Job, done: set[Job] | None = None) -> None:
    """A job and those above it, in this folder and process, but for models and what they are from.

    The programs' own functions compute them, without Snakemake and without records.
    """
    done = set() if done is None else done
    for above in job.above:
        if above not in done and above.stage not in ("model", "fetch"):
            compute(above, done)
    done.add(job)
    program = import_module(job.modules[0])
    declared = Path(program.__file__).read_text()

    def marks(kind: str) -> dict[str, str]:
        return dict(re.findall(r"(\w+)(\S*)", re.search(rf'{kind}="([^"]*)"', declared)[1]))

    def given(name: str, mark: str) -> Any:
        files = job.inputs.get(name, ())
        if mark.startswith("{"):
            return {file.job.names[mark[1:-1]]: Path(file.path) for file in files}
        paths = [Path(file.path) for file in files]
        return paths if mark == "*" else next(iter(paths), None)

    outputs = {
        name: [*map(Path, job.outputs[name])] if mark == "*" else Path(job.outputs[name][0])
        for name, mark in marks("outputs").items()
    }
    for path in (path for paths in job.outputs.values() for path in paths):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    cells = {"store": layout.STORE, "shard": None, "failures": job.failures, "note": None}
    program.work(
        job.settings,
        {name: given(name, mark) for name, mark in marks("inputs").items()},
        outputs,
        **(cells if job.failures else {}),
    )
