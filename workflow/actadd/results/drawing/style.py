"""The one style of all figures: sizes of a paper's columns, and series that differ in grey too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import seaborn as sns

from actadd.results.drawing.texts import families

# Inches: a column and a page of a two-column paper.
COLUMN, PAGE = 3.3, 6.8
WIDTHS = {"column": COLUMN, "page": PAGE}

# Inches between the parts of a figure and at its edge.
GAP = 0.07

# For users too, see docs/how-to/figure.md.
SHEET = Path(__file__).with_name("actadd.mplstyle")
PALETTE = [each["color"] for each in matplotlib.rc_params_from_file(SHEET)["axes.prop_cycle"]]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES: list[Any] = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]

# Of levels that are compared with.
LEVEL: dict[str, Any] = {"color": "0.35", "linestyle": (0, (4, 2)), "linewidth": 0.8}
# Of what is unsteered, and of controls: grey, so that colours are for what steers.
UNSTEERED: dict[str, Any] = {"color": "0.2", "marker": "*", "linestyle": (0, (4, 2))}
CONTROL = "0.55"


class _Width:
    """The width that the figure being drawn should have, inches; None if its panels decide it."""

    asked: float | None = None


def set_style(width: float | str | None = None) -> None:
    """width: of the next figures, "column", "page" or inches; by their panels if not given."""
    matplotlib.rcdefaults()
    matplotlib.use("agg")
    plt.style.use(SHEET)
    matplotlib.rcParams["font.family"] = families()
    _Width.asked = WIDTHS.get(width) if isinstance(width, str) else width


def width_of(usual: float) -> float:
    """The width that is asked for, or else the usual one."""
    return _Width.asked or usual


def series(index: int, count: int, ordered: bool = False) -> dict[str, Any]:
    """Colour, marker and line of one series of several; of forty, no two share marker and line.

    ordered: the series are steps of one quantity, and get darker or lighter with it.
    """
    # The lightest of viridis cannot be seen on white.
    colours = sns.color_palette("viridis", count + 1) if ordered else PALETTE
    return {
        "color": colours[index % len(colours)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
    }


def look(looks: Mapping[str, tuple[str, int]], condition: str, index: int = 0) -> dict[str, Any]:
    """Colour, marker and line of a condition, the same in all figures of a config.

    looks: see `Facts`. index: of a series, for a condition that is not among them.
    """
    role, number = looks.get(condition, ("steered", index))
    if role == "unsteered":
        return dict(UNSTEERED)
    style = series(number, number + 1)
    if role == "control":
        # Open marks, since a control may stand beside anything.
        return {**style, "color": CONTROL, "markerfacecolor": "white"}
    return style
