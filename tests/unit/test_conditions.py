"""Conditions by depth, sampling, seed, group and norm; the texts that an experiment takes."""

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.data import datasets
from actadd.engine.tokens import Tokens
from actadd.measure import conditions
from actadd.measure.experiment import Experiment
from actadd.measure.measures import MEASURES
from actadd.pipeline.graph import Graph
from builders import tiny
from builders.vectors import write_layer


def steered(**addition) -> dict:
    return {"a": {"method": "actadd", "additions": [{"vector": "v", "coefficient": 1, **addition}]}}


def experiment(prepared, entries, files=(), **changes) -> Experiment:
    spec = {
        "name": "e",
        "model": "tiny",
        "prompts": {"split": "all"},
        "dtype": "float32",
        "compute": {"device": "cpu", "threads": 1},
        "conditions": entries,
        **changes,
    }
    return Experiment(spec, prepared, {file.parent.name: file for file in files}, None)


# --- depth ---


@pytest.mark.parametrize(
    ("depth", "layers", "expected"),
    [
        (0, 48, 0),
        (0.125, 48, 6),
        (1 / 3, 48, 16),
        (0.4, 30, 12),
        (1, 48, 47),
        (0.99, 4, 3),
        ([0, 0.125, 0.5, 1], 48, [0, 6, 24, 47]),
        # In a shallow model several depths are one layer, which is then one condition.
        ([0, 0.1, 0.3, 0.4, 0.9, 1], 3, [0, 1, 2]),
        ([0.5, 0.1], 4, [2, 0]),
        ([0.9, 1], 2, [1]),
        (1, 1, 0),
    ],
)
def test_a_depth_is_a_share_of_the_blocks(depth, layers, expected):
    result = conditions.at_depth(steered(depth=depth), layers)["a"]["additions"]
    assert result == [{"vector": "v", "coefficient": 1, "layer": expected}]


def test_source_depth_and_what_has_no_depth():
    entries = {
        **steered(depth=0.5, source_depth=[0, 1]),
        "plain": {"method": "unsteered"},
        "fixed": steered(layer=7)["a"],
    }
    result = conditions.at_depth(entries, 10)
    assert result["a"]["additions"][0] == {
        "vector": "v",
        "coefficient": 1,
        "layer": 5,
        "source_layer": [0, 9],
    }
    assert result["plain"] == entries["plain"] and result["fixed"] == entries["fixed"]
    assert "depth" in entries["a"]["additions"][0], "the config itself is not changed"
    spelled = conditions.expand(result)
    places = [(a.sources[a.layer], a.layer) for c in spelled for a in c.additions]
    assert sorted(places) == [(0, 5), (7, 7), (9, 5)]


def test_each_model_gets_its_own_layers():
    settings = tiny.config()
    settings["models"]["deep"] = {**settings["models"]["tiny"], "layers": 40}
    entry = settings["experiments"]["ratio"]
    entry["models"] = ["tiny", "deep"]
    addition = entry["conditions"]["actadd"]["additions"][0]
    del addition["layer"]
    addition["depth"] = [0.25, 0.3]
    config = _checked(settings)
    plan = Graph(config)
    assert plan.vectors_of("tiny", "ratio") == [("calm", 1)]
    assert plan.vectors_of("deep", "ratio") == [("calm", 10), ("calm", 12)]


def test_a_vector_with_several_draws_is_no_gate():
    settings = tiny.config()
    settings["vectors"]["random"]["draws"] = 2
    addition = settings["experiments"]["ratio"]["conditions"]["actadd"]["additions"][0]
    addition["gate"] = {"vector": "random", "layer": 0, "threshold": 1}
    with pytest.raises(UserError, match=r"additions\.0\.gate\.vector: 'random' has several draws"):
        _checked(settings)


def test_no_drawn_token_is_left_for_decode():
    settings = tiny.config()
    sweep = settings["experiments"]["sweep"]
    sweep["max_new_tokens"] = 1
    condition = next(each for each in sweep["conditions"].values() if "additions" in each)
    condition["additions"][0]["phase"] = "decode"
    with pytest.raises(UserError, match=r"additions\.0\.phase: .*max_new_tokens"):
        _checked(settings)


def _checked(settings: dict) -> dict:
    """The checked config, with datasets that need no files."""
    for name in ("texts", "labelled"):
        dataset = settings["datasets"][name]
        dataset.pop("file", None)
        dataset["texts"] = ["one text", "another text"]
    return checked(settings)


