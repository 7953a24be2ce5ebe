"""Draw one figure."""

from actadd.figures import draw
from actadd.program import run
from actadd.report import write_caption


def work(spec, inputs, outputs):
    drawn = draw(spec, sources=inputs["sources"], png=outputs["png"], svg=outputs["svg"])
    write_caption(outputs["caption"], spec["title"], drawn["caption"])
    return drawn


if __name__ == "__main__":
    run(__doc__, work, inputs="sources*", outputs="png svg caption")
