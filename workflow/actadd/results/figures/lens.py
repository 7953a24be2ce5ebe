"""Figures of what vectors read as, and of how alike they are."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actadd.base.errors import UserError
from actadd.results.figures.common import PAGE, SMALL, printed, wrapped
from actadd.results.labels import read

SHOWN = 5
# Characters of a token, and panels beside each other, that can be read on a page.
CELL = 8
COLUMNS = 2


def lens(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """The tokens that each vector raises most, layer by layer: a row of panels for each model.

    sources: readings, as `logit_lens.read_vectors` writes them. spec: optionally `vectors` (names,
    the default is all). A vector is read at the position whose row is longest, by the median of its
    norm over layers. Raises UserError if there is nothing to draw of a vector.
    """
    table = read(sources)
    names = spec.get("vectors") or list(dict.fromkeys(table["vector"]))
    models = list(dict.fromkeys(table["model"]))
    table = table[(table["direction"] == "up") & (table["rank"] < SHOWN)]
    panels = []
    for model in models:
        for name in names:
            rows = table[(table["model"] == model) & (table["vector"] == name)]
            if rows.empty:
                raise UserError(
                    f"figures.{spec['name']}.vectors: {name!r} is not in the lens {spec['lens']}, "
                    "or it is zero; add it there"
                )
            place = _longest(rows)
            rows = rows[rows["position"] == place]
            panels.append((f"{model}: {name}, position {place}", rows))
    drawn = pd.concat([rows for _, rows in panels])
    limits = drawn["logit"].min(), drawn["logit"].max()
    columns = min(COLUMNS, len(panels))
    rows_of = [panels[at : at + columns] for at in range(0, len(panels), columns)]
    depths = [max(rows["layer"].nunique() for _, rows in line) for line in rows_of]
    figure, axes = plt.subplots(
        len(rows_of),
        columns,
        figsize=(PAGE, 0.125 * sum(depths) + 0.55 * len(rows_of)),
        height_ratios=depths,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for number, (axis, (title, rows)) in enumerate(zip(axes.flat, panels, strict=False)):
        # The last layer on top, as the stream flows upwards in drawings of a transformer.
        logits, tokens = (
            rows.pivot(index="layer", columns="rank", values=value).sort_index(ascending=False)
            for value in ("logit", "token")
        )
        sns.heatmap(
            logits,
            ax=axis,
            annot=tokens.map(lambda token: printed(token, CELL)),
            fmt="",
            annot_kws={"size": SMALL},
            cmap="viridis",
            vmin=limits[0],
            vmax=limits[1],
            cbar=False,
            linewidths=0.4,
        )
        axis.set_title(wrapped(title, 2.8))
        axis.set_xticklabels([f"{rank + 1}." for rank in logits.columns])
        axis.set_xlabel("rank")
        axis.set_ylabel("layer" if number % columns == 0 else "")
        axis.set_yticks(np.arange(len(logits)) + 0.5, labels=logits.index, rotation=0)
    drawn_axes = list(axes.flat[: len(panels)])
    _colour_bar(figure, drawn_axes, "logit")
    caption = (
        f"Model: {', '.join(models)}. The {SHOWN} tokens whose logits each vector raises most, "
        "when its row is read through the final norm and the unembedding without biases (logit "
        "lens). A difference is normalised as a stream would be: logits tell its direction, not "
        "its size. Position: the one whose row is longest, by its median norm over layers. "
        f"␣ is a space; tokens longer than {CELL} characters are cut."
    )
    return figure, caption


def _longest(rows: pd.DataFrame) -> int:
    return int(rows.groupby("position")["norm"].median().idxmax())


def cosines(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """How alike a vector is to itself at other layers, and to other vectors at one layer.

    A row of panels for each model. sources: cosines, as `logit_lens.read_vectors` writes them.
    spec: depth, for the last panel, a layer as a share of the blocks; optionally `vectors`.
    """
    table = read(sources)
    names = spec.get("vectors") or list(dict.fromkeys(table["vector"]))
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
        layer = min(count - 1, round(spec["depth"] * count))
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
            axis.set_title(wrapped(f"{model}: {name}", 2))
            axis.set_xlabel("layer")
            axis.set_ylabel("layer" if number % columns == 0 else "")
        square = here.pivot(index="vector", columns="other", values="cosine")
        few = {"annot": True, "fmt": ".2f", "annot_kws": {"size": SMALL}} if len(names) <= 5 else {}
        _heat(row[-1], square.loc[names, names], **few)
        row[-1].set_title(wrapped(f"{model}: layer {layer}", 2))
        row[-1].set_xlabel("")
        row[-1].set_ylabel("")
        row[-1].tick_params(axis="x", rotation=90)
    _colour_bar(figure, figure.axes, "cosine")
    caption = (
        f"Model: {', '.join(models)}. Cosine of each vector, all its positions but BOS taken as "
        "one long vector, between every two layers; in a model's last panel, between vectors at "
        "one layer."
    )
    if (pd.concat(compared)["compared"] == "mean").any():
        caption += " Vectors of different lengths are compared by their mean over positions."
    return figure, caption


def _colour_bar(figure: Figure, axes: list[Axes], text: str) -> None:
    """One for all panels, which share a scale."""
    figure.colorbar(axes[0].collections[0], ax=axes, label=text, aspect=40, pad=0.01)


def _heat(axis: Axes, square: pd.DataFrame, **options) -> None:
    """A heat map of cosines on one scale: the lighter the larger, in grey too."""
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
