"""Comparisons of methods in a config: what they are written out to, and mistakes in them."""

import copy

import pytest

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.pipeline.graph import Graph
from builders import methods, tiny

PAIRS = {
    "kind": "mean_difference",
    "positive": ["I love it", "What joy", "So good"],
    "negative": ["I hate it", "What pain", "So bad"],
    "token": -2,
}
STEERED = {"method": "actadd", "additions": [{"vector": "calm", "layer": 1, "coefficient": 1}]}


@pytest.fixture
def check(tmp_path):
    tiny.write_data(tmp_path)
    (tmp_path / "questions.csv").write_text(methods.QUESTIONS)
    return lambda config: checked(config, tmp_path)


def test_a_comparison_is_written_out_as_ordinary_experiments(check):
    config = check(methods.config())
    names = [name for name in config["experiments"] if name.split("-")[0] == "c"]
    assert names == ["c-development", "c", "c-divergence", "c-knowledge"]
    sweep, curves, kl, lost = (config["experiments"][name] for name in names)
    assert [each["measure"] for each in (sweep, curves, kl, lost)] == [
        *("completions", "completions", "divergence", "logprobs")
    ]
    # Only what has a list of layers is searched.
    assert list(sweep["conditions"]) == ["unsteered", "add"]
    assert (sweep["prompts"]["split"], curves["prompts"]["split"]) == ("development", "held-out")
    [addition] = curves["conditions"]["add"]["additions"]
    assert addition == {"vector": "love-hate", "choice": "add", "coefficient": [2, 4, 8]}
    rule = curves["choices"]["add"]
    assert rule["cap"] == {"metric": "fluency.perplexity", "factor": 1.2}
    assert rule["metric"] == "mood.probability" and rule["over_cap"] == "least"
    assert kl["choices"] == lost["choices"] == curves["choices"]
    assert kl["conditions"] == lost["conditions"] == curves["conditions"]
    assert kl["prompts"] == curves["prompts"] and lost["prompts"]["dataset"] == "questions"
    assert curves["scorers"] == ["mood", "fluency"]


def test_each_vector_has_its_controls_in_the_place_of_what_adds_it(check):
    config = check(methods.config())
    conditions = config["experiments"]["c"]["conditions"]
    controls = [name for name in conditions if name.startswith(("random", "ortho", "shuffled"))]
    # Pairs of one have no labels to exchange.
    assert sorted(controls) == [
        f"{control}-{vector}"
        for control in ("orthogonal", "random")
        for vector in ("calm", "love-hate")
    ]
    [addition] = conditions["random-love-hate"]["additions"]
    assert addition["vector"] == "c-random-love-hate" and addition["draws"] == 2
    assert addition["choice"] == "add" and addition["coefficient"] == [2, 4, 8]
    # Rather of plain addition than of a rotation.
    assert conditions["random-calm"]["additions"][0]["dose"] == [0.5, 1]
    vectors = config["vectors"]
    assert vectors["c-orthogonal-calm"]["like"] == "calm"
    seeds = {vectors[f"c-{kind}-calm"]["seed"] for kind in ("random", "orthogonal")}
    assert len(seeds) == 2, "they would be the same rows otherwise"
    lacks = config["method_comparisons"]["c"]["lacks"]
    assert any("shuffled" in sentence and "love-hate" in sentence for sentence in lacks)


def test_several_pairs_have_a_shuffled_control_read_at_the_same_token(check):
    config = methods.config()
    config["vectors"] |= {"many": PAIRS, "first": {"kind": "pca", "like": "many", "token": "mean"}}
    added = {"vector": "first", "layer": [1, 2], "position": "back", "coefficient": [1, 2]}
    config["method_comparisons"]["c"]["methods"] = {
        "first": {"method": "actadd", "additions": [added]}
    }
    config = check(config)
    shuffled = config["vectors"]["c-shuffled"]
    assert (shuffled["like"], shuffled["token"]) == ("many", "mean")
    assert config["vectors"]["c-random"]["like"] == "first"
    # Given texts have no prediction behind their last token.
    assert list(config["experiments"]["c-divergence"]["conditions"]) == ["unsteered"]
    assert any("first" in text for text in config["method_comparisons"]["c"]["lacks"])


