"""Draw one figure of the config."""

from actadd.figures import draw
from actadd.program import run


def work(spec, inputs, outputs):
    return draw(spec, tables=inputs["tables"], png=outputs["png"], svg=outputs["svg"])


if __name__ == "__main__":
    run(__doc__, work, inputs="tables*", outputs="png svg")
