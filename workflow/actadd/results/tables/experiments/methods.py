"""Metrics of each condition."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import MetricsOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Methods(MetricsOptions):
    pass


@table(Methods, reads=("summary",))
def methods(options: Methods, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """A row for each condition; for each metric its mean, interval and paired p-value."""
    import pandas as pd

    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.estimates import estimates, two_digits
    from actadd.results.displays.labels import metric_rows, row_labels

    summary = sources.read("summary")
    parts, columns = [], {}
    keys = ["model", "condition", "cell_order"]

    def ordered(metric: str) -> pd.DataFrame:
        rows = metric_rows(sources, summary, metric)
        return rows.assign(cell_order=rows.groupby(["model", "condition"]).cumcount())

    for metric in options.metrics:
        rows, name = ordered(metric), options.label(metric)
        parts.append(rows)
        index = pd.MultiIndex.from_frame(rows[keys])
        columns[name] = pd.Series(estimates(rows), index)
        if "draws" in rows and rows["draws"].notna().any():
            columns[f"{name}: spread of draws"] = pd.Series(two_digits(rows["spread"]), index)
        if rows["difference"].notna().any():
            columns[f"{name}: difference"] = pd.Series(estimates(rows, "difference"), index)
            columns[f"{name}: p"] = pd.Series(two_digits(rows["p_value"]), index)
    order = ordered(options.metrics[0])
    table = pd.DataFrame(columns).reindex(pd.MultiIndex.from_frame(order[keys])).fillna("")
    texts = [text.replace("\n", " ") for text in row_labels(order, options.label)]
    table.index = pd.MultiIndex.from_arrays(
        [order["model"].map(options.label), texts], names=["model", "condition"]
    )
    caption = (
        "Means with intervals; difference: paired, steered minus unsteered with the same sampling "
        f"and noise, p of a paired t-test over {sources.facts.unit}. "
        f"{data_sentence(options, sources, pd.concat(parts))}"
    )
    return table, caption
