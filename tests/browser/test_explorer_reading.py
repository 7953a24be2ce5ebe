"""What a reader does on the explorer page: marks, columns, order, copies, keys, tokens."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from actadd.results import explorer
from actadd.results.explorer.opening import opening as opening_of
from builders.browser import needs_chromium
from builders.explorer import (
    cells,
    choose,
    coordinates_of,
    entry,
    joined,
    open_charts,
    side,
    texts,
    write_parts,
)

LEXICON = {"words": {"kind": "words", "words": ["bride", "été"]}, "mood": {"kind": "vader"}}
NAMES = {"words.any": "share with a word", "words.count": "words, per completion"}
CONDITIONS = [
    coordinates_of("unsteered"),
    coordinates_of("actadd", 9, 2.0),
    coordinates_of("random", 9, 2.0, "noise"),
    coordinates_of("prompting") | {"method": "prompting"},
]
PROMPTS = ["One morning", "At night", "=Once | <b>twice</b>"]
TEXTS = [
    " a plain day",
    " the Bride, the BRIDE-to-be and an e\u0301te\u0301 of bridesmaids; so happy, not sad",
    " noise",
    " a prompt's <i>text</i>",
]


def text(number: int, prompt: int, sample: int) -> str:
    return f"{TEXTS[number]} {prompt} {sample}"


def score(number: int, prompt: int, sample: int) -> float:
    """The first prompt moves most, the second the wrong way."""
    return [0.5, [0.9, 0.2, 0.6][prompt], 0.5, 0.5][number] + sample / 100


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with a sweep, and an experiment at the setting that was chosen on it."""
    folder = tmp_path_factory.mktemp("reading")
    sweep = write_parts(folder, "sweep", cells(), PROMPTS, 1)
    chosen = write_parts(folder, "chosen", CONDITIONS, PROMPTS, 2, text=text, score=score)
    output = folder / "explorer.html"
    experiments = [
        entry("sweep", chosen_in=["chosen"], metric="words.any", labels=NAMES),
        entry(
            "chosen",
            held_out=True,
            metric="words.any",
            direction={"words.any": "max"},
            marked=LEXICON,
            labels=NAMES,
        ),
    ]
    spec = {"title": "Reading", "controls": ["noise"], "experiments": experiments}
    explorer.build(spec, **joined([sweep, chosen]), output=output)
    return output


# --- where it opens -------------------------------------------------------------------------------


def one_run(differences: dict[int, tuple], cell_list: list[dict]) -> dict:
    columns = zip(*differences.values(), strict=True)
    names = ("difference", "difference_low", "difference_high")
    summary = {name: list(column) for name, column in zip(names, columns, strict=True)}
    summary |= {"cell": list(differences), "metric": [0] * len(differences)}
    summary |= {"group": [0] * len(differences)}
    return {
        **{"model": "tiny", "cells": cell_list, "metrics": ["m"], "groups": ["all"]},
        "summary": summary,
    }


STEERED = {"method": "actadd", "vector": "v", "layer": 1, "coefficient": 2, "part": 0}
CONTROL = STEERED | {"vector": "noise", "control": True}


def experiment_with(*runs: dict, **more) -> dict:
    return {"name": "e", "metric": "m", "held_out": True, "runs": list(runs), **more}


def test_the_page_opens_at_the_largest_effect_beyond_the_control():
    wide = experiment_with(one_run({0: (0.9, 0.0, 1.8)}, [STEERED]))
    shared = experiment_with(one_run({0: (0.8, 0.7, 0.9), 1: (0.75, 0.6, 0.9)}, [STEERED, CONTROL]))
    clear = experiment_with(
        one_run({0: (-0.3, -0.4, -0.2), 1: (0.0, None, None)}, [dict(STEERED), dict(CONTROL)])
    )
    stronger = one_run({0: (0.5, 0.4, 0.6), 1: (0.7, 0.6, 0.8)}, [STEERED, STEERED | {"layer": 2}])
    assert opening_of([wide, shared, clear]) == [2, 0]
    assert opening_of([wide, experiment_with(stronger), clear]) == [1, 0]
    assert stronger["start"] == 1
    # What is not reported at a chosen setting does not compete.
    assert opening_of([clear, experiment_with(stronger, held_out=False)]) == [0, 0]


@needs_chromium
def test_a_sweep_opens_at_the_setting_that_was_chosen_on_it(page, reading):
    tab = reading(page)
    assert tab.locator("#field-experiment option:checked").inner_text().startswith("The chosen")
    choose(tab, "experiment", "The sweep experiment")
    assert "layer 9, coefficient 2, the chosen setting" in tab.locator("#setting").inner_text()
    open_charts(tab)
    labels = tab.evaluate(
        "document.querySelector('#grid .plot').layout.annotations.map(a => a.text)"
    )
    assert [name for name in labels if "★" in name] == ["0.500 ★"]