# --- sampling, seed, strength, group ---


def test_lists_of_sampling_and_seed_are_swept():
    entries = {
        "plain": {"method": "unsteered", "seed": [1, 2]},
        "a": {
            "method": "actadd",
            "additions": [{"vector": "v", "layer": 0, "coefficient": [1, 2]}],
            "sampling": [{"temperature": 0.5}, {"top_p": 1, "temperature": 2}],
            "seed": 4,
        },
        "other": {"method": "prompting", "prefix": "x"},
    }
    base = {"temperature": 1, "top_p": 0.3, "frequency_penalty": 1}
    result = conditions.expand(entries, sampling=base, seed=9)
    drawn = [
        (
            c.name,
            c.seed,
            c.sampling["temperature"],
            c.sampling["top_p"],
            [a.coefficient for a in c.additions],
        )
        for c in result
    ]
    assert drawn == [
        ("plain", 1, 1, 0.3, []),
        ("plain", 2, 1, 0.3, []),
        ("other", 9, 1, 0.3, []),
        ("a", 4, 0.5, 0.3, [1]),
        ("a", 4, 0.5, 0.3, [2]),
        ("a", 4, 2, 1, [1]),
        ("a", 4, 2, 1, [2]),
    ]
    assert all(c.sampling["frequency_penalty"] == 1 for c in result)
    coordinates = result[3].coordinates()
    assert (coordinates["temperature"], coordinates["top_p"], coordinates["seed"]) == (0.5, 0.3, 4)


def test_strength_prefix_and_group_are_kept():
    entries = {
        "contrast": {"method": "preadd", "prefix": "x", "strength": -2.5},
        "part": {"method": "unsteered", "group": "g"},
    }
    part, contrast = conditions.expand(entries)
    assert (part.group, part.contexts.strength) == ("g", None)
    assert (contrast.prefix, contrast.contexts.strength, contrast.group) == ("x", -2.5, None)


def test_a_group_takes_its_rows_only(prepared):
    texts = pd.DataFrame({"text": list("abcd"), "group": ["g", None, "h", "g"]})
    entries = {
        "plain": {"method": "unsteered"},
        "part": {"method": "unsteered", "group": "g"},
        "none": {"method": "unsteered", "group": "k"},
    }
    result = experiment(prepared, entries)
    rows = {c.name: c for c in result.conditions}
    assert result.rows(rows["plain"], texts) == [0, 1, 2, 3]
    assert result.rows(rows["part"], texts) == [0, 3]
    with pytest.raises(UserError, match=r"experiments\.e\.conditions\.none\.group: .*'k'.*: g, h"):
        result.rows(rows["none"], texts)


# --- dimensions, norms, vectors ---


@pytest.mark.parametrize(("share", "kept"), [(0.5, 16), (1, 32), (0.1, 3), (0, 0), (None, None)])
def test_dimensions_are_a_share_of_the_width(prepared, tmp_path, share, kept):
    file = write_layer(tmp_path, "v", 1, np.ones((2, 32), np.float32))
    result = experiment(prepared, steered(layer=1, dimensions=share), [file])
    [addition] = result.additions(result.conditions[0])
    assert addition.dimensions == kept
    changed = addition.scaled()[0].nonzero().flatten().tolist()
    assert changed == list(range(32 if kept is None else kept))


def test_lists_of_dimensions_are_swept():
    result = conditions.expand(steered(layer=1, dimensions=[0.25, 1]))
    assert [c.additions[0].dimensions for c in result] == [0.25, 1]


def test_match_norm_scales_by_the_geometric_mean_of_the_ratios(prepared, tmp_path):
    """Injected at layer 2 what was recorded at layer 0: row norms 2 and 8 there, 6 and 4 here."""
    source, here = np.zeros((2, 3, 32), np.float32)
    source[0, 3], here[0, 4] = 5, 700  # BOS does not count
    source[1, 0], source[2, 1] = 2, 8
    here[1, 5], here[2, 6] = 6, 4
    files = [write_layer(tmp_path, "v", 0, source), write_layer(tmp_path, "v", 2, here)]
    plain, matched = (
        experiment(
            prepared, steered(layer=2, source_layer=0, coefficient=2, match_norm=match), files
        )
        for match in (False, True)
    )
    factor = (6 / 2 * 4 / 8) ** 0.5
    [addition] = matched.additions(matched.conditions[0])
    assert np.allclose(addition.vector, factor * source)
    assert np.allclose(addition.scaled(), 2 * factor * source)
    [own] = plain.steering.vectors_at(plain.conditions[0].additions[0]).values()
    assert np.array_equal(own, source)
    module = MEASURES["completions"].module
    keys = [e.cell_key(module, e.conditions[0]) for e in (plain, matched)]
    assert keys[0] != keys[1]


