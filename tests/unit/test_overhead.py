"""Timing a forward pass: fair turns, and a premium that is what it should be."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.engine import hooks, steering
from actadd.measure import overhead
from actadd.measure.overhead import ARMS, STEERED, UNSTEERED, WITH_PASSES
from actadd.models import preparation
from builders import tiny

SPEC = {
    "name": "small",
    "shape": {"layers": 2, "d_model": 16, "heads": 2, "vocabulary": 50},
    "rows": 3,
    "tokens": 9,
    "repeats": 12,
    "warmup": 2,
    "layer": "middle",
    "positive": "This is a test prompt.",
    "negative": "",
    "seed": 0,
    "dtype": "float32",
    "compute": {"device": "cpu", "threads": 1},
}


@pytest.fixture(scope="module")
def times(tmp_path_factory):
    output = tmp_path_factory.mktemp("overhead") / "times.parquet"
    overhead.measure(SPEC, model_dir=None, output=output)
    return pd.read_parquet(output)


def test_every_arm_has_a_turn_in_each_repeat_in_a_random_order(times):
    assert (times["arm"].value_counts() == SPEC["repeats"]).all()
    assert sorted(times["repeat"].unique()) == list(range(SPEC["repeats"]))
    orders = {tuple(part.sort_values("order")["arm"]) for _, part in times.groupby("repeat")}
    assert len(orders) > 2 and all(sorted(order) == sorted(ARMS) for order in orders)
    assert set(times.loc[times["order"] == 0, "arm"]) == set(ARMS)
    assert (times["seconds"] > 0).all()
    assert times["random_weights"].all() and (times["layer"] == 1).all()
    # Embeddings of tokens and positions, two blocks, the last norm; the head is tied.
    block = 12 * 16**2 + 13 * 16
    assert (times["parameters"] == 50 * 16 + 1024 * 16 + 2 * block + 2 * 16).all()


def test_the_order_follows_the_seed(times, tmp_path):
    def orders(seed):
        spec = {**SPEC, "seed": seed}
        overhead.measure(spec, model_dir=None, output=tmp_path / "again.parquet")
        return list(pd.read_parquet(tmp_path / "again.parquet")["arm"])

    assert orders(0) == list(times["arm"])
    assert orders(1) != list(times["arm"])


def test_steered_arms_really_add_and_the_unsteered_does_not(tmp_path, monkeypatch):
    """Every touch of the residual stream, and every run of the pair, by timed pass."""
    traces, passes = [], []
    steer, record = steering.steer, hooks.record_activations

    def traced(model, additions, mask, **options):
        traces.append([])
        return steer(model, additions, mask, trace=traces[-1], **options)

    def counted(model, ids, **options):
        passes.append(tuple(ids.shape))
        return record(model, ids, **options)

    monkeypatch.setattr(steering, "steer", traced)
    monkeypatch.setattr(hooks, "record_activations", counted)
    overhead.measure(SPEC, model_dir=None, output=tmp_path / "times.parquet")
    rounds = SPEC["warmup"] + SPEC["repeats"]
    assert len(traces) == 2 * rounds, "the two steered arms, not the unsteered one"
    # Six pieces and BOS; a pair's BOS adds as well, since here it is a random token.
    assert passes == [(2, 7)] * (rounds + 1), "once beforehand, then inside one arm only"
    for trace in traces:
        assert {touch.row for touch in trace} == {0, 1, 2}
        assert {touch.layer for touch in trace} == {1}
        assert sum(touch.norm > 0 for touch in trace) >= 3 * 6


def test_a_prepared_model_is_timed(tiny_model, tmp_path):
    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    preparation.prepare(entry, tiny_model, tmp_path / "tiny")
    spec = {**SPEC, "shape": None, "tokens": 40, "repeats": 2, "layer": 2}
    overhead.measure(spec, model_dir=tmp_path / "tiny", output=tmp_path / "times.parquet")
    table = pd.read_parquet(tmp_path / "times.parquet")
    assert not table["random_weights"].any() and (table["layers"] == tiny.LAYERS).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer": 2}, r"overheads\.\*\.layer: 2 does not exist in small"),
        ({"tokens": 4}, r"overheads\.\*\.tokens: 4 is less than the contrast pair's 7"),
        ({"shape": {**SPEC["shape"], "heads": 3}}, r"shapes\.small\.heads: 3 does not divide"),
        ({"shape": None}, "small must be a prepared model or a shape"),
    ],
)
def test_what_cannot_be_timed_is_refused(change, message, tmp_path):
    with pytest.raises(UserError, match=message):
        overhead.measure({**SPEC, **change}, model_dir=None, output=tmp_path / "x.parquet")


def synthetic(seed: int, premium: float = 0.02, repeats: int = 60) -> pd.DataFrame:
    """Times of a machine that grows slower; the premium of the third arm is five times as large."""
    rng = np.random.default_rng(seed)
    about = {"model": "m", "parameters": 10, "random_weights": False}
    factors = {UNSTEERED: 1, STEERED: 1 + premium, WITH_PASSES: 1 + 5 * premium}
    return pd.DataFrame(
        {**about, "repeat": repeat, "order": order, "arm": arm, "seconds": seconds}
        for repeat in range(repeats)
        for order, (arm, factor) in enumerate(factors.items())
        for seconds in [(1 + repeat / 10) * factor * rng.lognormal(0, 0.01)]
    )


def test_a_known_premium_is_found_also_on_a_machine_that_grows_slower(tmp_path):
    hits = 0
    for seed in range(30):
        summary = overhead.summarise(synthetic(seed)).set_index("arm")
        low, high = summary.loc[STEERED, ["low", "high"]]
        hits += low <= 0.02 <= high
        assert high - low < 0.02
    assert hits >= 25
    assert summary.loc[STEERED, "premium"] == pytest.approx(0.02, abs=0.006)
    assert summary.loc[WITH_PASSES, "premium"] == pytest.approx(0.1, abs=0.006)
    assert summary.loc[UNSTEERED, ["premium", "low", "high"]].isna().all()
    assert (summary["n"] == 60).all()


def test_models_are_summarised_apart_and_from_files(tmp_path):
    files = []
    for name, premium in (("a", 0.5), ("b", 0.0)):
        files.append(tmp_path / f"{name}.parquet")
        synthetic(0, premium).assign(model=name).to_parquet(files[-1])
    summary = overhead.summarise(files).set_index(["model", "arm"])
    assert len(summary) == 2 * len(ARMS)
    assert summary.loc[("a", STEERED), "premium"] == pytest.approx(0.5, abs=0.01)
    assert summary.loc[("b", STEERED), "premium"] == pytest.approx(0.0, abs=0.01)
    once = overhead.summarise(synthetic(0, repeats=1)).set_index("arm")
    assert np.isnan(once.loc[STEERED, "low"]), "one repeat has no interval"
