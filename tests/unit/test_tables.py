"""Tables to be read, from made-up numbers: the right ones in the right rows."""

import json
import re
import string

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.measure.overhead import ARMS, STEERED, UNSTEERED
from actadd.results import tables
from actadd.results.comparison import COLUMNS
from builders import reliability
from builders.figures import by_need
from builders.rows import (
    ABOUT,
    FAILED,
    READS,
    WORDS,
    curve_rows,
    lens_rows,
    overhead_rows,
    pair_sources,
    reading_rows,
    row,
    shift_rows,
    unsteered,
)


def cells_of(line: str) -> list[str]:
    """A Markdown table row's cells: a backslash before punctuation, also a pipe, is an escape."""
    result, text, escaped = [], "", False
    for char in line:
        if escaped:
            text, escaped = text + ("" if char in string.punctuation else "\\") + char, False
        elif char == "\\":
            escaped = True
        elif char == "|":
            result, text = [*result, text], ""
        else:
            text += char
    assert not result[0] and not text, "a row begins and ends with a pipe"
    return [cell.strip() for cell in result[1:]]


@pytest.fixture
def tabulate(tmp_path):
    """Tabulates made-up sources; returns (rows of the CSV as text, caption).

    sources: relative path -> rows. What is written as Markdown has the same rows.
    """

    def run(kind: str, sources: dict[str, list[dict]], **spec):
        files = by_need(kind, sources, tmp_path)
        entry = {"name": "t", "kind": kind, "title": "Title", "about": ABOUT, **READS, **spec}
        csv, markdown, latex = (tmp_path / f"t.{kind}" for kind in ("csv", "md", "tex"))
        written = {"csv": csv, "markdown": markdown, "latex": latex}
        result = tables.tabulate(entry, sources=files, **written)
        table = pd.read_csv(csv, dtype=str, keep_default_na=False)
        lines = markdown.read_text().splitlines()
        cells = [cells_of(line) for line in lines if line.startswith("|")]
        assert {len(line) for line in cells} == {len(table.columns)}
        assert cells[0] == list(table.columns) and all(re.fullmatch(":?-+:?", c) for c in cells[1])
        assert len(cells) - 2 == len(table) == result["rows"]
        assert lines[0] == "# Title" and lines[-1] == result["caption"]
        return table, result["caption"], cells[2:]

    return run


# --- from a summary ---


def test_methods_has_each_metric_of_each_condition(tabulate):
    rows = []
    for model, base in (("one", 0.1), ("two", 0.5)):
        for metric, shift in ((WORDS, 0.0), ("fluency.perplexity", 30.0)):
            rows.append(unsteered(model=model, metric=metric, mean=base + shift, p_value=np.nan))
            for c in (1.0, 2.0):
                value = {"mean": base + shift + c, "difference": c, "p_value": c / 100}
                bounds = {"difference_low": c - 0.5, "difference_high": c + 0.5}
                rows.append(row(model=model, metric=metric, coefficient=c, **value, **bounds))
    labels = {WORDS: "words", "fluency.perplexity": "disfluency"}
    table, caption, _ = tabulate(
        "methods", {"s.parquet": rows}, metrics=list(labels), labels=labels
    )
    assert list(table.columns) == [
        *("model", "condition"),
        *("words", "words: difference", "words: p"),
        *("disfluency", "disfluency: difference", "disfluency: p"),
    ]
    assert table["model"].tolist() == ["one"] * 3 + ["two"] * 3
    assert table["words"].tolist() == [
        f"{mean:.2f} [0.40, 0.60]" for mean in (0.1, 1.1, 2.1, 0.5, 1.5, 2.5)
    ]
    assert table["disfluency"].str.split().str[0].tolist() == [
        *("30.1", "31.1", "32.1", "30.5", "31.5", "32.5"),
    ]
    assert table["words: difference"].tolist() == ["", "1.00 [0.50, 1.50]", "2.00 [1.50, 2.50]"] * 2
    assert table["words: p"].tolist() == ["", "0.01", "0.02"] * 2
    assert table["condition"].str.contains("c = 2").tolist() == [False, False, True] * 2
    assert "n = 7 prompts" in caption and "The model is one, two." in caption


