"""Make the page by which completions are read."""

from actadd.pipeline.program import run
from actadd.results.explorer import build
from actadd.results.report import describe
from actadd.store.provenance import record_beside


def work(spec, inputs, outputs):
    verifications = inputs.pop("verifications")
    given = [path for paths in inputs.values() for path in paths]
    records = [found for path in given if (found := record_beside(path))]
    describe(spec, records=records, verifications=verifications, output=outputs["about"])
    return build(spec, **inputs, output=outputs["page"])


if __name__ == "__main__":
    read = "completions* scores* summaries* verifications*"
    run(__doc__, work, inputs=read, outputs="page about")
