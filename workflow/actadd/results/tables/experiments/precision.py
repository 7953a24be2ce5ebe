"""Precision at each K by condition."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Experiment, ExperimentOptions, Sources, table
from actadd.results.displays.targets import lacks_targets

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Precision(ExperimentOptions):
    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from lacks_targets(experiment)


@table(Precision, reads=("summary",), measures=("logprobs",))
def precision(options: Precision, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Precision at each K by condition, and the paired test on ranks (paper, ConceptNet)."""
    import pandas as pd

    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.estimates import estimates, two_digits

    summary = sources.read("summary")
    summary = summary[summary["group"] == "all"]
    ranked = summary[summary["metric"].str.startswith("precision_at_")]
    ks = sorted({int(metric.rpartition("_")[2]) for metric in ranked["metric"]})
    keys = ["model", "condition", "vector", "layer", "coefficient", "position", "dimensions"]

    def column(metric: str, write: Callable[[pd.DataFrame], list[str]]) -> pd.Series:
        rows = summary[summary["metric"] == metric]
        return pd.Series(write(rows), pd.MultiIndex.from_frame(rows[[*keys, "additions"]]))

    columns = {f"P@{k}": column(f"precision_at_{k}", estimates) for k in ks}
    differences = column("rank", lambda rows: estimates(rows, "difference"))
    p_values = column("rank", lambda rows: two_digits(rows["p_value"]))
    columns |= {"mean rank difference": differences, "p (Wilcoxon)": p_values}
    table = pd.DataFrame(columns, index=differences.index).droplevel("additions")
    caption = (
        "Items whose right next token is among the K likeliest. "
        f"{data_sentence(options, sources, ranked)}"
    )
    return table, caption
