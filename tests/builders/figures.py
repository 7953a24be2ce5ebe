"""Draws made-up rows, and reads what is to be seen in a figure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.text import Text

from actadd.results import figures
from actadd.results.displays.kinds import FIGURES, TABLES
from actadd.results.displays.needs import NAMES
from builders import tiny
from builders.rows import ABOUT, READS


def lines(axis) -> list[list[float]]:
    """The y values of each line with error bars."""
    return [container[0].get_ydata().tolist() for container in axis.containers]


def visible_texts(figure) -> list[Text]:
    """All that is to be read; ticks beyond an axis' ends are not drawn."""
    hidden = set()
    for one in (side for axis in figure.axes for side in (axis.xaxis, axis.yaxis)):
        low, high = sorted(one.get_view_interval())
        ticks = [*one.get_major_ticks(), *one.get_minor_ticks()]
        hidden |= {tick.label1 for tick in ticks if not low <= tick.get_loc() <= high}
    result = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible())
    return [text for text in result if text.get_text().strip() and text not in hidden]


def by_need(kind: str, sources: dict[str, list[dict]], folder: Path) -> dict:
    """Made-up rows as files, by what a kind of figure or table needs.

    sources: relative path -> rows; the path's first folder is the need, if the kind has several.
    Files of the needs in `NAMES` lie below it in folders of these names, as norms/MODEL/VECTOR.csv.
    """
    needs = {**TABLES, **FIGURES}[kind].reads
    files = {need: [] for need in needs}
    for path, name in zip(tiny.written(sources, folder), sources, strict=True):
        first = name.split("/")[0]
        files[first if first in needs else needs[0]].append(path)
    for need in files.keys() & NAMES.keys():
        names = ((path.relative_to(folder / need).with_suffix(""), path) for path in files[need])
        files[need] = {name.parts: path for name, path in names}
    return files


@contextmanager
def drawing(folder: Path, monkeypatch) -> Iterator[Callable]:
    """(kind, sources, **keys of the config) -> (figure with title and caption, caption).

    sources: relative path -> rows, or the rows of one summary.
    """
    drawn, close = [], plt.close
    monkeypatch.setattr(plt, "close", drawn.append)

    def draw(kind: str, sources: dict[str, list[dict]] | list[dict], **spec):
        if isinstance(sources, list):
            sources = {"t.parquet": sources}
        entry = {"name": "f", "kind": kind, "title": "Title", "about": ABOUT, **READS, **spec}
        files = {suffix: folder / f"f.{suffix}" for suffix in ("png", "svg", "pdf", "csv")}
        files["captioned"] = folder / "f.captioned.png"
        sources = by_need(kind, sources, folder)
        caption = figures.draw(entry, sources=sources, **files)["caption"]
        assert files["png"].stat().st_size > 5000
        assert files["svg"].read_text().startswith("<?xml")
        assert files["pdf"].read_bytes().startswith(b"%PDF")
        return drawn[-1], caption

    yield draw
    close("all")
