"""Random vectors: which seed they have, and several draws as one control, from config to figure."""

import copy

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp

import tiny
from actadd import UserError, load_vectors
from actadd.base.files import read_json
from actadd.base.intervals import crossed, crossed_mean, mean_interval, signed_ranks
from actadd.config.checks import checked
from actadd.measure.choice import choose
from actadd.measure.conditions import expand, grid_size
from actadd.pipeline.graph import Graph
from actadd.results import explorer, figures, tables
from actadd.vectors.derivation import derive, read_vector

STREAMS = dict(
    zip(
        ("0.positive", "0.negative"),
        np.random.default_rng(0).standard_normal((2, 4, 8)).astype(np.float32),
        strict=True,
    )
)
DRAWS = 3


# --- vectors and their seeds ----------------------------------------------------------------------


def test_more_draws_keep_the_first_and_no_seed_shares_any():
    several = derive("random", STREAMS, seed=0, draws=5)
    assert several.shape == (5, 4, 8)
    assert several[0].tobytes() == derive("random", STREAMS, seed=0).tobytes()
    assert several[:3].tobytes() == derive("random", STREAMS, seed=0, draws=3).tobytes()
    norms = np.linalg.norm(STREAMS["0.positive"] - STREAMS["0.negative"], axis=1)
    assert np.linalg.norm(several, axis=2) == pytest.approx(np.tile(norms, (5, 1)), rel=1e-6)
    drawn = [*several, *derive("random", STREAMS, seed=1, draws=5)]
    assert len({one.tobytes() for one in drawn}) == 10


@pytest.fixture
def check(tmp_path):
    """Checks a config in a folder with the texts that it names."""
    (tmp_path / "texts.csv").write_text(tiny.TEXTS)
    (tmp_path / "labelled.csv").write_text("text,label\na,1\nb,-1\n")
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


# --- conditions -----------------------------------------------------------------------------------


def drawn_config(**sections) -> dict:
    config = copy.deepcopy(tiny.CONFIG)
    config["vectors"]["random"]["draws"] = DRAWS
    return {**config, **sections}


def test_each_draw_is_a_condition_of_the_same_coordinates(check):
    entries = check(drawn_config())["experiments"]["chosen"]["conditions"]
    chosen = {"best": {"layer": 1, "source_layer": 1, "coefficient": 2.0}}
    found = expand(entries, chosen, seed=0)
    own = [condition for condition in found if condition.name == "random"]
    assert [condition.draw for condition in own] == list(range(DRAWS))
    assert own[0].coordinates() == own[1].coordinates()
    assert len({condition.label for condition in own}) == DRAWS
    assert [c.draw for c in found if c.name != "random"] == [None, None]
    assert grid_size(entries) == len(found) == 2 + DRAWS


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
    ("draws", "named"), [(0, "below the minimum of 1"), (101, "above"), (2.5, "integer")]
)
def test_an_odd_number_of_draws_is_named(check, draws, named):
    with pytest.raises(UserError, match=rf"vectors\.random\.draws: {draws}.*{named}"):
        check(with_random(draws=draws))


def test_a_lens_reads_one_vector(check):
    config = drawn_config(lenses={"look": {"vectors": ["random"], "models": ["tiny"]}})
    with pytest.raises(UserError, match=r"lenses\.look\.vectors: 'random' has 3 draws.*draws: 1"):
        check(config)
    config["vectors"]["random"]["draws"] = 1
    check(config)


# --- the interval ---------------------------------------------------------------------------------


def test_without_an_effect_of_draws_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 1, 12) + np.array([[-1e-9], [0], [1e-9]])
    found, expected = crossed(values), ttest_1samp(values.mean(0), 0)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert found.interval == pytest.approx((values.mean(), interval.low, interval.high))


