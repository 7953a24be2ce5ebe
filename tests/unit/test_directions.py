"""Directions of many pairs, against scikit-learn and what other packages make of the same."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from actadd import UserError
from actadd.base.kinds import build
from actadd.config.checks import checked
from actadd.engine.tokens import Tokens
from actadd.pipeline.graph import Graph
from actadd.vectors import pairs
from actadd.vectors.activations import cache_activations, contrast_ids
from actadd.vectors.derivation import derive_all_layers
from actadd.vectors.kinds import VECTOR_KINDS
from actadd.vectors.kinds.lda import discriminant
from actadd.vectors.kinds.logistic import STRENGTHS, fit
from actadd.vectors.separation import auc, d_prime, held_out, separation
from actadd.vectors.vector_files import about_vector, read_vector
from builders import tiny
from builders.pairs import streams, synthetic

THEIRS = json.loads((Path(__file__).parents[1] / "golden" / "directions.json").read_text())
SPEC = {"dtype": "float32", "compute": {"device": "cpu", "threads": 1}}
WORDS = ("ship", "bride", "wedding", "crane", "port", "guests", "weather")
PAIRS = {
    "positive": [f"I love the {word}" for word in WORDS],
    "negative": [f"We hate a {word} so" for word in WORDS],
}
# Prompts of as many tokens.
EVEN = {
    "positive": [{"token_ids": [0, n + 40, n + 60, n + 50]} for n in range(6)],
    "negative": [{"token_ids": [0, n + 45, n + 61, 49]} for n in range(6)],
}


def vector(kind: str, activations, **options) -> np.ndarray:
    """A kind's vector of activations [pairs, 2, d_model]."""
    return vector_of(kind, streams(activations), **options)


def vector_of(kind: str, of_streams, **options) -> np.ndarray:
    return VECTOR_KINDS[kind](of_streams, build(VECTOR_KINDS[kind].options, options))


def cosine(one, other) -> float:
    one, other = (np.asarray(each, dtype=np.float64).ravel() for each in (one, other))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def cache(folder, prepared, **contrast) -> list[Path]:
    files = [folder / f"layer_{layer:02d}.safetensors" for layer in range(tiny.LAYERS)]
    cache_activations({**SPEC, "contrast": {"name": "v", **contrast}}, prepared, files)
    return files


@pytest.fixture(scope="module")
def cached(prepared, tmp_path_factory):
    """Layer files of seven pairs of sentences."""
    return cache(tmp_path_factory.mktemp("pairs"), prepared, kind="mean_difference", **PAIRS)


def last_tokens(path: Path) -> np.ndarray:
    """The pairs' activations in a layer file, [pairs, 2, d_model]."""
    return pairs.activations(load_file(path), "last")[:, :, 0]


@pytest.fixture(scope="module")
def cases(cached):
    """Activations [pairs, 2, d_model]: fewer and more prompts than numbers, and a model's own."""
    of_model = [last_tokens(path) for path in cached[1:]]
    return [synthetic(), synthetic(60, 12, seed=1), synthetic(3, 8), *of_model]


# --- against other packages -----------------------------------------------------------------------


def test_pca_is_scikit_learns(cases):
    for activations in cases:
        differences = (activations[:, 0] - activations[:, 1]).astype(np.float64)
        [theirs] = PCA(1, svd_solver="full").fit(differences).components_
        theirs *= np.sign(theirs @ differences.mean(axis=0))
        assert cosine(vector("pca", activations), theirs) > 1 - 1e-9


def test_lda_is_scikit_learns(cases):
    for activations in cases:
        features = np.concatenate([activations[:, 0], activations[:, 1]]).astype(np.float64)
        labels = np.repeat([1, 0], len(activations))
        for solver in ("lsqr", "eigen"):
            theirs = LinearDiscriminantAnalysis(solver=solver, shrinkage="auto")
            theirs.fit(features, labels)
            assert cosine(vector("lda", activations), theirs.coef_) > 1 - 1e-6


