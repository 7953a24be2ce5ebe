"""Figures: each kind reads what it is made from and draws one PNG and one SVG, captioned."""

import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import seaborn as sns

from actadd.displays import FIGURE_MODULES
from actadd.figures.common import PALETTE
from actadd.files import whole_file

# Inches; a narrower figure's title would stick out.
NARROWEST = 6.5


def draw(spec: dict, *, sources: list[Path], png: Path, svg: Path) -> dict[str, Any]:
    """Draws one figure of the config.

    spec: the figure's entry with its name, and `about`: facts of the experiment for the caption.
    sources: what its kind reads, see `actadd.displays`. Returns the caption.
    """
    sns.set_theme(context="paper", style="whitegrid", palette=PALETTE)
    matplotlib.rcParams["svg.hashsalt"] = "actadd"
    module = import_module(f"actadd.figures.{FIGURE_MODULES[spec['kind']]}")
    figure, caption = getattr(module, spec["kind"])(spec, sources)
    if spec.get("note"):
        caption = f"{caption} {spec['note']}"
    # Room for the title and the caption, also over a single small panel.
    figure.set_figwidth(max(figure.get_figwidth(), NARROWEST))
    figure.suptitle(spec["title"], fontweight="bold", x=0.01, ha="left")
    width = int(figure.get_figwidth() * 16.5)
    lines = textwrap.fill(caption, width=width, break_on_hyphens=False)
    # The caption hangs below the axes; tight bounding boxes make room for it. Dollar signs in
    # prompts are no formulas.
    figure.text(
        0.01, -0.01, lines.replace("$", r"\$"), ha="left", va="top", fontsize=7.5, color="0.25"
    )
    for path, metadata in ((png, {"Software": None}), (svg, {"Date": None, "Creator": None})):
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=200, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
    return {"caption": caption}
