"""Contrast pairs for one property."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, table
from actadd.results.displays.pair_options import READS, PairsOptions

if TYPE_CHECKING:
    import pandas as pd


@table(PairsOptions, reads=READS, measures=("completions",))
def pairs(options: PairsOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Contrast pairs for one property: their effect, and what might predict it."""
    from actadd.results.displays.labels import failed
    from actadd.results.displays.pair_quality import (
        best_sentences,
        correlation_texts,
        gather,
        predictors,
    )
    from actadd.results.intervals import detectable_correlation

    table, correlations = gather(options, sources)
    texts = " ".join(
        f"{model}: {correlation_texts(part)}."
        for model, part in correlations.groupby("model", sort=True)
    )
    caption = (
        f"The effect is the paired difference of {options.label(options.metrics[0])} from "
        "unsteered. Spearman's rank correlations of the effect with predictors that need no "
        f"sampling, over {table['effect'].count()} pairs, with 95 % bootstrap intervals over "
        f"pairs, not corrected for the number of predictors, are: {texts} The smallest that so "
        "many pairs detect with 80 % power is "
        f"{detectable_correlation(int(correlations['n'].max())):.2f}. "
        f"{best_sentences(table, predictors(options))}Data: {sources.facts.data}."
    )
    table = table if failed(table).any() else table.drop(columns="failed")
    return table.set_index(["model", "pair"]), caption