def test_lda_is_exact_where_numbers_are_of_very_different_sizes():
    """Some numbers of a residual stream are thousands of times others; scikit-learn drops these."""
    sizes = np.exp(3 * np.random.default_rng(1).standard_normal(200))
    activations = (synthetic(20, 200) * sizes).astype(np.float64)
    features, labels = np.concatenate(list(activations.swapaxes(0, 1))), np.repeat([1, 0], 20)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features, labels)
    deviations = np.sqrt(np.diag(theirs.covariance_))
    correlations = theirs.covariance_ / np.outer(deviations, deviations)
    difference = (activations[:, 0] - activations[:, 1]).mean(axis=0)
    exact = np.linalg.solve(correlations, difference / deviations) / deviations
    assert cosine(discriminant(activations[:, 0], activations[:, 1]), exact) > 1 - 1e-9


def test_the_probe_is_scikit_learns_at_the_strength_of_its_lowest_log_loss(cases):
    for activations in cases:
        count = len(activations)
        features = np.concatenate([activations[:, 0], activations[:, 1]]).astype(np.float64)
        size = np.linalg.norm(features - features.mean(axis=0)) / np.sqrt(2 * count)
        labels, fold = np.repeat([1, 0], count), np.tile(pairs.folds(count), 2)

        def probe(strength, rows, features=features, labels=labels, size=size):
            regression = LogisticRegression(C=strength, tol=1e-10, max_iter=100_000)
            return regression.fit(features[rows] / size, labels[rows])

        losses = [
            sum(
                log_loss(
                    labels[fold == each],
                    probe(strength, fold != each).predict_proba(features[fold == each] / size),
                    normalize=False,
                )
                for each in set(fold)
            )
            for strength in STRENGTHS
        ]
        theirs = probe(STRENGTHS[int(np.argmin(losses))], labels >= 0).coef_
        assert cosine(vector("logistic", activations), theirs) > 1 - 1e-6


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("mean_difference", {}, "steering-vectors mean"),
        ("pca", {"center": False}, "steering-vectors pca"),
        ("pca", {"center": False}, "repeng pca_center"),
        ("pca", {}, "repeng pca_diff"),
    ],
)
def test_directions_of_other_packages(kind, options, name):
    assert cosine(vector(kind, synthetic(), **options), THEIRS[name]) > 1 - 1e-6


def test_the_probe_of_steering_vectors():
    """It subtracts each pair's mean, has no intercept, and one strength."""
    activations = synthetic().astype(np.float64)
    rows = np.concatenate(
        list((activations - activations.mean(axis=1, keepdims=True)).swapaxes(0, 1))
    )
    labels = np.repeat([1.0, -1.0], len(activations))
    weights = fit(rows, labels, strength=1.0, tolerance=1e-9)
    assert abs(weights[-1]) < 1e-6
    assert cosine(weights[:-1], THEIRS["steering-vectors logistic"]) > 1 - 1e-6


# --- what all have in common ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mean_difference", "pca", "lda", "logistic", "shuffled"])
def test_a_direction_has_the_norm_of_the_mean_difference_and_the_same_bytes(kind):
    activations = synthetic()
    rows = vector(kind, activations, **({"seed": 3} if kind == "shuffled" else {}))
    mean = (activations[:, 0] - activations[:, 1]).mean(axis=0)
    assert rows.shape == (1, 40) and rows.dtype == np.float32
    assert np.linalg.norm(rows) == pytest.approx(np.linalg.norm(mean), rel=1e-5)
    if kind != "shuffled":
        assert cosine(rows, mean) > 0
    again = vector(kind, activations, **({"seed": 3} if kind == "shuffled" else {}))
    assert again.tobytes() == rows.tobytes()


def test_the_mean_difference_at_the_last_token_keeps_its_bytes(cached):
    of_streams = load_file(cached[2])
    rows = [of_streams[f"{n}.positive"][-1] - of_streams[f"{n}.negative"][-1] for n in range(7)]
    before = np.asarray(np.mean(rows, axis=0, dtype=np.float32))[None]
    assert vector_of("mean_difference", of_streams).tobytes() == before.tobytes()


