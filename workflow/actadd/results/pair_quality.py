"""Contrast pairs for one property: how much they do, and whether anything cheap foretells it."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from actadd.results.labels import metric_rows, read

PREDICTORS = ("norm", "cosine to mean", "sharpness")


def gather(spec: dict, sources: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(pairs, correlations) of an experiment whose conditions are one vector each.

    spec: metrics (the effect, then others to show) and relative_to (a mean-difference vector).
    sources: its summaries, the vectors' norms, and a lens's tokens and cosines.
    pairs: one row for each model and pair with its effect (paired difference from unsteered and
    interval), norm over the residual stream's at the injection layer, cosine to the mean
    difference, the logit lens's top tokens, sharpness (largest logit over its next ten), and why it
    has no effect if its condition failed.
    correlations: Spearman's rho of the effect with each of `PREDICTORS`.
    """
    kinds = {name: [path for path in sources if path.name.startswith(name)] for name in KINDS}
    summary = read([path for path in sources if "summaries" in path.parts])
    norms, tokens, cosines = (read(kinds[name]) for name in KINDS)
    rows = []
    effect, *others = spec["metrics"]
    for _, row in metric_rows(spec, summary, effect).iterrows():
        vector, layer, model = row["vector"], row["layer"], row["model"]
        if row["method"] != "actadd" or vector == spec.get("relative_to"):
            continue
        place = norms[(norms["vector"] == vector) & (norms["model"] == model)]
        largest = place[place["layer"] == layer]["ratio"].max()
        near = cosines[
            (cosines["model"] == model)
            & (cosines["kind"] == "vectors")
            & (cosines["layer"] == layer)
            & (cosines["vector"] == vector)
            & (cosines["other"] == spec.get("relative_to"))
        ]
        read_out = tokens[
            (tokens["model"] == model)
            & (tokens["vector"] == vector)
            & (tokens["layer"] == layer)
            & (tokens["direction"] == "up")
        ]
        last = read_out[read_out["position"] == read_out["position"].max()].sort_values("rank")
        logits = last["logit"].to_numpy()
        found = {
            "model": model,
            "pair": vector,
            "effect": row["difference"],
            "low": row["difference_low"],
            "high": row["difference_high"],
            "p": row["p_value"],
            "norm": largest,
            "cosine to mean": near["cosine"].iloc[0] if len(near) else np.nan,
            "sharpness": logits[0] / np.mean(logits[1:]) if len(logits) > 1 else np.nan,
            "top tokens": ", ".join(repr(token) for token in last["token"].head(5)),
        }
        for metric in others:
            same = metric_rows(spec, summary, metric)
            same = same[(same["vector"] == vector) & (same["model"] == model)]
            found[metric] = same["mean"].iloc[0]
        rows.append({**found, "failed": row.get("failed")})
    pairs = pd.DataFrame(rows).sort_values(["model", "effect"], ascending=[True, False])
    correlations = []
    for model, own in pairs.groupby("model", sort=True):
        for predictor in PREDICTORS:
            result = spearmanr(own[predictor], own["effect"], nan_policy="omit")
            correlations.append((model, predictor, result.statistic, result.pvalue))
    columns = ["model", "predictor", "rho", "p"]
    return pairs.reset_index(drop=True), pd.DataFrame(correlations, columns=columns)


# File names of what a pair is described by, in the order of `gather`.
KINDS = ("norms", "tokens", "cosines")
