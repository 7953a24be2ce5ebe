"""The explorer page, from made-up tables, in a real browser."""

import itertools
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actadd.results import explorer
from actadd.results.explorer import runs
from actadd.results.explorer.page import ASSETS, SCRIPTS, page_script
from builders.browser import needs_chromium, opening
from builders.explorer import (
    cells,
    choose,
    chosen,
    coordinates_of,
    entry,
    joined,
    open_charts,
    side,
    texts,
    write_parts,
)

HOSTILE = "</script><img src=x onerror=\"window.broken = true\"><b>bold</b> <!-- ${title} & 'x'"
UNICODE = "Die Hochzeit — 結婚式 👰 was\nlovely\u2028\u202eabc"


def run_of(parts: dict) -> dict:
    """What the page holds of the one experiment of `parts`."""
    [completions], [summary] = (parts[kind].values() for kind in ("completions", "summaries"))
    scores = {scorer: path for (_, _, scorer), path in parts["scores"].items()}
    return runs.run_of(completions, scores, summary)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with a sweep that has a failed cell, and an experiment at one setting."""
    folder = tmp_path_factory.mktemp("explorer")
    sweep = write_parts(
        folder,
        "sweep",
        cells(),
        ["I went up to my friend and said", HOSTILE, UNICODE],
        25,
        failed={4: f"the logits are not numbers any more {HOSTILE}"},
        text=lambda n, p, s: f" it was cold {s}" if n == 0 else f" it was {HOSTILE} {n} {s} 👰 Été",
    )
    chosen = write_parts(
        folder,
        "chosen",
        [
            coordinates_of("unsteered"),
            coordinates_of("actadd", 9, 2.0),
            coordinates_of("random", 9, 2.0, "noise"),
        ],
        ["One prompt"],
        2,
    )
    output = folder / "explorer.html"
    experiments = [entry("sweep", labels={"words.any": "share with <words>"}), entry("chosen")]
    spec = {"title": "Steering explorer", "experiments": experiments}
    assert explorer.build(spec, **joined([sweep, chosen]), output=output) == {"completions": 531}
    return output


# --- the file -------------------------------------------------------------------------------------


def test_the_same_tables_give_the_same_bytes(tmp_path, page):
    again = tmp_path / "again.html"
    parts = [write_parts(page.parent, "chosen", [coordinates_of("unsteered")], ["One prompt"], 2)]
    spec = {"title": "T", "experiments": [entry("chosen")]}
    texts = []
    for _ in range(2):
        explorer.build(spec, **joined(parts), output=again)
        texts.append(again.read_bytes())
    assert texts[0] == texts[1]


def test_tables_that_know_nothing_of_failures_are_read_too(tmp_path):
    parts = write_parts(tmp_path, "old", cells(), ["One", "Two"], 3)
    for path in itertools.chain.from_iterable(each.values() for each in parts.values()):
        pd.read_parquet(path).drop(columns="failed", errors="ignore").to_parquet(path)
    run = run_of(parts)
    assert [len(run["parts"][cell]["text"]) for cell in range(7)] == [2 * 3] * 7
    assert run["parts"][0]["failed"] == run["summary"]["failed"] == []
    assert [cell.get("unsteered") for cell in run["cells"]] == [None, *[0] * 6]
    assert run["parts"][6]["scores"]["words.any"][-1] == 6.12
    assert set(run["parts"][6]["scores"]["words.count"]) == {None}


def test_an_experiment_without_completions_shows_its_summary(tmp_path):
    parts = write_parts(tmp_path, "ratio", cells(), ["One"], 1)
    [summary] = parts["summaries"].values()
    run = runs.run_of(None, {}, summary)
    assert run["prompts"] == [] and run["parts"] == {}
    assert len(run["summary"]["mean"]) == len(run["cells"]) == 7


def test_what_one_scorer_failed_on_has_other_scores(tmp_path):
    parts = write_parts(tmp_path, "some", cells(), ["One"], 1)
    [path] = parts["summaries"].values()
    summary = pd.read_parquet(path)
    other = summary.assign(metric="mood.any", failed=["no answer", *[None] * 6])
    other.loc[0, ["mean", "low", "high"]] = np.nan
    pd.concat([summary, other]).to_parquet(path)
    run = run_of(parts)
    assert run["summary"]["failed"] == [[7, "no answer"]]
    assert not any("failed" in cell for cell in run["cells"])


@pytest.mark.parametrize(
    "options",
    [
        ["lint", "--error-on-warnings"],
        ["lint", "--only=correctness/noUndeclaredVariables"],
        ["lint", "--only=correctness/noUnusedVariables"],
    ],
    ids=["recommended", "undeclared", "unused"],
)
def test_the_script_is_linted(options, tmp_path):
    """As one script, since each part uses what others declare."""
    script = tmp_path / "page.cjs"
    # Plotly's own script declares it.
    script.write_text(f"let Plotly;\n{page_script()}")
    biome(*options, script, folder=tmp_path)


def test_the_script_is_formatted():
    files = (f"{name}.js" for name in SCRIPTS)
    biome("format", "--line-width=100", "--indent-style=space", *files, folder=ASSETS)


def biome(*arguments, folder):
    command = [Path(sys.executable).with_name("biome"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- in a browser ---------------------------------------------------------------------------------


@needs_chromium
def test_choices_change_what_is_read(page, reading):
    tab = reading(page)
    assert chosen(tab, "layer") == "6" and chosen(tab, "coefficient") == "1"
    assert side(tab, "plain") == "it was cold 0"
    assert side(tab, "steered").endswith("1 0 👰 Été")
    choose(tab, "layer", "9")
    choose(tab, "coefficient", "4")
    assert side(tab, "steered").endswith("6 0 👰 Été")
    assert "layer 9, coefficient 4" in tab.locator("#setting").inner_text()
    assert texts(tab, "#estimates .value") == ["0.000", "0.600", "+0.600"]
    assert (
        "share with <words> 6.000 (+6.000)"
        in tab.locator(".side.steered .scores").first.inner_text()
    )
    choose(tab, "experiment", "The chosen experiment")
    choose(tab, "condition", "noise (random)")
    assert side(tab, "steered") == "the bride 2 0 0"
    assert tab.locator("article").count() == 2


@needs_chromium
def test_hostile_text_is_only_text(page, reading):
    tab = reading(page)
    choose(tab, "prompt", "all 3 prompts")
    tab.locator("#more").click()
    tab.locator("#field-find").fill("onerror")
    tab.locator("mark.hit").first.wait_for()
    open_charts(tab)
    assert HOSTILE in side(tab, "steered")
    assert tab.locator("body img, .text > :not(mark)").count() == 0
    assert tab.evaluate("window.broken") is None


@needs_chromium
def test_the_page_runs_no_script_but_its_own(page, chromium):
    with opening(chromium, expected="Executing inline event handler") as show:
        tab = show(page)
        markup = "<b onclick='window.broken = true'>b</b>"
        tab.evaluate("markup => document.body.insertAdjacentHTML('beforeend', markup)", markup)
        tab.locator("body > b").dispatch_event("click")
        assert tab.evaluate("window.broken") is None


@needs_chromium
def test_a_failed_cell_is_shown_as_failed(page, reading):
    tab = reading(page)
    choose(tab, "layer", "9")
    choose(tab, "coefficient", "1")
    assert "the logits are not numbers any more" in tab.locator("#setting .notice").inner_text()
    assert tab.locator("#estimates > div").count() == 0
    assert "Failed:" in tab.locator(".side.steered .notice").first.inner_text()
    open_charts(tab)
    row = tab.locator("#numbers tr.chosen").inner_text()
    assert "failed: the logits" in row and "0.4" not in row
    drawn = tab.evaluate("document.querySelector('#dose .plot').data.map(t => [t.name, t.y])")
    assert drawn[1] == ["layer 9", [None, 0.5, 0.6]] and drawn[2][0] == "failed"


@needs_chromium
def test_charts_show_means_with_intervals_and_differences(page, reading):
    tab = reading(page)
    open_charts(tab)
    line, *_ = tab.evaluate("document.querySelector('#dose .plot').data")
    assert line["y"] == [0.1, 0.2, 0.3]
    assert np.allclose(line["error_y"]["array"], 0.05)
    assert (
        "0.100</b> [0.050, 0.150]" in line["text"][0] and "share with &lt;" not in line["text"][0]
    )
    [grid] = tab.evaluate("document.querySelector('#grid .plot').data")
    assert grid["z"] == [[0.1, 0.2, 0.3], [None, 0.5, 0.6]]
    choose(tab, "show", "difference from unsteered")
    line, *_ = tab.evaluate("document.querySelector('#dose .plot').data")
    assert np.allclose(line["error_y"]["array"], 0.1)
    # A click into the grid chooses its setting.
    box = tab.locator("#grid .nsewdrag").bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 0.95, box["y"] + box["height"] * 0.2)
    assert (chosen(tab, "layer"), chosen(tab, "coefficient")) == ("9", "4")
    choose(tab, "experiment", "The chosen experiment")
    dots, *_ = tab.evaluate("document.querySelector('#dose .plot').data")
    assert dots["x"] == [0, 0.1, 0.2]
    assert not tab.locator("#grid").is_visible()


@needs_chromium
def test_a_chart_is_as_wide_as_its_container(page, reading):
    tab = reading(page)
    open_charts(tab)
    plot = "document.querySelector('#dose .plot')"
    # Beside another one, alone, and beside it again.
    for experiment in ("The sweep experiment", "The chosen experiment", "The sweep experiment"):
        choose(tab, "experiment", experiment)
        tab.wait_for_timeout(500)
        drawn = tab.evaluate(f"{plot}.querySelector('svg').getBoundingClientRect().width")
        assert abs(drawn - tab.evaluate(f"{plot}.clientWidth")) < 2


@needs_chromium
def test_a_run_opens_at_a_vector_that_is_not_a_control(tmp_path, reading):
    conditions = [
        coordinates_of("unsteered"),
        coordinates_of("a", 9, 2.0, "noise"),
        coordinates_of("b", 9, 2.0),
    ]
    parts = write_parts(tmp_path, "chosen", conditions, ["One prompt"], 1)
    for controls, first in ((["noise"], "weddings (b)"), (["noise", "weddings"], "noise (a)")):
        spec = {"title": "T", "controls": controls, "experiments": [entry("chosen")]}
        explorer.build(spec, **parts, output=tmp_path / "page.html")
        assert chosen(reading(tmp_path / "page.html"), "condition") == first


@needs_chromium
def test_finding_ordering_and_showing_more(page, reading):
    from playwright.sync_api import expect

    tab = reading(page)
    choose(tab, "prompt", "I went up to my friend and said")
    assert tab.locator("article").count() == 20
    tab.locator("#more").click()
    assert tab.locator("article").count() == 25 and not tab.locator("#more").is_visible()
    choose(tab, "order", "largest rise of the score")
    assert "sample 0" in tab.locator(".steered h3").first.inner_text()
    tab.locator("#field-find").fill("cold 24")
    expect(tab.locator("article")).to_have_count(1)
    assert side(tab, "plain") == "it was cold 24"
    tab.locator("#field-find").fill("nowhere")
    expect(tab.locator("article")).to_have_count(0)
    assert tab.locator("#count").inner_text() == "0 pairs."


@needs_chromium
def test_the_address_brings_the_setting_back(page, reading):
    tab = reading(page)
    choose(tab, "layer", "9")
    choose(tab, "coefficient", "2")
    tab.get_by_label("next prompt").click()
    choose(tab, "order", "lowest score")
    open_charts(tab)
    fragment = tab.evaluate("location.hash")
    again = reading(page, fragment)
    assert (chosen(again, "layer"), chosen(again, "coefficient")) == ("9", "2")
    assert again.locator("#field-prompt").input_value() == "0"
    assert again.locator("#field-order").input_value() == "low"
    assert again.locator("#dose").is_visible()
    assert side(again, "steered") == side(tab, "steered")


@needs_chromium
def test_the_keyboard_alone_is_enough(page, reading):
    tab = reading(page)
    focused = "document.activeElement.id || document.activeElement.className"
    order = []
    for _ in range(60):
        tab.keyboard.press("Tab")
        order.append(tab.evaluate(focused))
        outline = tab.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle"
            " + getComputedStyle(document.activeElement).outlineWidth"
        )
        assert outline == "solid3px", order
        if order[-1] == "more":
            break
    names = ["experiment", "condition", "layer", "coefficient"]
    names += ["prompt", "find", "order", "keep", "scores"]
    fields = [name.removeprefix("field-") for name in order if name.startswith("field-")]
    assert order[0] == "skip" and fields == names and order[-1] == "more"
    tab.keyboard.press("Enter")
    assert tab.locator("article").count() == 40
    assert tab.evaluate("document.activeElement.tagName") == "ARTICLE"
    tab.locator("#field-layer").focus()
    tab.keyboard.press("ArrowDown")
    assert chosen(tab, "layer") == "9"
    assert tab.evaluate(focused) == "field-layer"
    tab.locator("#charts > summary").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#numbers").is_visible()
    for control in tab.locator("select, input").all():
        assert control.evaluate("element => element.labels.length") == 1


CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let up = node; up; up = up.parentElement) {
      const colour = rgb(getComputedStyle(up).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const ratios = [];
  for (const node of document.querySelectorAll("body *")) {
    const empty = !node.getClientRects().length || !node.textContent.trim();
    if (empty || node.closest("svg, option, noscript")) continue;
    const [a, b] = [luminance(rgb(getComputedStyle(node).color)), luminance(behind(node))];
    ratios.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.outerHTML.slice(0, 80)]);
  }
  return ratios.sort(([a], [b]) => a - b);
}"""


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(page, reading, scheme):
    tab = reading(page, color_scheme=scheme)
    choose(tab, "coefficient", "2")
    open_charts(tab)
    worst, where = tab.evaluate(CONTRAST)[0]
    assert worst >= 4.5, where
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(251, 250, 247)") == (scheme == "light")


