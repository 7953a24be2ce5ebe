"""The explorer page, from made-up tables, in a real browser."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from actadd.results import explorer
from builders import tiny
from builders.browser import needs_chromium, opening

HOSTILE = "</script><img src=x onerror=\"window.broken = true\"><b>bold</b> <!-- ${title} & 'x'"
UNICODE = "Die Hochzeit — 結婚式 👰 was\nlovely\u2028\u202eabc"
UNSTEERED = {"source_layer": np.nan, "layer": np.nan, "coefficient": np.nan, "vector": None}
DRAWN = {"temperature": 1.0, "top_p": 0.3, "frequency_penalty": 1.0, "seed": 0}


def coordinates_of(name: str, layer=None, coefficient=None, vector="weddings") -> dict:
    """Coordinates of a condition, as tables have them."""
    steered = layer is not None
    coordinates = {
        "source_layer": layer,
        "layer": layer,
        "coefficient": coefficient,
        "vector": vector,
    }
    addition = {**coordinates, "position": "front", "phase": "prefill", "dimensions": None}
    return {
        "condition": name,
        "method": "actadd" if steered else "unsteered",
        **(coordinates if steered else UNSTEERED),
        "position": "front" if steered else None,
        "dimensions": np.nan,
        "phase": "prefill" if steered else None,
        "additions": json.dumps([addition] if steered else []),
        **DRAWN,
    }


def cells(layers=(6, 9), coefficients=(1.0, 2.0, 4.0)) -> list[dict]:
    swept = itertools.product(layers, coefficients)
    return [
        coordinates_of("unsteered"),
        *(coordinates_of("actadd", layer, c) for layer, c in swept),
    ]


def write_parts(
    folder, experiment: str, conditions: list[dict], prompts: list[str], samples: int, **more
):
    """Tables of one experiment on one model; returns the arguments of `build` for it.

    more: text(number, prompt, sample) of a completion, score(number, prompt, sample),
    failed: {number of a cell: reason}.
    """
    text = more.get(
        "text", lambda n, p, s: f"plain {p} {s}" if n == 0 else f"the bride {n} {p} {s}"
    )
    score = more.get("score", lambda n, p, s: n + p / 10 + s / 100)
    failed = more.get("failed")
    drawn, scored, summed = [], [], []
    for number, cell in enumerate(conditions):
        shared = {"model": "tiny", "experiment": experiment, **cell, "cell": number}
        reason = (failed or {}).get(number)
        extra = {} if failed is None else {"failed": reason}
        for p, s in itertools.product(range(len(prompts)), range(samples)):
            row = {"prompt_id": p, "sample": s}
            drawn.append(
                {
                    **shared,
                    **row,
                    "prefix": "",
                    "prompt": prompts[p],
                    "group": None,
                    "completion": None if reason else text(number, p, s),
                    **extra,
                }
            )
            value = np.nan if reason else score(number, p, s)
            key = {"condition": cell["condition"], "cell": number}
            scored.append({**key, **row, "any": value, "count": np.nan, **extra})
        mean = np.nan if reason else number / 10
        summed.append(
            {
                **{name: value for name, value in shared.items() if name != "cell"},
                "group": "all",
                "metric": "words.any",
                "n_prompts": len(prompts),
                "n_completions": 0 if reason else len(prompts) * samples,
                **{"mean": mean, "low": mean - 0.05, "high": mean + 0.05},
                **{"difference": mean, "difference_low": mean - 0.1, "difference_high": mean + 0.1},
                "p_value": 0.03,
                **extra,
            }
        )
    paths = {
        "completions": f"completions/tiny/{experiment}.parquet",
        "scores": f"scores/tiny/{experiment}/words.parquet",
        "summaries": f"summaries/tiny/{experiment}.parquet",
    }
    tables = dict(zip(paths.values(), (drawn, scored, summed), strict=True))
    run = ("tiny", experiment)
    keys = {"completions": run, "scores": (*run, "words"), "summaries": run}
    files = tiny.written(tables, folder)
    return {kind: {keys[kind]: file} for kind, file in zip(paths, files, strict=True)}


def entry(name: str, **more) -> dict:
    shared = {"title": f"The {name} experiment", "measure": "completions", "models": ["tiny"]}
    return {"name": name, **shared, "data": "made-up prompts", "notes": {}, "labels": {}, **more}


def run_of(parts: dict) -> dict:
    """What the page holds of the one experiment of `parts`."""
    [completions], [summary] = (parts[kind].values() for kind in ("completions", "summaries"))
    scores = {scorer: path for (_, _, scorer), path in parts["scores"].items()}
    return explorer._run(completions, scores, summary)


def joined(parts: list[dict]) -> dict:
    return {kind: {k: v for part in parts for k, v in part[kind].items()} for kind in parts[0]}


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


def chosen(tab, name: str) -> str:
    return tab.locator(f"#field-{name} option:checked").inner_text()


def choose(tab, name: str, text: str) -> None:
    tab.locator(f"#field-{name}").select_option(label=text)


def side(tab, which: str) -> str:
    return tab.locator(f".pair .{which} .text").first.inner_text()


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
    assert len(run["completions"]["text"]) == 7 * 2 * 3
    assert run["completions"]["failed"] == run["summary"]["failed"] == []
    assert [cell.get("unsteered") for cell in run["cells"]] == [None, *[0] * 6]
    assert run["scores"]["words.any"][-1] == 6.12
    assert set(run["scores"]["words.count"]) == {None}


def test_an_experiment_without_completions_shows_its_summary(tmp_path):
    parts = write_parts(tmp_path, "ratio", cells(), ["One"], 1)
    [summary] = parts["summaries"].values()
    run = explorer._run(None, {}, summary)
    assert run["prompts"] == [] and run["completions"]["text"] == []
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
    script.write_text(f"let Plotly;\n{explorer.page_script()}")
    biome(*options, script, folder=tmp_path)


def test_the_script_is_formatted():
    files = (f"{name}.js" for name in explorer.SCRIPTS)
    biome("format", "--line-width=100", "--indent-style=space", *files, folder=explorer.ASSETS)


def biome(*arguments, folder):
    command = [Path(sys.executable).with_name("biome"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- in a browser ---------------------------------------------------------------------------------


@needs_chromium
def test_choices_change_what_is_read(page, opened):
    tab = opened(page)
    assert chosen(tab, "layer") == "6" and chosen(tab, "coefficient") == "1"
    assert side(tab, "plain") == "it was cold 0"
    assert side(tab, "steered").endswith("1 0 👰 Été")
    choose(tab, "layer", "9")
    choose(tab, "coefficient", "4")
    assert side(tab, "steered").endswith("6 0 👰 Été")
    assert "layer 9, coefficient 4" in tab.locator("#setting").inner_text()
    assert tab.locator("#estimates .value").first.inner_text() == "0.6"
    assert "share with <words> 6 (+6)" in tab.locator(".side.steered .scores").first.inner_text()
    choose(tab, "experiment", "The chosen experiment")
    choose(tab, "condition", "noise (random)")
    assert side(tab, "steered") == "the bride 2 0 0"
    assert tab.locator("article").count() == 2


@needs_chromium
def test_added_words_are_marked(page, opened):
    tab = opened(page)
    marked = tab.locator(".side.steered").first.locator("mark").all_inner_texts()
    assert {"window", "broken", "Été", "1"} <= set(marked)
    assert not {"it", "was", "0"} & set(marked)
    assert tab.locator(".side.plain mark").count() == 0


@needs_chromium
def test_hostile_text_is_only_text(page, opened):
    tab = opened(page)
    choose(tab, "prompt", "all 3 prompts")
    tab.locator("#more").click()
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
def test_a_failed_cell_is_shown_as_failed(page, opened):
    tab = opened(page)
    choose(tab, "layer", "9")
    choose(tab, "coefficient", "1")
    assert "the logits are not numbers any more" in tab.locator("#setting .notice").inner_text()
    assert tab.locator("#estimates > div").count() == 0
    assert "Failed:" in tab.locator(".side.steered .notice").first.inner_text()
    tab.locator("summary").click()
    row = tab.locator("#numbers tr.chosen").inner_text()
    assert "failed: the logits" in row and "0.4" not in row
    drawn = tab.evaluate("document.querySelector('#dose .plot').data.map(t => [t.name, t.y])")
    assert drawn[1] == ["layer 9", [None, 0.5, 0.6]] and drawn[2][0] == "failed"


@needs_chromium
def test_charts_show_means_with_intervals_and_differences(page, opened):
    tab = opened(page)
    line, *_ = tab.evaluate("document.querySelector('#dose .plot').data")
    assert line["y"] == [0.1, 0.2, 0.3]
    assert np.allclose(line["error_y"]["array"], 0.05)
    assert "0.1</b> [0.05, 0.15]" in line["text"][0] and "share with &lt;" not in line["text"][0]
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
def test_a_chart_is_as_wide_as_its_container(page, opened):
    tab = opened(page)
    plot = "document.querySelector('#dose .plot')"
    # Beside another one, alone, and beside it again.
    for experiment in ("The sweep experiment", "The chosen experiment", "The sweep experiment"):
        choose(tab, "experiment", experiment)
        tab.wait_for_timeout(500)
        drawn = tab.evaluate(f"{plot}.querySelector('svg').getBoundingClientRect().width")
        assert abs(drawn - tab.evaluate(f"{plot}.clientWidth")) < 2


@needs_chromium
def test_a_run_opens_at_a_vector_that_is_not_a_control(tmp_path, opened):
    conditions = [
        coordinates_of("unsteered"),
        coordinates_of("a", 9, 2.0, "noise"),
        coordinates_of("b", 9, 2.0),
    ]
    parts = write_parts(tmp_path, "chosen", conditions, ["One prompt"], 1)
    for controls, first in ((["noise"], "weddings (b)"), (["noise", "weddings"], "noise (a)")):
        spec = {"title": "T", "experiments": [entry("chosen", controls=controls)]}
        explorer.build(spec, **parts, output=tmp_path / "page.html")
        assert chosen(opened(tmp_path / "page.html"), "condition") == first


@needs_chromium
def test_finding_ordering_and_showing_more(page, opened):
    from playwright.sync_api import expect

    tab = opened(page)
    assert tab.locator("article").count() == 20
    tab.locator("#more").click()
    assert tab.locator("article").count() == 25 and not tab.locator("#more").is_visible()
    choose(tab, "order", "largest rise of share with <words>")
    assert "sample 0" in tab.locator(".steered h3").first.inner_text()
    tab.locator("#field-find").fill("cold 24")
    expect(tab.locator("article")).to_have_count(1)
    assert side(tab, "plain") == "it was cold 24"
    tab.locator("#field-find").fill("nowhere")
    expect(tab.locator("article")).to_have_count(0)
    assert tab.locator("#count").inner_text() == "0 pairs."


@needs_chromium
def test_the_address_brings_the_setting_back(page, opened):
    tab = opened(page)
    choose(tab, "layer", "9")
    choose(tab, "coefficient", "2")
    tab.get_by_label("next prompt").click()
    fragment = tab.evaluate("location.hash")
    again = opened(page, fragment)
    assert (chosen(again, "layer"), chosen(again, "coefficient")) == ("9", "2")
    assert again.locator("#field-prompt").input_value() == "1"
    assert side(again, "steered") == side(tab, "steered")


@needs_chromium
def test_the_keyboard_alone_is_enough(page, opened):
    tab = opened(page)
    focused = "document.activeElement.id || document.activeElement.className"
    order = []
    for _ in range(30):
        tab.keyboard.press("Tab")
        order.append(tab.evaluate(focused))
        outline = tab.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle"
            " + getComputedStyle(document.activeElement).outlineWidth"
        )
        assert outline == "solid3px", order
        if order[-1] == "more":
            break
    names = ["experiment", "condition", "layer", "coefficient", "show", "prompt", "find", "order"]
    fields = [name.removeprefix("field-") for name in order if name.startswith("field-")]
    assert order[0] == "skip" and fields == names and order[-1] == "more"
    tab.keyboard.press("Enter")
    assert tab.locator("article").count() == 25
    assert tab.evaluate("document.activeElement.tagName") == "ARTICLE"
    tab.locator("#field-layer").focus()
    tab.keyboard.press("ArrowDown")
    assert chosen(tab, "layer") == "9"
    assert tab.evaluate(focused) == "field-layer"
    tab.locator("summary").focus()
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
def test_text_stands_out_from_what_is_behind_it(page, opened, scheme):
    tab = opened(page, color_scheme=scheme)
    choose(tab, "coefficient", "2")
    tab.locator("summary").click()
    worst, where = tab.evaluate(CONTRAST)[0]
    assert worst >= 4.5, where
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(251, 250, 247)") == (scheme == "light")


@needs_chromium
def test_a_phone_needs_no_sideways_scrolling(page, opened):
    tab = opened(page, viewport={"width": 375, "height": 800})
    for experiment in ("The sweep experiment", "The chosen experiment"):
        choose(tab, "experiment", experiment)
        assert tab.evaluate("document.documentElement.scrollWidth") == 375
        wide = "[...document.querySelectorAll('main *')].filter(n => n.getClientRects().length"
        wide += " && n.getBoundingClientRect().right > 375.5 && !n.closest('.scroll')).length"
        assert tab.evaluate(wide) == 0
    first, second = tab.locator(".pair .side").all()[:2]
    assert first.bounding_box()["y"] < second.bounding_box()["y"]


@needs_chromium
def test_ten_thousand_completions(tmp_path, opened):
    prompts = [f"Prompt number {number} is about" for number in range(100)]
    text = "the church was full of flowers and the guests were happy " * 3
    conditions = cells((6,), (1.0, 2.0, 4.0))
    parts = write_parts(tmp_path, "large", conditions, prompts, 25, text=lambda *_: text)
    output = tmp_path / "large.html"
    spec = {"title": "Large", "experiments": [entry("large")]}
    assert explorer.build(spec, **parts, output=output) == {"completions": 10_000}
    tab = opened(output)
    assert tab.locator("article").count() == 20
    choose(tab, "prompt", "all 100 prompts")
    assert tab.locator("article").count() == 20
    assert tab.locator("#count").inner_text() == "2,500 pairs, of which 20 are shown."
    timing = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    # Half a second on an idle core; a page that lays out all rows takes many times this.
    assert timing < 20_000