def test_tokens_that_are_read(prepared, tmp_path):
    of_streams = load_file(cache(tmp_path, prepared, kind="pca", token="all", **EVEN)[1])
    del of_streams["reference"]
    whole = np.stack([[of_streams[f"{n}.{side}"] for side in pairs.SIDES] for n in range(6)])
    differences = (whole[:, 0] - whole[:, 1]).astype(np.float64).mean(axis=0)
    for token, expected in {
        "last": differences[-1:],
        -1: differences[-1:],
        2: differences[2:3],
        "mean": differences[1:].mean(axis=0, keepdims=True),
        "all": differences,
    }.items():
        rows = vector_of("mean_difference", of_streams, token=token)
        assert np.allclose(rows, expected, atol=1e-5)
    rows = vector_of("lda", of_streams, token="all")
    assert not rows[0].any(), "BOS is alike in all prompts"
    for position in (1, 2, 3):
        alone = vector_of("lda", of_streams, token=position)
        assert np.array_equal(rows[position], alone[0])


@pytest.mark.parametrize("kind", ["pca", "lda", "logistic", "shuffled"])
def test_where_pairs_do_not_differ_there_is_no_direction(kind):
    activations = synthetic(8, 12)
    activations[:, 1] = activations[:, 0]
    assert not vector(kind, activations).any()


def test_differences_that_are_all_alike_have_no_component_but_a_mean():
    activations = synthetic(8, 12)
    activations[:, 1] = activations[:, 0] - np.arange(12, dtype=np.float32)
    assert not vector("pca", activations).any()
    assert cosine(vector("pca", activations, center=False), np.arange(12)) > 1 - 1e-9


def test_sides_that_do_not_spread_leave_the_mean_difference():
    """As at layer 0, where all prompts of a side end in one token."""
    activations = np.repeat(synthetic(1, 12), 5, axis=0)
    mean = activations[0, 0] - activations[0, 1]
    for kind in ("lda", "logistic"):
        assert cosine(vector(kind, activations), mean) > 1 - 1e-9


# --- controls and combinations --------------------------------------------------------------------


def test_shuffled_pairs_lose_what_all_share():
    activations = synthetic(24, 40, shift=30.0)
    mean = vector("mean_difference", activations)
    rows = vector("shuffled", activations, seed=5, draws=20)
    assert rows.shape == (20, 1, 40)
    differences = (activations[:, 0] - activations[:, 1]).astype(np.float64)
    signs = np.linalg.lstsq(differences.T, rows[0, 0].astype(np.float64), rcond=None)[0]
    assert sorted(np.sign(signs)) == [-1] * 12 + [1] * 12
    assert np.abs(signs).std() / np.abs(signs).mean() < 1e-3
    assert np.array_equal(rows[0], vector("shuffled", activations, seed=5))
    assert abs(np.mean([cosine(row, mean) for row in rows])) < 0.5
    assert len({row.tobytes() for row in rows}) == 20


def test_orthogonal_rows_have_no_part_along_a_vector_and_its_norm():
    given = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32) * 50
    given[0] = 0
    options = build(VECTOR_KINDS["orthogonal"].options, {"like": "x", "seed": 2, "draws": 3})
    rows = VECTOR_KINDS["orthogonal"]({"x": given}, options)
    assert rows.shape == (3, 4, 32) and rows.dtype == np.float32
    assert not rows[:, 0].any()
    for draw in rows:
        assert np.allclose(np.linalg.norm(draw, axis=1), np.linalg.norm(given, axis=1), rtol=1e-5)
        assert all(abs(cosine(draw[n], given[n])) < 1e-6 for n in (1, 2, 3))
    assert abs(cosine(rows[0], rows[1])) < 0.7


def test_a_combination_is_the_weighted_sum():
    kind = VECTOR_KINDS["combination"]
    one, other = np.random.default_rng(0).standard_normal((2, 3, 8)).astype(np.float32)
    parts = [{"vector": "a", "weight": 2}, {"vector": "b", "weight": -0.5}]
    options = build(kind.options, {"parts": parts})
    assert np.allclose(kind({"a": one, "b": other}, options), 2 * one - other / 2, atol=1e-6)
    with pytest.raises(UserError, match=r"'a' has 3, 'b' has 2.*same number of tokens"):
        kind({"a": one, "b": other[:2]}, options)


# --- how well they separate -----------------------------------------------------------------------


