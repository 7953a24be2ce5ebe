"""The published numbers beside ours."""

import textwrap
from typing import TYPE_CHECKING, Any

from actadd.results.displays.kinds import Options, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
# Inches of a panel with its title, and of a line of a claim.
# The axes alone are lower: layout shares out height by them.
PANEL_HEIGHT, AXES_HEIGHT, LINE = 1.85, 0.9, 0.12
# Of more points, the marks would hide the line.
MARKED = 20
PANEL = ["name", "item", "series", "layer", "y_name"]
# A mark and a colour for each verdict of a claim.
MARKS = {
    "same direction, interval excludes none": ("✔", "#0b6e4f"),
    "same direction, within noise": ("(✔)", "#7aa95c"),
    "differs, within noise": ("(✘)", "#d98e04"),
    "differs": ("✘", "#b3261e"),
    "not run": ("–", "0.6"),
}


@figure(Options, reads=("comparison",))
def comparison(options: Options, sources: Sources) -> "tuple[Figure, str]":
    """Each published series beside ours, and the verdicts of the claims below.

    Series of which nothing is ours are left out.
    """
    import matplotlib.pyplot as plt

    from actadd.results.drawing import PAGE, legend

    table = sources.read("comparison")
    numbers = table[table["kind"] == "number"]
    numbers = numbers[numbers["name"] != ""]
    parts = [
        part
        for _, part in numbers.groupby(PANEL, sort=False)
        if part["ours"].notna().any() and part["published"].notna().any()
    ]
    claims = table[table["kind"] == "claim"]
    lines = [_line(row) for _, row in claims.iterrows()]
    strip = 1.1 * _depth(lines)
    rows = -(-len(parts) // COLUMNS)
    models = sorted(set(numbers.loc[numbers["ours"].notna(), "model"]) | set(claims["model"]))
    figure = plt.figure(figsize=(PAGE, max(PANEL_HEIGHT * rows + strip, 0.5)), layout="constrained")
    heights = [AXES_HEIGHT] * rows + ([strip] if lines else [])
    grid = figure.add_gridspec(max(1, len(heights)), COLUMNS, height_ratios=heights or [1])
    axes = [figure.add_subplot(grid[at // COLUMNS, at % COLUMNS]) for at in range(len(parts))]
    for axis, part in zip(axes, parts, strict=True):
        _panel(axis, part, models)
    legend(figure, axes)
    if lines:
        _strip(figure.add_subplot(grid[rows, :]), lines, strip)
    caption = (
        "Published numbers (grey) and ours (coloured, with 95 % intervals where there are any). "
        "Only where model and data are the published ones are numbers compared; elsewhere the "
        "claims below say whether our effect has the published direction: ✔ yes, and the "
        "interval excludes no effect; (✔) yes, within noise; (✘) no, within noise; ✘ no; – not run."
    )
    return figure, caption


def _panel(axis: "Axes", part: "pd.DataFrame", models: list[str]) -> None:
    import numpy as np
    import pandas as pd

    from actadd.results.drawing import SMALL, series, wrapped

    numeric = pd.to_numeric(part["x"], errors="coerce")
    categorical = numeric.isna().any()
    names = list(dict.fromkeys(part["x"]))
    positions = part["x"].map(names.index).astype(float) if categorical else numeric
    part = part.assign(position=positions).sort_values("position")
    published = part.drop_duplicates("position")
    line = "none" if categorical else "-"
    axis.plot(
        published["position"],
        published["published"],
        linestyle=line,
        color="0.65",
        linewidth=3,
        marker="o",
        markersize=5 if categorical or len(published) <= MARKED else 0,
        label="published",
    )
    notes = []
    for shift, (model, rows) in enumerate(part[part["ours"].notna()].groupby("model")):
        low = (rows["ours"] - rows["low"]).clip(lower=0).fillna(0)
        high = (rows["high"] - rows["ours"]).clip(lower=0).fillna(0)
        style = series(models.index(str(model)), len(models))
        axis.errorbar(
            rows["position"] + (0.15 * (shift + 1) if categorical else 0),
            rows["ours"],
            yerr=np.array([low, high]),
            **{**style, "linestyle": "none"} if categorical else style,
            markersize=2.5 if len(rows) <= MARKED else 1,
            linewidth=0.8,
            elinewidth=0.5,
            capsize=1 if len(rows) <= MARKED else 0,
            label=f"ours, {model}",
        )
        notes.append(_comparable(model, rows))
    if categorical:
        axis.set_xticks(range(len(names)), names, rotation=20, ha="right")
        axis.set_xlim(-0.5, len(names) - 0.3)
    first = part.iloc[0]
    what = textwrap.shorten(first["series"], 45, placeholder=" …")
    where = f", layer {first['layer']}" if first["layer"] else ""
    # Most titles already name the series.
    what = "" if what.replace("-", " ") in first["title"] else f": {what}"
    where = "" if where.strip(", ") in first["title"] else where
    # Panels are close to each other: a long title would overlap the next one.
    title = wrapped(f"{first['title']}{what}{where}", 1.3, SMALL)
    notes = [wrapped(note, 1.3, SMALL) for note in notes]
    axis.set_title("\n".join([title, *notes]), fontsize=SMALL)
    axis.set_xlabel(first["x_name"].replace("_", " "))
    axis.set_ylabel(first["y_name"].replace("_", " "))


def _comparable(model: object, rows: "pd.DataFrame") -> str:
    """Whether a model's numbers may be compared, in a few words."""
    reasons = rows.loc[rows["verdict"] == "not comparable", "reason"]
    if reasons.empty:
        return f"{model}: {(rows['verdict'] == 'matches').sum()} of {len(rows)} match"
    words = [part.split(":")[0] for part in reasons.iloc[0].split("; ")]
    return f"{model}: not comparable: {', '.join(words)}"


def _line(row: "pd.Series[Any]") -> tuple[str, str, str]:
    """(mark, its colour, text) of a claim."""
    import pandas as pd

    from actadd.results.drawing import PAGE, SMALL, wrapped

    estimate = "" if pd.isna(row["ours"]) else f", {row['ours']:.2g}"
    model = f" [{row['model']}{estimate}]" if row["model"] else ""
    text = f"{row['title']} ({row['source']}){model}: {row['verdict']}"
    return *MARKS[row["verdict"]], wrapped(text, PAGE - 0.5, SMALL)


def _strip(axis: "Axes", lines: list[tuple[str, str, str]], height: float) -> None:
    """The claims under each other, from the top of an axis so many inches high."""
    from actadd.results.drawing import SMALL

    down = 0.0
    # The axis is as high as its text, which is set in inches.
    for mark, colour, text in lines:
        options: dict[str, Any] = {"va": "top", "fontsize": SMALL}
        axis.text(0.0, -down, mark, color=colour, fontweight="bold", **options)
        axis.text(0.035, -down, text, color="0.15", **options)
        down += _depth([(mark, colour, text)])
    axis.set(xlim=(0, 1), ylim=(-height, 0))
    axis.axis("off")


def _depth(lines: list[tuple[str, str, str]]) -> float:
    """Inches that claims take under each other."""
    return LINE * sum(1.2 + text.count("\n") for *_, text in lines)
