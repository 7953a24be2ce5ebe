"""Summaries of made-up tables: what is resampled, compared and tested, against plain arithmetic."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nct, spearmanr, t, ttest_1samp, ttest_rel, wilcoxon

from actadd.base.intervals import (
    crossed,
    detectable,
    difference_interval,
    mean_interval,
    paired_p_value,
    rank_correlation,
    ratio_interval,
)
from actadd.results.summaries import completion_scores, log_probabilities
from actadd.results.summaries.controls import COORDINATES
from builders import tiny

EMPTY = dict.fromkeys(COORDINATES)
DRAWN = {"temperature": 1.0, "top_p": 0.3, "frequency_penalty": 1.0, "seed": 0}
ADDITION = {"vector": "v", "source_layer": 1, "layer": 1, "coefficient": 2.0}
STEERED = {**ADDITION, "additions": json.dumps([ADDITION])}


def cell(condition: str, **values) -> dict:
    """A condition's coordinates and the name of its cell."""
    method = "unsteered" if condition.startswith("unsteered") else "actadd"
    steered = STEERED if method == "actadd" else {"additions": "[]"}
    drawn = {k: v for k, v in {**DRAWN, **values}.items() if k in DRAWN}
    name = "-".join([condition, *map(str, drawn.values()), str(values.get("coefficient", ""))])
    shared = {"model": "m", "experiment": "e", "condition": condition, "method": method}
    return {**EMPTY, **shared, **steered, **drawn, **values, "cell": name}


@pytest.fixture
def completions(tmp_path):
    """Summarises made-up scores of (cell, prompt, sample, group, score)."""

    def run(rows: list[tuple], metric: str = "probability") -> pd.DataFrame:
        table = pd.DataFrame(
            [
                {
                    **coordinates,
                    "prompt_id": prompt,
                    "sample": sample,
                    "group": group,
                    metric: score,
                }
                for coordinates, prompt, sample, group, score in rows
            ]
        )
        table["group"] = table["group"].astype("string")
        table = table.astype({"seed": "Int32", "layer": "Int32", "source_layer": "Int32"})
        failed = ["failed"] if "failed" in table else []
        scored = table[["condition", "cell", "prompt_id", "sample", metric, *failed]]
        # Scores in another order than completions: they are matched by name, not by place.
        tiny.none_failed(scored.iloc[::-1]).to_parquet(tmp_path / "judge.parquet", index=False)
        table.drop(columns=metric).to_parquet(tmp_path / "c.parquet", index=False)
        completion_scores.summarise_completions(
            {"shares": {"judge": [metric] if metric == "positive" else []}},
            completions=tmp_path / "c.parquet",
            scores={"judge": tmp_path / "judge.parquet"},
            csv=tmp_path / "s.csv",
            parquet=tmp_path / "s.parquet",
        )
        return pd.read_parquet(tmp_path / "s.parquet")

    return run


def test_samples_are_averaged_and_prompts_compared(completions):
    rng = np.random.default_rng(0)
    plain, steered = rng.normal(size=(2, 6, 3))
    steered += 0.4
    rows = [
        (cell(name), prompt, sample, None, float(values[prompt, sample]))
        for name, values in (("unsteered", plain), ("actadd", steered))
        for prompt in range(6)
        for sample in range(3)
    ]
    result = completions(rows).set_index("condition")
    assert set(result["group"]) == {"all"}
    row = result.loc["actadd"]
    before, after = plain.mean(1), steered.mean(1)
    assert (row["metric"], row["n_prompts"], row["n_completions"]) == ("judge.probability", 6, 18)
    assert [row[name] for name in ("mean", "low", "high")] == pytest.approx(mean_interval(after))
    names = ("difference", "difference_low", "difference_high")
    assert [row[name] for name in names] == pytest.approx(difference_interval(after - before))
    assert row["p_value"] == pytest.approx(ttest_rel(after, before).pvalue)
    assert result.loc["unsteered", [*names, "p_value"]].isna().all()