def test_methods_of_one_group_of_prompts(tabulate):
    rows = [
        make(metric=WORDS, group=group, mean=mean)
        for make in (unsteered, row)
        for group, mean in (("all", 0.5), ("x", 0.25), ("y", 0.75))
    ]
    metrics = [WORDS, f"{WORDS}@x", f"{WORDS}@y"]
    table, _, _ = tabulate("methods", {"s.parquet": rows}, metrics=metrics)
    means = [table[metric].str.split().str[0].tolist() for metric in metrics]
    assert means == [["0.500"] * 2, ["0.250"] * 2, ["0.750"] * 2]


def test_an_estimate_without_an_interval_is_shown_alone(tabulate):
    nothing = {"low": np.nan, "high": np.nan, "difference": np.nan}
    rows = [unsteered(metric=WORDS, **nothing), row(metric=WORDS, **nothing)]
    table, _, _ = tabulate("methods", {"s.parquet": rows}, metrics=[WORDS])
    assert table[WORDS].tolist() == ["0.500", "0.500"]
    assert list(table.columns) == ["model", "condition", WORDS]


def test_a_missing_metric_is_named(tabulate):
    with pytest.raises(UserError, match=r"t: .*no metric 'words\.none'"):
        tabulate("methods", {"s.parquet": [row(metric=WORDS)]}, metrics=["words.none"])


def precision_rows(**values) -> list[dict]:
    rows = []
    for make, level in ((unsteered, 0.0), (row, 0.1)):
        for k in (1, 5, 10):
            mean = {"mean": k / 20 + level, "low": 0.0, "high": 1.0}
            rows.append(make(metric=f"precision_at_{k}", **mean, **values))
            rows.append(make(metric=f"precision_at_{k}", group="part", mean=0.99))
        p = {"p_value": np.nan if make is unsteered else 0.03}
        rows.append(make(metric="rank", **{"mean": 80.0, **p, **values}))
    return rows


def test_precision_has_a_column_for_each_k_in_order(tabulate):
    table, caption, _ = tabulate("precision", {"s.parquet": precision_rows()})
    assert table.columns[-5:].tolist() == [
        *("P@1", "P@5", "P@10", "mean rank difference", "p (Wilcoxon)"),
    ]
    assert table["condition"].tolist() == ["unsteered", "actadd"]
    assert table["P@5"].tolist() == ["0.250 [0.000, 1.000]", "0.350 [0.000, 1.000]"]
    assert table["P@10"].tolist() == ["0.500 [0.000, 1.000]", "0.600 [0.000, 1.000]"]
    assert table["mean rank difference"].tolist() == ["", "0.200 [0.100, 0.300]"]
    assert table["p (Wilcoxon)"].tolist() == ["", "0.03"]
    assert "K likeliest" in caption


def test_precision_of_conditions_that_differ_in_anything(tabulate):
    """Two positions, and two composites, which have no one layer: a row for each."""
    none = dict.fromkeys(("layer", "source_layer", "coefficient", "position"), None)
    rows = precision_rows()
    rows += [r | {"position": "middle"} for r in rows if r["method"] == "actadd"]
    for number in (1, 2):
        additions = json.dumps([{"layer": number}])
        composite = [r for r in precision_rows() if r["method"] == "actadd"]
        rows += [r | {"condition": "both", "additions": additions, **none} for r in composite]
    table, _, _ = tabulate("precision", {"s.parquet": rows})
    assert len(table) == 5


def test_a_failed_condition_says_so_and_is_counted(tabulate):
    rows = [
        make(metric=metric, coefficient=c, **values)
        for metric in (WORDS, "fluency.perplexity")
        for make, c, values in ((unsteered, np.nan, {}), (row, 1.0, {}), (row, 2.0, FAILED))
    ]
    table, caption, _ = tabulate(
        "methods", {"s.parquet": rows}, metrics=[WORDS, "fluency.perplexity"]
    )
    for metric in (WORDS, "fluency.perplexity"):
        assert table[metric].tolist() == ["0.500 [0.400, 0.600]"] * 2 + ["failed"]
        assert table[f"{metric}: difference"].tolist()[::2] == ["", ""]
    assert "1 of 3 conditions failed" in caption and "c = 2" in caption
    assert "non-finite numbers" in caption and "n = 7 prompts" in caption


def test_precision_of_what_failed(tabulate):
    rows = [r | (FAILED if r["method"] == "actadd" else {}) for r in precision_rows()]
    table, _, _ = tabulate("precision", {"s.parquet": rows})
    assert table["P@1"].tolist() == ["0.0500 [0.0000, 1.0000]", "failed"]


