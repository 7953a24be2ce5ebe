"""Directions of more and more contrast pairs."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, table
from actadd.results.displays.pair_count_options import PairCountOptions

if TYPE_CHECKING:
    import pandas as pd


@table(
    PairCountOptions,
    reads=("tables", "scores"),
    measures=("completions",),
    others={"damage": "completions"},
)
def pair_counts(options: PairCountOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Effect and damage of directions of more and more pairs, and what more pairs add."""
    import pandas as pd

    from actadd.results.displays.estimates import estimates
    from actadd.results.displays.pair_counts import caption, gather

    points, enough = gather(options, sources)
    columns = {
        "effect": estimates(points, "effect"),
        "most pairs minus these": estimates(points, "below"),
    }
    if options.cost:
        columns[f"{options.label(options.cost)}, over unsteered"] = estimates(points, "cost")
    columns["detectable"] = [f"{value:.2g}" for value in points["detectable"]]
    columns["draws"] = points["draws"].tolist()
    table = pd.DataFrame(columns).set_index(
        pd.MultiIndex.from_frame(points[["model", "curve", "pairs"]])
    )
    return table, caption(options, sources, points, enough)
