"""The published numbers beside ours."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Options, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@table(Options, reads=("comparison",))
def comparison(options: Options, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Every published number of which there is one of ours, and every claim."""
    from actadd.results.comparison import numbers_and_claims

    table = sources.read("comparison")
    counts = ", ".join(f"{n} {verdict}" for verdict, n in table["verdict"].value_counts().items())
    caption = (
        f"Rows by verdict: {counts}. Published numbers that were not run are only counted. How "
        "verdicts are made: docs/reproduction.md."
    )
    run = (table["kind"] == "claim") | (table["verdict"] != "not run")
    return numbers_and_claims(table[run]), caption
