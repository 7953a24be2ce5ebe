"""A metric by layer and coefficient."""

from typing import TYPE_CHECKING, Any

from actadd.results.displays.kinds import MetricsOptions

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actadd.results.displays.chosen import Chosen

# Cells of a side in which a number has room.
NUMBERED = 8


def crossed(rows: "pd.DataFrame") -> bool:
    """Whether each model has one row for each layer and coefficient, and several of both."""
    keys = ["model", "layer", "coefficient"]
    swept = rows[rows["coefficient"].notna() & rows["layer"].notna()]
    counts = [swept[name].nunique() for name in ("layer", "coefficient")]
    return min(counts) > 1 and not swept.duplicated(keys).any()


def heatmap(
    figure: "Figure",
    axis: "Axes",
    rows: "pd.DataFrame",
    options: MetricsOptions,
    metric: str,
    chosen: "list[Chosen]",
    title: str,
) -> None:
    """Means by layer, upwards, and coefficient; a frame is a chosen setting, × one over the cap."""
    import numpy as np
    from matplotlib.patches import Rectangle

    from actadd.results.drawing.texts import SMALL, wrapped

    square = rows.pivot_table(index="layer", columns="coefficient", values="mean", dropna=False)
    layers, coefficients = (
        np.asarray(each, float).tolist() for each in (square.index, square.columns)
    )
    values = square.to_numpy(float)
    image = axis.imshow(values, cmap="viridis", aspect="auto", origin="lower")
    axis.set_xticks(range(len(coefficients)), [f"{each:g}" for each in coefficients])
    axis.set_yticks(range(len(layers)), [f"{each:g}" for each in layers])
    axis.set(xlabel="coefficient", ylabel="layer", title=title)
    axis.grid(visible=False)
    over = {cell for each in chosen for cell in each.over}
    middle = (np.nanmin(values) + np.nanmax(values)) / 2 if np.isfinite(values).any() else 0.0
    if max(values.shape) <= NUMBERED:
        for (row, column), value in np.ndenumerate(values):
            if np.isnan(value):
                continue
            text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL}
            text["color"] = "white" if value <= middle else "black"
            crossed_out = " ×" if (layers[row], coefficients[column]) in over else ""
            axis.text(column, row, f"{value:.3g}{crossed_out}", **text)
    for each in chosen:
        if each.layer in layers and each.coefficient in coefficients:
            x, y = coefficients.index(each.coefficient), layers.index(each.layer)
            for colour, width in (("white", 2.4), ("black", 1.2)):
                frame: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": width}
                axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **frame))
    bar = figure.colorbar(image, ax=axis)
    bar.set_label(wrapped(options.label(metric), 2))
    bar.outline.set_linewidth(0)
