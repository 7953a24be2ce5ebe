"""Figures of the vectors themselves: norms, what they mean, how alike they are."""

from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from actadd import pairs as contrast_pairs
from actadd.figures.common import MARKERS, PALETTE, panels
from actadd.wording import label, read


def norms(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """A vector's norm at each position over the residual stream's, by layer (paper, Fig. 8).

    The stream's norm is its median over an ordinary sentence, or, with relative_to, that of a
    prompt's own stream at the same position.
    """
    table = read(sources)
    reference = spec.get("relative_to")
    shown = [(model, v) for model in sorted(set(table["model"])) for v in spec["vectors"]]
    figure, axes = panels(len(shown), (1 + 2.4 * len(shown), 2.9), sharey=True)
    for axis, (model, vector) in zip(axes[0], shown, strict=True):
        rows = table[(table["model"] == model) & (table["vector"] == vector)]
        if reference:
            rows = _relative(
                rows, table[(table["model"] == model) & (table["vector"] == reference)]
            )
        positions = sorted(rows["position"].unique())
        colours = sns.color_palette(PALETTE, len(positions))
        axis.axhline(1, color="0.35", linestyle="--", linewidth=1)
        for index, position in enumerate(positions):
            part = rows[rows["position"] == position].sort_values("layer")
            axis.plot(
                part["layer"],
                part["ratio"],
                marker=MARKERS[index % len(MARKERS)],
                markersize=3,
                linewidth=1,
                color=colours[index],
                label=f"{position}: {part['token'].iloc[0]}",
            )
        title = vector if table["model"].nunique() == 1 else f"{vector}\n{model}"
        axis.set(title=title, xlabel="layer (block input)")
        axis.legend(fontsize=6)
    axes[0][0].set_ylabel("vector norm /\nresidual stream norm")
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
    figure, axes = panels(
        1 + len(predictors), (5.4 + 2.3 * len(predictors), 0.8 + 0.24 * len(found))
    )
    effect = label(spec, spec["metrics"][0])
    colours = dict(
        zip(
            sorted(set(found["model"])),
            sns.color_palette(PALETTE, found["model"].nunique()),
            strict=True,
        )
    )
    axis = axes[0][0]
    for index, row in found.iterrows():
        bars = [[max(0, row["effect"] - row["low"])], [max(0, row["high"] - row["effect"])]]
        axis.errorbar(
            row["effect"], index, xerr=bars, fmt="o", markersize=4, color=colours[row["model"]]
        )
    several = len(colours) > 1
    texts = found["pair"] + (", " + found["model"] if several else "")
    axis.set_yticks(range(len(found)), texts, fontsize=7)
    axis.invert_yaxis()
    axis.axvline(0, color="0.35", linestyle="--", linewidth=1)
    axis.set(xlabel=f"effect: difference in\n{effect}")
    names = {"norm": "norm / stream's norm", "sharpness": "largest logit / next ten's mean"}
    for place, predictor in enumerate(predictors, start=1):
        axis = axes[0][place]
        told = []
        for model, own in found.groupby("model", sort=True):
            axis.plot(own[predictor], own["effect"], "o", markersize=4, color=colours[model])
            match = (correlations["model"] == model) & (correlations["predictor"] == predictor)
            row = correlations[match].iloc[0]
            told.append(f"rho = {row['rho']:+.2f}, p = {row['p']:.2g}")
        axis.set(xlabel=names.get(predictor, predictor))
        axis.set_title("\n".join(told), fontsize=8)
        axis.axhline(0, color="0.35", linestyle="--", linewidth=0.8)
    axes[0][1].set_ylabel("effect")
    caption = (
        "Each pair's effect at the same layer and coefficient, paired with unsteered, with 95 % "
        "bootstrap intervals over prompts; right: against what can be had without generating. rho: "
        "Spearman's rank correlation over pairs, p not corrected for the number of predictors. "
        f"Models: {', '.join(colours)}. Data: {spec['about']['data']}. "
        f"{' '.join(spec['about'].get('notes', []))}"
    )
    return figure, caption
