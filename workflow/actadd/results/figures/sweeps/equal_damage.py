"""Effect against damage."""

import json
from typing import TYPE_CHECKING, Any

from actadd.results.displays.kinds import MethodsOptions, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Methods of which every strength is named; of more, the strongest alone.
NAMED = 3
# A panel ends at so many times the largest stated disfluency: what lies beyond is past all use.
BEYOND = 2


@figure(MethodsOptions, reads=("curves", "readings"))
def equal_damage(options: MethodsOptions, sources: Sources) -> "tuple[Figure, str]":
    """Effect of each method against its damage, a panel for each damage, a row for each model.

    A method is a line over its strengths, from the star, which is unsteered, if strength 0 is that;
    controls are grey; a prompt is a point. Vertical lines are the damages at which methods are
    read.
    """
    import numpy as np

    from actadd.results.displays.labels import in_order
    from actadd.results.drawing import LEVEL, UNSTEERED, legend, panels, plain_ticks
    from actadd.results.equal_damage.damages import DAMAGES
    from actadd.results.equal_damage.texts import damages_of, failures, samples_sentence

    curves, readings = sources.read("curves"), sources.read("readings")
    damages = damages_of(curves)
    models = in_order(curves["model"])
    figure, axes = panels(len(models) * len(damages), 2.7, columns=len(damages))
    names = [*dict.fromkeys(curves["condition"])]
    pairs = [(model, damage) for model in models for damage in damages]
    for axis, (model, damage) in zip(axes, pairs, strict=True):
        here = curves[(curves["model"] == model) & (curves["damage"] == damage)]
        start = float(DAMAGES[damage].outside(np.zeros(1))[0])
        _lines(axis, here, names, start, options, sources)
        star: dict[str, Any] = {**UNSTEERED, "markersize": 8, "zorder": 4, "linestyle": "none"}
        axis.plot(start, 0, **star, label="unsteered")
        axis.axhline(0, **LEVEL)
        stated = readings[(readings["damage"] == damage) & (readings["reference"] == "")]
        stated_at = sorted(set(stated["at"]))
        for at in stated_at:
            axis.axvline(at, color="0.6", linewidth=0.6, linestyle=":")
        axis.set(
            xlabel=DAMAGES[damage].text,
            ylabel=f"difference in {options.label(curves['metric'].iloc[0])}",
        )
        if damage == "disfluency":
            axis.set_xscale("log")
            plain_ticks(axis.xaxis)
            end = BEYOND * max(1, *stated_at)
            most = min(end, max(here["cost"].max(), *stated_at))
            if here["cost"].max() > end:
                axis.set_xlim(right=end)
            ticks = [start, *stated_at, *(2.0**n for n in range(1, 20) if 2**n <= most)]
            axis.set_xticks(sorted({tick for tick in ticks if np.isfinite(tick)}))
        if len(models) > 1:
            axis.set_title(options.label(model))
    legend(figure, axes)
    caption = " ".join(
        filter(
            None,
            [
                "Each line is a method's paired difference from unsteered against its damage, from "
                "the weakest strength to the strongest (small numbers); bars are 95 % intervals. "
                "Grey lines with open marks are controls, which steer nowhere on purpose. A panel "
                "of disfluency ends at twice the largest stated one. Layers were chosen on the "
                "development split. A method is better where its line is "
                "farther from 0 at the same damage; dotted lines are the damages at which methods "
                "are read. Disfluency is the geometric mean over prompts of the perplexity's ratio "
                "to unsteered.",
                samples_sentence(options, sources, curves),
                *sources.facts.notes,
                failures(curves),
            ],
        )
    )
    return figure, caption


def _lines(
    axis: "Axes",
    here: "pd.DataFrame",
    names: list[str],
    start: float,
    options: MethodsOptions,
    sources: Sources,
) -> None:
    """The lines and points of one panel, with bars both ways. start: the damage of unsteered."""
    from matplotlib.colors import to_rgb

    from actadd.results.drawing import SMALL, look, whiskers
    from actadd.results.drawing.texts import entry
    from actadd.results.equal_damage.compare import from_unsteered

    roles = here.drop_duplicates("condition").set_index("condition")["role"]
    controls = [name for name in names if roles.get(name) == "control"]
    for name in names:
        part = here[(here["condition"] == name) & here["cost"].notna()]
        if part.empty:
            continue
        style = look(sources.facts.looks, name, names.index(name))
        point = roles[name] == "point"
        if not point and from_unsteered(json.loads(part["additions"].iloc[0])):
            # Where such a method is read, its curve begins unsteered.
            first = {"color": style["color"], "linestyle": style["linestyle"]}
            axis.plot([start, part["cost"].iloc[0]], [0, part["effect"].iloc[0]], **first)
        axis.errorbar(
            part["cost"],
            part["effect"],
            # Those of controls would cover the methods.
            xerr=None if name in controls else whiskers(part, "cost"),
            yerr=whiskers(part, "effect"),
            **{**style, "linestyle": "none" if point else style["linestyle"]},
            ecolor=(*to_rgb(style["color"]), 0.4),
            elinewidth=0.7,
            zorder=3 if name not in controls else 2,
            label=entry(options.label(name)),
        )
        strengths = part[part["strength"].notna()]
        named = strengths if len(names) - len(controls) <= NAMED else strengths.tail(1)
        for row in named.itertuples():
            if name not in controls:
                axis.annotate(
                    f"{row.strength:g}",
                    (row.cost, row.effect),
                    textcoords="offset points",
                    xytext=(4, 3),
                    fontsize=SMALL,
                    color=style["color"],
                )
