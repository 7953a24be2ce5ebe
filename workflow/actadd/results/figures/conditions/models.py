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
    from actadd.results.drawing import LEVEL, legend, panels, series

    rows = gather(options, sources)
    shown = {"gain": "steered", "control": options.control}
    if options.prompting:
        shown["prompting"] = options.prompting
    figure, axes = panels(2, max(1.2, 0.5 + 0.45 * len(rows)), narrow=0, sharey=True)
    for axis, names in zip(axes, (shown, {"damage": "steered"}), strict=True):
        for number, (name, text) in enumerate(names.items()):
            at = np.arange(len(rows)) + (number - (len(names) - 1) / 2) * 0.22
            low, high = rows[f"{name}_low"], rows[f"{name}_high"]
            bars = [(rows[name] - low).fillna(0), (high - rows[name]).fillna(0)]
            style = {**series(number, len(shown)), "linestyle": "none"}
            axis.errorbar(rows[name], at, xerr=bars, **style, label=text)
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
        "Left: paired difference from unsteered on held-out prompts, n = "
        f"{int(rows['prompts'].max())} {sources.facts.unit}; right: disfluency, geometric mean "
        "over prompts; bars: 95 % intervals over prompts, of several random vectors also over "
        "these. Layer and strength: chosen on the development split; dose: the norm of what is "
        "added over the residual stream's, at the position where it is largest. Smallest "
        "difference between "
        f"steered and {options.control} seen with 80 % power: {smallest}. Data: "
        f"{sources.facts.data}. {' '.join(sources.facts.notes)}"
    )
    return figure, caption.strip()