def test_match_norm_leaves_out_rows_that_are_zero(prepared, tmp_path):
    """A pair whose first words agree is zero there at every layer, and has no ratio."""
    source, here = np.zeros((2, 3, 32), np.float32)
    source[2, 1], here[2, 6] = 8, 4
    files = [write_layer(tmp_path, "v", 0, source), write_layer(tmp_path, "v", 2, here)]
    result = experiment(prepared, steered(layer=2, source_layer=0, match_norm=True), files)
    [scaled] = result.steering.vectors_at(result.conditions[0].additions[0]).values()
    assert np.allclose(scaled, 0.5 * source)


def test_match_norm_of_a_vector_of_one_row_counts_it(prepared, tmp_path):
    source, here = np.zeros((2, 1, 32), np.float32)
    source[0, 1], here[0, 6] = 8, 4
    files = [write_layer(tmp_path, "v", 0, source), write_layer(tmp_path, "v", 2, here)]
    entries = steered(layer=2, source_layer=0, match_norm=True, position="back")
    result = experiment(prepared, entries, files)
    [scaled] = result.steering.vectors_at(result.conditions[0].additions[0]).values()
    assert np.allclose(scaled, 0.5 * source)
    files[1] = write_layer(tmp_path, "v", 2, 0 * here)
    result = experiment(prepared, entries, files)
    with pytest.raises(UserError, match=r"vectors\.v is zero at layer 2 or 0"):
        result.steering.vectors_at(result.conditions[0].additions[0])


def test_a_layer_that_a_vectors_file_lacks_is_not_added_as_nothing(prepared, tmp_path):
    file = write_layer(tmp_path, "v", 0, np.ones((1, 32), np.float32))
    result = experiment(prepared, steered(layer=1), [file])
    with pytest.raises(UserError, match=r"vectors\.v\.file does not hold layer 1"):
        result.steering.vectors_at(result.conditions[0].additions[0])


# --- operations ---


def test_a_strength_has_its_operations_name_and_one_column():
    entries = steered(layer=2, operation="rotate", degrees=[30, 60])
    del entries["a"]["additions"][0]["coefficient"]
    both = conditions.expand(entries)
    assert [each.coordinates()["coefficient"] for each in both] == [30, 60]
    record = both[0].additions[0].record()
    assert record["degrees"] == 30 and "coefficient" not in record and "layers" not in record
    assert [each.label for each in both] == [
        "a (rotate v at layer 2, degrees 30)",
        "a (rotate v at layer 2, degrees 60)",
    ]
    assert conditions.grid_size(entries) == 2
    assert conditions.expand(steered(layer=2, operation="ablate"))[0].additions[0].coefficient == 1


def test_layers_at_once_are_one_condition_with_each_layers_vector(prepared, tmp_path):
    values = np.arange(3 * 2 * 32, dtype=np.float32).reshape(3, 2, 32) + 1
    files = [write_layer(tmp_path, "v", layer, values[layer]) for layer in range(3)][-1:]
    entries = conditions.at_depth(steered(layers="all", coefficient=[1, 2]), 3)
    result = experiment(prepared, entries, files)
    assert len(result.conditions) == 2
    condition = result.conditions[0]
    added = result.additions(condition)
    assert [each.layer for each in added] == [0, 1, 2]
    assert all(np.array_equal(each.vector, values[each.layer]) for each in added)
    coordinates = condition.coordinates()
    assert (coordinates["layer"], coordinates["source_layer"], coordinates["coefficient"]) == (
        None,
        None,
        1,
    )
    assert condition.additions[0].record()["layers"] == [0, 1, 2]
    assert condition.label == "a (v at layers 0 to 2 times 1)"
    assert conditions.vectors_needed(entries, {}) == {("v", layer) for layer in range(3)}
    one_source = conditions.at_depth(steered(layers=[0, 2], source_layer=1), 3)
    other = experiment(prepared, one_source, files)
    assert all(
        np.array_equal(each.vector, values[1]) for each in other.additions(other.conditions[0])
    )
    keys = {
        each.cell_key(MEASURES["completions"].module, each.conditions[0])
        for each in (result, other)
    }
    assert len(keys) == 2


