"""Kinds of figures and tables: what each declares, and one from outside the repository."""

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from actadd.base.errors import UserError
from actadd.base.kinds import load_plugin
from actadd.measure.measures import MEASURES
from actadd.results.displays import needs
from actadd.results.displays.kinds import FIGURES, SECTIONS
from builders.figures import drawing
from builders.plugins import HEAT, loaded
from builders.rows import WORDS, row, unsteered

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def draw(tmp_path, monkeypatch):
    with drawing(tmp_path, monkeypatch) as draw:
        yield draw


@pytest.fixture(scope="module")
def heat(tmp_path_factory):
    """The kind of the how-to, from a file outside the repository."""
    path = tmp_path_factory.mktemp("own") / "heat.py"
    path.write_text(HEAT)
    with loaded(path):
        yield FIGURES["heat"]


def swept() -> list[dict]:
    return [unsteered(metric=WORDS)] + [
        row(metric=WORDS, layer=layer, source_layer=layer, coefficient=c, mean=layer * c)
        for layer in (3.0, 6.0)
        for c in (1.0, 2.0)
    ]


def test_a_kind_from_outside_is_drawn(heat, draw):
    assert heat.description == "One metric by layer and coefficient, the mean over models."
    figure, caption = draw("heat", swept(), metric=WORDS, labels={WORDS: "share"})
    axis, bar = figure.axes
    assert axis.images[0].get_array().tolist() == [[3, 6], [6, 12]]
    assert axis.images[0].get_cmap().name == "viridis" and bar.get_ylabel() == "share"
    assert "n = 7 prompts" in caption


def config(measure="completions", **sections) -> dict:
    addition = {"vector": "v", "layer": [1, 2], "coefficient": 1}
    conditions = {
        "unsteered": {"method": "unsteered"},
        "love": {"method": "actadd", "additions": [addition]},
    }
    experiment = {"measure": measure, "models": ["one"], "conditions": conditions}
    experiment |= {"prompts": {"dataset": "d", "split": "all"}, "ranks": [1, 5]}
    return {
        "experiments": {"e": experiment},
        "datasets": {"d": {"title": "made-up", "file": "d.csv"}},
        "vectors": {"v": {"kind": "pair"}, "r": {"kind": "random"}},
        "lenses": {"l": {"vectors": ["v", "w"], "models": ["two"]}},
        "overheads": {"o": {"models": ["one"], "shapes": {"small": {}}}},
        "scorers": {},
        **sections,
    }


def entry(kind: str, **keys) -> dict:
    return {"kind": kind, "title": "T", "experiment": "e", **keys}


def problems(section: str, entry: dict, settings: dict) -> list[str]:
    return list(needs.problems(section, f"{section}.f", entry, settings))


def test_a_kind_from_outside_checks_its_experiment(heat):
    settings, figure = config(), entry("heat", metric=WORDS)
    assert problems("figures", figure, settings) == []
    settings["experiments"]["e"]["conditions"]["love"]["additions"][0]["layer"] = 1
    assert problems("figures", figure, settings) == [
        "figures.f.experiment: e sweeps no layer; name a sweep"
    ]


def test_a_name_that_is_taken_is_refused(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAT.replace("def heat(", "def sweep("))
    with pytest.raises(UserError, match=r"plugins: mine declares the figure kind 'sweep'.*rename"):
        load_plugin(path)


@pytest.mark.parametrize(
    ("reads", "lacks"), [("('tokens',)", "'lens'"), ("('overhead',)", "'overhead'")]
)
def test_options_that_do_not_name_what_is_read_are_refused(tmp_path, reads, lacks):
    path = tmp_path / f"lacking_{reads[2:-3]}.py"
    path.write_text(HEAT.replace('("summary",)', reads))
    with pytest.raises(UserError, match=rf"cannot be imported: .*options need {lacks}"):
        load_plugin(path)


