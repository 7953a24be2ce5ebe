"""The frame of every program in workflow/programs: arguments, one library call, a record."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from actadd.base.errors import UserError, print_anything
from actadd.base.files import REMEDIES, read_json, system_error
from actadd.base.kinds import load_plugin
from actadd.pipeline import devices
from actadd.pipeline.decisions import decided, resolved
from actadd.pipeline.job import compute_of
from actadd.store import provenance

Paths = dict[str, Any]
# What makes an input: the names of its job; None for the user's own file.
Maker = dict[str, str] | None


def run(
    doc: str,
    work: Callable[..., dict[str, Any] | None],
    *,
    inputs: str = "",
    outputs: str = "",
    options: str = "",
    network: bool = False,
) -> None:
    """Parse arguments, check the inputs, call `work(spec, inputs, outputs)`, record provenance.

    inputs, outputs, options: names separated by spaces, each an argument `--name`; `name*` takes
    any number of values, `name{a,b}` too, and `name?` may be missing. `work` gets the spec, where
    it says auto with what was decided, see `decisions`; inputs and outputs as dictionaries of Path,
    list[Path] or None, and of `name{a,b}` a dictionary (a, b) -> Path, by these names of the jobs
    that make the files; options as keyword arguments. It returns facts for the record.

    Without `network` the model hub is never contacted, which saves seconds with a connection, and
    minutes of timeouts on a compute node without one.

    A UserError ends the program with only its message; so does a system error that a user can
    resolve, such as a full disk.
    """
    # Logs are read as UTF-8, whatever the locale.
    print_anything("utf-8")
    stage = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--job", required=True, type=Path, help="the job's file")
    parser.add_argument("--provenance", required=True, type=Path, help="where to write the record")
    kinds = ((inputs, Path), (outputs, Path), (options, str))
    for names, kind in kinds:
        for name, mark in _split(names).items():
            extra: dict[str, Any] = {"nargs": "*", "default": []} if mark else {"required": True}
            if mark == "?":
                extra = {"nargs": "?", "default": None}
            parser.add_argument(f"--{name}", type=kind, **extra)
    arguments = vars(parser.parse_args())

    def values(names: str) -> Paths:
        return {name: arguments[name] for name in _split(names)}

    request = read_json(arguments["job"])
    spec = request["spec"]
    makers = {
        name: {os.path.normpath(path): maker for path, maker in paths.items()}
        for name, paths in request["inputs"].items()
    }
    # Before numpy and torch are imported: two jobs with two threads each on two cores are up to
    # ten times slower than with one each. The number comes from the config, not from Snakemake's
    # scheduler, since another number of threads can change bytes.
    compute = compute_of(spec)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(compute.get("threads", 1))
    if not network:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Lets torch allocate huge pages; otherwise new logits cause a page fault for each 4 kB.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        for plugin in spec.get("plugins", ()):
            load_plugin(Path(plugin))
        expected = set(spec.get("upstream", {}).values())
        written = [path for value in values(outputs).values() for path in _paths(value)]
        # A file of the user's has no job that makes it, and no record.
        read = [
            path
            for name, value in values(inputs).items()
            for path in _paths(value)
            if _maker(path, makers[name]) is not None
        ]
        by_name = {
            name: _by_name(value, makers[name], _split(inputs)[name])
            for name, value in values(inputs).items()
        }
        sums: dict[Path, str] = {}
        for path in dict.fromkeys(read):
            sums |= provenance.check_fresh(path, expected)
        # A job that gathers other jobs' cells needs no GPU.
        gathers = arguments.get("shard") == "none"
        gpus = compute.get("gpus", 1) if compute.get("device") == "cuda" and not gathers else 0
        whole = resolved(spec, by_name.get("rows"), by_name.get("verified"))
        with devices.reserve(gpus, stage):
            facts = work(whole, by_name, values(outputs), **values(options))
        provenance.write(
            arguments["provenance"],
            stage=stage,
            spec=spec,
            code=request["code"],
            packages=request.get("packages", {}),
            job=request["job"],
            facts=provenance.weights(read) | decided(spec, whole) | (facts or {}),
            outputs=written,
            inputs=sums,
        )
        # Since the process started, so including imports.
        print(f"took {time.time() - psutil.Process().create_time():.1f} s", flush=True)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; what is finished is kept, run again to go on")
    except Exception as error:
        number = system_error(error)
        if number is None:
            raise
        where = getattr(error, "filename", None) or f"the job {stage}"
        sys.exit(
            f"error: {where}: {os.strerror(number)}; {REMEDIES[number]}, then run again: what is "
            "finished is kept, and no half file is left"
        )


def _split(names: str) -> dict[str, str]:
    """Argument -> what follows its name: nothing, "?", "*" or names in braces."""
    return dict(re.findall(r"(\w+)(\S*)", names))


def _maker(path: Path, makers: dict[str, Maker]) -> Maker:
    """What makes an input; `path` may have a folder in front of the path that the job's file says.

    makers: by normalised path; not by order, which is no part of what a job is. Raises UserError
    if the job's file does not name the path.
    """
    absolute = os.path.normpath(path.absolute())
    parts = Path(absolute).parts[1:]
    behind = ("/".join(parts[first:]) for first in range(len(parts)))
    for name in (absolute, os.path.relpath(absolute), *behind):
        if name in makers:
            return makers[name]
    raise UserError(
        f"{path}: the job's file does not name this input; run again without arguments that force "
        "a job"
    )


def _by_name(value: Any, makers: dict[str, Maker], mark: str) -> Any:
    """The value of an argument; with names in braces, its files by these names of their jobs."""
    if not mark.startswith("{"):
        return value
    names = mark.strip("{}").split(",")
    keyed = {}
    for path in value:
        maker = _maker(path, makers) or {}
        key = tuple(maker[name] for name in names)
        keyed[key if len(key) > 1 else key[0]] = path
    return keyed


def _paths(value: Path | list[Path] | None) -> list[Path]:
    """The paths of an argument: none, one or several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
