"""The published numbers beside made-up ones of ours: verdicts, claims, and the reference table."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.results.comparison import compare, read_published
from builders.tiny import ROOT

PUBLISHED = ROOT / "workflow" / "data" / "published.csv"
CONTEXT = {"sweep": {"data": "essays"}, "words": {"data": "openings"}}
LAYERS = {
    "title": "Essays by layer",
    "published": {"item": "essay_layer_sweep", "series": "weddings"},
    "ours": {"experiment": "sweep", "metric": "perplexity_ratio", "group": "wedding"},
    "x": "layer",
    "models": ["gpt2-xl"],
    "data": "essays",
    "tolerance": {"absolute": 0.001},
}


@pytest.fixture
def run(tmp_path):
    """Compares made-up rows of ours; returns (rows as a table, facts, the Markdown)."""

    def run(rows: list[dict], **spec):
        summaries = []
        for number, (_, part) in enumerate(pd.DataFrame(rows).groupby("experiment")):
            summaries.append(tmp_path / f"{number}.parquet")
            part.dropna(axis="columns", how="all").to_parquet(summaries[-1])
        files = {kind: tmp_path / f"comparison.{kind}" for kind in ("csv", "parquet")}
        markdown, latex = tmp_path / "comparison.md", tmp_path / "comparison.tex"
        facts = compare(
            {"context": CONTEXT, **spec},
            published=PUBLISHED,
            summaries=summaries,
            markdown=markdown,
            latex=latex,
            **files,
        )
        assert len(pd.read_csv(files["csv"])) == len(pd.read_parquet(files["parquet"]))
        return pd.read_parquet(files["parquet"]), facts, markdown.read_text()

    return run


def series(item: str, name: str) -> pd.DataFrame:
    table = read_published(PUBLISHED)
    return table[(table["item"] == item) & (table["series"] == name)]


def row(mean: float, noise: float = 0.01, **values) -> dict:
    bounds = {"low": mean - noise, "high": mean + noise}
    shared = {"model": "gpt2-xl", "method": "actadd", "metric": "perplexity_ratio"}
    return {"experiment": "sweep", "group": "wedding", **shared, "mean": mean, **bounds, **values}


def sweep(change: float = 0.0, at: int = 9, **values) -> list[dict]:
    """The published layer sweep as ours, changed at one layer."""
    published = series("essay_layer_sweep", "weddings")
    layers = published["x"].astype(int)
    return [
        row(value + change * (layer == at), layer=float(layer), **values)
        for layer, value in zip(layers, published["published"], strict=True)
    ]


def judged(table: pd.DataFrame, name: str = "essays") -> pd.DataFrame:
    return table[table["name"] == name]


# --- numbers ---


def test_the_published_numbers_match_themselves(run):
    table, facts, text = run(sweep(), comparisons={"essays": LAYERS})
    result = judged(table)
    assert len(result) == 48 and set(result["verdict"]) == {"matches"}
    assert facts["numbers"]["matches"] == 48
    assert facts["numbers"]["not run"] == len(table) - 48, "every other number is listed too"
    assert facts["series"][0]["max_deviation"] == 0
    assert "48 matches" in text


def test_one_deviating_point_differs_and_is_reported(run):
    table, facts, text = run(sweep(0.02), comparisons={"essays": LAYERS})
    result = judged(table).set_index("x")
    assert result.loc["9", "verdict"] == "differs"
    assert (result.drop("9")["verdict"] == "matches").all()
    [one] = facts["series"]
    assert one["max_deviation"] == pytest.approx(0.02) and one["at"] == "9"
    assert (one["numbers"], one["matches"]) == (48, 47)
    assert "0.02" in text


def test_beyond_the_tolerance_the_side_of_the_neutral_value_counts(run):
    entry = {**LAYERS, "neutral": 1}
    table, _, _ = run(sweep(0.02), comparisons={"essays": entry})
    assert judged(table).set_index("x").loc["9", "verdict"] == "same direction"
    table, _, _ = run(sweep(0.2), comparisons={"essays": entry})
    assert judged(table).set_index("x").loc["9", "verdict"] == "differs"


@pytest.mark.parametrize(
    ("model", "context", "reason"),
    [
        ("smollm2-135m", "essays", "other model: published on gpt2-xl"),
        ("gpt2-xl", "own essays", "other data: published on essays"),
    ],
)
def test_another_model_or_other_data_is_not_comparable(run, model, context, reason):
    table, facts, _ = run(
        sweep(model=model), comparisons={"essays": LAYERS}, context={"sweep": {"data": context}}
    )
    result = judged(table)
    assert set(result["verdict"]) == {"not comparable"} and set(result["reason"]) == {reason}
    assert result["ours"].notna().all() and result["deviation"].isna().all()
    assert facts["series"] == []


def test_what_did_not_run_is_reported(run):
    table, _, text = run(sweep()[:5], comparisons={"essays": LAYERS})
    result = judged(table)
    assert result["verdict"].tolist() == ["matches"] * 5 + ["not run"] * 43
    assert result["reason"].iloc[5] == "no such row of experiment sweep at layer 5"
    table, _, text = run(sweep(experiment="words"), comparisons={"essays": LAYERS})
    assert set(judged(table)["reason"]) == {"experiment sweep was not run"}
    assert "None of ours: experiment sweep was not run" in text


def test_what_failed_was_not_run_and_says_why(run):
    rows = [{**r, "failed": None} for r in sweep()]
    rows[9] |= {"mean": np.nan, "low": np.nan, "high": np.nan, "failed": "non-finite numbers"}
    one = {"experiment": "sweep", "metric": "perplexity_ratio", "layer": 9}
    table, _, _ = run(
        rows,
        comparisons={"essays": LAYERS},
        claims={"c": {"title": "t", "source": "s", "test": {"below": 1}, "ours": one}},
    )
    result = judged(table).set_index("x")
    assert result.loc["9", ["verdict", "reason"]].tolist() == [
        *("not run", "the condition failed: non-finite numbers"),
    ]
    assert (result.drop("9")["verdict"] == "matches").all()
    [claim] = table[table["kind"] == "claim"].to_dict("records")
    assert claim["verdict"] == "not run" and "non-finite numbers" in claim["reason"]


def test_k_is_in_the_metrics_name_and_coefficients_match_despite_rounding(run):
    rows = [row(0.09, metric=f"accuracy_at_{k}", experiment="words") for k in (1, 12)]
    rows += [row(1.0, coefficient=-0.05, layer=6.0)]
    known = {
        "title": "ConceptNet",
        "published": {"item": "conceptnet_p_at_k", "series": "actadd"},
        "ours": {"experiment": "words"},
        "x": "k",
        "models": ["gpt2-xl"],
        "tolerance": {"relative": 0.05},
    }
    essays = {
        **LAYERS,
        "published": {"item": "essay_coefficient_sweep", "series": "weddings", "layer": 6},
        "x": "coefficient",
    }
    table, _, _ = run(rows, comparisons={"known": known, "essays": essays})
    result = judged(table, "known").set_index("x")
    assert result.loc["1", "verdict"] == "matches" and result.loc["12", "verdict"] == "differs"
    assert result.loc["2", "verdict"] == "not run"
    [one] = judged(table)[judged(table)["ours"].notna()].to_dict("records")
    assert float(one["x"]) == pytest.approx(-0.05) and one["layer"] == "6"


def test_a_wrong_selector_names_its_key_and_what_there_is(run):
    def comparing(**changes):
        return run(sweep(), comparisons={"essays": {**LAYERS, **changes}})

    with pytest.raises(UserError, match=r"comparisons.essays.published: .*essay_layer_sweep"):
        comparing(published={"item": "essays"})
    with pytest.raises(UserError, match=r"comparisons.essays.ours.experiment: .*'sweep', 'words'"):
        comparing(ours={"experiment": "other"})
    with pytest.raises(UserError, match=r"comparisons.essays.ours.metric: .*perplexity_ratio"):
        comparing(ours={"experiment": "sweep", "metric": "perplexity"})
    with pytest.raises(UserError, match=r"comparisons.essays.ours: several rows .* layer 9"):
        run(sweep() + sweep()[9:10], comparisons={"essays": LAYERS})


# --- claims ---


def claim(test, **more) -> dict:
    ours = {"experiment": "sweep", "metric": "perplexity_ratio"}
    entry = {"title": "A claim", "source": "paper Fig 2", "test": test, "ours": ours, **more}
    return {"c": entry}


def claimed(run, rows, test, **more) -> pd.Series:
    table, facts, text = run(rows, claims=claim(test, **more))
    [result] = table[table["kind"] == "claim"].to_dict("records")
    assert sum(facts["claims"].values()) == 1
    assert result["verdict"] in text
    return result


def test_monotone_claims_say_rho_and_weigh_the_noise(run):
    falling = [row(1 - 0.1 * i, coefficient=float(i)) for i in range(5)]
    result = claimed(run, falling, "decreasing", x="coefficient")
    assert result["verdict"] == "same direction, interval excludes none"
    assert result["ours"] == pytest.approx(-1) and "rho = -1.00 over 5" in result["reason"]
    assert claimed(run, falling, "increasing", x="coefficient")["verdict"] == "differs"
    noisy = [{**one, "low": one["mean"] - 2, "high": one["mean"] + 2} for one in falling]
    result = claimed(run, noisy, "decreasing", x="coefficient")
    assert result["verdict"] == "same direction, within noise"
    result = claimed(run, noisy, "increasing", x="coefficient")
    assert result["verdict"] == "differs, within noise"
    assert claimed(run, falling[:2], "increasing", x="coefficient")["verdict"] == "not run"


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        ({"above": 0.8}, "same direction, interval excludes none"),
        ({"above": 0.895}, "same direction, within noise"),
        ({"below": 0.895}, "differs, within noise"),
        ({"below": 0.8}, "differs"),
        ({"near": [0.9, 0.05]}, "same direction, interval excludes none"),
        ({"near": [0.9, 0]}, "same direction, within noise"),
        ({"near": [0.88, 0.015]}, "differs, within noise"),
        ({"near": [0.7, 0.1]}, "differs"),
    ],
)
def test_claims_on_one_number(run, test, verdict):
    assert claimed(run, [row(0.9)], test)["verdict"] == verdict


def test_claims_on_an_order(run):
    rows = [row(mean, condition=name) for name, mean in [("a", 0.1), ("b", 0.2), ("c", 0.205)]]
    of = [{"experiment": "sweep", "condition": name} for name in "abc"]
    result = claimed(run, rows, {"greater_than": of[0]}, ours=of[1])
    assert result["verdict"] == "same direction, interval excludes none"
    assert result["ours"] == pytest.approx(0.1)
    assert result["high"] - result["low"] == pytest.approx(2 * np.hypot(0.01, 0.01))
    assert claimed(run, rows, {"greater_than": of[1]}, ours=of[0])["verdict"] == "differs"
    ordered = claimed(run, rows, {"ordered": of}, ours=None)
    assert ordered["verdict"] == "same direction, within noise"
    assert ordered["ours"] == pytest.approx(0.005)
    swapped = {"ordered": [of[0], of[2], of[1]]}
    assert claimed(run, rows, swapped, ours=None)["verdict"] == "differs, within noise"


def test_a_difference_from_unsteered_is_the_paired_one(run):
    paired = {"difference": 0.1, "difference_low": 0.09, "difference_high": 0.11}
    rows = [row(0.2, 0.3, condition="a", **paired), row(0.1, 0.3, condition="u")]
    rows[1]["method"] = "unsteered"
    of = {name: {"experiment": "sweep", "condition": name} for name in "au"}
    result = claimed(run, rows, {"greater_than": of["u"]}, ours=of["a"])
    assert result["verdict"] == "same direction, interval excludes none"
    assert (result["low"], result["high"]) == pytest.approx((0.09, 0.11))
    result = claimed(run, rows, {"greater_than": of["a"]}, ours=of["u"])
    assert result["verdict"] == "differs"
    assert (result["low"], result["high"]) == pytest.approx((-0.11, -0.09))
    result = claimed(run, rows, {"above": 0.05}, ours=of["a"], y="difference")
    assert result["low"] == pytest.approx(0.09)


def test_a_claim_without_rows_is_not_run(run):
    result = claimed(run, [row(0.9, experiment="words")], {"above": 1})
    assert result["verdict"] == "not run"
    ours = {"experiment": "sweep", "condition": "absent"}
    result = claimed(run, [row(0.9)], {"above": 1}, ours=ours)
    assert result["verdict"] == "not run" and "comparison.claims.c.ours" in result["reason"]


# --- the reference table ---


def test_the_reference_table_is_whole():
    table = read_published(PUBLISHED)
    assert set(table["precision"]) == {"exact", "digitised", "text"}
    assert (table["source"] != "").all() and (table["item"] != "").all()
    assert not table.duplicated(["item", "series", "layer", "x_name", "x", "y_name"]).any()
    counts = table["item"].value_counts()
    # All points of the authors' stored series but the 48 that they left blank.
    stored = {
        "essay_layer_sweep": 96,
        "essay_coefficient_sweep": 404,
        "yelp_layer_sweep": 144,
        "yelp_coefficient_sweep": 246,
        "vector_norm_anger_calm": 96,
        "relative_norm_anger_calm": 144,
        "relative_norm_anger_calm_lowercase": 96,
        "random_vector_kl": 58,
        "partial_dimensions": 66,
        "openwebtext_perplexity_ratio": 7,
        "wedding_words_by_layer": 41 + 1,
        "conceptnet_p_at_k": 34,
        "prompting_vs_actadd": 4,
        "injection_position": 3,
    }
    assert {item: int(counts[item]) for item in stored} == stored
    assert sum(stored.values()) == 1487 - 48 + 1


def test_what_no_source_confirms_is_not_in_the_reference_table():
    table = read_published(PUBLISHED)
    late = table[table["item"].isin(["toxicity", "sentiment"])]
    assert "relevance" not in set(late["y_name"]), "e.g. .369 of unsteered OPT-6.7B"
    llama = late[late["series"].str.startswith("LLaMA")]
    assert set(llama["y_name"]) == {"toxicity", "success"}
    unsteered = late[(late["item"] == "sentiment") & (late["x"] == "unsteered")]
    assert unsteered.empty
    assert not (late["published"].isin([0.369, 0.185, 48.3, 6.3, 6.7, 0.175, 0.564])).any()
    preferred = late[(late["x"] == "actadd") & (late["series"] == "OPT-6.7B")]
    assert dict(zip(preferred["y_name"], preferred["published"], strict=True)) == {
        "toxicity": 0.112,
        "disfluency": 13.8,
    }


def test_the_stored_summary_of_the_random_vector_is_that_of_its_series():
    drawn = series("random_vector_kl", "Anger-Calm_vs_random")
    for name, values in (("random", drawn["x"].astype(float)), ("Anger-Calm", drawn["published"])):
        summary = series("random_vector_kl_summary", name).set_index("x")["published"]
        for statistic, value in summary.items():
            assert getattr(values, statistic)() == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"", "cannot be read as CSV"),
        (b"\xff\xfe", "cannot be read as CSV"),
        (b"item,x\na,1\n", "has no column 'y'"),
        (b"item,x,y\na,1,2\na,2,b\n", "row 2: y is 'b'"),
    ],
)
def test_published_numbers_that_cannot_be_read_are_reported(tmp_path, content, pattern):
    (tmp_path / "published.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"^comparison\.published: .*{pattern}"):
        read_published(tmp_path / "published.csv")