def test_what_rounding_leaves_is_no_deviation():
    """Where all pairs have the same two words, all scores of a side are equal but for rounding."""
    scores = np.array([[[1.0], [0.0]]] * 6)
    scores[::2] += 1e-16
    scores[1] -= 1e-16
    assert np.isnan(d_prime(scores)).all() and auc(scores) == 1
    scores[::2] += 1e-3
    assert d_prime(scores)[0] > 100


def test_auc_and_d_prime_are_their_definitions():
    scores = np.random.default_rng(0).standard_normal((30, 2, 3)).round(1)
    scores[:, 0] += [0, 1, 5]
    labels = np.repeat([1, 0], 30)
    for position in range(3):
        flat = scores[:, :, position].T.ravel()
        assert auc(scores)[position] == pytest.approx(roc_auc_score(labels, flat))
        positive, negative = flat[:30], flat[30:]
        pooled = np.sqrt((positive.var(ddof=1) + negative.var(ddof=1)) / 2)
        expected = (positive.mean() - negative.mean()) / pooled
        assert d_prime(scores)[position] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["mean_difference", "lda", "logistic"])
def test_pairs_are_scored_by_directions_of_other_pairs(kind):
    """Noise of more numbers than prompts is told apart wholly by what was fitted on it."""
    noise = np.random.default_rng(0).standard_normal((40, 2, 200)).astype(np.float32)
    options = build(VECTOR_KINDS[kind].options, {})
    chance = auc(held_out(VECTOR_KINDS[kind], streams(noise), options))
    assert 0.3 < chance[0] < 0.7
    along = vector(kind, noise)[0]
    assert roc_auc_score(np.repeat([1, 0], 40), (noise @ along).T.ravel()) > 0.9
    clear = synthetic(40, 20, shift=30.0)
    assert auc(held_out(VECTOR_KINDS[kind], streams(clear), options))[0] > 0.99


def test_a_control_is_scored_itself():
    activations = synthetic(20, 12)
    rows = vector("shuffled", activations, seed=1)
    options = build(VECTOR_KINDS["shuffled"].options, {"seed": 1})
    columns = separation(VECTOR_KINDS["shuffled"], streams(activations), options, rows)
    flat = (activations @ rows[0]).T.ravel()
    assert columns["auc"][0] == pytest.approx(roc_auc_score(np.repeat([1, 0], 20), flat))


def test_too_few_pairs_for_any_to_be_held_out():
    few = streams(synthetic(3, 8))
    for kind, finite in (("lda", False), ("pca", True)):
        options = build(VECTOR_KINDS[kind].options, {})
        assert np.isfinite(auc(held_out(VECTOR_KINDS[kind], few, options))).all() == finite


def derive(folder, files, entry, parts=()) -> tuple[dict, pd.DataFrame, dict]:
    target = folder / entry["name"] / "vector.safetensors"
    target.parent.mkdir()
    norms = target.with_name("norms.csv")
    facts = derive_all_layers({"vector": entry}, files, target, norms, None, parts)
    assert about_vector(target)["vector"] == entry
    return read_vector(target), pd.read_csv(norms), facts


def test_norms_say_how_well_a_vector_of_pairs_separates(cached, tmp_path):
    rows, norms, _ = derive(tmp_path, cached, {"name": "v", "kind": "pca", "like": "m"})
    assert list(rows) == [0, 1, 2] and set(norms["token"]) == {"last tokens"}
    for layer in (1, 2):
        differences = last_tokens(cached[layer])[:, 0] - last_tokens(cached[layer])[:, 1]
        [share] = (
            PCA(1, svd_solver="full").fit(differences.astype(np.float64)).explained_variance_ratio_
        )
        line = norms[norms["layer"] == layer].iloc[0]
        assert line["variance"] == pytest.approx(share, rel=1e-4)
        assert line["cosine"] == pytest.approx(
            cosine(rows[layer], differences.mean(axis=0)), rel=1e-4
        )
        assert 0 <= line["auc"] <= 1 and np.isfinite(line["d_prime"])