def test_a_group_of_which_nothing_is_known_has_failed(tabulate):
    rows = [unsteered(metric=WORDS, **FAILED), row(metric=WORDS, **FAILED)]
    table, caption, _ = tabulate("methods", {"s.parquet": rows}, metrics=[f"{WORDS}@x"])
    assert table[f"{WORDS}@x"].tolist() == ["failed"] * 2
    assert "2 of 2 conditions failed" in caption


# --- from cells ---


def completion(method: str, prompt: int, sample: int, **values) -> dict:
    addition = {"vector": "v", "source_layer": 3, "layer": 3, "coefficient": 2, "position": "front"}
    return {
        **{"model": "one", "condition": method, "method": method, "prefix": ""},
        "additions": json.dumps([addition] if method == "actadd" else []),
        **{"prompt_id": prompt, "prompt": f"prompt {prompt}", "sample": sample},
        "completion": f"{method} {prompt}.{sample}",
        **{"temperature": 1.0, "top_p": 0.3, "frequency_penalty": 1.0, "seed": 0},
        **values,
    }


def test_qualitative_sets_the_same_samples_side_by_side(tabulate):
    indices = [(prompt, sample) for prompt in (0, 1) for sample in (0, 1, 2)]
    rows = [completion("actadd", *index) for index in indices]
    rows += [completion("prompting", *index, prefix=" weddings") for index in indices]
    rows += [completion("unsteered", *index) for index in reversed(indices)]
    table, caption, _ = tabulate("qualitative", {"c.parquet": rows}, samples=2)
    assert len(table) == 2 * 2 * 2
    for result in table.to_dict("records"):
        index = f"{result['prompt'].split()[1]}.{result['sample']}"
        assert result["unsteered"] == f"unsteered {index}"
        assert result["steered"] == f"{result['case']} {index}"
        assert (
            result["vector"]
            == {
                "actadd": "v (layer 3, c = 2)",
                "prompting": " weddings",
            }[result["case"]]
        )
    assert "first 2 completions" in caption and "seed 0" in caption


def test_a_failed_completion_says_why(tabulate):
    coordinates = {"layer": 3.0, "coefficient": 2.0, "source_layer": 3.0}
    rows = [completion("unsteered", 0, 0, failed=None, **dict.fromkeys(coordinates, np.nan))]
    rows.append(
        completion("actadd", 0, 0, completion=None, failed="non-finite numbers", **coordinates)
    )
    table, caption, _ = tabulate("qualitative", {"c.parquet": rows})
    assert table["steered"].tolist() == ["failed: non-finite numbers"]
    assert "1 of 2 conditions failed" in caption


def test_what_is_unusual_of_an_addition_is_reported(tabulate):
    additions = [
        {"vector": "v", "source_layer": 0, "layer": 3, "coefficient": 2, "position": "back"},
        {"vector": "w", "source_layer": 1, "layer": 1, "coefficient": -0.5, "position": "front"},
    ]
    rows = [
        completion("unsteered", 0, 0),
        completion("actadd", 0, 0, additions=json.dumps(additions)),
    ]
    table, _, _ = tabulate("qualitative", {"c.parquet": rows})
    assert table["vector"].tolist() == [
        "v (layer 3, c = 2, from layer 0, back) + w (layer 1, c = -0.5)"
    ]


def test_another_operation_is_named(tabulate):
    addition = {"vector": "v", "source_layer": 3, "layer": 3, "position": "front"}
    other = json.dumps([{**addition, "coefficient": 2, "operation": "ablate"}])
    rows = [completion("unsteered", 0, 0), completion("mine", 0, 0, additions=other)]
    table, _, _ = tabulate("qualitative", {"c.parquet": rows})
    assert table["vector"].tolist() == ["v (ablate, layer 3, c = 2)"]


@pytest.mark.parametrize("text", ["a | b", "a\nb", "a\r\nb", "|", "a \\| b", "ends in \\", "||\n|"])
def test_no_text_breaks_a_row(tabulate, text):
    """The fixture counts each row's cells, and rows."""
    rows = [
        completion("unsteered", 0, 0, completion=text),
        completion("actadd", 0, 0, completion=text),
    ]
    table, _, cells = tabulate("qualitative", {"c.parquet": rows})
    assert len(cells) == 1
    expected = text.replace("\r", " ").replace("\n", "<br>").strip()
    assert cells[0][-1] == cells[0][-2] == expected
    assert table["steered"].tolist() == [text.replace("\r\n", "\n")] or "\r" in text


