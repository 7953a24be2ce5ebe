"""Draw one figure."""

from actadd.pipeline.program import run
from actadd.results.displays.needs import ARGUMENTS
from actadd.results.figures import draw
from actadd.results.report import write_caption, write_markdown


def work(spec, inputs, outputs):
    caption, markdown = outputs.pop("caption"), outputs.pop("markdown")
    facts = draw(spec, sources=inputs, **outputs)
    write_caption(caption, spec["title"], facts["caption"])
    write_markdown(markdown, spec["title"], facts["caption"])
    return facts


if __name__ == "__main__":
    run(__doc__, work, inputs=ARGUMENTS, outputs="png svg pdf captioned csv markdown caption")
