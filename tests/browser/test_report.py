"""The report: captions, tables as pages, labels, and the report itself in a real browser."""

import base64
import gzip
import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from docutils.core import publish_parts

from actadd.config.checks import checked
from actadd.pipeline.graph import Graph
from actadd.pipeline.graph.displays import listed
from actadd.results import report
from actadd.store import provenance
from builders import tiny
from builders.browser import needs_chromium, opening

HOSTILE = "<img src=x onerror=alert(1)> *all* `of` |it| word_ .. raw:: html\n\n\\ 1. & \"'\u2028"
# Snakemake's page says this of a library in it.
EXPECTED = "cdn.tailwindcss.com should not be used in production"


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def test_a_caption_is_unchanged_in_html(tmp_path):
    report.write_caption(tmp_path / "c.rst", f"Title {HOSTILE}", f"Caption {HOSTILE}")
    source = f".. include:: {tmp_path / 'c.rst'}\n"
    settings = {"halt_level": 2, "report_level": 2}
    body = publish_parts(source, writer="html", settings_overrides=settings)["body"]
    assert re.sub(r"<(/?)(p|strong)>", "", body).count("<") == 0
    words = " ".join(HOSTILE.split())
    assert text_of(body) == f"Title {words} Caption {words}"


def test_a_table_page_shows_the_numbers_of_its_csv(tmp_path):
    csv = tmp_path / "t.csv"
    csv.write_text('model,"<b>",p\ntiny,"<script>alert(1)</script>, 0.10",0.050\nother,,NA\n')
    report.write_table_page(tmp_path / "t.html", title="<T>", csv=csv, caption=HOSTILE)
    page = (tmp_path / "t.html").read_text()
    cells = [text_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", page, re.DOTALL)]
    assert cells[:3] == ["model", "<b>", "p"]
    assert cells[3:6] == ["tiny", "<script>alert(1)</script>, 0.10", "0.050"]
    assert cells[6:] == ["other", "", "NA"]
    assert "<script" not in page and "<img" not in page


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_numbers_of_a_table_do_not_break(tmp_path, opened, width):
    csv = tmp_path / "t.csv"
    note = "a long note of many words that has to be wrapped " * 5
    csv.write_text(f"scorer,n,accuracy,note,more\nclassifier,12345,0.8401,{note},{note}\n" * 3)
    report.write_table_page(tmp_path / "t.html", title="T", csv=csv, caption="C")
    page = opened(
        tmp_path / "t.html", viewport={"width": width, "height": 800}, color_scheme="dark"
    )
    lines = """cell => {
      const range = document.createRange();
      range.selectNodeContents(cell);
      return new Set([...range.getClientRects()].map(({top}) => top)).size;
    }"""
    for cell in page.locator("tbody tr").first.locator("td").all()[:3]:
        assert cell.evaluate(lines) == 1
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 27)"


def test_a_card_names_the_scorers_of_its_target_only(plan):
    scorers = [entry["name"] for entry in plan.scorer_card("").slice["scorers"]]
    used = {each for e in plan.config["experiments"].values() for each in e.get("scorers", [])}
    assert set(scorers) == used
    assert plan.scorer_card("paper_").slice["scorers"] == []