@needs_chromium
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_completions_begin_on_the_first_screen(page, reading, width, height):
    tab = reading(page, viewport={"width": width, "height": height})
    top = "document.querySelector('article').getBoundingClientRect().top"
    assert tab.evaluate(top) < height - 150


# --- reading --------------------------------------------------------------------------------------


@needs_chromium
def test_scored_words_and_search_hits_are_marked_and_no_others(page, reading):
    tab = reading(page)
    steered = tab.locator(".side.steered").first
    assert texts(steered, "mark") == ["Bride", "BRIDE", "e\u0301te\u0301"]
    assert texts(tab.locator(".side.plain").first, "mark") == []
    assert "words counts" in tab.locator("#legend").inner_text()
    tab.locator("#field-find").fill("TO-be")
    tab.locator("mark.hit").first.wait_for()
    assert texts(steered, "mark.hit") == ["to-be"]
    assert texts(steered, "mark.up") == ["Bride", "BRIDE", "e\u0301te\u0301"]
    assert tab.locator("article").count() == 6
    # A pattern is searched for as it is written.
    tab.locator("#field-find").fill(".*")
    tab.locator("article").first.wait_for(state="detached")


@needs_chromium
def test_words_of_a_lexicon_have_their_sign(tmp_path, reading):
    parts = write_parts(tmp_path, "chosen", CONDITIONS, PROMPTS, 1, text=text)
    spec = {"title": "T", "experiments": [entry("chosen", marked={"mood": LEXICON["mood"]})]}
    explorer.build(spec, **parts, output=tmp_path / "page.html")
    tab = reading(tmp_path / "page.html")
    steered = tab.locator(".side.steered").first
    assert (texts(steered, ".up"), texts(steered, ".down")) == (["happy"], ["sad"])
    assert steered.locator(".up").get_attribute("title").startswith("+")


@needs_chromium
def test_the_third_column_holds_the_control_or_what_is_chosen(page, reading):
    tab = reading(page)
    assert texts(tab, "article:first-of-type h3") == [
        "Unsteered, sample 0",
        "Steered (actadd), sample 0",
        "random, sample 0",
    ]
    assert side(tab, "beside") == "noise 0 0"
    assert "difference of random" in tab.locator("#estimates").inner_text()
    choose(tab, "beside", "none (prompting)")
    assert side(tab, "beside") == "a prompt's <i>text</i> 0 0"
    again = reading(page, tab.evaluate("location.hash"))
    assert side(again, "beside") == "a prompt's <i>text</i> 0 0"
    choose(tab, "beside", "nothing")
    assert tab.locator("article").first.locator(".side").count() == 2


@needs_chromium
def test_orders_and_filters_follow_the_score(page, reading):
    tab = reading(page)

    def prompts() -> list[str]:
        return texts(tab, ".prompt")

    assert prompts() == PROMPTS
    choose(tab, "order", "worst-moved prompts first")
    assert prompts() == ["At night", "=Once | <b>twice</b>", "One morning"]
    choose(tab, "order", "best-moved prompts first")
    assert prompts() == ["One morning", "=Once | <b>twice</b>", "At night"]
    choose(tab, "order", "lowest score")
    scores = texts(tab, ".side.steered .scores b")
    assert scores == ["0.200", "0.210", "0.600", "0.610", "0.900", "0.910"]
    choose(tab, "keep", "the score fell")
    assert prompts() == ["At night"]
    choose(tab, "keep", "the score stayed")
    assert tab.locator("#count").inner_text() == "0 pairs."


@needs_chromium
def test_names_are_words_and_a_metric_has_one_number_format(page, reading):
    tab = reading(page)
    assert tab.locator(".side.steered .scores").first.inner_text() == (
        "share with a word 0.900 (+0.400)"
    )
    choose(tab, "scores", "all scores")
    assert (
        "words, per completion not scored"
        in tab.locator(".side.steered .scores").first.inner_text()
    )
    assert "words.any" not in tab.locator("main").inner_text()
    assert all(len(value.lstrip("+−")) == 5 for value in texts(tab, "#estimates .value"))


# --- copies and keys ------------------------------------------------------------------------------


def pasted(tab) -> str:
    """What the clipboard holds."""
    tab.evaluate(
        "document.body.append(Object.assign(document.createElement('textarea'), {id: 't'}))"
    )
    tab.locator("#t").focus()
    tab.keyboard.press("Control+v")
    value = tab.locator("#t").input_value()
    tab.evaluate("document.getElementById('t').remove()")
    return value


