"""Kinds of figures, one file each, in folders by subject; `draw` draws an entry of the config."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actadd.base.files import whole_file, write_with
from actadd.base.kinds import build
from actadd.results.displays.kinds import FIGURES
from actadd.results.displays.needs import sources_of
from actadd.results.displays.visible import escape

# What a format would record of when and with what it was written.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def draw(
    spec: Mapping[str, Any],
    *,
    sources: Mapping[str, Any],
    png: Path,
    svg: Path,
    pdf: Path,
    captioned: Path,
    csv: Path,
) -> dict[str, Any]:
    """Draw one figure of the config, as wide as a paper's column or page; returns its caption.

    spec: the figure's entry with its name, and `about`: facts of the experiment for the caption.
    sources: the files that its kind reads, see `sources_of`. png, svg, pdf: without title and
    caption, which a paper sets itself. captioned: a PNG with both. csv: what is drawn, a row for
    each mark.
    """
    import matplotlib.pyplot as plt

    from actadd.results.drawing import compose, finish, literal_texts, mark_table, set_style

    kind = FIGURES[spec["kind"]]
    options = build(kind.options, spec)
    set_style(options.width)
    with literal_texts() as missing:
        figure, caption = kind(options, sources_of("figures", spec, sources))
        if options.note:
            caption = f"{caption} {options.note}"
        finish(figure)
        body = figure.get_figheight()
        compose(figure, body)
        for suffix, path in {"png": png, "svg": svg, "pdf": pdf}.items():
            with whole_file(path) as temporary:
                figure.savefig(temporary, format=suffix, metadata=METADATA[suffix])
        compose(figure, body, options.title, caption)
        with whole_file(captioned) as temporary:
            figure.savefig(temporary, format="png", metadata=METADATA["png"])
        table = mark_table(figure)
        write_with(csv, lambda path: table.to_csv(path, index=False, float_format="%.6g"))
    plt.close(figure)
    if missing:
        characters = ", ".join(map(escape, sorted(missing)))
        print(f"no font has {characters}: drawn as escapes", flush=True)
    return {"caption": caption}
