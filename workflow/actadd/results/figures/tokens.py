"""Figures of next-token distributions and of single tokens."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import probplot

from actadd.base.errors import UserError
from actadd.results.figures.common import LEVEL, SMALL, legend, panels, printed, series, wrapped
from actadd.results.token_shift import token_shift as shifts
from actadd.results.labels import failed, failures, read


def token_shift(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """How far tokens' log-probabilities move: Q-Q plot and the most moved (paper, Fig. 7)."""
    found = shifts(sources, spec.get("at_least", 20))
    models = sorted(found["model"].unique())
    figure, axes = panels(2 * len(models), 2.7, columns=2)
    raised, lowered = series(0, 2)["color"], series(1, 2)["color"]
    for place, model in enumerate(models):
        own = found[found["model"] == model]
        (theory, ordered), (slope, intercept, _) = probplot(own["difference"], dist="norm")
        axis, bars = axes[2 * place : 2 * place + 2]
        axis.plot(theory, ordered, "o", markersize=2.5, color=raised)
        axis.plot(theory, slope * theory + intercept, **LEVEL)
        axis.set(xlabel="normal quantile", ylabel="mean shift of a token (nats)", title=model)
        extremes = own if len(own) <= 20 else pd.concat([own.head(10), own.tail(10)])
        up = (extremes["difference"] > 0).tolist()
        bars.barh(
            range(len(extremes)),
            extremes["difference"],
            color=[raised if above else lowered for above in up],
            hatch=["" if above else "////" for above in up],
            edgecolor="white",
            linewidth=0,
        )
        texts = [printed(token, 20) for token in extremes["token"]]
        bars.set_yticks(range(len(extremes)), texts, fontsize=SMALL)
        bars.set_ylim(len(extremes) - 0.4, -0.6)
        bars.axvline(0, color="0.35", linewidth=0.8)
        bars.grid(visible=False, axis="y")
        bars.set(xlabel="mean shift (nats)")
    counts = ", ".join(
        f"{len(part)} tokens from {int(part['n'].sum())} places ({model})"
        for model, part in found.groupby("model", sort=True)
    )
    caption = (
        "Mean change of a token's log-probability under steering, over its instances in the text; "
        f"tokens with at least {spec.get('at_least', 20)} instances: {counts}. Left: against "
        "normal quantiles (a heavy right tail means that a few tokens rise much more than chance "
        f"would have it); right: the ten most raised and lowered. Data: {spec['about']['data']}."
    )
    return figure, caption


def divergence(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """KL over entropy of each text, a random vector's against the steering vector's (Fig. 9)."""
    table = read(sources)
    lost = failures(table)
    table = table[~failed(table)]
    table = table[~table["modified"].astype(bool)]
    texts = table.groupby(["model", "condition", "vector", "coefficient", "text_id"])
    means = texts[["kl", "entropy"]].mean()
    share = (means["kl"] / means["entropy"]).rename("share").reset_index()
    models = sorted(share["model"].unique())
    figure, axes = panels(len(models), 2.4)
    told = []
    for axis, model in zip(axes, models, strict=True):
        own = share[share["model"] == model]
        wide = own.pivot_table(
            index=["text_id", "coefficient"], columns="condition", values="share"
        )
        wide = wide.reindex(columns=["actadd", "random"]).dropna().reset_index()
        if wide.empty:
            raise UserError(
                f"figures.{spec['name']}: {model} has no coefficient that actadd and "
                "random share; give both the same"
            )
        steps = list(wide.groupby("coefficient", sort=True))
        for index, (factor, part) in enumerate(steps):
            style = {**series(index, len(steps)), "linestyle": "none"}
            axis.plot(part["random"], part["actadd"], **style, alpha=0.8, label=f"c = {factor:g}")
            below = float((part["actadd"] < part["random"]).mean())
            told.append(
                f"{model}, c = {factor:g}: steering {part['actadd'].mean():.3f}, random "
                f"{part['random'].mean():.3f} on average, steering below random on {below:.0%} of "
                f"{len(part)} texts"
            )
        largest = 1.05 * np.nanmax(wide[["actadd", "random"]].to_numpy())
        axis.plot([0, largest], [0, largest], **LEVEL)
        axis.set(
            xlabel="random vector: KL / entropy",
            ylabel="steering vector: KL / entropy",
            title=wrapped(model, 2) if len(models) > 1 else "",
        )
    legend(figure, axes)
    several = f", averaged over {table['draw'].nunique()} of them" if "draw" in table else ""
    caption = (
        "KL(unsteered || steered) over the unsteered entropy, averaged over each text's positions "
        "that were not changed directly; a point is a text, the dashed line is equality. The "
        f"random vector has the steering vector's norm at each position{several}. "
        f"{'; '.join(told)}. "
        f"Data: {spec['about']['data']}. {lost}"
    )
    return figure, caption.rstrip()
