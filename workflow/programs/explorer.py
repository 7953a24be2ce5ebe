"""Make the page by which completions are read."""

from actadd.explorer import build
from actadd.program import run


def work(spec, inputs, outputs):
    return build(
        spec,
        completions=inputs["completions"],
        scores=inputs["scores"],
        summaries=inputs["summaries"],
        output=outputs["page"],
    )


if __name__ == "__main__":
    run(__doc__, work, inputs="completions* scores* summaries*", outputs="page")
