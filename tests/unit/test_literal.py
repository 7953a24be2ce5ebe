"""Texts in figures are drawn as they are written: any script, any sign, nothing left out."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image

from actadd.results import figures
from actadd.results.drawing import marks, set_style
from actadd.results.drawing import texts as fonts
from builders.figures import by_need, visible_texts
from builders.rows import ABOUT, row, unsteered

# Each is drawn with the fonts that we bring.
DRAWN = [
    "$$",
    "$0 - $10",
    "a $$ b",
    r"$x^2$ \frac{1}{2} \alpha",
    "100 % of {a} ^x #1 & ~",
    "<b>bold</b> &amp;",
    "_hidden",
    "a_b_c",
    "高い",
    "安い",
    "简体字 體",
    "한국어",
    "עברית",
    "مرحبا 123",
    "می\u200cخواهم",
    "नमस्ते",
    "ภาษาไทย",
    "Кириллица",
    "Ελληνικά",
    "e\u0301",
    "😀",
    "two\nlines",
]
# What is drawn in the place of what no font has, or nobody could see.
ESCAPED = {
    "বাংলা": r"\u09ac\u09be\u0982\u09b2\u09be",
    "zero\u200bwidth": r"zero\u200bwidth",
    "\u202eturned": r"\u202eturned",
    "\ufeffmarked": r"\ufeffmarked",
    "bell\x07\x1b[0m": r"bell\x07\x1b[0m",
    "a\u200db": r"a\u200db",
    "\U0001f9ff": r"\U0001f9ff",
    "a\tb\rc": r"a\tb\rc",
    "\ue000": r"\ue000",
    "line\u2028end": r"line\u2028end",
}


@pytest.fixture(scope="module", autouse=True)
def style():
    set_style()


@pytest.mark.parametrize("text", DRAWN, ids=ascii)
def test_what_can_be_drawn_is(text):
    assert fonts.literal(text) == text


@pytest.mark.parametrize("text", ESCAPED, ids=ascii)
def test_what_cannot_be_drawn_or_seen_is_an_escape(text):
    assert fonts.literal(text) == ESCAPED[text]
    assert fonts.literal(ESCAPED[text]) == ESCAPED[text]


def test_every_font_has_each_weight():
    assert len(fonts.families()) == 2 + len(fonts.WIDE_FONTS)


def by_group(metric: str, names: list[str]) -> list[dict]:
    coordinates = {"layer": 3.0, "source_layer": 3.0, "failed": None}
    return [
        row(metric=metric, group=name, mean=0.1 * n, coefficient=c, **coordinates)
        for (n, name), c in itertools.product(enumerate(names, 1), (1.0, 2.0))
    ]


@pytest.fixture
def drawing(tmp_path, monkeypatch, capsys):
    """Draws a figure of made-up rows; returns (figure, what was printed)."""
    kept = []
    monkeypatch.setattr(plt, "close", kept.append)

    def run(kind: str, rows: list[dict], about=ABOUT, **entry):
        files = {name: tmp_path / f"f.{name}" for name in ("png", "svg", "pdf", "csv")}
        files["captioned"] = tmp_path / "f.captioned.png"
        entry = {
            "name": "f",
            "kind": kind,
            "title": "T",
            "about": about,
            "experiment": "e",
            **entry,
        }
        figures.draw(entry, sources=by_need(kind, {"s.parquet": rows}, tmp_path), **files)
        assert all(path.stat().st_size for path in files.values())
        return kept[-1], capsys.readouterr().out

    yield run
    monkeypatch.undo()
    matplotlib.pyplot.close("all")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["perplexity_ratio", "sweep"])
def test_every_group_is_in_the_legend_as_it_is_written(drawing, kind):
    names = [*DRAWN, *ESCAPED]
    metric = "perplexity_ratio" if kind == "perplexity_ratio" else "words.any"
    entry = {"metrics": [metric], "by_group": True} if kind == "sweep" else {}
    figure, printed = drawing(kind, by_group(metric, names), log=True, **entry)
    [legend] = figure.findobj(Legend)
    labels = [text.get_text().split(", layer")[0] for text in legend.get_texts()]
    assert set(labels) == {*DRAWN, *ESCAPED.values()} and len(labels) == len(names)
    assert not any(text.get_parse_math() for text in figure.findobj(Text))
    assert "no font has" in printed and r"\u09ac" in printed
    # Ticks at powers of ten are no formulas either.
    assert not any(
        "$\\" in text.get_text() for text in visible_texts(figure) if text not in legend.texts
    )
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 + 1


def test_titles_captions_labels_and_notes_are_literal(drawing):
    nasty = "a $$ b_c 高い 100 % <b> \\alpha {x}"
    rows = [r for m in ("w.a", "w.b") for r in (unsteered(metric=m), row(metric=m, group="all"))]
    about = {**ABOUT, "data": nasty, "notes": [nasty]}
    labels = {"w.a": nasty, "w.b": "$"}
    entry = {"metrics": ["w.a", "w.b"], "labels": labels, "title": nasty, "note": nasty}
    figure, _ = drawing("conditions", rows, about, **entry)
    result = [" ".join(text.get_text().split()) for text in visible_texts(figure)]
    assert nasty in result and "$" in result
    # In the label's wrapped lines, the title, and thrice in the caption, of which once as a label.
    assert " ".join(result).count(nasty) >= 5


def pixels(drawing, tmp_path, title: str) -> np.ndarray:
    rows = [unsteered(metric="w.a"), row(metric="w.a")]
    drawing("conditions", rows, metrics=["w.a"], title=title)
    with Image.open(tmp_path / "f.captioned.png") as image:
        return np.asarray(image.convert("L"))


def test_dollars_and_ideographs_leave_ink(drawing, tmp_path):
    ink = {}
    for title in ("$$", "高い", "安い"):
        seen = pixels(drawing, tmp_path, title)
        ink[title] = seen[:110].tobytes()
    assert len(set(ink.values())) == len(ink)


def test_without_the_fonts_ideographs_are_told_apart(monkeypatch):
    monkeypatch.setattr(fonts, "WIDE_FONTS", {"no_such_package": "x.otf"})
    for cached in (fonts.families, fonts._drawable):
        cached.cache_clear()
    assert fonts.literal("高い") == r"\u9ad8\u3044" != fonts.literal("安い")
    for cached in (fonts.families, fonts._drawable):
        cached.cache_clear()


@pytest.mark.parametrize("value", [1, 1e-3, 10, 1e12, 2e-7])
def test_powers_of_ten_are_plain_characters(value):
    import matplotlib.pyplot as plt

    _, axis = plt.subplots()
    axis.set_yscale("log")
    axis.set_ylim(1e-9, 1e15)
    marks.powers(axis.yaxis)
    text = axis.yaxis.get_major_formatter()(value)
    plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    number, _, rest = plain.partition("10")
    assert float(number.rstrip("×") or 1) * 10.0 ** int(rest or 0) == pytest.approx(value)
    assert text.isprintable() and "$" not in text
    plt.close("all")