def draw(number: int | None, **values) -> dict:
    """A draw of a random vector, or with None a cell beside it."""
    coordinates = cell("unsteered" if number is None else "random", **values)
    return {**coordinates, "draw": number, "cell": f"{coordinates['cell']} {number}"}


def test_draws_of_a_random_vector_are_one_row(completions):
    """With a prompt that has no value in one draw, groups, and a sweep of two settings."""
    rng = np.random.default_rng(0)
    plain, drawn = rng.normal(size=(6, 2)), rng.normal(0.5, size=(2, 4, 6, 2))
    drawn[0, 1, 5] = np.nan
    rows = [
        (draw(None), prompt, sample, "xy"[prompt % 2], float(plain[prompt, sample]))
        for prompt in range(6)
        for sample in range(2)
    ]
    rows += [
        (draw(number, coefficient=c), prompt, sample, "xy"[prompt % 2], float(values))
        for setting, c in enumerate((1.0, 2.0))
        for (number, prompt, sample), values in np.ndenumerate(drawn[setting])
    ]
    table = completions(rows)
    result = table[table["group"] == "all"].set_index("coefficient")
    assert len(table) == 3 * 3 and "draw" not in table
    values, before = drawn.mean(axis=3), plain.mean(axis=1)
    for c, whole in ((1.0, values[0][:, :5]), (2.0, values[1])):
        row, change = result.loc[c], whole - before[: whole.shape[1]]
        assert (row["n_prompts"], row["draws"]) == (whole.shape[1], 4)
        assert [row[n] for n in ("mean", "low", "high")] == pytest.approx(crossed(whole).interval)
        names = ("difference", "difference_low", "difference_high")
        assert [row[n] for n in names] == pytest.approx(crossed(change).interval)
        assert row["p_value"] == pytest.approx(crossed(change).p_value)
        assert row["spread"] == pytest.approx(whole.mean(axis=1).std(ddof=1))
    of_group = table[(table["group"] == "y") & (table["coefficient"] == 2.0)].iloc[0]
    assert of_group["mean"] == pytest.approx(values[1][:, 1::2].mean())


def test_a_control_fails_with_any_of_its_draws(completions):
    rows = [
        (draw(number) | {"failed": "too large" if number == 1 else None}, prompt, 0, None, score)
        for number, score in ((None, 1.0), (0, 2.0), (1, np.nan), (2, 3.0))
        for prompt in range(4)
    ]
    row = completions(rows).set_index("condition").loc["random"]
    assert np.isnan(row["mean"]) and row["n_prompts"] == 0
    assert row["failed"] == "draw 1 of the random vector: too large"


def test_a_single_prompts_samples_are_resampled(completions):
    rng = np.random.default_rng(1)
    plain, steered = rng.normal(size=(2, 9))
    rows = [
        (cell(name), 4, sample, None, float(values[sample]))
        for name, values in (("unsteered", plain), ("actadd", steered))
        for sample in range(9)
    ]
    row = completions(rows).set_index("condition").loc["actadd"]
    assert (row["n_prompts"], row["n_completions"]) == (1, 9)
    # In the order in which they were scored.
    interval = mean_interval(steered[::-1])
    assert [row[n] for n in ("mean", "low", "high")] == pytest.approx(interval)
    assert row["p_value"] == pytest.approx(ttest_rel(steered, plain).pvalue)


