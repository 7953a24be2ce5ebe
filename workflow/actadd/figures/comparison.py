"""The figure of the published numbers beside ours."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from actadd.figures.common import PALETTE
from actadd.wording import read

COLUMNS = 4
# Characters of a line of a panel's title.
WIDTH = 46
PANEL = ["name", "item", "series", "layer", "y_name"]
# A mark and a colour for each verdict of a claim.
MARKS = {
    "same direction, interval excludes none": ("✔", "#0b6e4f"),
    "same direction, within noise": ("(✔)", "#7aa95c"),
    "differs, within noise": ("(✘)", "#d98e04"),
    "differs": ("✘", "#b3261e"),
    "not run": ("–", "0.6"),
}


def comparison(spec: dict, sources: list[Path]) -> tuple[Figure, str]:
    """Each published series beside ours, and the verdicts of the claims below.

    sources: what `actadd.comparison.compare` writes. Series of which nothing is ours are left out.
    """
    table = read(sources)
    numbers = table[table["kind"] == "number"]
    numbers = numbers[numbers["name"] != ""]
    parts = [
        part
        for _, part in numbers.groupby(PANEL, sort=False)
        if part["ours"].notna().any() and part["published"].notna().any()
    ]
    claims = table[table["kind"] == "claim"]
    columns = min(COLUMNS, max(1, len(parts)))
    rows = -(-len(parts) // columns)
    strip = 0.2 * len(claims) + 0.3 if len(claims) else 0
    width, height = max(7.0, 2.7 * columns), 2.3 * rows
    figure = plt.figure(figsize=(width, max(height + strip, 1.5)), layout="constrained")
    below = [height, strip] if rows and strip else [1]
    folders = iter(figure.subfigures(len(below), 1, height_ratios=below, squeeze=False)[:, 0])
    models = sorted(set(numbers.loc[numbers["ours"].notna(), "model"]) | set(claims["model"]))
    colours = dict(zip(models, sns.color_palette(PALETTE, len(models)), strict=True))
    if rows:
        upper = next(folders)
        axes = upper.subplots(rows, columns, squeeze=False).ravel()
        handles: dict = {}
        for axis, part in zip(axes, parts, strict=False):
            _panel(axis, part, colours)
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                handles.setdefault(label, handle)
        for axis in axes[len(parts) :]:
            axis.remove()
        upper.legend(
            handles.values(), handles.keys(), fontsize=7, loc="outside upper right", ncols=4
        )
    if strip:
        _strip(next(folders).subplots(), claims)
    caption = (
        "Published numbers (grey) and ours (coloured, with 95 % intervals where there are any). "
        "Only where model and data are the published ones are numbers compared; elsewhere the "
        "claims below say whether our effect has the published direction: ✔ yes, and the "
        "interval excludes no effect; (✔) yes, within noise; (✘) no, within noise; ✘ no; – not run."
    )
    return figure, caption


def _panel(axis: Axes, part: pd.DataFrame, colours: dict) -> None:
    numeric = pd.to_numeric(part["x"], errors="coerce")
    named = numeric.isna().any()
    names = list(dict.fromkeys(part["x"]))
    places = part["x"].map(names.index).astype(float) if named else numeric
    part = part.assign(place=places).sort_values("place")
    published = part.drop_duplicates("place")
    line = "none" if named else "-"
    style = {"linestyle": line, "markersize": 2.5}
    axis.plot(
        published["place"],
        published["published"],
        **style,
        color="0.6",
        linewidth=3,
        marker="o",
        markeredgewidth=1.5,
        label="published",
    )
    notes = []
    for shift, (model, own) in enumerate(part[part["ours"].notna()].groupby("model")):
        low = (own["ours"] - own["low"]).clip(lower=0).fillna(0)
        high = (own["high"] - own["ours"]).clip(lower=0).fillna(0)
        axis.errorbar(
            own["place"] + (0.15 * (shift + 1) if named else 0),
            own["ours"],
            yerr=np.array([low, high]),
            **style,
            color=colours[model],
            linewidth=1,
            marker="s",
            elinewidth=0.8,
            capsize=1.5,
            label=f"ours, {model}",
        )
        notes.append(_comparable(model, own))
    if named:
        axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
        axis.set_xlim(-0.5, len(names) - 0.3)
    first = part.iloc[0]
    series = textwrap.shorten(first["series"], 45, placeholder=" …").replace("$", r"\$")
    where = f", layer {first['layer']}" if first["layer"] else ""
    # Panels stand close: a long title would run into the next one.
    title = textwrap.fill(f"{first['title']}: {series}{where}", WIDTH)
    axis.set_title("\n".join([title, *notes]), fontsize=6.5)
    axis.set_xlabel(first["x_name"].replace("_", " "), fontsize=7)
    axis.set_ylabel(first["y_name"].replace("_", " "), fontsize=7)
    axis.tick_params(labelsize=6.5)


def _comparable(model: str, own: pd.DataFrame) -> str:
    """Whether a model's numbers may be compared, in a few words."""
    reasons = own.loc[own["verdict"] == "not comparable", "reason"]
    if reasons.empty:
        return f"{model}: {(own['verdict'] == 'matches').sum()} of {len(own)} match"
    words = [part.split(":")[0] for part in reasons.iloc[0].split("; ")]
    return f"{model}: not comparable: {', '.join(words)}"


def _strip(axis: Axes, claims: pd.DataFrame) -> None:
    """One line for each claim and model."""
    for line, row in enumerate(claims.to_dict("records")):
        mark, colour = MARKS[row["verdict"]]
        estimate = "" if pd.isna(row["ours"]) else f", {row['ours']:.2g}"
        model = f" [{row['model']}{estimate}]" if row["model"] else ""
        text = f"{row['title']} ({row['source']}){model}: {row['verdict']}".replace("$", r"\$")
        options = {"va": "center", "family": "DejaVu Sans"}
        axis.text(0.0, -line, mark, color=colour, fontsize=10, fontweight="bold", **options)
        axis.text(0.03, -line, text, color="0.15", fontsize=7, **options)
    axis.set(xlim=(0, 1), ylim=(-len(claims) + 0.5, 0.7))
    axis.axis("off")
