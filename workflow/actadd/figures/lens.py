"""Figures of what vectors read as, and of how alike they are."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from actadd.errors import UserError
from actadd.wording import read

SHOWN = 5
CELL = 12


def lens(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """The tokens that each vector raises most, layer by layer: a row of panels for each model.

    sources: readings, as `actadd.lens.read_vectors` writes them. spec: optionally `vectors` (names,
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
    depths = drawn.groupby("model")["layer"].nunique()[models].tolist()
    figure, axes = plt.subplots(
        len(models),
        len(names),
        figsize=(0.9 + 4.4 * len(names), 0.2 * sum(depths) + 1.0 * len(models)),
        height_ratios=depths,
        squeeze=False,
        layout="constrained",
    )
    for number, (axis, (title, rows)) in enumerate(zip(axes.flat, panels, strict=True)):
        # The last layer on top, as the stream flows upwards in drawings of a transformer.
        logits, tokens = (
            rows.pivot(index="layer", columns="rank", values=value).sort_index(ascending=False)
            for value in ("logit", "token")
        )
        sns.heatmap(
            logits,
            ax=axis,
            annot=tokens.map(_printed),
            fmt="",
            annot_kws={"size": 6.5, "parse_math": False},
            cmap="viridis",
            vmin=limits[0],
            vmax=limits[1],
            cbar=number % len(names) == len(names) - 1,
            cbar_kws={"label": "logit"},
            linewidths=0.5,
        )
        axis.set_title(title)
        axis.set_xticklabels([f"{rank + 1}." for rank in logits.columns])
        axis.set_xlabel("rank")
        axis.set_ylabel("layer" if number % len(names) == 0 else "")
        axis.set_yticks(np.arange(len(logits)) + 0.5, labels=logits.index, rotation=0)
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


def _printed(token: str) -> str:
    """A token as it can be drawn: spaces visible, what the font lacks as an escape."""
    # Of the font that is in use, since others draw a box and warn.
    known = get_font(findfont(FontProperties())).get_charmap()
    text = "".join(
        char
        if char.isprintable() and ord(char) in known
        else char.encode("unicode_escape").decode("ascii")
        for char in token.replace(" ", "␣")
    )
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def cosines(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """How alike a vector is to itself at other layers, and to other vectors at one layer.

    A row of panels for each model. sources: cosines, as `actadd.lens.read_vectors` writes them.
    spec: depth, for the last panel, a layer as a share of the blocks; optionally `vectors`.
    """
    table = read(sources)
    names = spec.get("vectors") or list(dict.fromkeys(table["vector"]))
    models = list(dict.fromkeys(table["model"]))
    table = table[table["vector"].isin(names) & table["other"].isin(names)]
    compared = []
    figure, axes = plt.subplots(
        len(models),
        len(names) + 1,
        figsize=(3.4 * (len(names) + 1) + 0.8, 3.4 * len(models)),
        squeeze=False,
        layout="constrained",
    )
    for model, row in zip(models, axes, strict=True):
        here = table[(table["kind"] == "vectors") & (table["model"] == model)]
        count = int(here["layer"].max()) + 1
        layer = min(count - 1, round(spec["depth"] * count))
        here = here[here["layer"] == layer]
        compared.append(here)
        layers = table[(table["kind"] == "layers") & (table["model"] == model)]
        for number, (axis, name) in enumerate(zip(row[:-1], names, strict=True)):
            rows = layers[layers["vector"] == name]
            square = rows.pivot(index="layer", columns="other_layer", values="cosine")
            _heat(axis, square.sort_index(ascending=False), cbar=False)
            axis.set_title(f"{model}: {name}")
            axis.set_xlabel("layer")
            axis.set_ylabel("layer" if number == 0 else "")
        square = here.pivot(index="vector", columns="other", values="cosine")
        few = {"annot": True, "fmt": ".2f", "annot_kws": {"size": 7}} if len(names) <= 8 else {}
        _heat(row[-1], square.loc[names, names], cbar=True, **few)
        row[-1].set_title(f"{model}: layer {layer}")
        row[-1].set_xlabel("")
        row[-1].set_ylabel("")
        row[-1].tick_params(axis="x", rotation=90)
    caption = (
        f"Model: {', '.join(models)}. Cosine of each vector, all its positions but BOS taken as "
        "one long vector, between every two layers; on the right, between vectors at one layer."
    )
    if (pd.concat(compared)["compared"] == "mean").any():
        caption += " Vectors of different lengths are compared by their mean over positions."
    return figure, caption


def _heat(axis, square: pd.DataFrame, cbar: bool, **options) -> None:
    """A heat map of cosines on one scale, zero in its middle."""
    sns.heatmap(
        square,
        ax=axis,
        vmin=-1,
        vmax=1,
        cmap="vlag",
        square=True,
        cbar=cbar,
        cbar_kws={"label": "cosine", "shrink": 0.8},
        **options,
    )
    axis.tick_params(axis="y", rotation=0)
