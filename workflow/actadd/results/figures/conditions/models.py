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
    from actadd.results.drawing import LEVEL, legend, panels, series, whiskers

    rows = gather(options, sources)
    differences = {"gain": "steered", "control": options.control}
    if options.prompting:
        differences["prompting"] = options.prompting
    figure, axes = panels(2, max(1.2, 0.5 + 0.45 * len(rows)), narrow=0, sharey=True)
    for axis, names in zip(axes, (differences, {"damage": "steered"}), strict=True):
        for number, (name, text) in enumerate(names.items()):
            at = np.arange(len(rows)) + (number - (len(names) - 1) / 2) * 0.22
            style = {**series(number, len(differences)), "linestyle": "none"}
            axis.errorbar(rows[name], at, xerr=whiskers(rows, name), **style, label=text)
    settings = rows[["model", "layer", "blocks", "strength", "dose"]].itertuples(index=False)
    texts = [
        f"{model}\nlayer {layer} of {blocks}, {strength}"
        + ("" if np.isnan(dose) else f", dose {dose:.2g}")
        for model, layer, blocks, strength, dose in settings
    ]
    axes[0].set_yticks(range(len(rows)), texts)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    axes[0].axvline(0, **LEVEL)
    axes[1].axvline(1, **LEVEL)
    axes[0].set_xlabel(f"difference in {options.label(options.metric)}")
    axes[1].set_xlabel(f"{options.label(options.damage)} over unsteered's")
    legend(figure, axes[:1])
    smallest = "; ".join(
        f"{model} {value:.2g}" for model, value in rows[["model", "detectable"]].to_numpy()
    )
    caption = (
        "The left panel shows the paired difference from unsteered on held-out prompts, n = "
        f"{int(rows['prompts'].max())} {sources.facts.unit}, the right one disfluency as a "
        "geometric mean over prompts. Bars are 95 % intervals over prompts, and over random "
        "vectors where there are several. Layer and strength were chosen on the development "
        "split. The dose is the norm of what is added over the residual stream's, at the position "
        f"where it is largest. The smallest difference between steered and {options.control} that "
        f"80 % power detects is {smallest}. "
        f"{sources.facts.sentences}"
    )
    return figure, caption
