"""Tabulate results to be read."""

from actadd.pipeline.program import run
from actadd.results.report import write_caption, write_table_page
from actadd.results.tables import tabulate


def work(spec, inputs, outputs):
    page, caption = outputs.pop("page"), outputs.pop("caption")
    made = tabulate(spec, sources=inputs["sources"], **outputs)
    words = {"title": spec["title"], "caption": made["caption"]}
    write_caption(caption, **words)
    write_table_page(page, csv=outputs["csv"], **words)
    return made


if __name__ == "__main__":
    run(__doc__, work, inputs="sources*", outputs="csv markdown latex page caption")
