"""The colour bar of heat maps that share a scale."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def colour_bar(figure: "Figure", axes: "list[Axes]", text: str) -> None:
    """Draw one bar for all panels."""
    figure.colorbar(axes[0].collections[0], ax=axes, label=text, aspect=40, pad=0.01)
