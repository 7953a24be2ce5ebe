"""One property on several models."""

from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Sources, figure
from actadd.results.displays.model_options import ModelOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure(ModelOptions, reads=("tables", "scores", "norms"), measures=("completions",))
def models(options: ModelOptions, sources: Sources) -> "tuple[Figure, str]":
    """Effect, control and damage of one property on each model."""
    import numpy as np

    from actadd.results.displays.models import gather
    from actadd.results.drawing import (
        LEVEL,
        apart,
        better,
        legend,
        look,
        panels,
        series_apart,
        whiskers,
    )

    rows = gather(options, sources)
    differences = {"gain": options.steered, "control": options.control}
    if options.prompting:
        differences["prompting"] = options.prompting
    looks = sources.facts.looks
    figure, axes = panels(2, max(1.2, 0.5 + 0.45 * len(rows)), narrow=0, sharey=True)
    for axis, names in zip(axes, (differences, {"damage": options.steered}), strict=True):
        for number, (name, condition) in enumerate(names.items()):
            style = {**look(looks, condition, number), "linestyle": "none"}
            moved = apart(axis, number, len(names), vertical=True, points=8)
            bars = {"xerr": whiskers(rows, name), "label": options.label(condition)}
            series_apart(axis, rows[name], np.arange(len(rows)), moved, **{**style, **bars})
    settings = rows[["model", "layer", "blocks", "strength", "dose"]].itertuples(index=False)
    texts = [
        f"{options.label(model)}\nlayer {layer} of {blocks}, {strength}"
        + ("" if np.isnan(dose) else f", dose {dose:.2g}")
        for model, layer, blocks, strength, dose in settings
    ]
    axes[0].set_yticks(range(len(rows)), texts)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    axes[0].axvline(0, **LEVEL)
    axes[1].axvline(1, **LEVEL)
    axes[0].set_xlabel(f"difference in {options.label(options.metric)}")
    axes[1].set_xlabel(better(f"{options.label(options.damage)} over unsteered's", {"lower": True}))
    legend(figure, axes[:1])
    smallest = "; ".join(
        f"{options.label(model)} {value:.2g}"
        for model, value in rows[["model", "detectable"]].to_numpy()
    )
    caption = (
        "Panel a shows the paired difference from unsteered on held-out prompts, n = "
        f"{int(rows['prompts'].max())} {sources.facts.unit}, and panel b disfluency over that of "
        "unsteered completions, as a geometric mean over prompts. Bars are 95 % intervals over "
        "prompts, and over random "
        "vectors where there are several. Layer and strength were chosen on the development "
        "split. The dose is the norm of what is added over the residual stream's, at the position "
        f"where it is largest. The smallest difference between {options.label(options.steered)} "
        "and "
        f"{options.label(options.control)} that "
        f"80 % power detects is {smallest}. "
        f"{sources.facts.sentences}"
    )
    return figure, caption