@pytest.mark.parametrize(
    ("vector", "shuffled"),
    [
        ({"kind": "mean_difference", "pairs": {"dataset": "pairs"}}, {"like": "many"}),
        ({"kind": "pca", "like": "lent", "count": 2}, {"like": "lent", "count": 2}),
    ],
)
def test_pairs_of_a_dataset_are_shuffled_as_written_ones_are(check, vector, shuffled, tmp_path):
    (tmp_path / "pairs.csv").write_text("text,target\nGood,Bad\nGlad,Sad\nKind,Rude\n")
    config = methods.config()
    config["datasets"]["pairs"] = {"title": "pairs", "file": "pairs.csv"}
    config["vectors"] |= {
        "many": vector,
        "lent": {"kind": "mean_difference", "pairs": {"dataset": "pairs"}},
    }
    added = {"vector": "many", "layer": [1, 2], "position": "all", "coefficient": [1, 2]}
    config["method_comparisons"]["c"]["methods"] = {
        "many": {"method": "actadd", "additions": [added]}
    }
    made = check(config)["vectors"]["c-shuffled"]
    assert {key: made[key] for key in ("like", "count") if key in made} == shuffled


def test_a_vector_of_several_draws_is_compared_without_controls(check):
    config = methods.config()
    config["vectors"] |= {"many": {**PAIRS, "count": 2, "draws": 2}}
    config["method_comparisons"]["c"]["methods"] = {
        "many": {"method": "actadd", "additions": [{"vector": "many", "layer": 1, "dose": [1, 2]}]}
    }
    config["vectors"]["many"]["token"] = "last"
    config["method_comparisons"]["c"]["methods"]["many"]["additions"][0]["position"] = "back"
    config = check(config)
    assert list(config["experiments"]["c"]["conditions"]) == ["unsteered", "many"]
    assert any("2 draws" in text for text in config["method_comparisons"]["c"]["lacks"])


def test_controls_are_left_out_by_name_alone(check):
    config = check(methods.config(controls=[]))
    assert not any("random-" in name for name in config["experiments"]["c"]["conditions"])


def test_its_figure_needs_all_that_it_is_written_out_to(check, tmp_path):
    graph = Graph(check(methods.config()), tmp_path)
    made = {"c", "c-development", "c-divergence", "c-knowledge"}
    assert set(graph.experiments_of([("figures", "c")])) == made
    [job] = [job for job in graph.target("fig_c") if job.stage == "equal_damage"]
    names = [file.job.names["experiment"] for file in job.inputs["cells"]]
    assert names == ["c", "c-divergence", "c-knowledge"]
    assert [file.job.names["scorer"] for file in job.inputs["scores"]] == ["mood", "fluency"]
    assert job in graph.target("all") and job in graph.everything()
    assert len(graph.norms_for_doses("tiny", "c")) == 1


def test_a_study_is_not_of_the_default_run(check, tmp_path):
    config = methods.config()
    for section in ("figures", "tables"):
        config[section]["c"]["study"] = "Which one?"
    graph = Graph(check(config), tmp_path)
    assert not {"c", "c-development"} & set(graph.experiments_in(""))
    assert {"c", "c-development"} <= set(graph.experiments_in("laboratory"))


C = "method_comparisons.c"
ADD = f"{C}.methods.add.additions.0"
DISFLUENCY = {"metric": "fluency.perplexity", "at": [1.2]}