def dosed(prepared, tmp_path, norms=None, **addition) -> Experiment:
    """An experiment whose norms are 10 at layer 1 and 40 at layer 2."""
    values = np.zeros((3, 32), np.float32)
    values[0, 0], values[1, 0], values[2, 1] = 99, 2, 8  # BOS does not count
    files = [write_layer(tmp_path, "v", layer, values) for layer in (1, 2)][-1:]
    table = {"layer": [0, 1, 2], "residual_norm": [5, 10, 40]} if norms is None else norms
    pd.DataFrame(table).to_csv(tmp_path / "norms.csv", index=False)
    entries = steered(**addition)
    if "dose" in addition:
        del entries["a"]["additions"][0]["coefficient"]
    spec = experiment(prepared, entries, files).spec
    return Experiment(spec, prepared, {"v": files[0]}, None, tmp_path / "norms.csv")


def test_a_dose_is_a_share_of_the_streams_median_norm(prepared, tmp_path):
    result = dosed(prepared, tmp_path, layers=[1, 2], dose=0.5)
    # The usual norm of the rows is 4.
    strengths = [each.coefficient for each in result.additions(result.conditions[0])]
    assert np.allclose(strengths, [0.5 * 10 / 4, 0.5 * 40 / 4])
    clamp = dosed(prepared, tmp_path, layer=2, operation="clamp", dose=[-0.5, 1])
    assert [clamp.additions(each)[0].coefficient for each in clamp.conditions] == [-20, 40]
    coordinates = clamp.conditions[0].coordinates()
    assert (
        coordinates["coefficient"] == -0.5
        and clamp.conditions[0].additions[0].record()["dose"] == -0.5
    )
    assert clamp.conditions[0].label == "a (clamp v at layer 2, dose -0.5)"
    # Only some of the entries are added.
    half = dosed(prepared, tmp_path, layer=1, dose=1, dimensions=1 / 32)
    assert np.isclose(half.additions(half.conditions[0])[0].coefficient, 10 / 2)


def test_the_key_of_a_dose_is_that_of_the_strength_it_comes_to(prepared, tmp_path):
    module = MEASURES["completions"].module

    def key(**addition) -> str:
        result = dosed(prepared, tmp_path, layer=2, operation="clamp", **addition)
        return result.cell_key(module, result.conditions[0])

    assert key(dose=0.5) == key(coefficient=20)
    assert key(dose=0.5) != key(dose=0.5, norms={"layer": [0, 1, 2], "residual_norm": [5, 10, 41]})


def test_a_dose_of_a_vector_without_a_norm_is_refused(prepared, tmp_path):
    file = write_layer(tmp_path, "v", 2, np.zeros((2, 32), np.float32))
    entries = {"a": {**steered()["a"], "additions": [{"vector": "v", "layer": 2, "dose": 1}]}}
    spec = experiment(prepared, entries, [file]).spec
    pd.DataFrame({"layer": [0, 1, 2], "residual_norm": [3, 3, 3]}).to_csv(
        tmp_path / "norms.csv", index=False
    )
    nothing = Experiment(spec, prepared, {"v": file}, None, tmp_path / "norms.csv")
    with pytest.raises(UserError, match=r"dose: vectors\.v is zero at layer 2"):
        nothing.additions(nothing.conditions[0])


def test_an_operation_without_a_direction_is_refused(prepared, tmp_path):
    file = write_layer(tmp_path, "v", 1, np.zeros((2, 32), np.float32))
    ablated = experiment(prepared, steered(layer=1, operation="ablate"), [file])
    with pytest.raises(UserError, match=r"conditions\.a: operation: ablate .*vectors\.v is zero"):
        ablated.encode(ablated.conditions[0], ["Some text"])
    # What adds nothing may be a control.
    added = experiment(prepared, steered(layer=1), [file], measure="logprobs")
    assert added.encode(added.conditions[0], ["Some text"])


