"""Tabulate how well each scorer agrees with people."""

from actadd.program import run
from actadd.report import write_table_page
from actadd.scores import scorer_card


def work(spec, inputs, outputs):
    made = scorer_card(spec, validations=inputs["validations"], output=outputs["card"])
    write_table_page(
        outputs["page"],
        title="How well scorers agree with people",
        csv=outputs["card"],
        caption="On texts that they were not fitted on. A scorer without human labels says so.",
    )
    return made


if __name__ == "__main__":
    run(__doc__, work, inputs="validations*", outputs="card page")
