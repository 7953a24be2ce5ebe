"""The command line: `actadd COMMAND`, which `make env` installs beside the environment's Python.

`commands_of_*.py` say what each command takes; its work is in a module of its own, apart from its
output. A command imports that module when it runs, so that `--help` and `check` load neither torch
nor pandas.
"""

import os
import sys
from pathlib import Path

from actadd.base.errors import print_anything

# They add their commands, in the order in which the help lists them.
from actadd.cli import commands_of_models, commands_of_vectors, commands_of_workflow  # noqa: F401
from actadd.cli.commands import app

# The library of the workflow in the current folder.
LOCAL = Path("workflow/actadd/__main__.py")


def main() -> None:
    """Run the command line, in a workflow's folder with that workflow's own library.

    Cells in the store are looked up by a digest of the code, so an installed library of another
    version would find none of them.
    """
    if LOCAL.is_file() and not LOCAL.samefile(Path(__file__).parents[1] / LOCAL.name):
        path = os.pathsep.join(filter(None, [str(LOCAL.parents[1]), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "actadd", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": path})
    print_anything()
    app(prog_name="actadd")
