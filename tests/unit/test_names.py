"""Names that do not exist: what messages say about them, and in which names of targets they are."""

import pytest

from actadd.base.errors import UserError
from actadd.base.names import LISTED, some, unknown
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.pipeline import targets
from builders import tiny


def test_the_nearest_name_is_offered():
    assert "(did you mean 'weddings'?)" in unknown("vector", "wedding", ["weddings", "love-hate"])
    assert "did you mean" not in unknown("vector", "pirates", ["weddings", "love-hate"])


def test_a_long_list_is_cut_and_begins_with_the_users_own_names():
    names = [f"name-{number:02}" for number in range(40)]
    assert some(names).count(",") == LISTED - 1 and some(names).endswith(f" and {40 - LISTED} more")
    assert some(names, first=["name-30", "other"]) == "name-30 and 39 more"
    assert some([]) == "none"


def test_a_config_lists_the_names_of_its_own_file_and_says_how_to_add_one(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"builds_on: {tiny.ROOT / 'config.yaml'}\n"
        "vectors:\n  mine: { kind: pair, positive: a, negative: b }\n"
        "figures:\n  norms: { vectors: [other-than-any] }\n"
    )
    with pytest.raises(UserError) as caught:
        checked(load([file]), tiny.ROOT)
    message = str(caught.value)
    assert "line 5: figures.norms.vectors: there is no vector 'other-than-any'" in message
    assert "there are: mine and " in message and "docs/how-to/vector.md" in message


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    tiny.write_data(folder)
    return checked(tiny.config(), folder)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/models/tini", "no model 'tini' (did you mean 'tiny'?)"),
        ("results/sources/nope", "no source 'nope'"),
        ("results/datasets/nope.parquet", "no dataset 'nope'"),
        ("results/vectors/tiny/nope/vector.safetensors", "no vector 'nope'"),
        ("results/activations/nope/calm/layer_00.safetensors", "no model 'nope'"),
        ("results/summaries/tiny/nope.csv", "no experiment 'nope'"),
        ("results/completion/tiny/sweep.parquet", "no measure 'completion'"),
        ("results/scores/tiny/sweep/nope.parquet", "no scorer 'nope'"),
        ("results/figures/nope.captioned.png", "no figure 'nope'"),
        ("results/tables/nope.tex", "no table 'nope'"),
        ("fig_swep", "no target 'fig_swep' (did you mean 'fig_sweep'?)"),
    ],
)
def test_the_unknown_name_of_a_target_is_named(config, target, words):
    assert words in targets.problem(target, config, ["all", "fig_sweep"])


@pytest.mark.parametrize(
    "target", ["all", "results/models/tiny", "results/figures/sweep.png", "results/odd", "a/b.csv"]
)
def test_of_other_targets_nothing_is_said(config, target):
    assert targets.problem(target, config, ["all"]) == ""
