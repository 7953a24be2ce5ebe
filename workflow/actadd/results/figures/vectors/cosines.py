"""How alike vectors are."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.results.displays.kinds import LensOptions, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Cosines(LensOptions):
    vectors: list[Annotated[str, Rule(section="vectors")]] | None = option(
        "Vectors to draw; all of the lens if not given.", None, min_length=1
    )
    depth: float = option(
        "Layer of the comparison between vectors, as a share of the blocks.",
        0.4,
        minimum=0,
        maximum=1,
    )


@figure(Cosines, reads=("cosines",))
def cosines(options: Cosines, sources: Sources) -> "tuple[Figure, str]":
    """How alike a vector is to itself at other layers, and to other vectors at one layer.

    A row of panels for each model.
    """
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd

    from actadd.results.drawing import PAGE, SMALL, wrapped
    from actadd.results.figures.vectors.colour_bar import colour_bar

    table = sources.read("cosines")
    names = options.vectors or list(dict.fromkeys(table["vector"]))
    models = list(dict.fromkeys(table["model"]))
    table = table[table["vector"].isin(names) & table["other"].isin(names)]
    compared = []
    columns = min(3, len(names) + 1)
    each = -(-(len(names) + 1) // columns)
    figure, axes = plt.subplots(
        each * len(models),
        columns,
        figsize=(PAGE, 2.0 * each * len(models)),
        squeeze=False,
        layout="constrained",
    )
    for model, row in zip(models, np.split(axes, len(models)), strict=True):
        row = row.ravel()
        for axis in row[len(names) + 1 :]:
            axis.remove()
        row = row[: len(names) + 1]
        here = table[(table["kind"] == "vectors") & (table["model"] == model)]
        count = int(here["layer"].max()) + 1
        layer = min(count - 1, round(options.depth * count))
        here = here[here["layer"] == layer]
        compared.append(here)
        layers = table[(table["kind"] == "layers") & (table["model"] == model)]
        for number, (axis, name) in enumerate(zip(row[:-1], names, strict=True)):
            rows = layers[layers["vector"] == name]
            square = rows.pivot(index="layer", columns="other_layer", values="cosine")
            _heat(axis, square.sort_index(ascending=False))
            few = np.arange(0, len(square), max(1, round(len(square) / 6)))
            axis.set_xticks(few + 0.5, square.columns[few], rotation=0)
            axis.set_yticks(len(square) - few - 0.5, square.index[few])
            axis.set_title(wrapped(f"{options.label(model)}: {options.label(name)}", 2))
            axis.set_xlabel("layer")
            axis.set_ylabel("layer" if number % columns == 0 else "")
        square = here.pivot(index="vector", columns="other", values="cosine")
        numbers = {"annot": True, "fmt": ".2f", "annot_kws": {"size": SMALL}}
        numbers = numbers if len(names) <= 5 else {}
        _heat(row[-1], square.loc[names, names], **numbers)
        row[-1].set_title(wrapped(f"{options.label(model)}: layer {layer}", 2))
        row[-1].set_xlabel("")
        row[-1].set_ylabel("")
        row[-1].tick_params(axis="x", rotation=90)
    colour_bar(figure, figure.axes, "cosine")
    caption = (
        "The figure shows the cosine of each vector, all its positions but BOS taken as one long "
        "vector, between every two layers; a model's last panel compares the vectors at one layer. "
        f"The model is {options.listed(models)}."
    )
    if (pd.concat(compared)["compared"] == "mean").any():
        caption += " Vectors of different lengths are compared by their mean over positions."
    return figure, caption


def _heat(axis: "Axes", square: "pd.DataFrame", **options: Any) -> None:
    """A heat map of cosines on one scale: the lighter the larger, in grey too."""
    import seaborn as sns

    sns.heatmap(
        square,
        ax=axis,
        vmin=-1,
        vmax=1,
        cmap="cividis",
        square=True,
        cbar=False,
        **options,
    )
    axis.tick_params(axis="y", rotation=0)