def test_each_group_has_rows_of_its_own(completions):
    groups = ["x", "x", "x", "y", "y", None]
    scores = [0.1, 0.2, 0.4, 0.8, 0.7, 0.5]
    rows = [
        (cell(name), prompt, 0, groups[prompt], scores[prompt] + shift * prompt)
        for name, shift in (("unsteered", 0), ("actadd", 0.1))
        for prompt in range(6)
    ]
    result = completions(rows).set_index(["condition", "group"])
    assert len(result) == 2 * 3
    assert result["n_prompts"].to_dict() == {
        (name, group): size
        for name in ("unsteered", "actadd")
        for group, size in (("all", 6), ("x", 3), ("y", 2))
    }
    assert result.loc[("unsteered", "x"), "mean"] == pytest.approx(np.mean(scores[:3]))
    assert result.loc[("actadd", "y"), "difference"] == pytest.approx(0.1 * (3 + 4) / 2)
    p = ttest_rel([0, 0.1, 0.2], [0, 0, 0]).pvalue
    assert result.loc[("actadd", "x"), "p_value"] == pytest.approx(p)


def test_a_condition_of_one_group_is_compared_on_that_group(completions):
    rows = [
        (cell("unsteered"), prompt, 0, "xxyy"[prompt], score)
        for prompt, score in enumerate([0.0, 0.2, 5.0, 7.0])
    ]
    rows += [(cell("actadd"), prompt, 0, "y", score) for prompt, score in ((2, 5.5), (3, 8.0))]
    result = completions(rows)
    [row] = result[result["condition"] == "actadd"].to_dict("records")
    assert (row["group"], row["n_prompts"], row["mean"]) == ("all", 2, 6.75)
    assert row["difference"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("field", "values"),
    [("seed", (0, 1)), ("temperature", (0.5, 1.0)), ("top_p", (0.3, 1.0))],
)
def test_the_baseline_is_drawn_as_the_steered_were(completions, field, values):
    level = {values[0]: 0.0, values[1]: 10.0}
    rows = [
        (cell(name, **{field: value}), prompt, 0, None, level[value] + prompt * step)
        for name, step in (("unsteered", 1.0), ("actadd", 1.5))
        for value in values
        for prompt in range(4)
    ]
    result = completions(rows)
    steered = result[result["condition"] == "actadd"]
    assert sorted(steered["mean"]) == [2.25, 12.25]
    assert steered["difference"].tolist() == pytest.approx([0.75, 0.75])


def test_without_such_a_baseline_there_is_no_difference(completions):
    rows = [(cell("unsteered"), prompt, 0, None, 1.0 + prompt) for prompt in range(3)]
    rows += [(cell("actadd", seed=7), prompt, 0, None, 2.0 + prompt) for prompt in range(3)]
    row = completions(rows).set_index("condition").loc["actadd"]
    assert row["mean"] == 3 and np.isnan(row["difference"]) and np.isnan(row["p_value"])


def test_a_score_that_is_missing_is_left_out(completions):
    rows = [
        (cell(name), prompt, 0, None, score)
        for name, scores in (("unsteered", [1.0, 2.0, np.nan]), ("actadd", [2.0, np.nan, 9.0]))
        for prompt, score in enumerate(scores)
    ]
    row = completions(rows).set_index("condition").loc["actadd"]
    assert (row["n_prompts"], row["n_completions"], row["mean"]) == (2, 2, 5.5)
    assert row["difference"] == 1


def test_a_share_that_all_prompts_agree_on_has_an_exact_interval(completions):
    rows = [(cell("unsteered"), prompt, 0, None, 0.0) for prompt in range(40)]
    [row] = completions(rows, metric="positive").to_dict("records")
    assert (row["mean"], row["low"]) == (0, 0) and row["high"] == pytest.approx(0.0881, abs=1e-4)


# --- log-probabilities ---


@pytest.fixture
def logprobs(tmp_path):
    def run(rows: list[dict], ranks=(1, 10)) -> pd.DataFrame:
        tiny.none_failed(pd.DataFrame(rows)).to_parquet(tmp_path / "in.parquet")
        files = {"csv": tmp_path / "s.csv", "parquet": tmp_path / "s.parquet"}
        log_probabilities.summarise_logprobs(
            {"ranks": list(ranks)}, logprobs=tmp_path / "in.parquet", **files
        )
        return pd.read_parquet(tmp_path / "s.parquet")

    return run


