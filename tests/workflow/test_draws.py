"""Random vectors: which seed they have, and several draws as one control, from config to figure."""

import numpy as np
import pandas as pd
import pytest

from actadd import UserError, load_vectors
from actadd.base.files import read_json
from actadd.base.intervals import crossed, crossed_mean
from actadd.config.checks import checked
from actadd.measure.choice import choose
from actadd.pipeline.graph import Graph
from actadd.results import figures, tables
from actadd.results.explorer import runs
from actadd.vectors.vector_files import read_vector
from builders import tiny
from builders.configs import DRAWS, drawn_config

# --- vectors and their seeds ----------------------------------------------------------------------


# --- conditions -----------------------------------------------------------------------------------


# --- the interval ---------------------------------------------------------------------------------


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
    vector = read_vector(results / "vectors/tiny/random/vector.safetensors")[1]
    assert vector.shape[0] == DRAWS and vector.ndim == 3
    cells = pd.read_parquet(results / "completions/tiny/sweep.parquet")
    drawn_of = cells.groupby("condition")["draw"].unique().map(lambda one: one.dropna().tolist())
    assert drawn_of.to_dict() == {"unsteered": [], "actadd": [], "random": [0, 1, 2]}
    scores = pd.read_parquet(results / "scores/tiny/sweep/distinct.parquet")
    keys = ["condition", "cell", "prompt_id", "sample"]
    scores = scores.merge(cells[[*keys, "draw", "layer"]], on=keys, validate="one_to_one")
    random = scores[(scores["condition"] == "random") & (scores["layer"] == 1)]
    metric = "distinct_1"
    values = random.pivot_table(index="draw", columns="prompt_id", values=metric).to_numpy()
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
    random = table[(table["condition"] == "random") & (table["layer"] == 1)]
    joined = random.merge(before[[*keys, "logprob", "modified"]], on=keys, suffixes=("", "_before"))
    joined = joined[~joined["modified"].astype(bool) & joined["target"].astype(bool)]
    joined = joined[joined["group"] == "a"]
    expected = np.exp(-(joined["logprob"] - joined["logprob_before"]).mean())
    rows = summary(drawn, "ratio")
    row = rows[(rows["condition"] == "random") & (rows["layer"] == 1) & (rows["group"] == "a")]
    assert row["mean"].item() == pytest.approx(expected)
    assert row["low"].item() < expected < row["high"].item()


FORMATS = ("png", "svg", "pdf", "captioned", "csv")


@pytest.mark.workflow
def test_figures_and_tables_mention_draws(drawn, tmp_path):
    plan = Graph(checked(workflow_config(), drawn.folder), drawn.folder)

    def caption_of(section: str, name: str, make, *endings: str) -> str:
        needs = plan.display_files(section, name).items()
        sources = {need: [drawn.folder / file.path for file in files] for need, files in needs}
        files = {kind: tmp_path / f"{name}.{kind}" for kind in endings}
        return make(plan.display(section, name).slice, sources=sources, **files)["caption"]

    for name in ("sweep", "bars", "ratio"):
        caption = caption_of("figures", name, figures.draw, *FORMATS)
        assert "random is the mean over 3 random vectors" in caption, name
        assert "crossed random effects" in caption
    assert "averaged over 3 of them" in caption_of("figures", "moved", figures.draw, *FORMATS)
    for name in ("methods", "texts"):
        caption_of("tables", name, tables.tabulate, "csv", "markdown", "latex")
    methods = pd.read_csv(tmp_path / "methods.csv")
    rows = methods[methods["condition"].str.startswith("random")]
    assert rows["condition"].str.contains("3 draws").all() and len(rows) == 2
    assert (rows["distinct.distinct_1: spread of draws"].astype(float) >= 0).all()
    texts = pd.read_csv(tmp_path / "texts.csv")
    rows = texts[texts["case"] == "random"]
    assert len(rows) == DRAWS * len(texts[texts["case"] == "actadd"])
    assert rows["vector"].str.extract(r"draw (\d)")[0].value_counts().nunique() == 1


@pytest.mark.workflow
def test_the_page_tells_draws_apart(drawn):
    results = drawn.folder / "results"
    run = runs.run_of(
        results / "completions/tiny/sweep.parquet",
        {"distinct": results / "scores/tiny/sweep/distinct.parquet"},
        results / "summaries/tiny/sweep.parquet",
    )
    drawn_of = [set(part.get("draw", [None])) for part in run["parts"].values()]
    assert len(run["cells"]) == 5 and set.union(*drawn_of) == {None, 0, 1, 2}


@pytest.mark.workflow
def test_draws_do_not_travel_as_one_vector(drawn):
    with pytest.raises(UserError, match=r"3 draws of a random vector.*draws: 1"):
        load_vectors(drawn.folder / "results/vectors/tiny/random")
