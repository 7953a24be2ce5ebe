"""Contrast pairs: how much they do, and whether anything cheap foretells it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.intervals import rank_correlation
from actadd.base.predictors import Best, best_predictor
from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import metric_rows, row_labels, unsteered
from actadd.results.displays.pair_options import PairsOptions
from actadd.results.intervals import interval_text
from actadd.vectors.pair_check import PREDICTORS

# Of a lens and norms.
OF_LENS = {
    "norm": "norm / stream's norm",
    "cosine to mean": "cosine to mean",
    "sharpness": "largest logit / next ten's mean",
}
# What tells the rows of one metric apart.
ROW = ["model", "condition", "vector", "layer", "coefficient"]


def predictors(options: PairsOptions) -> dict[str, str]:
    """Column of what may foretell the effect -> what it is."""
    return PREDICTORS if options.pair_check else OF_LENS


def gather(options: PairsOptions, sources: Sources) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(pairs, correlations) of an experiment whose conditions are one vector each.

    sources: its summaries, and a pair check, or the vectors' norms with a lens's tokens and
    cosines.
    pairs: one row for each model and vector with its effect (paired difference from unsteered and
    interval), `predictors`, the logit lens's top tokens, and why it has no effect if its condition
    failed. Where several conditions use a vector, in whichever way, each is a row. correlations:
    Spearman's rho of the effect with each predictor, low and high over pairs, and n.
    """
    summary = sources.read("summary")
    effect, *others = options.metrics
    effects = _rows(sources, summary, effect)
    effects = effects[~unsteered(effects) & effects["vector"].notna()]
    effects = effects[effects["vector"] != options.relative_to]
    several = effects.duplicated(["model", "vector"], keep=False)
    predictors_of = _Predictors(options, sources)
    rows = []
    labels = [text.replace("\n", " ") for text in row_labels(effects)]
    for (_, row), repeated, text in zip(effects.iterrows(), several, labels, strict=True):
        name = row["condition"] if options.pair_check else row["vector"]
        pair = {
            "model": row["model"],
            "pair": f"{name}: {text}" if repeated else name,
            "effect": row["difference"],
            "low": row["difference_low"],
            "high": row["difference_high"],
            "p": row["p_value"],
            **predictors_of(row),
        }
        for metric in others:
            same = _rows(sources, summary, metric)
            for key in ROW:
                same = same[(same[key] == row[key]) | (same[key].isna() & pd.isna(row[key]))]
            pair[metric] = same["mean"].iloc[0]
        rows.append({**pair, "failed": row.get("failed")})
    pairs = pd.DataFrame(rows).sort_values(["model", "effect"], ascending=[True, False])
    correlations = [
        (model, name, *_correlation(part, name))
        for model, part in pairs.groupby("model", sort=True)
        for name in predictors(options)
    ]
    columns = ["model", "predictor", "rho", "low", "high", "n"]
    return pairs.reset_index(drop=True), pd.DataFrame(correlations, columns=columns)


def correlation_texts(correlations: pd.DataFrame) -> str:
    """ "norm +0.31 [+0.02, +0.55]; ...", those without a value left out."""
    columns = correlations[["predictor", "rho", "low", "high"]].dropna(subset="rho")
    return "; ".join(
        f"{name} {interval_text(interval, '{:+.2f}'.format)}"
        for name, *interval in columns.itertuples(index=False)
    )


def corrected(best: Best) -> str:
    """What is left of the best predictor's correlation once its choice is accounted for."""
    mean, low, high = best.left_out
    left_out = (
        ""
        if np.isnan(mean)
        else f"where each resample of the pairs chooses among the {best.of} anew, it has rho "
        f"{mean:+.2f} on the pairs left out (95 % of resamples: {low:+.2f} to {high:+.2f}), and "
    )
    return (
        f"{left_out}the best of {best.of} that foretell nothing would have as much with "
        f"p = {best.p:.2g} (permutations, each with its largest correlation)"
    )


def best_sentences(pairs: pd.DataFrame, names: Iterable[str]) -> str:
    """Of each model, which predictor is best and what is left of it, with a space at the end.

    pairs: of `gather`.
    """
    sentences = []
    for model, part in pairs.groupby("model", sort=True):
        values = {name: part[name].to_numpy(float) for name in names}
        if best := best_predictor(values, part["effect"].to_numpy(float)):
            sentences.append(
                f"The largest on {model}, of {best.name}, was chosen on these pairs: "
                f"{corrected(best)}. "
            )
    return "".join(sentences)


def _correlation(part: pd.DataFrame, name: str) -> tuple[float, float, float, int]:
    """(rho, low, high, n) of a predictor with the effect."""
    both = part[[name, "effect"]].dropna()
    return *rank_correlation(both[name].to_numpy(), both["effect"].to_numpy()), len(both)


def _rows(sources: Sources, summary: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of a metric; of a scorer's name alone, those of each condition's own metric."""
    if "." in metric:
        return metric_rows(sources, summary, metric)
    return summary[
        (summary["metric"] == metric + "." + summary["condition"]) & (summary["group"] == "all")
    ]


class _Predictors:
    """The predictors and top tokens of a row's vector."""

    def __init__(self, options: PairsOptions, sources: Sources) -> None:
        self.relative_to, self.check = options.relative_to, None
        if options.pair_check:
            self.check = sources.read("pair_check").set_index(["model", "vector"])
            return
        self.norms, self.tokens, self.cosines = (
            sources.read("norms"),
            sources.read("tokens"),
            sources.read("cosines"),
        )

    def __call__(self, row: "pd.Series[Any]") -> dict[str, Any]:
        if self.check is not None:
            known = self.check.loc[(row["model"], row["vector"])]
            columns = ["layer", "dose", *PREDICTORS]
            return {**known[columns].to_dict(), "top tokens": known["tokens"]}
        return self._of_lens(row)

    def _of_lens(self, row: "pd.Series[Any]") -> dict[str, Any]:
        norms, tokens, cosines = (
            table[(table["model"] == row["model"]) & (table["vector"] == row["vector"])]
            for table in (self.norms, self.tokens, self.cosines)
        )
        near = cosines[
            (cosines["kind"] == "vectors")
            & (cosines["layer"] == row["layer"])
            & (cosines["other"] == self.relative_to)
        ]
        raised = tokens[(tokens["layer"] == row["layer"]) & (tokens["direction"] == "up")]
        last = raised[raised["position"] == raised["position"].max()].sort_values("rank")
        logits = last["logit"].to_numpy()
        return {
            "norm": norms[norms["layer"] == row["layer"]]["ratio"].max(),
            "cosine to mean": near["cosine"].iloc[0] if len(near) else np.nan,
            "sharpness": logits[0] / np.mean(logits[1:]) if len(logits) > 1 else np.nan,
            "top tokens": ", ".join(repr(token) for token in last["token"].head(5)),
        }