def test_vectors_of_vectors_are_derived_from_their_files(cached, tmp_path):
    mean, _, _ = derive(tmp_path, cached, {"name": "m", "kind": "mean_difference", **PAIRS})
    lda, _, _ = derive(tmp_path, cached, {"name": "l", "kind": "lda", "like": "m"})
    files = [tmp_path / name / "vector.safetensors" for name in "ml"]
    parts = [{"vector": "m", "weight": 1}, {"vector": "l", "weight": -2}]
    entry = {"name": "c", "kind": "combination", "parts": parts}
    rows, norms, _ = derive(tmp_path, cached, entry, files)
    assert all(np.allclose(rows[n], mean[n] - 2 * lda[n], atol=1e-5) for n in range(3))
    assert set(norms["token"]) == {"m + l"} and "auc" not in norms
    entry = {"name": "o", "kind": "orthogonal", "like": "m", "seed": 0}
    rows, _, _ = derive(tmp_path, cached, entry, files[:1])
    assert all(abs(cosine(rows[n], mean[n])) < 1e-6 for n in range(3))


def test_a_layer_without_a_direction_is_named(prepared, tmp_path):
    ends = {
        side: [{"token_ids": [0, n + at, 50]} for n in range(4)]
        for side, at in (("positive", 60), ("negative", 70))
    }
    files = cache(tmp_path, prepared, kind="pca", **ends)
    rows, norms, facts = derive(tmp_path, files, {"name": "v", "kind": "pca", **ends})
    assert not rows[0].any() and rows[1].any()
    assert np.isnan(norms["cosine"][0]) and norms["auc"][0] == 0.5
    [warning] = [line for line in facts["warnings"] if "zero" in line]
    assert "vectors.v" in warning and "layer 0" in warning


# --- what a config may say ------------------------------------------------------------------------

MEAN = {"kind": "mean_difference", "positive": ["a", "b", "c"], "negative": ["d", "e", "f"]}
LONE = {"kind": "mean_difference", "positive": ["a"], "negative": ["d"]}


def parts(*names: str) -> dict:
    return {"kind": "combination", "parts": [{"vector": name, "weight": 1} for name in names]}


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ({"v": {**LONE, "kind": "pca"}}, ["vectors.v.positive", "1 pair", "at least 2"]),
        ({"v": {**LONE, "kind": "logistic"}}, ["vectors.v.positive", "1 pair", "at least 2"]),
        ({"m": LONE, "v": {"kind": "lda", "like": "m"}}, ["vectors.v.like", "1 pair", "3"]),
        ({"v": {**MEAN, "kind": "lda", "negative": ["d"]}}, ["vectors.v", "3 positive and 1 neg"]),
        ({"v": {"kind": "logistic", "positive": ["a", "b"]}}, ["vectors.v", "'negative'", "like"]),
        ({"v": {**MEAN, "kind": "logistic", "negative": []}}, ["vectors.v.negative", "empty"]),
        ({"v": {"kind": "pca"}}, ["vectors.v", "'positive'", "like"]),
        ({"m": MEAN, "v": {**MEAN, "like": "m"}}, ["vectors.v.positive", "'m'", "remove"]),
        ({"v": {"kind": "pca", "like": "none"}}, ["vectors.v.like", "'none'"]),
        ({"v": {"kind": "pca", "like": "calm"}}, ["vectors.v.like", "pair", "mean_difference"]),
        (
            {"m": MEAN, "n": {"kind": "pca", "like": "m"}, "v": {"kind": "lda", "like": "n"}},
            ["vectors.v.like", "'n'", "like: m"],
        ),
        ({"v": {**MEAN, "token": 0}}, ["vectors.v.token", "BOS", "-1"]),
        ({"v": {**MEAN, "token": "first"}}, ["vectors.v.token", "'first'", "last"]),
        ({"v": {**MEAN, "kind": "pca", "center": "no"}}, ["vectors.v.center", "true or false"]),
        ({"v": parts("m", "none"), "m": MEAN}, ["vectors.v.parts.1.vector", "'none'"]),
        ({"v": parts("m"), "m": MEAN}, ["vectors.v.parts", "2"]),
        ({"v": parts("v", "m"), "m": MEAN}, ["vectors.v", "itself", "v, from v"]),
        (
            {
                "v": parts("m", "w"),
                "w": parts("o", "m"),
                "o": {"kind": "orthogonal", "like": "v"},
                "m": MEAN,
            },
            ["vectors.", "itself", "from"],
        ),
        ({"v": parts("m", "calm"), "m": MEAN}, ["vectors.v", "'m' has one row", "'calm'"]),
        (
            {
                "v": {"kind": "orthogonal", "like": "r"},
                "r": {"kind": "random", "like": "calm", "draws": 2},
            },
            ["vectors.v", "'r'", "2 draws"],
        ),
        (
            {"v": {"kind": "orthogonal", "like": "r"}, "r": {"kind": "file", "file": "x.gguf"}},
            ["vectors.v", "'r'", "file"],
        ),
    ],
)
def test_what_cannot_be_a_direction_is_refused_before_anything_runs(vectors, words, tmp_path):
    config = tiny.config()
    config["vectors"] |= vectors
    tiny.write_data(tmp_path)
    with pytest.raises(UserError) as caught:
        checked(config, tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (4, ["vectors.v.token: 4", "negative.0", "positions 1 to 3", "last"]),
        (-4, ["vectors.v.token: -4", "negative.0", "positions 1 to 3"]),
        ("all", ["vectors.v.token: all", "negative.0 has 4", "positive.1 5", "mean"]),
        ("mean", ["vectors.v.token: mean", "positive.1", "no token"]),
    ],
)
def test_a_token_that_a_prompt_does_not_have_is_named(prepared, token, words, tmp_path):
    contrast = {
        "positive": [{"token_ids": [40, 41, 42, 43]}, {"token_ids": [40, 41, 42, 43]}],
        "negative": [{"token_ids": [40, 41, 42]}, {"token_ids": [40, 41, 42, 43]}],
    }
    if token == "mean":
        contrast["positive"][1] = {"token_ids": [0]}
    elif token == "all":
        contrast["positive"][0] = {"token_ids": [40, 41, 42]}
    with pytest.raises(UserError) as caught:
        contrast_ids({"name": "v", "kind": "pca", "token": token, **contrast}, Tokens(prepared))
    assert all(word in str(caught.value) for word in words), caught.value
    # Of pairs that another vector lends, their cached streams tell.
    files = cache(tmp_path, prepared, kind="mean_difference", **contrast)
    entry = {"name": "v", "kind": "pca", "token": token, "like": "m"}
    with pytest.raises(UserError) as lent:
        derive(tmp_path, files, entry)
    assert str(lent.value) == str(caught.value)


