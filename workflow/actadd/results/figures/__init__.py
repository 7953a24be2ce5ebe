"""Figures: each kind reads what it is made from and draws panels; all get title and caption."""

from importlib import import_module
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from actadd.results.displays import FIGURE_MODULES
from actadd.results.figures.common import compose, literal_texts, set_style
from actadd.base.files import whole_file
from actadd.results.labels import escape

# What a format would record of when and with what it was written.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def draw(spec: dict, *, sources: list[Path], png: Path, svg: Path, pdf: Path) -> dict[str, Any]:
    """Draws one figure of the config, as wide as a paper's column or page.

    spec: the figure's entry with its name, and `about`: facts of the experiment for the caption.
    sources: what its kind reads, see `displays`. Returns the caption.
    """
    set_style()
    module = import_module(f"actadd.results.figures.{FIGURE_MODULES[spec['kind']]}")
    with literal_texts() as missing:
        figure, caption = getattr(module, spec["kind"])(spec, sources)
        if spec.get("note"):
            caption = f"{caption} {spec['note']}"
        compose(figure, spec["title"], caption)
        for kind, path in {"png": png, "svg": svg, "pdf": pdf}.items():
            with whole_file(path) as temporary:
                figure.savefig(temporary, metadata=METADATA[kind])
    plt.close(figure)
    if missing:
        print(f"no font has {', '.join(map(escape, sorted(missing)))}: drawn so", flush=True)
    return {"caption": caption}