@needs_chromium
def test_a_phone_needs_no_sideways_scrolling(page, reading):
    tab = reading(page, viewport={"width": 375, "height": 800})
    for experiment in ("The sweep experiment", "The chosen experiment"):
        choose(tab, "experiment", experiment)
        assert tab.evaluate("document.documentElement.scrollWidth") == 375
        wide = "[...document.querySelectorAll('main *')].filter(n => n.getClientRects().length"
        wide += " && n.getBoundingClientRect().right > 375.5 && !n.closest('.scroll')).length"
        assert tab.evaluate(wide) == 0
    first, second = tab.locator(".pair .side").all()[:2]
    assert first.bounding_box()["y"] < second.bounding_box()["y"]


@needs_chromium
def test_ten_thousand_completions(tmp_path, reading):
    prompts = [f"Prompt number {number} is about" for number in range(100)]
    text = "the church was full of flowers and the guests were happy " * 3
    conditions = cells((6,), (1.0, 2.0, 4.0))
    parts = write_parts(tmp_path, "large", conditions, prompts, 25, text=lambda *_: text)
    output = tmp_path / "large.html"
    spec = {"title": "Large", "experiments": [entry("large")]}
    assert explorer.build(spec, **parts, output=output) == {"completions": 10_000}
    tab = reading(output)
    assert tab.locator("article").count() == 20
    assert tab.locator("#count").inner_text() == "2,500 pairs, of which 20 are shown."
    timing = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    # Half a second on an idle core; a page that lays out all rows takes many times this.
    assert timing < 20_000


@needs_chromium
@pytest.mark.nightly
def test_a_hundred_thousand_completions_open_in_three_seconds(tmp_path, chromium):
    """Random words, so that texts compress no better than real ones."""
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]
    drawn = np.random.default_rng(0).choice(words, size=(100_000, 30))
    sentences = iter([" ".join(row) for row in drawn])
    prompts = [f"Prompt number {number} is about" for number in range(100)]
    conditions = cells((3, 6, 9), (1.0, 2.0, 4.0))
    parts = write_parts(
        tmp_path, "large", conditions, prompts, 100, text=lambda *_: next(sentences)
    )
    spec = {"title": "Large", "experiments": [entry("large")]}
    output = tmp_path / "large.html"
    assert explorer.build(spec, **parts, output=output) == {"completions": 100_000}
    assert output.stat().st_size < 40e6
    with opening(chromium) as show:
        began = time.monotonic()
        tab = show(output)
        tab.locator("article").first.wait_for()
        assert time.monotonic() - began < 3
        assert tab.locator("#count").inner_text() == "10,000 pairs, of which 20 are shown."
        began = time.monotonic()
        choose(tab, "coefficient", "4")
        choose(tab, "order", "lowest score")
        assert time.monotonic() - began < 3
