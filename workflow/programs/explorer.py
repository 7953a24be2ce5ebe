"""Build the explorer, the page to read completions."""

from actadd.pipeline.program import run
from actadd.results.explorer import build
from actadd.results.report import describe
from actadd.store.provenance import record_beside


def work(spec, inputs, outputs):
    verifications = inputs.pop("verifications")
    files = [path for paths in inputs.values() for path in paths.values()]
    records = [record for file in files if (record := record_beside(file))]
    about = {"verifications": verifications, "summaries": inputs["summaries"]}
    describe(spec, records=records, **about, output=outputs["about"])
    return build(spec, **inputs, output=outputs["page"])


if __name__ == "__main__":
    run(
        __doc__,
        work,
        inputs="completions{model,experiment} tokens{model,experiment} "
        "scores{model,experiment,scorer} summaries{model,experiment} verifications{model}",
        outputs="page about",
    )