def token(condition: str, text: int, index: int, logprob: float, **values) -> dict:
    shared = {"document": None, "group": "g", "rank": 0, "modified": False, "target": True}
    return {
        **cell(condition, **dict.fromkeys(DRAWN)),
        **shared,
        **{"text_id": text, "token_index": index, "logprob": logprob},
        **values,
    }


def test_documents_are_resampled_whole(logprobs):
    """Sentences of one document are not independent: sums and counts are those of documents."""
    rng = np.random.default_rng(2)
    rows, sums, counts = [], np.zeros(4), np.zeros(4)
    for text in range(12):
        document = text % 4
        for index in range(1, 2 + text % 3 + document):
            change = 0.3 * document + float(rng.normal(0, 0.1))
            rows += [
                token(name, text, index, -2.0 + shift, document=f"d{document}")
                for name, shift in (("unsteered", 0.0), ("actadd", change))
            ]
            sums[document] += change
            counts[document] += 1
    row = logprobs(rows).set_index("condition").loc["actadd"]
    mean, low, high = ratio_interval(sums, counts)
    assert (row["n_prompts"], row["n_tokens"]) == (4, counts.sum())
    assert row["mean"] == pytest.approx(np.exp(-mean))
    assert [row["low"], row["high"]] == pytest.approx([np.exp(-high), np.exp(-low)])
    assert row["difference"] == pytest.approx(np.exp(-mean) - 1)
    assert row["p_value"] == pytest.approx(ttest_rel(sums / counts, np.zeros(4)).pvalue)


def test_texts_without_a_document_are_resampled_one_by_one(logprobs):
    rows = [
        token(name, text, 1, -1.0 + shift * text)
        for name, shift in (("unsteered", 0.0), ("actadd", 0.1))
        for text in range(5)
    ]
    assert logprobs(rows)["n_prompts"].tolist() == [5, 5]


@pytest.mark.parametrize("groups", [["nan", "None", None, None], ["a@b.c", "1", "1", None]])
def test_all_includes_texts_without_a_group(logprobs, groups):
    rows = [
        token(name, text, 1, -2.0 + shift * text, group=group)
        for name, shift in (("unsteered", 0.0), ("actadd", 0.1))
        for text, group in enumerate(groups)
    ]
    result = logprobs(rows).set_index(["condition", "group"])["n_prompts"].loc["actadd"].to_dict()
    named = [group for group in groups if group]
    assert result == {**{group: named.count(group) for group in named}, "all": 4}


def test_what_either_side_changed_directly_is_left_out(logprobs):
    """Also the unsteered side has such positions, where a prefix is part of every condition."""
    rows = []
    for text in range(3):
        for index in (1, 2, 3):
            plain, steered = index == 1, index == 2
            rows.append(token("unsteered", text, index, -1.0, modified=plain))
            logprob = -1.0 + (0.5 if index == 3 else 40.0)
            rows.append(token("actadd", text, index, logprob, modified=steered))
    row = logprobs(rows).set_index("condition").loc["actadd"]
    assert row["n_tokens"] == 3 and row["mean"] == pytest.approx(np.exp(-0.5))