@pytest.mark.parametrize(
    ("section", "kind", "keys", "measure", "problem"),
    [
        ("figures", "sweep", {"metrics": ["a.b"]}, "logprobs", None),
        ("figures", "conditions", {"metrics": ["a.b"]}, "logprobs", "kind: conditions is made"),
        ("figures", "sweep", {"metrics": ["a.b"], "condition": "x"}, "logprobs", "condition: "),
        (
            *("figures", "sweep", {"metrics": ["a.b"], "condition": "unsteered"}, "logprobs"),
            "condition: 'unsteered' adds no vector",
        ),
        ("figures", "sweep", {"metrics": ["a.b"], "x": "dimensions"}, "logprobs", "x: no cond"),
        ("figures", "dose_response", {"metrics": ["a.b"]}, "completions", "metrics: there are 1"),
        ("figures", "topics", {"metrics": ["t.love"]}, "completions", None),
        ("figures", "topics", {"metrics": ["t.hate"]}, "completions", "metrics: 't.hate'"),
        ("figures", "accuracy", {"ranks": [1, 5]}, "logprobs", None),
        ("figures", "accuracy", {}, "logprobs", "ranks: 10 is not among experiments.e.ranks"),
        ("figures", "divergence", {}, "divergence", None),
        ("tables", "methods", {"metrics": ["a.b"]}, "divergence", None),
        ("tables", "qualitative", {}, "divergence", "kind: qualitative is made from completions"),
    ],
)
def test_what_a_kind_needs_of_its_experiment_is_reported_before_the_run(
    section, kind, keys, measure, problem
):
    sentences = problems(section, entry(kind, **keys), config(measure))
    assert [each.removeprefix(f"{section}.f.")[: len(problem or "")] for each in sentences] == (
        [problem] if problem else []
    )


@pytest.mark.parametrize("kind", ["accuracy", "precision", "frequency"])
def test_texts_without_targets_or_shares_are_refused(kind):
    settings = config("logprobs")
    settings["datasets"]["d"] = {"title": "made-up", "texts": ["a", "b"]}
    first, *_ = problems("figures", entry(kind), settings)
    assert first.startswith("figures.f.experiment: the texts of e are written in the config")


def test_what_an_entry_reads_follows_from_its_kind():
    pairs = entry("pairs", metrics=["a.b"], lens="l", relative_to="w")
    inputs = needs.inputs("figures", pairs, config())
    assert [(each.need, each.names, each.models) for each in inputs] == [
        ("summary", ("e",), ("one",)),
        ("norms", ("v", "w"), ("one",)),
        ("tokens", ("l",), ("two",)),
        ("cosines", ("l",), ("two",)),
        ("pair_check", (), ()),
    ]
    norms = {"kind": "norms", "vectors": ["v"], "relative_to": "w", "models": ["one", "two"]}
    [only] = needs.inputs("figures", norms, config())
    assert (only.names, only.models) == (("v", "w"), ("one", "two"))
    [only] = needs.inputs("tables", {"kind": "overhead", "overhead": "o"}, config())
    assert (only.names, only.models) == (("o",), ("one", "small"))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_kind_is_described(section):
    ours = {n: each for n, each in SECTIONS[section].items() if each.module.startswith("actadd.")}
    for name, kind in ours.items():
        assert kind.description and kind.module.rpartition(".")[2] == name
        assert set(get_type_hints(kind.options)) >= {"title", "paper", "note", "labels"}
        assert set(kind.measures) <= set(MEASURES)


def test_declarations_are_read_without_heavy_packages():
    code = (
        "import sys; from actadd.results.displays.kinds import SECTIONS; "
        "assert all(map(list, SECTIONS.values())); "
        "print(*{'torch', 'numpy', 'pandas', 'matplotlib', 'seaborn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    options = {"cwd": ROOT / "workflow", "capture_output": True, "text": True, "check": True}
    assert subprocess.run(command, **options).stdout.strip() == ""