def test_token_shift_ranks_tokens_with_enough_instances(tabulate):
    table, caption, _ = tabulate("token_shift", {"l.parquet": shift_rows()}, at_least=2, top=2)
    result = [tuple(values) for values in table.drop(columns="model").to_numpy()]
    assert result == [
        ("raised", "'c'", "2", "5", "-4.5"),
        ("raised", "'a'", "4", "1", "-4.5"),
        ("lowered", "'b'", "3", "-2", "-4"),
        ("lowered", "'a'", "4", "1", "-4.5"),
    ]
    assert "at least 2 instances" in caption


def next_rows(condition: str = "actadd", text: int = 0, **values) -> list[dict]:
    shared = {
        **{"model": "one", "condition": condition, "coefficient": 1.0, "layer": 3},
        **{"text_id": text},
        **values,
    }
    last = {
        "token_ids": [1, 2, 3],
        "tokens": [" a", "|", "c\n"],
        "before": [0.5, 0.1, 0.2],
        "after": [0.1, 0.6, 0.2],
        **{name: values[name] for name in ("before", "after") if name in values},
    }
    return [{**shared, **dict.fromkeys(last)}, {**shared, **last}]


def test_token_shifts_of_several_conditions_do_not_mix(tabulate):
    mine = {"method": "mine", "condition": "mine"}
    more = [
        r | mine | {"logprob": r["logprob"] + 1} for r in shift_rows() if r["method"] != "unsteered"
    ]
    table, _, _ = tabulate("token_shift", {"l.parquet": shift_rows() + more}, at_least=3, top=1)
    raised = table[table["direction"] == "raised"].set_index("setting")["difference"]
    assert raised.astype(float).to_dict() == {"actadd": 1, "mine": 2}


def test_next_tokens_by_their_part_in_the_divergence(tabulate):
    table, _, _ = tabulate("next_tokens", {"d.parquet": next_rows()}, top=2)
    likely = table[table["list"] == "likeliest unsteered"]
    moved = table[table["list"] == "most moved"]
    assert likely["tokens"].tolist() == ["' a'", "'c\\n'"]
    assert moved["tokens"].tolist() == ["'|'", "'c\\n'"]
    first = moved.iloc[0]
    assert [float(first[name]) for name in ("before", "after", "ratio")] == [0.1, 0.6, 6]
    assert float(first["kl contribution"]) == pytest.approx(0.6 * np.log(6), abs=1e-5)


@pytest.mark.parametrize("differs", ["layer", "text", "condition"])
def test_next_tokens_of_several_settings_do_not_mix(tabulate, differs):
    """As many rows of each as of one alone, told apart by some column."""
    one = next_rows(before=[0.3, 0.3, 0.3], after=[0.3, 0.3, 0.3])
    other = {"layer": {"layer": 5}, "text": {"text": 1}, "condition": {"condition": "random"}}
    table, _, _ = tabulate("next_tokens", {"d.parquet": one + next_rows(**other[differs])}, top=2)
    assert len(table) == 8
    numbers = ["list", "tokens", "before", "after", "ratio", "kl contribution"]
    places = table[[name for name in table if name not in numbers]]
    assert places.value_counts().tolist() == [4, 4]


# --- vectors, timings, comparison ---


def test_pairs_with_what_might_foretell_their_effect(tabulate):
    metrics = [WORDS, "fluency.perplexity"]
    table, caption, _ = tabulate("pairs", pair_sources(), metrics=metrics, relative_to="mean")
    assert table["pair"].tolist() == ["p0", "p2", "p1"], "by effect; the mean is no pair"
    assert table["effect"].astype(float).tolist() == [0.3, 0.2, 0.1]
    assert table["norm"].astype(float).tolist() == pytest.approx([0.6, 0.4, 0.2])
    assert table["cosine to mean"].astype(float).tolist() == [-0.3, -0.2, -0.1]
    assert table["sharpness"].astype(float).tolist() == pytest.approx([1.3, 1.2, 1.1])
    assert table["top tokens"][1] == "'up 220', 'up 221', 'up 222'"
    assert table["fluency.perplexity"].astype(float).tolist() == [30.3, 30.2, 30.1]
    assert "norm +1.00" in caption and "cosine to mean -1.00" in caption
    assert "over 3 pairs" in caption


def test_pairs_without_a_mean_to_compare_with(tabulate):
    table, caption, _ = tabulate("pairs", pair_sources(), metrics=[WORDS])
    assert table["cosine to mean"].tolist() == [""] * 4 and len(table) == 4
    assert "cosine to mean: rho = +nan" not in caption