def test_ranks_are_tested_by_wilcoxon_and_hits_by_t(logprobs):
    rng = np.random.default_rng(3)
    before, after = rng.integers(0, 30, (2, 25))
    rows = [
        token(name, text, index, -1.0 - rank / 9, rank=int(rank), target=index == 3)
        for name, ranks in (("unsteered", before), ("actadd", after))
        for text, rank in enumerate(ranks)
        for index in (1, 2, 3)
    ]
    result = logprobs(rows, ranks=(1, 5, 20)).set_index(["condition", "group", "metric"])
    result = result.sort_index()
    row = result.loc["actadd", "all"]
    for k in (1, 5, 20):
        assert row.loc[f"precision_at_{k}", "mean"] == pytest.approx(np.mean(after < k))
        hits = ttest_rel((after < k).astype(float), (before < k).astype(float))
        assert row.loc[f"precision_at_{k}", "p_value"] == pytest.approx(hits.pvalue)
    assert row.loc["rank", "mean"] == pytest.approx(after.mean())
    assert row.loc["rank", "difference"] == pytest.approx((after - before).mean())
    assert row.loc["rank", "p_value"] == pytest.approx(wilcoxon(after, before).pvalue)
    assert row.loc["target_logprob", "mean"] == pytest.approx(np.mean(-1 - after / 9))
    assert result.loc["unsteered", "all"]["p_value"].isna().all()


# --- p-values ---


def test_p_values_are_scipys():
    rng = np.random.default_rng(4)
    before, after = rng.normal(size=(2, 15))
    change = after - before
    assert paired_p_value(change) == pytest.approx(ttest_rel(after, before).pvalue)
    ranked = paired_p_value(change, ranked=True)
    assert ranked == pytest.approx(wilcoxon(after, before).pvalue)
    assert ranked != pytest.approx(paired_p_value(change))
    with_gap = np.append(change, np.nan)
    assert paired_p_value(with_gap) == pytest.approx(paired_p_value(change))
    for nothing in ([], [1.0], [0.2, 0.2, 0.2], [np.nan, 1.0]):
        assert np.isnan(paired_p_value(np.array(nothing)))


# --- rank correlation ---


def test_a_rank_correlation_is_scipys_with_the_interval_of_resampled_items():
    rng = np.random.default_rng(0)
    first = rng.normal(size=40)
    second = first + rng.normal(size=40)
    rho, low, high = rank_correlation(first, second)
    assert rho == pytest.approx(spearmanr(first, second).statistic)
    resampled = [
        spearmanr(first[rows], second[rows]).statistic
        for rows in rng.integers(0, 40, size=(1000, 40))
    ]
    assert (low, high) == pytest.approx(np.percentile(resampled, [2.5, 97.5]), abs=0.05)
    assert rank_correlation(np.append(first, np.nan), np.append(second, 9)) == (rho, low, high)


def test_a_rank_correlation_needs_items_that_differ():
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9))).all()
    assert np.isnan(rank_correlation(np.ones(1), np.ones(1))).all()
    rho, low, high = rank_correlation(np.array([1, 2, 3]), np.array([1, 2, 4]))
    assert rho == 1 and np.isnan([low, high]).all()


# --- power ---


def with_deviation(prompts: int, deviation: float) -> np.ndarray:
    values = np.arange(prompts, dtype=float)
    return (values - values.mean()) / values.std(ddof=1) * deviation


@pytest.mark.parametrize("prompts", [3, 5, 34, 64, 1000])
def test_the_detectable_difference_has_80_percent_power(prompts):
    difference = detectable(with_deviation(prompts, deviation=2.0))
    threshold, noncentrality = t.ppf(0.975, prompts - 1), difference / 2 * prompts**0.5
    assert nct.sf(threshold, prompts - 1, noncentrality) == pytest.approx(0.8, abs=1e-6)


def test_of_simulated_studies_of_a_detectable_difference_80_percent_find_it():
    difference = detectable(with_deviation(12, deviation=1.0))
    studies = np.random.default_rng(0).normal(difference, 1.0, size=(20_000, 12))
    assert np.mean(ttest_1samp(studies, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)


def test_a_detectable_difference_needs_two_differences_that_differ():
    values = with_deviation(20, deviation=0.3)
    assert detectable(np.append(values, np.nan)) == detectable(values)
    assert detectable(values + 5) == pytest.approx(detectable(values))
    for nothing in ([], [1.0], [0.2, 0.2, 0.2], [np.nan, 1.0]):
        assert np.isnan(detectable(np.array(nothing)))