def test_what_is_changed_of_a_text(prepared, tmp_path):
    file = write_layer(tmp_path, "v", 1, np.ones((2, 32), np.float32))
    for place, expected in (
        ({"position": 1}, {1, 2}),
        ({"phase": "decode"}, {5, 6, 7}),
        ({"phase": "every_step"}, {0, 1, 5, 6, 7}),
    ):
        result = experiment(prepared, steered(layer=1, **place), [file])
        assert result.changed(result.conditions[0], 5, 8) == expected
    [condition] = conditions.expand(steered(layer=1, position=3))
    assert condition.coordinates()["position"] == "3"
    far = experiment(prepared, steered(layer=1, position=90), [file], measure="logprobs")
    with pytest.raises(UserError, match=r"position 90 is beyond the prompt.*vector v"):
        far.encode(far.conditions[0], ["Some text"])


def test_vectors_needed_where_layers_differ():
    entries = steered(layer=[1, 2], source_layer=0)
    assert conditions.vectors_needed(entries, {}) == {("v", 0)}
    entries = steered(layer=[1, 2], source_layer=0, match_norm=True)
    assert conditions.vectors_needed(entries, {}) == {("v", 0), ("v", 1), ("v", 2)}
    entries = {"a": {"method": "actadd", "additions": [{"vector": "v", "choice": "c"}]}}
    assert conditions.vectors_needed(entries, {"c": [3, 5]}) == {("v", 3), ("v", 5)}
    assert conditions.vectors_needed({"p": {"method": "unsteered"}}, {}) == set()


# --- the texts of an experiment ---


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Six texts in three groups, one without a group, in two splits."""
    folder = tmp_path_factory.mktemp("texts")
    lines = [
        ("The wedding was held in the old church", "a", "one"),
        ("They danced until the morning and then went home", "a", "two"),
        ("The ship left the port with its cargo", "b", "one"),
        ("The guests were happy and the bride went home", "a", "one"),
        ("The crane lifted the heavy container from the deck", "b", "one"),
        ("It rained", "", "one"),
    ]
    rows = "\n".join(",".join(line) for line in lines)
    (folder / "t.csv").write_text(f"text,group,split\n{rows}\n")
    columns = {"text": "text", "group": "group", "split": "split"}
    spec = {"name": "t", "title": "t", "columns": columns}
    datasets.prepare(spec, folder / "t.csv", folder / "t.parquet")
    return folder / "t.parquet"


def chosen(prepared, file, **prompts) -> list[str]:
    entries = {"plain": {"method": "unsteered"}}
    result = experiment(prepared, entries, prompts={"split": "all", **prompts}).texts(file)
    assert list(result.index) == list(range(len(result)))
    return [" ".join(text.split()[:2]) for text in result["text"]]


def test_groups_limits_and_splits(prepared, file):
    everything = [
        *("The wedding", "They danced", "The ship", "The guests", "The crane", "It rained"),
    ]
    assert chosen(prepared, file) == everything
    assert chosen(prepared, file, limit=2) == everything[:2]
    assert chosen(prepared, file, group=["b"]) == ["The ship", "The crane"]
    assert chosen(prepared, file, group=["b"], limit=1) == ["The ship"]
    assert chosen(prepared, file, split="one", limit=2) == ["The wedding", "The ship"]
    assert chosen(prepared, file, limit=1, each_group=True) == [
        *("The wedding", "The ship", "It rained"),
    ]
    assert chosen(prepared, file, limit=2, each_group=True, group=["a", "b"]) == [
        *("The wedding", "They danced", "The ship", "The crane"),
    ]
    assert chosen(prepared, file, limit=99) == everything


def test_no_text_left_names_the_key(prepared, file):
    with pytest.raises(UserError, match=r"experiments\.e\.prompts: .*group and limit"):
        chosen(prepared, file, group=["nowhere"])


@pytest.mark.parametrize("count", [2, 3, 7, 200])
def test_first_tokens_cut_each_text_to_so_many_at_most(prepared, file, count):
    entries = {"plain": {"method": "unsteered"}}
    prompts = {"split": "all", "first_tokens": count}
    result = experiment(prepared, entries, prompts=prompts)
    tokens = Tokens(prepared)
    whole = experiment(prepared, entries).texts(file)["text"]
    for cut, text in zip(result.texts(file)["text"], whole, strict=True):
        ids, cut_ids = tokens.encode(text), tokens.encode(cut)
        assert text.startswith(cut) and len(cut_ids) <= count
        # Cut between tokens, so that what is left is read as it was.
        assert cut_ids == ids[:count]
