"""Every kind of figure can be printed: sizes, colours in grey, the same bytes each time."""

import colorsys
import itertools
import re

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from actadd.base.errors import UserError
from actadd.results import drawing
from actadd.results.displays.kinds import FIGURES
from builders import concepts, doses, pairs, reliability
from builders.figures import visible_texts
from builders.rows import (
    ABOUT,
    COST,
    FAILED,
    WORDS,
    comparison_rows,
    cosine_rows,
    curve_rows,
    divergence_rows,
    lens_rows,
    overhead_rows,
    pair_sources,
    precision_rows,
    reading_rows,
    row,
    shift_rows,
    unsteered,
)

METRICS = {"metrics": [WORDS, COST]}


def swept(metrics, failing: bool = False, **values) -> list[dict]:
    """Unsteered, and three layers at four coefficients each, of which one may fail."""
    rows = []
    for metric in metrics:
        rows.append(unsteered(metric=metric, failed=None, **values))
        for layer, c in itertools.product((3.0, 6.0, 9.0), (1.0, 2.0, 4.0, 8.0)):
            coordinates = {"layer": layer, "source_layer": layer, "coefficient": c}
            lost = FAILED if failing and (layer, c) == (9, 8) else {"failed": None}
            rows.append(row(metric=metric, **values, **coordinates) | lost)
    return rows


def groups(metric: str, names: list[str], failing: bool = False) -> list[dict]:
    return [r for name in names for r in swept([metric], failing, group=name)]


def each_topic(failing: bool = False) -> list[dict]:
    return [
        r | {"condition": topic}
        for topic in ("art", "law")
        for r in swept([f"topics.{topic}"], failing)
        if r["layer"] == 9
    ]


def norm_rows() -> list[dict]:
    return [
        {
            "layer": layer,
            "position": p,
            "token": f"'<|endoftext|>' / ' everything{p}'",
            "ratio": 1.0 + p,
            "vector_norm": 1.0,
        }
        for layer in range(4)
        for p in range(3)
    ]


SUMMARIES = {
    "sweep": (swept, METRICS["metrics"], METRICS),
    "conditions": (swept, METRICS["metrics"], METRICS),
    "dose_response": (swept, METRICS["metrics"], METRICS),
    "accuracy": (swept, ["precision_at_1", "precision_at_10"], {}),
}

FORMATS = ("png", "svg", "pdf", "captioned.png")


def material(kind: str, failing: bool = False) -> tuple[dict[str, list[dict]], dict]:
    """(sources, what the config adds) of each kind of figure."""
    if kind in SUMMARIES:
        make, metrics, more = SUMMARIES[kind]
        return {"s.parquet": make(metrics, failing)}, more
    ratios = groups("perplexity_ratio", ["a", "b"], failing)
    shares = groups("perplexity_ratio", ["0.0", "0.5"], failing)
    shares = [r for r in shares if r["coefficient"] == 8]
    result = {
        "perplexity_ratio": ({"s.parquet": ratios}, {}),
        "frequency": ({"s.parquet": shares}, {}),
        "precision": ({"s.parquet": precision_rows()}, {}),
        "topics": ({"s.parquet": each_topic(failing)}, {"metrics": ["topics.art", "topics.law"]}),
        "token_shift": ({"l.parquet": shift_rows()}, {"at_least": 1}),
        "divergence": ({"d.parquet": divergence_rows()}, {}),
        "pairs": (pair_sources(), {"metrics": [WORDS], "relative_to": "mean", "lens": "l"}),
        "pair_counts": (pairs.counted(), pairs.COUNTED),
        "norms": ({"norms/one/v.csv": norm_rows()}, {"vectors": ["v"]}),
        "lens": ({"tokens.parquet": lens_rows()}, {"lens": "l"}),
        "cosines": ({"cosines.parquet": cosine_rows()}, {"lens": "l", "depth": 0.5}),
        "concepts": (concepts.files(concepts.worded()), concepts.spec()),
        "models": (
            {
                **concepts.files({"e": concepts.on_a_model()}),
                **{f"norms/m/{vector}.csv": concepts.norms() for vector in "vr"},
            },
            {**concepts.MODELS, "about": {**ABOUT, "more": {"layers": {"m": 6}, "aim": 1}}},
        ),
        "effects": (
            concepts.files({"e": concepts.on_a_model()}),
            {
                **concepts.EFFECTS,
                "about": {**ABOUT, "more": {"conditions": ["unsteered", "actadd", "random"]}},
            },
        ),
        "dose": (doses.sources(failing), doses.OPTIONS),
        "overhead": ({"small.parquet": overhead_rows("small", 1000, 1.5)}, {}),
        "comparison": ({"comparison.parquet": comparison_rows()}, {}),
        "reliability": (reliability.sources(), reliability.OPTIONS | {"about": reliability.ABOUT}),
        "equal_damage": (
            {"curves/c.parquet": curve_rows(), "readings/c.parquet": reading_rows()},
            {},
        ),
    }
    return result[kind]


@pytest.fixture
def draw_kind(draw, tmp_path):
    """Draws a kind; returns (figure, caption, format -> bytes)."""

    def run(kind: str, failing: bool = False):
        sources, options = material(kind, failing)
        figure, caption = draw(kind, sources, title="A title " * 9, **options)
        return (
            figure,
            caption,
            {n: (tmp_path / f"f.{n}").read_bytes() for n in FORMATS},
        )

    return run


