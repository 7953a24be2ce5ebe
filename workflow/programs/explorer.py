"""Make the page by which completions are read."""

from actadd.explorer import build
from actadd.program import run
from actadd.provenance import record_beside
from actadd.report import describe


def work(spec, inputs, outputs):
    given = [path for paths in inputs.values() for path in paths]
    records = [found for path in given if (found := record_beside(path))]
    describe(spec, records=records, output=outputs["about"])
    return build(spec, **inputs, output=outputs["page"])


if __name__ == "__main__":
    run(__doc__, work, inputs="completions* scores* summaries*", outputs="page about")