def test_pairs_are_read_by_the_model_once(tmp_path):
    config = tiny.config()
    config["vectors"] |= {
        "mean": MEAN,
        "component": {"kind": "pca", "like": "mean"},
        "apart": {"kind": "orthogonal", "like": "component"},
        "sum": parts("mean", "component", "apart"),
        "shuffled": {"kind": "shuffled", "like": "mean", "draws": 2},
    }
    tiny.write_data(tmp_path)
    config = checked(config, tmp_path)
    plan = Graph(config, tmp_path)
    for name in ("component", "apart", "sum", "shuffled"):
        above = [job.name for job in plan.vectors("tiny", name).above]
        assert "activations/tiny/mean" in above
        assert not any(job.startswith(f"activations/tiny/{name}") for job in above)
    assert [job.name for job in plan.vectors("tiny", "sum").above][1:] == [
        "vectors/tiny/mean",
        "vectors/tiny/component",
        "vectors/tiny/apart",
    ]


def test_a_direction_of_one_row_needs_a_position(tmp_path):
    tiny.write_data(tmp_path)
    config = tiny.config()
    config["vectors"] |= {
        "m": MEAN,
        "o": {"kind": "orthogonal", "like": "m"},
        "e": {**MEAN, "token": "all"},
    }

    def adding(name, **position):
        added = {"vector": name, "layer": 1, "coefficient": 1, **position}
        config["experiments"]["sweep"]["conditions"]["mine"] = {
            "method": "actadd",
            "additions": [added],
        }
        return checked(config, tmp_path)

    with pytest.raises(
        UserError, match=r"orthogonal vector has one row; write position: back or all"
    ):
        adding("o")
    with pytest.raises(UserError, match=r"position: all needs a vector of one row.*'e' has more"):
        adding("e", position="all")
    assert adding("o", position="all") and adding("e")
