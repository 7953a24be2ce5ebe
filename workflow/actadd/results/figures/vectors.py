"""Figures of the vectors themselves: norms, what they mean, how alike they are."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from actadd.results import pair_quality as contrast_pairs
from actadd.results.figures.common import (
    LEVEL,
    PAGE,
    SMALL,
    legend_columns,
    panels,
    say_failed,
    series,
    shortened,
    wrapped,
)
from actadd.results.labels import failed, label, read


def norms(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """A vector's norm at each position over the residual stream's, by layer (paper, Fig. 8).

    The stream's norm is its median over an ordinary sentence, or, with relative_to, that of a
    prompt's own stream at the same position.
    """
    table = read(sources)
    reference = spec.get("relative_to")
    shown = [(model, v) for model in sorted(set(table["model"])) for v in spec["vectors"]]
    # Below each panel its legend, at worst with a line for each position.
    figure, axes = panels(len(shown), 2.0 + 0.12 * table["position"].nunique(), sharey=True)
    room = figure.get_figwidth() / min(3, len(shown))
    for axis, (model, vector) in zip(axes, shown, strict=True):
        rows = table[(table["model"] == model) & (table["vector"] == vector)]
        if reference:
            rows = _relative(
                rows, table[(table["model"] == model) & (table["vector"] == reference)]
            )
        positions = sorted(rows["position"].unique())
        axis.axhline(1, **LEVEL)
        for index, position in enumerate(positions):
            part = rows[rows["position"] == position].sort_values("layer")
            axis.plot(
                part["layer"],
                part["ratio"],
                **series(index, len(positions)),
                markersize=2.5,
                label=shortened(f"{position}: {part['token'].iloc[0]}", 38),
            )
        title = vector if table["model"].nunique() == 1 else f"{vector}, {model}"
        axis.set(title=wrapped(title, 2), xlabel="layer (block input)")
        # Each panel's own, since a position holds another token in another pair.
        below = axis.transAxes + ScaledTranslation(0, -0.38, figure.dpi_scale_trans)
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below}
        labels = axis.get_legend_handles_labels()[1]
        axis.legend(**place, borderaxespad=0, ncols=legend_columns(labels, room))
    axes[0].set_ylabel("vector norm /\nresidual stream norm")
    models = ", ".join(sorted(table["model"].unique()))
    usual = (
        f"the norm, at the same position, of the stream of the prompt {reference!r}"
        if reference
        else "the median norm of the residual stream over an ordinary sentence (BOS left out)"
    )
    caption = (
        f"Norm of each steering vector (coefficient 1) at each position, relative to {usual}. The "
        "legend names what stands at a position of the contrast pair, positive / negative. "
        f"Model: {models}."
    )
    return figure, caption


def _relative(rows: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the ratio to a prompt's norm at the same layer and position."""
    usual = reference[["layer", "position", "vector_norm"]].rename(columns={"vector_norm": "usual"})
    joined = rows.merge(usual, on=["layer", "position"])
    return joined.assign(ratio=joined["vector_norm"] / joined["usual"])


def pairs(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """The effect of many contrast pairs for one property, and against what might foretell it."""
    found, correlations = contrast_pairs.gather(spec, sources)
    predictors = contrast_pairs.PREDICTORS
    effect = label(spec, spec["metrics"][0])
    models = sorted(set(found["model"]))
    styles = {
        model: {**series(index, len(models)), "linestyle": "none"}
        for index, model in enumerate(models)
    }
    height = max(1.3 * len(predictors), 0.5 + 0.14 * len(found))
    figure = plt.figure(figsize=(PAGE, height), layout="constrained")
    grid = figure.add_gridspec(len(predictors), 2, width_ratios=[1.6, 1])
    axis = figure.add_subplot(grid[:, 0])
    for index, row in found.iterrows():
        bars = [[max(0, row["effect"] - row["low"])], [max(0, row["high"] - row["effect"])]]
        if pd.isna(row["effect"]):
            say_failed(axis, index)
            continue
        axis.errorbar(row["effect"], index, xerr=np.nan_to_num(bars), **styles[row["model"]])
    several = len(models) > 1
    texts = found["pair"] + (", " + found["model"] if several else "")
    axis.set_yticks(range(len(found)), texts)
    axis.set_ylim(len(found) - 0.4, -0.6)
    axis.axvline(0, **LEVEL)
    axis.set(xlabel=f"effect: difference in {effect}")
    names = {"norm": "norm / stream's norm", "sharpness": "largest logit / next ten's mean"}
    for place, predictor in enumerate(predictors):
        axis = figure.add_subplot(grid[place, 1])
        told = []
        for model, own in found.groupby("model", sort=True):
            axis.plot(own[predictor], own["effect"], **styles[model])
            match = (correlations["model"] == model) & (correlations["predictor"] == predictor)
            row = correlations[match].iloc[0]
            which = f"{model}: " if several else ""
            told.append(f"{which}rho = {row['rho']:+.2f}, p = {row['p']:.2g}")
        axis.set(xlabel=names.get(predictor, predictor), ylabel="effect")
        axis.set_title("\n".join(told), fontsize=SMALL)
        axis.axhline(0, **LEVEL)
    lost = int(failed(found).sum())
    caption = (
        "Each pair's effect at the same layer and coefficient, paired with unsteered, with 95 % "
        "bootstrap intervals over prompts; right: against what can be had without generating. rho: "
        "Spearman's rank correlation over pairs, p not corrected for the number of predictors. "
        f"Models: {', '.join(models)}. Data: {spec['about']['data']}. "
        f"{' '.join(spec['about'].get('notes', []))}"
        + (f" {lost} of {len(found)} pairs failed and are in no correlation." if lost else "")
    )
    return figure, caption
