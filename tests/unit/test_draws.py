"""Random vectors: which seed they have, and several draws as one control."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from actadd import UserError
from actadd.base.intervals import crossed, crossed_mean, mean_interval, signed_ranks
from actadd.config.checks import checked
from actadd.data import datasets
from actadd.measure.conditions import expand, grid_size
from actadd.measure.measurement import measure
from actadd.results.prompt_values import prompt_values
from actadd.vectors.kinds.random import Options, random
from actadd.vectors.vector_files import write_vector
from builders import tiny
from builders.configs import DRAWS, drawn_config

VECTORS = {"pair": np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)}


def test_more_draws_keep_the_first_and_no_seed_shares_any():
    def derive(**options) -> np.ndarray:
        return random(VECTORS, Options(like="pair", **options))

    several = derive(seed=0, draws=5)
    assert several.shape == (5, 4, 8)
    assert several[0].tobytes() == derive(seed=0).tobytes()
    assert several[:3].tobytes() == derive(seed=0, draws=3).tobytes()
    norms = np.linalg.norm(VECTORS["pair"], axis=1)
    assert np.linalg.norm(several, axis=2) == pytest.approx(np.tile(norms, (5, 1)), rel=1e-6)
    drawn = [*several, *derive(seed=1, draws=5)]
    assert len({one.tobytes() for one in drawn}) == 10


@pytest.fixture
def check(tmp_path):
    """Checks a config in a folder with the texts that it names."""
    tiny.write_data(tmp_path)
    return lambda config: checked(config, tmp_path)


def with_random(run_seed: int = 0, **entry) -> dict:
    config = tiny.config(seed=run_seed)
    config["vectors"]["random"] |= entry
    return config


def test_the_runs_seed_reaches_a_random_vector(check):
    def vector(*seed: int, **entry) -> dict:
        return check(with_random(*seed, **entry))["vectors"]["random"]

    assert vector(7)["seed"] == 7
    assert vector(7, seed=3)["seed"] == 3
    # One draw is written to a file as no word about draws is.
    assert vector(draws=1) == vector() == {"kind": "random", "like": "love-hate", "seed": 0}


def test_each_draw_is_a_condition_of_the_same_coordinates(check):
    entries = check(drawn_config())["experiments"]["chosen"]["conditions"]
    chosen = {"best": {"layer": 1, "source_layer": 1, "coefficient": 2.0}}
    result = expand(entries, chosen, seed=0)
    draws = [condition for condition in result if condition.name == "random"]
    assert [condition.draw for condition in draws] == list(range(DRAWS))
    assert draws[0].coordinates() == draws[1].coordinates()
    assert len({condition.label for condition in draws}) == DRAWS
    assert [c.draw for c in result if c.name != "random"] == [None, None]
    assert grid_size(entries) == len(result) == 2 + DRAWS


def test_two_random_vectors_need_as_many_draws(check):
    config = drawn_config()
    config["vectors"]["other"] = {"kind": "random", "like": "calm", "draws": 2}
    additions = config["experiments"]["chosen"]["conditions"]["random"]["additions"]
    additions.append({"vector": "other", "layer": 0, "coefficient": 1})
    with pytest.raises(UserError, match=r"chosen\.conditions\.random\.additions: .*2 and 3 draws"):
        check(config)
    config["vectors"]["other"]["draws"] = DRAWS
    entries = check(config)["experiments"]["chosen"]["conditions"]
    # Each vector's first draw with the other's first, and so on.
    assert grid_size(entries) == 2 + DRAWS


@pytest.mark.parametrize(
    ("draws", "pattern"), [(0, "below the minimum of 1"), (101, "above"), (2.5, "1 to 100")]
)
def test_an_odd_number_of_draws_is_named(check, draws, pattern):
    with pytest.raises(UserError, match=rf"vectors\.random\.draws: {draws}.*{pattern}"):
        check(with_random(draws=draws))


def test_a_lens_reads_one_vector(check):
    config = drawn_config(lenses={"look": {"vectors": ["random"], "models": ["tiny"]}})
    with pytest.raises(UserError, match=r"lenses\.look\.vectors: 'random' has 3 draws.*draws: 1"):
        check(config)
    config["vectors"]["random"]["draws"] = 1
    check(config)


def test_without_an_effect_of_draws_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 1, 12) + np.array([[-1e-9], [0], [1e-9]])
    result, expected = crossed(values), ttest_1samp(values.mean(0), 0)
    assert result.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert result.interval == pytest.approx((values.mean(), interval.low, interval.high))


def test_where_draws_decide_their_means_are_the_sample():
    means = np.array([0.1, 0.4, 0.2, 0.9])
    values = means[:, None] + np.array([[-1e-9, 0, 1e-9, 0]])
    result = crossed(values)
    reach = student.ppf(0.975, 3) * means.std(ddof=1) / 2
    assert result.interval == pytest.approx(
        (means.mean(), means.mean() - reach, means.mean() + reach)
    )
    # Prompts alone, as one draw would have them, say nothing of other vectors.
    assert reach > 100 * np.ptp(mean_interval(values[0])[1:])


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 0.5, 0.5), (0, 1, 1), (0, 0, 1)])
def test_it_covers_the_mean_of_all_vectors_and_prompts(sizes):
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(600):
        draws, prompts, left = (
            rng.normal(0, size, shape)
            for size, shape in zip(sizes, ((5, 1), (1, 16), (5, 16)), strict=True)
        )
        _, low, high = crossed(draws + prompts + left).interval
        hits += low <= 0 <= high
    assert 0.92 <= hits / 600 <= 0.995


def test_shares_stay_shares_and_what_agrees_is_not_certain():
    nothing = np.zeros((5, 20))
    assert crossed_mean(nothing, share=True) == mean_interval(nothing[0], share=True)
    assert np.isnan(crossed_mean(nothing + 0.3)[1:]).all()
    rare = nothing.copy()
    rare[2, :3] = 1
    mean, low, high = crossed_mean(rare, share=True)
    assert (mean, low) == (0.03, 0) and high > 0.05
    assert np.isnan(crossed(rare[:1]).interval[1])


def test_ratios_weigh_by_tokens_and_ranks_ignore_sizes():
    rng = np.random.default_rng(0)
    counts = rng.integers(5, 50, (1, 10)) * np.ones((4, 1))
    sums = counts * (0.2 + rng.normal(0, 0.05, (4, 10)))
    assert crossed(sums, counts).mean == pytest.approx(sums.sum() / counts.sum())
    same = np.full((4, 10), 7.0)
    assert crossed(7 * sums / counts, None).interval == pytest.approx(
        crossed(sums * same, counts * np.ones((4, 10)) / counts * counts).interval, rel=0.2
    )
    assert signed_ranks(np.array([[3.0, -1.0], [0.0, 900.0]])).tolist() == [[3, -2], [0, 4]]


@pytest.mark.parametrize("kind", ["completions", "divergence", "logprobs"])
def test_draws_that_came_out_alike_are_one(kind, prepared, tmp_path):
    """As of few pairs, whose labels can be exchanged in few ways."""
    texts = {"name": "t", "title": "t", "texts": ["The bride went home", "They sailed away"]}
    datasets.prepare(texts, None, tmp_path / "t.parquet")
    draws = np.ones((3, 1, 32), np.float32)
    draws[1] = 2
    write_vector(tmp_path / "vector.safetensors", {1: draws})
    added = {"vector": "v", "layer": 1, "coefficient": 1, "position": 1, "draws": 3}
    spec = {
        **{"name": "e", "measure": kind, "model": "tiny", "prompts": {"split": "all"}},
        **{"dtype": "float32", "compute": {"device": "cpu", "threads": 1}, "batch_rows": 2},
        **{"samples": 1, "max_new_tokens": 2, "sampling": {"temperature": 1}, "seed": 0},
        "conditions": {
            "unsteered": {"method": "unsteered"},
            "r": {"method": "actadd", "additions": [added]},
        },
    }
    measure(
        spec,
        model_dir=prepared,
        texts_file=tmp_path / "t.parquet",
        vector_files={"v": tmp_path / "vector.safetensors"},
        choice=None,
        store=tmp_path / "store",
        output=tmp_path / "cells.parquet",
    )
    table = pd.read_parquet(tmp_path / "cells.parquet")
    assert table[table["condition"] == "r"]["draw"].unique().tolist() == [0, 1]
    if kind != "completions":
        values = prompt_values(tmp_path / "cells.parquet")
        assert set(values[values["condition"] == "r"].groupby("metric").size()) == {2 * 2}
