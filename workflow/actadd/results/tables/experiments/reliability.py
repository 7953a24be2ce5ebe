"""Reliability cards of an experiment, a row for each vector and setting."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, table
from actadd.results.reliability.options import OTHERS, ReliabilityOptions

if TYPE_CHECKING:
    import pandas as pd


@table(
    ReliabilityOptions,
    reads=("tables", "scores", "norms", "readings"),
    measures=("completions",),
    others=OTHERS,
)
def reliability(options: ReliabilityOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """What may be said of each vector at each setting, and what was not measured."""
    from actadd.results.reliability.gather import cards
    from actadd.results.reliability.rows import COLUMNS, caption, lacking, rows

    gathered = cards(options, sources)
    return rows(gathered), COLUMNS + caption(gathered, options, sources) + lacking(gathered)
