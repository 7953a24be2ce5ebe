"""Contrast pairs for one property."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, table
from actadd.results.displays.pair_options import PairsOptions

if TYPE_CHECKING:
    import pandas as pd


@table(PairsOptions, reads=("summary", "norms", "tokens", "cosines"), measures=("completions",))
def pairs(options: PairsOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Contrast pairs for one property: their effect, and what might predict it."""
    import numpy as np

    from actadd.results.displays.labels import failed
    from actadd.results.displays.pair_quality import gather

    table, correlations = gather(sources, options.metrics, options.relative_to)
    texts = "; ".join(
        f"{predictor}: rho = {rho:+.2f} (p = {p:.2g})"
        for predictor, rho, p in correlations[["predictor", "rho", "p"]].itertuples(index=False)
        if not np.isnan(rho)
    )
    caption = (
        f"Effect: paired difference of {options.label(options.metrics[0])} from unsteered. "
        "Spearman's rank correlation of the effect over "
        f"{table['effect'].count()} pairs with {texts}; not corrected for the number "
        f"of predictors. Data: {sources.facts.data}."
    )
    table = table if failed(table).any() else table.drop(columns="failed")
    return table.set_index(["model", "pair"]), caption
