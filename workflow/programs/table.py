"""Write one table."""

from actadd.pipeline.program import run
from actadd.results.displays.needs import ARGUMENTS
from actadd.results.report import write_caption, write_table_page
from actadd.results.tables import tabulate


def work(spec, inputs, outputs):
    page, caption = outputs.pop("page"), outputs.pop("caption")
    facts = tabulate(spec, sources=inputs, **outputs)
    texts = {"title": spec["title"], "caption": facts["caption"]}
    write_caption(caption, **texts)
    write_table_page(page, csv=outputs["csv"], **texts)
    return facts


if __name__ == "__main__":
    run(__doc__, work, inputs=ARGUMENTS, outputs="csv markdown latex page caption")
