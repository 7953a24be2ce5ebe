"""Concepts in two wordings of their contrast pair."""

from typing import TYPE_CHECKING

from actadd.results.displays.concept_options import OTHERS, ConceptOptions
from actadd.results.displays.kinds import Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What is compared between wordings, by its column.
NAMES = {"gain": "gain", "layer": "chosen layer"}


@figure(ConceptOptions, reads=("tables", "scores"), measures=("completions",), others=OTHERS)
def concepts(options: ConceptOptions, sources: Sources) -> "tuple[Figure, str]":
    """Gain and control of each concept in both wordings; gains and layers against each other."""
    import matplotlib.pyplot as plt

    from actadd.results.displays.concepts import answers, gather, sentences
    from actadd.results.drawing import PAGE, legend
    from actadd.results.intervals import interval_text

    rows = gather(options, sources)
    models = list(dict.fromkeys(rows["model"]))
    count = rows["concept"].nunique()
    height = max(4.6, 0.8 + 0.19 * count)
    figure = plt.figure(figsize=(PAGE, height * len(models)), layout="constrained")
    grid = figure.add_gridspec(2 * len(models), 2, width_ratios=[1.3, 1])
    for number, model in enumerate(models):
        part = rows[rows["model"] == model]
        result = answers(part)
        first = figure.add_subplot(grid[2 * number : 2 * number + 2, 0])
        _gains(first, part)
        first.set_title(options.label(model))
        for line, column in enumerate(NAMES):
            axis = figure.add_subplot(grid[2 * number + line, 1])
            _against(axis, part, column)
            r = result[f"r of {NAMES[column]} across wordings"]
            axis.set_title(f"r = {interval_text(r, '{:+.2f}'.format)}")
    legend(figure, figure.axes[:1])
    prompts = int(rows["prompts"].max())
    caption = (
        "Panel a shows the gain, which is the paired difference from unsteered in the "
        f"concept's own metric, with 95 % bootstrap intervals over n = {prompts} "
        f"{sources.facts.unit}; grey points are random vectors of the same norm at the same layer. "
        "The other panels set both wordings against each other, with a point for each concept, "
        "larger where several coincide; r is Pearson's, with 95 % bootstrap intervals over "
        "concepts. The layer is "
        "that with the largest mean of the metric on the development split. "
        f"{sentences(rows)} {sources.facts.sentences}"
    )
    return figure, caption


def _gains(axis: "Axes", rows: "pd.DataFrame") -> None:
    """Gains and controls, concept by concept, in the order of their mean gain."""
    from actadd.results.drawing import CONTROL, LEVEL, series, whiskers

    order = rows.groupby("concept")["gain"].mean().sort_values(ascending=False).index
    rank = {name: number for number, name in enumerate(order)}
    wordings = list(dict.fromkeys(rows["wording"]))
    for number, wording in enumerate(wordings):
        part = rows[rows["wording"] == wording]
        at = part["concept"].map(rank) + (number - 0.5) * 0.3
        style = {**series(number, len(wordings)), "linestyle": "none"}
        bars = whiskers(part, "gain")
        grey = {**style, "color": CONTROL, "markerfacecolor": "white", "markersize": 2.5}
        axis.plot(part["control"], at, **grey, label=f"random, {wording}")
        axis.errorbar(part["gain"], at, xerr=bars, **style, elinewidth=0.8, label=wording)
    axis.axvline(0, **LEVEL)
    axis.set_yticks(range(len(order)), order)
    axis.set_ylim(len(order) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("gain")


def _against(axis: "Axes", rows: "pd.DataFrame", column: str) -> None:
    """The first wording on the horizontal axis, the second on the vertical one."""
    from actadd.results.drawing import LEVEL, series

    wide = rows.pivot_table(index="concept", columns="wording", values=column, sort=False)
    first, second = dict.fromkeys(rows["wording"])
    counts = wide.value_counts([first, second]).rename("count").reset_index()
    axis.scatter(
        counts[first],
        counts[second],
        s=14 * counts["count"],
        color=series(2, 3)["color"],
        linewidths=0,
    )
    low, high = wide.to_numpy().min(), wide.to_numpy().max()
    axis.plot([low, high], [low, high], **LEVEL)
    axis.set(xlabel=f"{NAMES[column]}, {first}", ylabel=f"{NAMES[column]}, {second}")