@needs_chromium
def test_completions_are_copied_as_csv_and_markdown(page, reading):
    tab = reading(page)
    choose(tab, "prompt", "=Once | <b>twice</b>")
    choose(tab, "beside", "none (prompting)")
    tab.get_by_role("button", name="Copy CSV").click()
    tab.get_by_text("Copied 2 rows.").wait_for()
    head, *rows = csv.reader(io.StringIO(pasted(tab)))
    assert head[:5] == ["prompt", "sample", "Unsteered", "Steered (actadd)", "prompting"]
    assert head[5] == "share with a word: Unsteered" and len(rows) == 2
    assert rows[1][:3] == ["=Once | <b>twice</b>", "1", " a plain day 2 1"]
    assert rows[1][5:8] == ["0.51", "0.61", "0.51"]
    tab.get_by_role("button", name="Copy Markdown").click()
    tab.get_by_text("Copied 2 rows.").wait_for()
    *_, first, last = pasted(tab).splitlines()
    assert last.startswith("| =Once \\| &lt;b&gt;twice&lt;/b&gt; | 1 | a plain day 2 1 |")
    assert "a prompt's &lt;i&gt;text&lt;/i&gt; 2 0" in first


@needs_chromium
def test_keys_walk_through_completions(page, reading):
    tab = reading(page)
    at = "[...document.querySelectorAll('article')].indexOf(document.activeElement)"
    for key, index in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        tab.keyboard.press(key)
        assert tab.evaluate(at) == index
    tab.keyboard.press("n")
    assert texts(tab, ".prompt") == PROMPTS[:1]
    tab.keyboard.press("p")
    assert texts(tab, ".prompt") == PROMPTS
    tab.keyboard.press("/")
    tab.keyboard.type("j?")
    assert tab.locator("#field-find").input_value() == "j?"
    tab.locator("#field-order").focus()
    tab.get_by_role("button", name="Keys").click()
    assert tab.locator("#help").is_visible()
    assert tab.locator("#keys dt").count() >= 10
    tab.keyboard.press("Escape")
    assert not tab.locator("#help").is_visible()
    tab.keyboard.press("g")
    tab.locator("#dose .main-svg").first.wait_for()


# --- charts, tokens -------------------------------------------------------------------------------


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_of_the_heatmap_stand_out(page, reading, scheme):
    tab = reading(page, "#experiment=sweep", color_scheme=scheme)
    open_charts(tab)
    pairs = tab.evaluate(
        """() => {
          const {data: [{z, zmin, zmax}], layout} = document.querySelector("#grid .plot");
          return layout.annotations.map(({x, y, font}) =>
            [font.color, colourAt(colourScale(), (z[y][x] - zmin) / (zmax - zmin))]);
        }"""
    )
    assert len(pairs) == 6

    def luminance(colour: list[float]) -> float:
        parts = [value / 255 for value in colour]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    for ink, ground in pairs:
        inks = [255.0] * 3 if ink == "#ffffff" else [0.0] * 3
        bright, dim = sorted([luminance(inks), luminance(ground)], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4.5


def write_tokens(folder) -> dict:
    """Log-probabilities of two texts, unsteered and steered, as a measure writes them."""
    rows, summary = [], []
    for number, cell in enumerate(CONDITIONS[:2]):
        shared = {"model": "tiny", "experiment": "read", **cell}
        for name, tokens in enumerate((["A", " wedding", " <b>"], ["The", " ship"])):
            rows += [
                {
                    **shared,
                    **{"cell": str(number), "text_id": name, "group": ["weddings", "ships"][name]},
                    **{"token_index": index + 1, "token": token, "failed": None},
                    "logprob": -4.0 + 2 * number * (token == " wedding"),
                }
                for index, token in enumerate(tokens)
            ]
        estimates = {"mean": 1.0, "low": 0.9, "high": 1.1, "difference": None, "n_prompts": 2}
        summary.append({**shared, "group": "weddings", "metric": "perplexity_ratio", **estimates})
    files = folder / "tokens.parquet", folder / "summary.parquet"
    for file, table in zip(files, (rows, summary), strict=True):
        pd.DataFrame(table).to_parquet(file)
    key = ("tiny", "read")
    return {"tokens": {key: files[0]}, "summaries": {key: files[1]}}


@needs_chromium
def test_tokens_show_how_steering_changes_their_surprise(tmp_path, reading):
    spec = {"title": "T", "experiments": [entry("read", measure="logprobs")]}
    output = tmp_path / "page.html"
    parts = write_tokens(tmp_path)
    assert explorer.build(spec, completions={}, scores={}, **parts, output=output) == {
        "completions": 0
    }
    tab = reading(output)
    assert texts(tab, ".token >> visible=true")[-3:] == ["A", "wedding", "<b>"]
    assert tab.locator("article").count() == 1
    wedding = tab.locator("article .token").nth(1)
    assert wedding.get_attribute("title") == "wedding: surprise 2.00 nats; unsteered 4.00, so −2"
    assert "50%" not in wedding.get_attribute("style")
    assert "--likelier" in wedding.get_attribute("style")
    wedding.click()
    assert tab.locator(".readout").inner_text() == wedding.get_attribute("title")
    assert "mean surprise 3.33 nats (unsteered 4.00)" in tab.locator("article h3").inner_text()


def test_texts_are_packed(page):
    html = page.read_text()
    assert "BRIDE" not in html and "plain day" not in html
    start = html.index('type="application/json">') + len('type="application/json">')
    data = json.loads(html[start : html.index("</script>", start)])
    assert data["start"] == [1, 0]
