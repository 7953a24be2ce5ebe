"""Complete a target: fail if cells failed in a job above."""

from pathlib import Path

from actadd.base.errors import UserError
from actadd.pipeline.program import run
from actadd.store.failed_cells import message


def work(spec, inputs, outputs, failures):
    if failed := message(Path(failures), spec["failures"]):
        raise UserError(failed)


if __name__ == "__main__":
    run(__doc__, work, options="failures")
