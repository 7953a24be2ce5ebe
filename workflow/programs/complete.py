"""End a target: everything is made, and no cell failed."""

from pathlib import Path

from actadd.base.errors import UserError
from actadd.pipeline.program import run
from actadd.store.failed_cells import message


def work(spec, inputs, outputs, failures):
    if failed := message(Path(failures), spec["failures"]):
        raise UserError(failed)


if __name__ == "__main__":
    run(__doc__, work, options="failures")
