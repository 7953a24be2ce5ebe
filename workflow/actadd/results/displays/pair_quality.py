"""Contrast pairs for one property: how much they do, and whether anything cheap foretells it."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import metric_rows, row_labels, unsteered

PREDICTORS = ("norm", "cosine to mean", "sharpness")
# What tells the rows of one metric apart.
ROW = ["model", "condition", "vector", "layer", "coefficient"]


def gather(
    sources: Sources, metrics: list[str], relative_to: str | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(pairs, correlations) of an experiment whose conditions are one vector each.

    sources: its summaries, the vectors' norms, and a lens's tokens and cosines. metrics: the
    effect, then others to show. relative_to: a mean-difference vector, which is not a pair.
    pairs: one row for each model and vector with its effect (paired difference from unsteered and
    interval), norm over the residual stream's at the injection layer, cosine to the mean
    difference, the logit lens's top tokens, sharpness (largest logit over its next ten), and why it
    has no effect if its condition failed. Where several conditions use a vector, in whichever way,
    each is a row. correlations: Spearman's rho of the effect with each of `PREDICTORS`.
    """
    summary = sources.read("summary")
    norms, tokens, cosines = (
        sources.read("norms"),
        sources.read("tokens"),
        sources.read("cosines"),
    )
    effect, *others = metrics
    effects = metric_rows(sources, summary, effect)
    effects = effects[~unsteered(effects) & effects["vector"].notna()]
    effects = effects[effects["vector"] != relative_to]
    several = effects.duplicated(["model", "vector"], keep=False)
    rows = []
    labels = [text.replace("\n", " ") for text in row_labels(effects)]
    for (_, row), repeated, text in zip(effects.iterrows(), several, labels, strict=True):
        vector, layer, model = row["vector"], row["layer"], row["model"]
        of_vector = norms[(norms["vector"] == vector) & (norms["model"] == model)]
        near = cosines[
            (cosines["model"] == model)
            & (cosines["kind"] == "vectors")
            & (cosines["layer"] == layer)
            & (cosines["vector"] == vector)
            & (cosines["other"] == relative_to)
        ]
        raised = tokens[
            (tokens["model"] == model)
            & (tokens["vector"] == vector)
            & (tokens["layer"] == layer)
            & (tokens["direction"] == "up")
        ]
        last = raised[raised["position"] == raised["position"].max()].sort_values("rank")
        logits = last["logit"].to_numpy()
        pair = {
            "model": model,
            "pair": f"{vector}: {text}" if repeated else vector,
            "effect": row["difference"],
            "low": row["difference_low"],
            "high": row["difference_high"],
            "p": row["p_value"],
            "norm": of_vector[of_vector["layer"] == layer]["ratio"].max(),
            "cosine to mean": near["cosine"].iloc[0] if len(near) else np.nan,
            "sharpness": logits[0] / np.mean(logits[1:]) if len(logits) > 1 else np.nan,
            "top tokens": ", ".join(repr(token) for token in last["token"].head(5)),
        }
        for metric in others:
            same = metric_rows(sources, summary, metric)
            for name in ROW:
                same = same[(same[name] == row[name]) | (same[name].isna() & pd.isna(row[name]))]
            pair[metric] = same["mean"].iloc[0]
        rows.append({**pair, "failed": row.get("failed")})
    pairs = pd.DataFrame(rows).sort_values(["model", "effect"], ascending=[True, False])
    correlations = []
    for model, part in pairs.groupby("model", sort=True):
        for predictor in PREDICTORS:
            result = spearmanr(part[predictor], part["effect"], nan_policy="omit")
            correlations.append((model, predictor, result.statistic, result.pvalue))
    columns = ["model", "predictor", "rho", "p"]
    return pairs.reset_index(drop=True), pd.DataFrame(correlations, columns=columns)