def looks(figure) -> list[tuple[float, str, str]]:
    """(lightness, marker, line) of each series of the legends."""
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes)]
    return [
        (
            round(colorsys.rgb_to_hls(*to_rgb(line.get_color()))[1], 2),
            str(line.get_marker()),
            f"{line.get_linestyle()} {line.get_linewidth()} {line._unscaled_dash_pattern}",
        )
        for legend in filter(None, legends)
        for line in legend.get_lines()
        # Of a series with intervals, its bars' ends are no line of their own.
        if line.get_marker() not in ("_", "|")
    ]


@pytest.mark.parametrize("kind", sorted(FIGURES))
def test_every_kind_can_be_printed(draw_kind, kind, tmp_path):
    figure, caption, files = draw_kind(kind)
    width, height = figure.get_size_inches()
    assert width in (drawing.COLUMN, drawing.PAGE)
    with Image.open(tmp_path / "f.captioned.png") as image:
        assert image.width == pytest.approx(width * 300, abs=1)
        assert image.height == pytest.approx(height * 300, abs=1)
    # A paper sets title and caption itself.
    with Image.open(tmp_path / "f.png") as image:
        assert image.width == pytest.approx(width * 300, abs=1)
        assert image.height < (height - 0.3) * 300
    text = (tmp_path / "f.svg").read_text()
    assert "A title" not in text and caption[:20] not in text
    texts = visible_texts(figure)
    assert min(text.get_fontsize() for text in texts) >= 6.5
    # A text is no formula, and no tick is written as one.
    assert not any(text.get_parse_math() or "mathdefault" in text.get_text() for text in texts)
    # Nothing is cut off at an edge, nor does the caption cover a panel.
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox.padded(2)
    boxes = {text: text.get_window_extent(renderer) for text in texts}
    for text, box in boxes.items():
        assert page.x0 <= box.x0 and box.x1 <= page.x1, text.get_text()
        assert page.y0 <= box.y0 and box.y1 <= page.y1, text.get_text()
    [foot] = [box for text, box in boxes.items() if text.get_text().split() == caption.split()]
    assert foot.y1 < min(axis.get_tightbbox(renderer).y0 for axis in figure.axes)
    # In grey, each series is still another.
    series = looks(figure)
    assert len(set(series)) == len(series)
    assert b"CreationDate" not in files["pdf"] and b"/Type3" not in files["pdf"]
    again = draw_kind(kind)[2]
    assert {name for name in files if files[name] != again[name]} == set()


@pytest.mark.parametrize("ordered", [False, True])
def test_forty_series_differ_without_colour(ordered):
    result = [drawing.series(index, 40, ordered) for index in range(40)]
    assert len({(one["marker"], str(one["linestyle"])) for one in result}) == 40


@pytest.mark.parametrize("name", ["viridis", "cividis"])
def test_heat_maps_get_steadily_lighter(name):
    """By relative luminance, which is what a printer without colours keeps."""
    colours = matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3]
    assert (np.diff(colours @ [0.2126, 0.7152, 0.0722]) > 0).all()


@pytest.mark.parametrize("kind", ["sweep", "perplexity_ratio", "frequency", "topics"])
def test_a_cross_marks_what_failed(draw_kind, kind):
    figure, caption, _ = draw_kind(kind, failing=True)
    crosses = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "x"]
    assert crosses and "non-finite numbers" in caption and "(×)" in caption
    if kind != "frequency":
        assert all(line.get_xdata() == pytest.approx([8], abs=0.5) for line in crosses)
    assert not any(
        line.get_marker() == "x" for axis in draw_kind(kind)[0].axes for line in axis.lines
    )


NUMBERS = {
    *("mean", "low", "high", "difference", "p_value", "kl", "entropy", "logprob", "cosine"),
    *("logit", "ratio", "vector_norm", "seconds", "ours", "published"),
}

OF_CELLS = sorted(name for name, kind in FIGURES.items() if {"summary", "cells"} & {*kind.reads})


def without_numbers(row: dict, failing: bool) -> dict:
    empty = dict.fromkeys(NUMBERS & row.keys(), np.nan)
    return row | empty | ({"failed": "non-finite numbers"} if failing and "method" in row else {})


@pytest.mark.parametrize(
    ("kind", "failing"),
    [*((kind, False) for kind in sorted(FIGURES)), *((kind, True) for kind in OF_CELLS)],
)
def test_what_has_no_numbers_is_drawn_as_nothing_or_refused(draw, kind, failing):
    """Whether its cells failed or their numbers are missing."""
    sources, options = material(kind)
    empty = {name: [without_numbers(r, failing) for r in rows] for name, rows in sources.items()}
    try:
        draw(kind, empty, **options)
    except UserError as error:
        assert re.match(r"figures\.f.*; (take|write|add) ", str(error))


def test_effect_without_cost_names_figure_metric_and_remedy(draw):
    sources, options = material("dose_response")
    rows = [without_numbers(r, False) if r["metric"] == COST else r for r in sources["s.parquet"]]
    refused = rf"^figures\.f\.metrics: .* on one .*'{COST}'; write other metrics"
    with pytest.raises(UserError, match=refused):
        draw("dose_response", rows, **options)


@pytest.mark.parametrize("kind", ["conditions", "accuracy", "dose_response"])
def test_the_word_failed_replaces_a_mark(draw_kind, kind):
    figure, caption, _ = draw_kind(kind, failing=True)
    told = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert sum("× failed" in text for text in told) == (1 if kind == "dose_response" else 2)
    assert "1 of 13 conditions failed" in caption and "c = 8" in caption