def test_the_first_page_says_what_made_it(tmp_path):
    records = []
    for number, (commit, torch) in enumerate((("c0ffee", "2.1"), ("c0ffee", "2.2"), (None, "2.2"))):
        git = {"commit": commit, "dirty": number == 1}
        record = {**dict.fromkeys(provenance.KEYS), "git": git}
        record["versions"] = {"python": "3.11", "torch": torch}
        records.append(tmp_path / f"{number}.json")
        records[-1].write_text(json.dumps(record))
    experiment = {"name": "sweep", "title": "A *sweep*", "models": ["tiny"], "data": "prompts"}
    reported = {**experiment, "name": "best", "title": "Best", "held_out": True, "metric": "w.any"}
    reported["labels"] = {"w.any": "share of *words*"}
    summary = tmp_path / "summary.parquet"
    columns = ["condition", "group", "metric", "mean", "low", "high"]
    columns += ["difference", "difference_low", "difference_high"]
    rows = [["unsteered", "all", "w.any", 0.5, 0.4, 0.6, None, None, None]]
    rows += [["steered", "all", "w.any", 0.25, 0.2, 0.3, -0.25, -0.3, -0.2]]
    rows += [["steered", "some", "w.any", 0.9, 0.8, 1, 0, 0, 0], [*rows[0][:2], "w.n", *[9] * 6]]
    pd.DataFrame(rows, columns=columns).to_parquet(summary)
    spec = {
        "experiments": [experiment, reported],
        "models": {"tiny": "hub"},
        "seed": 7,
        "device": "cpu",
    }
    passed = {"difference": 1e-6, "bound": 4e-6, "passed": True}
    verification = tmp_path / "tiny.verification.json"
    result = {"model": "GPT2LMHeadModel", "dtype": "float32", "device": "cpu"}
    properties = {"repetition": {**passed, "bound": 0, "difference": 0}, "padding": passed}
    verification.write_text(json.dumps({**result, "properties": properties}))
    inputs = {"records": records, "verifications": {"tiny": verification}}
    inputs["summaries"] = {("tiny", "best"): summary}
    assert report.describe(spec, **inputs, output=tmp_path / "a.rst") == {"records": 3}
    text = text_of(publish_parts((tmp_path / "a.rst").read_text(), writer="html")["body"])
    assert "A *sweep* (tiny): prompts" in text
    assert text.startswith(
        "Best (tiny): share of *words* condition mean difference from unsteered "
        "unsteered 0.500 [0.400, 0.600] "
        "steered 0.250 [0.200, 0.300] \u22120.250 [\u22120.300, \u22120.200] Experiments"
    )
    assert "models:tiny (source hub) seed:7 device:cpu" in text
    assert "c0ffee: 1; c0ffee, changed: 1; none: 1" in text
    assert "python 3.11, torch 2.1 or 2.2" in text
    assert "tiny:GPT2LMHeadModel in float32 on cpu, 2 properties; closest to its bound" in text
    assert "padding, off by 1e-06 of 4e-06" in text


@pytest.mark.parametrize(
    ("numbers", "words"),
    [(set(), ""), ({3}, "3"), ({1, 2}, "1, 2"), ({0, 1, 2, 9, 11, 12, 13}, "0–2, 9, 11–13")],
)
def test_numbers_in_words(numbers, words):
    assert listed(numbers) == words


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Graph:
    folder = tmp_path_factory.mktemp("plan")
    tiny.write_data(folder)
    settings = tiny.config()
    settings["figures"] |= {
        "chosen": {
            "kind": "conditions",
            "title": "Chosen",
            "experiment": "chosen",
            "metrics": ["words.any"],
        },
        "norms": {"kind": "norms", "title": "Norms", "vectors": ["calm"], "models": ["tiny"]},
    }
    return Graph(checked(settings, folder), folder)


def test_labels_say_model_vector_and_layer(plan):
    labels = {name: plan.display_labels("figures", name) for name in plan.config["figures"]}
    shared = {"model": "tiny", "vector": "love-hate"}
    assert labels["sweep"] == {"figure": "sweep", **shared, "layer": "0, 1"}
    assert labels["chosen"]["layer"] == "chosen of 0, 1"
    known = plan.display_labels("figures", "chosen", lambda *names: {1})
    assert known["layer"] == "1"
    assert labels["chosen"]["vector"] == "love-hate, random"
    assert labels["norms"] == {
        **{"figure": "norms", "model": "tiny", "vector": "calm"},
        "layer": "all",
    }


def test_the_explorer_reads_what_an_experiment_made(plan):
    files = plan.explorer_inputs(["chosen", "ratio"])
    paths = {kind: [file.path for file in each] for kind, each in files.items()}
    assert paths == {
        "completions": ["results/completions/tiny/chosen.parquet"],
        "tokens": ["results/logprobs/tiny/ratio.parquet"],
        "scores": ["results/scores/tiny/chosen/words.parquet"],
        "summaries": [f"results/summaries/tiny/{name}.parquet" for name in ("chosen", "ratio")],
        "verifications": ["results/models/tiny"],
    }
    job = plan.explorer(["ratio", "chosen"])
    # What can be read comes first.
    assert [entry["name"] for entry in job.slice["experiments"]] == ["chosen", "ratio"]
    assert job.slice["experiments"][0]["data"] == "test prompts (held-out split)"
    digests = {file.job.digest for each in files.values() for file in each}
    assert set(job.spec["upstream"].values()) == digests