def test_where_draws_decide_their_means_are_the_sample():
    means = np.array([0.1, 0.4, 0.2, 0.9])
    values = means[:, None] + np.array([[-1e-9, 0, 1e-9, 0]])
    found = crossed(values)
    reach = student.ppf(0.975, 3) * means.std(ddof=1) / 2
    assert found.interval == pytest.approx(
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


# --- from config to figure ------------------------------------------------------------------------


def workflow_config() -> dict:
    config = drawn_config(scorers={"distinct": tiny.CONFIG["scorers"]["distinct"]})
    random = {"vector": "random", "layer": [0, 1], "coefficient": 9}
    conditions = {
        "unsteered": {"method": "unsteered"},
        "actadd": {"method": "actadd", "additions": [{**random, "vector": "love-hate"}]},
        "random": {"method": "actadd", "additions": [random]},
    }
    shared = {"models": ["tiny"], "conditions": conditions}
    reading = {"prompts": {"dataset": "texts"}, **shared}
    config["experiments"] = {
        "sweep": config["experiments"]["sweep"] | shared | {"max_new_tokens": 12},
        "ratio": {"title": "r", "measure": "logprobs", **reading},
        "moved": {"title": "m", "measure": "divergence", "watch": [" the"], **reading},
    }
    metrics = {"experiment": "sweep", "metrics": ["distinct.distinct_1"]}
    config["figures"] = {
        "sweep": {"kind": "sweep", "title": "S", "x": "layer", **metrics},
        "bars": {"kind": "conditions", "title": "C", **metrics},
        "ratio": {"kind": "perplexity_ratio", "title": "R", "experiment": "ratio", "x": "layer"},
        "moved": {"kind": "divergence", "title": "M", "experiment": "moved"},
    }
    config["tables"] = {
        "methods": {"kind": "methods", "title": "M", **metrics},
        "texts": {"kind": "qualitative", "title": "Q", "experiment": "sweep"},
    }
    return config


MEASURED = {"sweep": "completions", "ratio": "logprobs", "moved": "divergence"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, finished) -> tiny.Workspace:
    space = finished.copy(tmp_path_factory.mktemp("drawn") / "space")
    space.configure(workflow_config())
    space.run("--", *(f"results/summaries/tiny/{name}.parquet" for name in MEASURED))
    return space


def summary(space: tiny.Workspace, name: str) -> pd.DataFrame:
    return pd.read_parquet(space.folder / f"results/summaries/tiny/{name}.parquet")


@pytest.mark.workflow
def test_several_draws_are_one_control(drawn):
    results = drawn.folder / "results"
    vector = read_vector(results / "vectors/tiny/random/layer_01.safetensors")
    assert vector.shape[0] == DRAWS and vector.ndim == 3
    cells = pd.read_parquet(results / "completions/tiny/sweep.parquet")
    drawn_of = cells.groupby("condition")["draw"].unique().map(lambda one: one.dropna().tolist())
    assert drawn_of.to_dict() == {"unsteered": [], "actadd": [], "random": [0, 1, 2]}
    scores = pd.read_parquet(results / "scores/tiny/sweep/distinct.parquet")
    keys = ["condition", "cell", "prompt_id", "sample"]
    scores = scores.merge(cells[[*keys, "draw", "layer"]], on=keys, validate="one_to_one")
    own = scores[(scores["condition"] == "random") & (scores["layer"] == 1)]
    metric = "distinct_1"
    values = own.pivot_table(index="draw", columns="prompt_id", values=metric).to_numpy()
    assert len(values) == DRAWS
    plain = scores[scores["condition"] == "unsteered"].groupby("prompt_id")[metric].mean()
    rows = summary(drawn, "sweep")
    rows = rows[rows["metric"] == f"distinct.{metric}"]
    rows = rows[(rows["layer"] == 1) | rows["layer"].isna()].set_index("condition")
    assert len(rows) == 3
    row, change = rows.loc["random"], values - plain.to_numpy()
    interval = [row["mean"], row["low"], row["high"]]
    assert interval == pytest.approx(crossed_mean(values), nan_ok=True)
    assert row["difference"] == pytest.approx(change.mean())
    assert row["p_value"] == pytest.approx(crossed(change).p_value, nan_ok=True)
    assert row["draws"] == DRAWS and row["spread"] == pytest.approx(values.mean(1).std(ddof=1))
    assert row["n_completions"] == DRAWS * rows.loc["actadd", "n_completions"]
    assert rows.loc[["unsteered", "actadd"], "draws"].isna().all()


@pytest.mark.workflow
def test_a_choice_on_a_control_goes_by_its_mean(drawn, tmp_path):
    rule = {"condition": "random", "metric": "distinct.distinct_1", "direction": "max"}
    spec = {"name": "e", "choices": {"best": {"experiment": "sweep", **rule}}}
    path = drawn.folder / "results/summaries/tiny/sweep.parquet"
    choose(spec, summaries={"sweep": path}, output=tmp_path / "c.json")
    candidates = read_json(tmp_path / "c.json")["best"]["candidates"]
    rows = summary(drawn, "sweep")
    rows = rows[(rows["condition"] == "random") & (rows["metric"] == rule["metric"])]
    assert [one["distinct.distinct_1"] for one in candidates] == pytest.approx(
        rows["mean"].tolist(), abs=1e-6
    )


@pytest.mark.workflow
@pytest.mark.parametrize("experiment", ["sweep", "ratio", "moved"])
def test_each_setting_of_a_control_has_one_row_whatever_is_measured(drawn, experiment):
    rows = summary(drawn, experiment)
    rows = rows[rows["condition"] == "random"]
    assert (rows.groupby(["metric", "group"]).size() == 2).all()
    assert (rows["draws"] == DRAWS).all() and (rows["spread"].dropna() >= 0).all()
    # So short completions may be as varied with each draw.
    assert experiment == "sweep" or (rows["spread"] > 0).any()
    assert rows["failed"].isna().all() and "draw" not in rows


@pytest.mark.workflow
def test_a_control_of_texts_is_the_mean_over_draws(drawn):
    table = pd.read_parquet(drawn.folder / "results/logprobs/tiny/ratio.parquet")
    before = table[table["method"] == "unsteered"]
    keys = ["text_id", "token_index"]
    own = table[(table["condition"] == "random") & (table["layer"] == 1)]
    joined = own.merge(before[[*keys, "logprob", "modified"]], on=keys, suffixes=("", "_before"))
    joined = joined[~joined["modified"].astype(bool) & joined["target"].astype(bool)]
    joined = joined[joined["group"] == "a"]
    expected = np.exp(-(joined["logprob"] - joined["logprob_before"]).mean())
    rows = summary(drawn, "ratio")
    row = rows[(rows["condition"] == "random") & (rows["layer"] == 1) & (rows["group"] == "a")]
    assert row["mean"].item() == pytest.approx(expected)
    assert row["low"].item() < expected < row["high"].item()


@pytest.mark.workflow
def test_figures_and_tables_say_so(drawn, tmp_path):
    plan = Graph(checked(workflow_config(), drawn.folder), drawn.folder)

    def made(section: str, name: str, make, *endings: str) -> str:
        sources = [drawn.folder / file.path for file in plan.display_files(section, name)]
        files = {kind: tmp_path / f"{name}.{kind}" for kind in endings}
        return make(plan.display(section, name).slice, sources=sources, **files)["caption"]

    for name in ("sweep", "bars", "ratio"):
        caption = made("figures", name, figures.draw, "png", "svg", "pdf")
        assert "random is the mean over 3 random vectors" in caption, name
        assert "crossed random effects" in caption
    assert "averaged over 3 of them" in made("figures", "moved", figures.draw, "png", "svg", "pdf")
    for name in ("methods", "texts"):
        made("tables", name, tables.tabulate, "csv", "markdown", "latex")
    methods = pd.read_csv(tmp_path / "methods.csv")
    own = methods[methods["condition"].str.startswith("random")]
    assert own["condition"].str.contains("3 draws").all() and len(own) == 2
    assert (own["distinct.distinct_1: spread of draws"].astype(float) >= 0).all()
    texts = pd.read_csv(tmp_path / "texts.csv")
    own = texts[texts["case"] == "random"]
    assert len(own) == DRAWS * len(texts[texts["case"] == "actadd"])
    assert own["vector"].str.extract(r"draw (\d)")[0].value_counts().nunique() == 1


@pytest.mark.workflow
def test_the_page_tells_draws_apart(drawn):
    results = drawn.folder / "results"
    run = explorer._run(
        results / "completions/tiny/sweep.parquet",
        [results / "scores/tiny/sweep/distinct.parquet"],
        results / "summaries/tiny/sweep.parquet",
    )
    assert len(run["cells"]) == 5 and set(run["completions"]["draw"]) == {None, 0, 1, 2}


@pytest.mark.workflow
def test_draws_do_not_travel_as_one_vector(drawn):
    with pytest.raises(UserError, match=r"3 draws of a random vector.*draws: 1"):
        load_vectors(drawn.folder / "results/vectors/tiny/random")
