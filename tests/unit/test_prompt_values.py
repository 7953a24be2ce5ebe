"""Values prompt by prompt, against the summaries' means of the same tables and plain arithmetic."""

import numpy as np
import pandas as pd
import pytest

from actadd.results.prompt_values import COLUMNS, prompt_values
from actadd.results.summaries.completion_scores import summarise_completions
from actadd.results.summaries.divergences import summarise_divergence
from actadd.results.summaries.log_probabilities import summarise_logprobs
from builders import rows, tiny

NAMES = {"unsteered": rows.unsteered, "actadd": rows.row, "random": rows.row}


def cells(texts: list[dict], failed: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of three conditions, `random` with two draws; texts: the rows of each cell."""
    parts = []
    for condition, make in NAMES.items():
        for draw in (0, 1) if condition == "random" else (None,):
            reason = "too large" if condition in failed else None
            cell = {"cell": f"{condition}{draw}", "draw": draw, "failed": reason}
            parts += [{**make(), "condition": condition, **cell, **text} for text in texts]
    types = {"draw": "Int32", "failed": "string", "group": "string", "seed": "Int32"}
    return pd.DataFrame(parts).astype(types)


def written(folder, table: pd.DataFrame, name: str = "cells"):
    table.to_parquet(folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def outputs(folder) -> dict:
    return {"csv": folder / "s.csv", "parquet": folder / "s.parquet"}


def means(values: pd.DataFrame) -> dict:
    return values.groupby(["condition", "metric"])["value"].mean().to_dict()


def summary_means(folder) -> dict:
    table = pd.read_parquet(folder / "s.parquet")
    return table[table["group"] == "all"].set_index(["condition", "metric"])["mean"].to_dict()


@pytest.fixture
def scored(tmp_path):
    def run(failed: tuple[str, ...] = ()) -> tuple:
        texts = [{"prompt_id": p, "sample": s} for p in range(4) for s in range(3)]
        table = cells(texts, failed)
        scores = table[["condition", "cell", "prompt_id", "sample", "failed"]].copy()
        scores["any"] = np.random.default_rng(0).normal(size=len(table))
        scores.loc[scores["failed"].notna(), "any"] = np.nan
        # In another order than completions: they are matched by name, not by place.
        return written(tmp_path, table), {"words": written(tmp_path, scores.iloc[::-1], "words")}

    return run


def test_a_prompts_value_is_the_mean_of_its_samples(scored, tmp_path):
    table, scores = scored()
    values = prompt_values(table, scores)
    assert list(values) == COLUMNS and len(values) == 4 * 4
    plain = pd.read_parquet(scores["words"])
    for row in values.to_dict("records"):
        same = (plain["cell"] == row["cell"]) & (plain["prompt_id"] == row["prompt_id"])
        assert row["value"] == pytest.approx(plain[same]["any"].mean())
    summarise_completions(
        {"shares": {"words": []}}, completions=table, scores=scores, **outputs(tmp_path)
    )
    assert means(values) == pytest.approx(summary_means(tmp_path))
    assert values[values["condition"] == "random"]["draw"].unique().tolist() == [0, 1]
    assert values[values["condition"] == "actadd"]["layer"].unique().tolist() == [3.0]


def test_a_failed_cell_has_its_reason_and_no_value(scored):
    values = prompt_values(*scored(failed=("actadd",))).set_index("condition")
    assert values.loc["actadd", "value"].isna().all() and len(values.loc["actadd"]) == 4
    assert values.loc["actadd", "failed"].unique().tolist() == ["too large"]
    assert values.loc["unsteered", "value"].notna().all()


def test_a_scores_gap_is_left_out_of_its_prompts_mean(scored):
    table, scores = scored()
    plain = pd.read_parquet(scores["words"])
    first = (plain["cell"] == "actaddNone") & (plain["prompt_id"] == 0)
    plain.loc[first & (plain["sample"] < 2), "any"] = np.nan
    plain.to_parquet(scores["words"])
    values = prompt_values(table, scores).set_index(["cell", "prompt_id"])["value"]
    [kept] = plain[first & (plain["sample"] == 2)]["any"]
    assert values["actaddNone", 0] == kept


def test_divergences_are_means_over_unchanged_positions(tmp_path):
    texts = [
        {"text_id": t, "kl": k + t, "entropy": 2.0, "modified": k > 5, "token_ids": None}
        for t in (0, 1)
        for k in (1.0, 2.0, 9.0)
    ]
    table = cells(texts).assign(tokens=None, before=None, after=None, watched=None)
    path = written(tmp_path, table)
    values = prompt_values(path)
    actadd = values[values["condition"] == "actadd"]
    assert actadd[actadd["metric"] == "kl"]["value"].tolist() == [1.5, 2.5]
    assert actadd[actadd["metric"] == "kl_over_entropy"]["value"].tolist() == [0.75, 1.25]
    summarise_divergence({}, divergence=path, **outputs(tmp_path))
    assert means(values) == pytest.approx(summary_means(tmp_path))


def token(text: int, index: int, logprob: float, rank: int = 0, **values) -> dict:
    shared = {"document": None, "modified": False, "target": True}
    place = {"text_id": text, "token_index": index}
    return {**shared, **place, "logprob": logprob, "rank": rank, **values}


def test_texts_with_targets_have_the_rank_of_their_first_target_token(tmp_path):
    texts = [
        row
        for text in range(3)
        for row in (
            token(text, 1, -9.0, target=False),
            token(text, 2, -1.0 - text, rank=text),
            token(text, 3, -7.0, rank=99),
        )
    ]
    path = written(tmp_path, tiny.none_failed(cells(texts)))
    values = prompt_values(path, ranks=[1, 2])
    by_metric = values[values["condition"] == "actadd"].groupby("metric")["value"].apply(list)
    assert by_metric["target_logprob"] == [-1.0, -2.0, -3.0] and by_metric["rank"] == [0, 1, 2]
    assert by_metric["precision_at_1"] == [1, 0, 0] and by_metric["precision_at_2"] == [1, 1, 0]
    summarise_logprobs({"ranks": [1, 2]}, logprobs=path, **outputs(tmp_path))
    assert means(values) == pytest.approx(summary_means(tmp_path))


def test_documents_have_the_mean_of_their_unmasked_tokens(tmp_path):
    texts = [token(0, 1, -1.0, document="d"), token(0, 2, -50.0, document="d", modified=True)]
    texts += [token(1, 1, -4.0, document="d"), token(2, 1, -6.0, document="e")]
    values = prompt_values(written(tmp_path, cells(texts)))
    actadd = values[values["condition"] == "actadd"]
    assert actadd["metric"].unique().tolist() == ["logprob"]
    assert actadd[["prompt_id", "value"]].to_numpy().tolist() == [["d", -2.5], ["e", -6.0]]


def test_a_failed_cell_of_texts_lacks_the_metrics_of_the_others(tmp_path):
    texts = [token(0, 1, -9.0, target=False), token(0, 2, -1.0)]
    values = prompt_values(written(tmp_path, cells(texts, failed=("random",))))
    by_condition = values.groupby("condition")["metric"].unique().map(set)
    assert by_condition["random"] == by_condition["unsteered"]
    assert values[values["condition"] == "random"]["value"].isna().all()


def test_without_an_unsteered_cell_no_text_has_a_value(tmp_path):
    texts = [token(0, 1, -9.0, target=False), token(0, 2, -1.0)]
    path = written(tmp_path, cells(texts, failed=("unsteered",)))
    values = prompt_values(path)
    assert values["value"].isna().all() and set(values["condition"]) == set(NAMES)
    reasons = values[values["condition"] == "actadd"]["failed"].unique()
    assert reasons.tolist() == ["the unsteered cell that it is compared with failed"]
    summarise_logprobs({"ranks": [1]}, logprobs=path, **outputs(tmp_path))
    assert set(pd.read_parquet(tmp_path / "s.parquet")["failed"][1:]) == set(reasons)