def test_lens_lists_tokens_by_rank_in_both_directions(tabulate):
    table, _, _ = tabulate("lens", {"tokens.parquet": lens_rows()}, top=2)
    assert len(table) == 2 * 2 * 2
    result = table.set_index(["vector", "layer", "position"]).loc[("w", "10", "2")]
    assert result["up"] == "'w102up0', 'w102up1'" and result["down"] == "'w102down0', 'w102down1'"


def test_overhead_is_the_median_of_each_repeats_ratio(tabulate):
    sources = {
        "small.parquet": overhead_rows("small", 1000, 1.5),
        "large.parquet": overhead_rows("large", 2000, 0.9),
    }
    table, _, _ = tabulate("overhead", sources)
    result = table.set_index(["model", "arm"])
    assert len(result) == 2 * len(ARMS)
    assert float(result.loc[("small", STEERED), "premium"]) == pytest.approx(0.5)
    assert float(result.loc[("large", STEERED), "premium"]) == pytest.approx(-0.1)
    assert result.loc[("small", UNSTEERED), "premium"] == ""
    assert float(result.loc[("small", UNSTEERED), "seconds"]) == 3


def test_comparison_counts_its_verdicts(tabulate):
    verdicts = ["matches", "differs", "matches", "not run"]
    rows = [
        {
            **dict.fromkeys(COLUMNS, ""),
            **{"kind": "number", "title": f"a|{n}", "series": "s", "x_name": "layer", "x": "0.50"},
            **{"published": 0.5, "ours": 0.25, "low": 0.125, "high": np.nan, "verdict": verdict},
        }
        for n, verdict in enumerate(verdicts)
    ]
    table, caption, _ = tabulate("comparison", {"comparison.parquet": rows})
    assert table["verdict"].tolist() == verdicts[:3]
    assert table["compared"].tolist() == [f"a|{n}: s" for n in range(3)]
    assert set(table["at"]) == {"layer 0.5"} and set(table["published"]) == {"0.5"}
    assert "2 matches" in caption and "1 not run" in caption


def test_a_note_ends_the_caption(tabulate):
    _, caption, _ = tabulate("lens", {"tokens.parquet": lens_rows()}, note="A note of the config.")
    assert caption.endswith("A note of the config.")


def test_methods_at_equal_damage_say_what_they_never_reach(tabulate):
    sources = {"curves/c.parquet": curve_rows(), "readings/c.parquet": reading_rows()}
    table, caption, _ = tabulate("equal_damage", sources, labels={WORDS: "share with words"})
    at = table["at"].unique().tolist()
    assert at[0].startswith("1.25 times") and "(prompting)" in at[1] and "KL" in at[2]
    add = table[table["condition"] == "add"]
    assert add["effect"].tolist()[2:] == ["never reached"] * 2
    assert add["minus prompt"].tolist()[:2] == ["", "0.0500 [-0.0500, 1.0500]"]
    assert add["best control"].tolist() == ["random", "random", "", ""]
    # Controls stand beside methods at stated damages.
    assert (table["condition"] == "random").sum() == 2
    assert "share with words" in caption and "0.0500 would have been seen" in caption
    assert "curves end before: add 4. Reason: too large." in caption


# --- reliability cards ---


def test_reliability_has_a_row_for_each_setting_and_says_what_it_lacks(tabulate):
    about = {"about": reliability.ABOUT}
    table, caption, _ = tabulate(
        "reliability", reliability.sources(), **reliability.OPTIONS, **about
    )
    assert table["setting"].tolist() == [
        f"actadd: v (layer 3, c = {strength:g})" for strength in reliability.STRENGTHS
    ]
    assert table["wrong way"].str.startswith("15 % [").all()
    assert table["KL"].tolist() == ["not measured", "0.19 [0.15, 0.22]", "not measured"]
    assert table["minus prompting"].tolist() == ["not measured"] * 3
    assert table["minus best control"].eq("not measured").tolist() == [True, False, True]
    assert table["AUC"].tolist() == ["0.90"] * 3 and table["n"].tolist() == ["20"] * 3
    worst = table["worst prompts"][1].splitlines()
    assert worst == ["-0.30 prompt 17", "-0.20 prompt 18", "-0.10 prompt 19"]
    assert table["claim"].str.contains("one of 3 settings tried").all()
    assert "Not measured for some: control, kl, knowledge, prompting" in caption
    assert "the-source" not in caption and "words: counted." in caption
