"""Draw one figure."""

from actadd.figures import draw
from actadd.program import run


def work(spec, inputs, outputs):
    return draw(spec, sources=inputs["sources"], **outputs)


if __name__ == "__main__":
    run(__doc__, work, inputs="sources*", outputs="png svg pdf")
