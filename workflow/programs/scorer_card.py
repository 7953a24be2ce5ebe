"""Tabulate how well each scorer agrees with people."""

from actadd.pipeline.program import run
from actadd.results.report import write_table_page
from actadd.results.scorer_card import CAPTION, TITLE, scorer_card


def work(spec, inputs, outputs):
    page = outputs.pop("page")
    facts = scorer_card(spec, validations=inputs["validations"], **outputs)
    write_table_page(page, title=TITLE, csv=outputs["csv"], caption=CAPTION)
    return facts


if __name__ == "__main__":
    run(__doc__, work, inputs="validations{scorer}", outputs="csv markdown latex page")