# --- the real one ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report_folder(finished, tmp_path_factory) -> Path:
    """The results of a run with a table more, its explorer and its report."""
    space = finished.copy(tmp_path_factory.mktemp("report") / "space")
    settings = tiny.config()
    settings["figures"]["chosen"] = {
        **{"kind": "conditions", "title": "Words *chosen*", "experiment": "chosen"},
        "metrics": ["words.any"],
    }
    settings["tables"] = {
        "words": {
            "kind": "methods",
            "title": "Words, *all* of | them",
            "experiment": "chosen",
            "metrics": ["words.any"],
        }
    }
    space.configure(settings)
    space.run("all", "explorer")
    style = ("--report-stylesheet", "workflow/report/report.css")
    space.run("all", "explorer", *style, "--report", "results/report.html")
    assert space.planned("--", "all", "explorer") == {}
    return space.folder / "results"


@pytest.mark.workflow
@needs_chromium
def test_the_report_shows_categories_labels_and_captions(report_folder, chromium):
    with opening(chromium, expected=EXPECTED) as show:
        tab = show(report_folder / "report.html")
        first = tab.locator("#app").inner_text()
        for output in ("sweep (tiny): test prompts (development split)", "torch 2.", "seed:"):
            assert output in first
        assert "Words *chosen*" in first and "difference from unsteered" in first
        [picture] = tab.locator("#app .prose img").all()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
        tab.set_viewport_size({"width": 1280, "height": 300})
        assert tab.locator("#app .prose h1").bounding_box()["y"] >= 0
        tab.set_viewport_size({"width": 1280, "height": 900})
        for category in ("Figures", "Scorers", "Tables"):
            assert tab.get_by_text(category, exact=True).is_visible()
        tab.get_by_text("Figures", exact=True).click()
        rows = [row.inner_text() for row in tab.locator("nav tbody tr").all()]
        cells = [re.sub("\u200b", "", row).split() for row in rows]
        assert cells == [
            ["chosen", "tiny", "love-hate,", "random", "0"],
            ["ratio", "tiny", "calm", "1"],
            ["sweep", "tiny", "love-hate", "0,", "1"],
        ]
        tab.locator("nav tbody tr").nth(2).locator("a").nth(0).click()
        picture = tab.locator("#app img").last
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
        tab.locator("nav tbody tr").nth(2).locator("a").nth(1).click()
        caption = tab.locator("nav").first.inner_text()
        assert "The data are test prompts (development split), with n = 2 prompts" in caption
        assert "95 % percentile bootstrap intervals over prompts" in caption
        assert "results/figures/sweep.svg" in caption


@pytest.mark.workflow
@needs_chromium
def test_the_report_holds_tables(report_folder, chromium):
    with opening(chromium, expected=EXPECTED) as show:
        tab = show(report_folder / "report.html")
        tab.get_by_text("Tables", exact=True).click()
        tab.locator("nav tbody tr a").first.click()
        table = tab.frame_locator("iframe")
        assert table.locator("h1").inner_text() == "Words, *all* of | them"
        assert table.locator("tbody tr").count() == 3


@pytest.mark.workflow
@needs_chromium
def test_the_report_leads_to_the_explorer(report_folder, chromium):
    with opening(chromium, expected=EXPECTED) as show:
        tab = show(report_folder / "report.html")
        tab.get_by_role("link", name="explorer", exact=True).click()
        tab.locator("#field-experiment").select_option(label="sweep")
        tab.locator("#field-layer").select_option(label="0")
        tab.locator("#pairs[aria-busy=false]").wait_for(state="attached")
        assert "layer 0" in tab.locator("#setting").inner_text()
        assert tab.locator("article").count() == 4
        assert "chosen setting" in tab.locator("#setting").inner_text()


@pytest.mark.workflow
def test_the_explorer_of_a_run_has_all_its_completions(report_folder):
    page = (report_folder / "explorer.html").read_text()
    [data] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    runs = {entry["name"]: entry["runs"] for entry in json.loads(data)["experiments"]}
    counts = {name: [cell.get("count") for cell in run["cells"]] for name, [run] in runs.items()}
    assert counts["sweep"] == [2 * 2] * 5 and counts["chosen"] == [2 * 2] * 3
    assert set(counts["ratio"]) == {None} and runs["ratio"][0]["prompts"]
    packed = re.findall(r'id="part-\d+">([^<]*)</script>', page)
    parts = [json.loads(gzip.decompress(base64.b64decode(part))) for part in packed]
    assert sum(len(part.get("text", ())) for part in parts) == 32
    record = json.loads((report_folder / "explorer.provenance.json").read_text())
    assert record["facts"]["completions"] == 32
