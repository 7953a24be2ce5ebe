"""Lists of a config: one entry written once, for each item."""

import copy

import pytest

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.config.files import load
from builders import tiny

WORDS = {
    "lists": {"concept": ["bread", "Ice Créam"]},
    "vectors": {
        "{concept}-word": {"kind": "pair", "positive": "{concept.text}", "negative": " "},
        "{concept}-random": {"kind": "random", "like": "{concept}-word"},
    },
    "figures": {
        "sizes": {
            "kind": "norms",
            "title": "sizes",
            "vectors": ["love-hate", "{concept}-{kind}"],
            "models": ["tiny"],
        }
    },
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(**sections) -> dict:
    """The tiny config with `WORDS`, and sections on top."""
    config = tiny.config()
    pieces = copy.deepcopy(WORDS)
    pieces["lists"]["kind"] = ["word", "random"]
    for name, section in {**pieces, **sections}.items():
        config[name] = {**config.get(name, {}), **section}
    return config


def test_an_entry_and_a_text_of_a_list_stand_for_one_of_each_item():
    plain = tiny.config()
    for name, text in (("bread", "bread"), ("ice-cream", "Ice Créam")):
        pair = {"kind": "pair", "positive": text, "negative": " "}
        plain["vectors"][f"{name}-word"] = pair
        plain["vectors"][f"{name}-random"] = {"kind": "random", "like": f"{name}-word"}
    names = [f"{name}-{kind}" for name in ("bread", "ice-cream") for kind in ("word", "random")]
    plain["figures"]["sizes"] = {**WORDS["figures"]["sizes"], "vectors": ["love-hate", *names]}
    config = checked(written())
    assert config.pop("lists") == {"concept": ["bread", "Ice Créam"], "kind": ["word", "random"]}
    assert config == {k: v for k, v in checked(plain).items() if k != "lists"}


def test_items_are_rows_of_a_file_in_data_dir_or_the_working_directory(folder):
    (folder / "pairs.csv").write_text(
        'name,to,away from\nJoy,"glad, really",sad\nCalm,calm,angry\n'
    )
    rows = {"concept": {"file": "pairs.csv", "column": "name"}}
    pair = {"kind": "pair", "positive": "{concept.to}", "negative": "{concept.away from}"}
    config = written(vectors={"{concept}-word": pair, "{concept}-random": pair})
    config["lists"] |= rows
    vectors = checked(copy.deepcopy(config))["vectors"]
    assert vectors["joy-word"]["positive"] == "glad, really"
    assert vectors["calm-word"]["negative"] == "angry"
    (folder / "mine").mkdir()
    (folder / "mine" / "pairs.csv").write_text("name,to,away from\nPride,proud,ashamed\n")
    vectors = checked({**config, "data_dir": "mine"})["vectors"]
    assert "pride-word" in vectors and "joy-word" not in vectors


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"lists": {"concept": ["a b", "A-B"]}}, ["lists.concept", "'A-B'", "rename"]),
        ({"lists": {"concept": ["高"]}}, ["lists.concept", "'高'", "write another"]),
        ({"lists": {"concept": []}}, ["lists.concept", "at least one"]),
        ({"lists": {"concept": [1]}}, ["lists.concept.0", "1", "text"]),
        ({"lists": {"Concept": ["a"]}}, ["lists", "'Concept'", "lower-case"]),
        ({"lists": {"concept": {"file": "none.csv"}}}, ["lists.concept.file", "'none.csv'", "CSV"]),
        ({"lists": {"concept": {"file": "odd.csv"}}}, ["lists.concept.column", "'text'", "name"]),
        ({"lists": {"concept": {"file": "empty.csv"}}}, ["lists.concept.file", "one for each"]),
        ({"vectors": {"{concept}": {"kind": "{concept.plural}"}}}, ["{concept}.kind", ".text}"]),
        ({"data_dir": "{concept}"}, ["data_dir", "put {concept} into a key above"]),
        (
            {"vectors": {"bread-word": {}, **WORDS["vectors"]}},
            ["vectors.bread-word", "'bread-word'", "rename"],
        ),
        (
            {"vectors": {**WORDS["vectors"], "{concept}-x": {"kind": "pair", "positive": "a"}}},
            ["vectors.bread-x", "'negative'"],
        ),
        (
            {"lists": {f"x{n}": [str(i) for i in range(99)] for n in range(3)}, "vectors": {
                "{x0}-{x1}-{x2}": {"kind": "pair"}}},
            ["vectors.{x0}-{x1}-{x2}", "more than 200,000 values", "shorten"],
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named(folder, sections, words):
    (folder / "odd.csv").write_text("name\nJoy\n")
    (folder / "empty.csv").write_text("text\n")
    config = {**written(), **{k: v for k, v in sections.items() if not isinstance(v, dict)}}
    for name, section in sections.items():
        if isinstance(section, dict):
            config[name] = {**config[name], **section}
    with pytest.raises(UserError) as caught:
        checked(config)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_mistake_below_a_list_has_the_line_where_it_is_written(folder):
    top = folder / "top.yaml"
    top.write_text('lists: { concept: [bread] }\nvectors:\n  "{concept}":\n    kind: pair\n')
    with pytest.raises(UserError, match=r"top\.yaml, line 3: vectors\.bread: .*positive"):
        checked(load([top], tiny.config()))
