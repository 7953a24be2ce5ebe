"""Tabulate results to be read."""

from actadd.program import run
from actadd.report import write_caption, write_table_page
from actadd.tables import tabulate


def work(spec, inputs, outputs):
    files = {"csv": outputs["csv"], "markdown": outputs["markdown"]}
    made = tabulate(spec, sources=inputs["sources"], **files)
    words = {"title": spec["title"], "caption": made["caption"]}
    write_caption(outputs["caption"], **words)
    write_table_page(outputs["page"], csv=outputs["csv"], **words)
    return made


if __name__ == "__main__":
    run(__doc__, work, inputs="sources*", outputs="csv markdown page caption")