def addition(**values) -> dict:
    added = {"vector": "love-hate", "layer": [1, 2], "coefficient": [2, 4], **values}
    return {
        "methods": {
            "add": {
                "method": "actadd",
                "additions": [{k: v for k, v in added.items() if v is not None}],
            }
        }
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"damage": {}}, [f"{C}.damage", "'disfluency'", "missing"]),
        ({"damage": {"disfluency": {**DISFLUENCY, "at": [0.9]}}}, [f"{C}.damage.disfluency.at"]),
        ({"damage": {"disfluency": {**DISFLUENCY, "at": [2, 2]}}}, [f"{C}.damage.disfluency.at"]),
        ({"damage": {"disfluency": DISFLUENCY, "divergence": {"at": [1, 1]}}}, ["divergence.at"]),
        (
            addition(gate={"vector": "love-hate", "layer": 1, "threshold": 0}),
            [f"{ADD}.gate", "one layer"],
        ),
        ({"damage": {"disfluency": {**DISFLUENCY, "at": []}}}, [f"{C}.damage.disfluency.at"]),
        ({"damage": {"disfluency": DISFLUENCY, "divergence": {"at": [0]}}}, ["divergence.at"]),
        (
            {"damage": {"disfluency": {**DISFLUENCY, "metric": "fluency.speed"}}},
            [f"{C}.damage.disfluency.metric", "fluency.perplexity"],
        ),
        (
            {"damage": {"disfluency": {**DISFLUENCY, "metric": "mood.probability"}}},
            [f"{C}.damage.disfluency.metric", "effect"],
        ),
        ({"effect": {"metric": "joy.any"}}, [f"{C}.effect.metric", "'joy.any'"]),
        (
            {"prompts": {"dataset": "prompts", "held_out": "development"}},
            [f"{C}.prompts.held_out", "other prompts"],
        ),
        (
            {"prompts": {"dataset": "prompts", "development": "dev"}},
            [f"{C}.prompts.development", "'dev'", "held-out"],
        ),
        ({"prompts": {"dataset": "prompt"}}, [f"{C}.prompts.dataset", "'prompts'"]),
        ({"methods": {}}, [f"{C}.methods", "empty"]),
        (
            {"methods": {"prompting": methods.COMPARISON["methods"]["prompting"]}},
            [f"{C}.methods", "none of them steers"],
        ),
        (
            {"methods": {"plain": {"method": "unsteered"}, "add": STEERED}},
            [f"{C}.methods.plain", "remove it"],
        ),
        # Both are measured beside the methods, under these names.
        ({"methods": {"unsteered": STEERED}}, [f"{C}.methods.unsteered", "rename"]),
        ({"methods": {"random": STEERED}}, [f"{C}.methods.random", "rename"]),
        (
            {"damage": {"disfluency": DISFLUENCY, "divergence": {"at": [1], "limit": 2}}},
            [f"{C}.damage.divergence.limit", "dataset"],
        ),
        (
            {"damage": {"disfluency": DISFLUENCY, "divergence": {"at": [1], "split": "x"}}},
            [f"{C}.damage.divergence.split", "dataset"],
        ),
        ({"methods": {"add": {**STEERED, "seed": 1}}}, [f"{C}.methods.add.seed", "remove it"]),
        ({"methods": {"add": {**STEERED, "method": "adding"}}}, [f"{C}.methods.add", "'adding'"]),
        (addition(vector="hope"), [f"{ADD}.vector", "'hope'"]),
        (addition(coefficient=[-1, 1]), [f"{ADD}.coefficient", "two methods"]),
        (addition(coefficient=None), [ADD, "'coefficient'"]),
        (addition(layer=[1, 7]), [f"{ADD}.layer", "7", "0 to 2"]),
        (addition(dimensions=[0.5, 1]), [f"{ADD}.dimensions", "lists"]),
        (addition(layer=None, choice="best"), [f"{ADD}.choice", "layer: [...]"]),
        ({"models": ["small"]}, [f"{C}.models", "'small'"]),
        ({"controls": ["zero"]}, [f"{C}.controls", "'zero'", "random"]),
        ({"draws": 0}, [f"{C}.draws", "0"]),
        ({"judge": "fluency"}, [C, "unknown key 'judge'"]),
    ],
    ids=lambda value: str(value)[:70],
)
def test_a_mistake_in_a_comparison_is_named(check, changes, words):
    with pytest.raises(UserError) as caught:
        check(methods.config(**changes))
    message = str(caught.value)
    assert all(word in message for word in words), message


def test_several_additions_leave_nothing_to_choose(check):
    two = copy.deepcopy(methods.COMPARISON["methods"])
    two["add"]["additions"].append({"vector": "calm", "layer": 0, "coefficient": 1})
    with pytest.raises(UserError, match=rf"{ADD}\.layer: .*one value"):
        check(methods.config(methods=two))
    two["add"]["additions"][0]["layer"] = 1
    two["add"]["additions"][1]["coefficient"] = [1, 2]
    with pytest.raises(UserError, match=r"methods\.add\.additions: one strength"):
        check(methods.config(methods=two))


def test_a_mistake_in_what_begins_with_its_name_is_where_it_stands(check):
    config = methods.config()
    config["vectors"]["c-own"] = {**PAIRS, "negative": ["I hate it"]}
    with pytest.raises(UserError, match=r"vectors\.c-own: 3 positive and 1 negative"):
        check(config)
    del config["vectors"]["c-own"], config["method_comparisons"]["c"]["damage"]["knowledge"]
    own = {"vector": "love-hate", "layer": 9, "coefficient": 1}
    config["experiments"]["c-knowledge"] = {
        **copy.deepcopy(config["experiments"]["sweep"]),
        "conditions": {"a": {"method": "actadd", "additions": [own]}},
    }
    with pytest.raises(UserError, match=r"experiments\.c-knowledge\.conditions\.a\.additions"):
        check(config)


@pytest.mark.parametrize("name", ["c", "c-divergence"])
def test_names_that_it_makes_must_be_free(check, name):
    config = methods.config()
    config["experiments"][name] = config["experiments"].pop("ratio")
    config["figures"].pop("ratio")
    with pytest.raises(UserError, match=rf"method_comparisons\.c: .*experiments\.{name}"):
        check(config)


def test_a_display_of_an_unknown_comparison_is_named(check):
    config = methods.config()
    config["figures"]["c"]["method_comparison"] = "d"
    with pytest.raises(UserError, match=r"figures\.c\.method_comparison: .*'d'"):
        check(config)
