"""Perplexity ratio against how often a topic's words stand in a document."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import UserError
from actadd.base.kinds import option
from actadd.results.displays.kinds import Experiment, ExperimentOptions, Sources, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Frequency(ExperimentOptions):
    at_least: int = option("Documents that a bin needs.", 1, minimum=1)

    def check(self, experiment: Experiment) -> Iterator[str]:
        if "texts" in experiment.dataset:
            yield (
                f"experiment: the texts of {experiment.name} are written in the config, so their "
                "groups are not shares of words; take one on a dataset with `frequency`"
            )


@figure(Frequency, reads=("summary",), measures=("logprobs",))
def frequency(options: Frequency, sources: Sources) -> "tuple[Figure, str]":
    """Perplexity ratio against how often the topic's words stand in a document (paper, Fig. 2)."""
    import pandas as pd

    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.labels import (
        failed,
        in_order,
        metric_rows,
        settings,
        unsteered,
    )
    from actadd.results.drawing import LEVEL, error_lines, in_percent, legend, panels

    rows = metric_rows(sources, sources.read("summary"), "perplexity_ratio")
    rows = rows[~unsteered(rows) & (rows["group"] != "all")]
    enough = rows["n_prompts"] >= options.at_least
    rows = rows[enough | (failed(rows) & rows["group"].isin(rows["group"][enough]))]
    shares = pd.to_numeric(rows["group"], errors="coerce")
    if shares.isna().any() or rows.empty:
        raise UserError(
            f"{sources.key}: the texts' groups are not shares of words; take an experiment "
            "on a dataset with `frequency`, and a smaller at_least if there is one"
        )
    rows = rows.assign(percent=shares)
    figure, [axis] = panels(1, 2.2)
    axis.axhline(100, **LEVEL)
    lines = settings(rows, "percent", label=options.label)
    error_lines(
        axis,
        [(text, in_percent(part)) for text, part in lines],
        "percent",
        looks=sources.facts.looks,
    )
    axis.set(xlabel="topic words among the document's words (%)", ylabel="perplexity ratio (%)")
    if len(lines) > 1:
        legend(figure, [axis])
    sizes = ", ".join(
        f"{share:g} %: {number}"
        for share, number in rows[~failed(rows)][["percent", "n_prompts"]].itertuples(index=False)
    )
    vectors = options.listed(in_order(rows["vector"]))
    caption = (
        f"The figure shows perplexity under the vector {vectors} over perplexity without it, "
        "token-weighted in bins of the documents' share of topic words: below 100 % (dashed), "
        f"steering made the text more likely. The documents per bin are {sizes}. "
        f"{data_sentence(options, sources, rows)} Documents are "
        "resampled whole."
    )
    return figure, caption
