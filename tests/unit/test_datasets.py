"""Every form that data comes in, what is chosen from it, and how it is cut into sentences.

The files of the published experiments are read where they lie (ACTADD_DATA_DIR, or shared/data
beside this repository); without them those tests are skipped.
"""

import copy
import io
import json
import tarfile
from pathlib import Path

import nltk
import pandas as pd
import pytest
from nltk.tokenize.punkt import (
    PunktParameters,
    PunktSentenceTokenizer,
    PunktTrainer,
    save_punkt_params,
)

from actadd.base.errors import UserError
from actadd.config.checks import checked
from actadd.data import datasets
from builders import tiny
from builders.paper import COPIES, WEDDING_WORDS

DATA = tiny.ROOT / "workflow" / "data"


def prepared(source: Path, learned: Path | None = None, **spec) -> pd.DataFrame:
    """The rows that a config entry gives, read back as every later stage reads them."""
    output = source.parent / f"{source.name}.parquet"
    counts = datasets.prepare({"name": "x", "title": "x", **spec}, source, output, punkt=learned)
    table = datasets.read(output, None, "")
    assert counts["rows"] == len(table) and tuple(table.columns) == datasets.COLUMNS
    assert list(table["id"]) == list(range(len(table)))
    return table


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two datasets are, but for the lines that their rows come from."""
    return one.drop(columns="origin").equals(other.drop(columns="origin"))


def written(path: Path, content) -> Path:
    """A file of text, of lines of JSON if its name ends so, or of JSON."""
    if path.suffix == ".jsonl":
        content = "\n".join(map(json.dumps, content))
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def published(folder: str) -> Path:
    path = COPIES / folder
    if not path.is_dir():
        pytest.skip(f"no {path}: set ACTADD_DATA_DIR to a folder with the published data files")
    return path


# --- formats ---

NESTED = [
    {"prompt": {"text": "one two", "toxicity": 0.25}, "note": "a line\u2028separator"},
    {"prompt": {"text": "3", "toxicity": None}, "note": ""},
]


@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
@pytest.mark.parametrize("form", [{}, {"format": "documents"}])
def test_columns_of_nested_objects_have_dotted_names(tmp_path, name, form):
    columns = {"text": "prompt.text", "label": "prompt.toxicity"}
    table = prepared(written(tmp_path / name, NESTED), columns=columns, **form)
    assert list(table["text"]) == ["one two", "3"]
    assert table["label"][0] == 0.25 and pd.isna(table["label"][1])
    assert table["document"].isna().all() and set(table["split"]) == {"all"}


def test_a_format_outweighs_the_name(tmp_path):
    table = prepared(written(tmp_path / "x.txt", "text\n\na, b\n"), format="lines")
    assert list(table["text"]) == ["text", "a, b"]
    table = prepared(tmp_path / "x.txt", format="csv", table={"separator": ";"})
    assert list(table["text"]) == ["a, b"]


def test_whole_files_in_groups_by_name_or_by_config(tmp_path):
    for name in ("bells", "ships", "bread"):
        written(tmp_path / f"{name}.txt", f"All about {name}.\n\nThe end of {name}.\n")
    spec = {
        "format": "text",
        "files": ["bells.txt", "ships.txt", "bread.txt"],
        "group_names": {"bells.txt": "weddings", "ships.txt": "not-weddings"},
    }
    table = prepared(tmp_path, **spec)
    assert list(table["group"]) == ["weddings", "not-weddings", "bread"]
    assert table["text"][0] == "All about bells.\n\nThe end of bells."
    cut = prepared(tmp_path, sentences=True, **spec)
    assert list(cut["text"][:2]) == ["All about bells.", "The end of bells."]
    assert list(cut.groupby("group")["document"].nunique()) == [1, 1, 1]


def test_lama(tmp_path):
    rows = [
        {"pred": "IsA", "masked_sentences": ["A cat is an [MASK] ."], "obj_label": "animal"},
        {"pred": "IsA", "masked_sentences": ["A cat is an [MASK] ."], "obj_label": "actor"},
        {"pred": "HasA", "masked_sentences": ["It runs.", "It has [MASK]."], "obj_label": "legs"},
        {"pred": "HasA", "masked_sentences": ["[MASK] is a pet."], "obj_label": "cat"},
    ]
    table = prepared(written(tmp_path / "x.jsonl", rows), format="lama")
    assert table[["text", "target", "group"]].to_numpy().tolist() == [
        ["A cat is an", " animal", "IsA"],
        ["A cat is an", " actor", "IsA"],
        ["It runs. It has", " legs", "HasA"],
    ]


EDGES = [
    ("IsA", "Dog", "Animal"),
    ("IsA", "Poodle", "Dog"),
    ("IsA", "Liverpool", "City"),
    ("AtLocation", "Dog", "Kennel"),
    ("AtLocation", "Dog", "House"),
    ("AtLocation", "Animal", "Dog House"),
    ("AtLocation", "Animal", "Zoo"),
    ("AtLocation", "Liverpool", "England"),
    ("UsedFor", "Dog", "Hunting"),
]


@pytest.mark.parametrize("order", [1, -1])
def test_triples_give_one_object_of_each_common_noun(tmp_path, order):
    edges = [dict(zip(("rel", "start", "end"), edge, strict=True)) for edge in EDGES[::order]]
    templates = {"IsA": "A {subject} is a kind of", "AtLocation": "A {subject} lives in a"}
    source = written(tmp_path / "edges.jsonl", edges)
    table = prepared(source, format="triples", templates=templates)
    assert sorted(zip(table["group"], table["text"], table["target"], strict=True)) == [
        ("AtLocation", "A animal lives in a", " zoo"),
        ("AtLocation", "A dog lives in a", " kennel"),
        ("IsA", "A dog is a kind of", " animal"),
    ]
    with pytest.raises(UserError, match="no triple has the relation 'Isa'"):
        prepared(source, format="triples", templates={"Isa": "A {subject} is a"})


def test_an_archive_holds_documents(tmp_path):
    with tarfile.open(tmp_path / "x.xz", "w:xz") as archive:
        for number, text in enumerate(["One.\0 Two!", "Three?"]):
            member = tarfile.TarInfo(f"{number}.txt")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    table = prepared(tmp_path / "x.xz", format="documents")
    assert list(table["text"]) == ["One. Two!", "Three?"]
    cut = prepared(tmp_path / "x.xz", format="documents", sentences=True)
    assert list(cut["text"]) == ["One.", "Two!", "Three?"] and cut["document"].nunique() == 2
    with tarfile.open(tmp_path / "outer.tar", "w") as archive:
        archive.add(tmp_path / "x.xz", "subset/x.xz")
        archive.add(tmp_path / "x.xz", "subset/y.xz")
    both = prepared(tmp_path / "outer.tar", format="documents", per_group=1)
    assert len(both) == 1 and both["text"][0] in ("One. Two!", "Three?")
    assert list(prepared(tmp_path / "outer.tar", format="documents")["text"]) == list(table["text"])


def test_rows_can_be_chosen_in_the_order_of_the_file(tmp_path):
    names = [f"text {number}" for number in range(40)]
    rows = "".join(f"{name},{'ab'[i % 2]}\n" for i, name in enumerate(names))
    source = written(tmp_path / "x.csv", "text,group\n" + rows)
    assert list(prepared(source, per_group=3, order="file")["text"]) == names[:6]
    assert list(prepared(source, per_group=3)["text"]) != names[:6]
    first = prepared(source, splits={"development": 5, "held-out": 5}, order="file")
    assert list(first["text"]) == names[:10]


@pytest.mark.parametrize(
    ("form", "content", "pattern"),
    [
        ("json", '{"text": "a"}', "not a list of objects"),
        ("json", '["a"]', "row 1 is not an object"),
        ("jsonl", '{"text": "a"', "cannot be read as jsonl"),
        ("lama", '{"pred": "IsA", "obj_label": "a"}', "row 1 has no 'masked_sentences'"),
        ("json", '[{"prompt": {"words": "a"}}]', r"columns.text: .* it has prompt.words"),
        ("lama", "", "no text is left"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, form, content, pattern):
    with pytest.raises(UserError, match=pattern):
        prepared(written(tmp_path / "x.data", content), format=form)


def test_an_encoding_is_used_and_refused_where_the_file_is_utf_8(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("text\nJirí’s café\n".encode("cp1252"))
    assert list(prepared(path, table={"encoding": "cp1252"})["text"]) == ["Jirí’s café"]
    with pytest.raises(
        UserError, match=r"csv: line 2: the byte 0xed .* table: \{ encoding: cp1252"
    ):
        prepared(path)
    path.write_text("text\nJirí’s café\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"UTF-8 and not latin-1; leave table\.encoding out"):
        prepared(path, table={"encoding": "latin-1"})
    assert list(prepared(path)["text"]) == ["Jirí’s café"]


# --- what is taken from a text, and which texts are taken ---


def test_html_is_taken_out(tmp_path):
    rows = [{"text": "Bad.<br /><br /><i>Really</i> bad &amp; 2 < 3 > 1"}]
    table = prepared(written(tmp_path / "x.json", rows), html=True)
    assert list(table["text"]) == ["Bad. Really bad & 2 < 3 > 1"]


def test_groups_from_labels_hold_both_ends(tmp_path):
    rows = [{"text": f"t{label}", "label": label} for label in (0, 0.4, 0.5, 0.6, 1, None)]
    source = written(tmp_path / "x.json", rows)
    table = prepared(source, groups={"low": [0, 0.4], "high": [0.6, 1]})
    assert list(table["group"]) == ["low", "low", "high", "high"]
    unlabelled = written(tmp_path / "x.txt", "a")
    with pytest.raises(UserError, match=r"datasets\.x\.groups: no row has a label"):
        prepared(unlabelled, groups={"low": [0, 1]})


DOCUMENTS = [
    *(f"wedding {'word ' * (99 + n)}." for n in range(4)),  # about 1 %
    *(f"Bride {'word ' * (199 + n)}." for n in range(4)),  # about 0.5 %
    *(f"A wedding, {'word ' * (99 + n)}." for n in range(6)),  # "wedding," is none
]


def test_documents_by_the_share_of_their_words(tmp_path):
    rule = {"words": WEDDING_WORDS, "bin": 0.005}
    forward = written(tmp_path / "a.json", [{"text": text} for text in DOCUMENTS])
    back = written(tmp_path / "b.json", [{"text": text} for text in reversed(DOCUMENTS)])
    table = prepared(forward, frequency=rule)
    assert table["group"].value_counts().to_dict() == {"0.0": 6, "0.5": 4, "1.0": 4}
    some = {"related": 5, "unrelated": 2}
    table = prepared(forward, frequency=rule | some)
    assert table["group"].value_counts().to_dict() == {"0.0": 2, "0.5": 1, "1.0": 4}
    densest_half = table[table["group"] == "0.5"]["text"].item()
    assert densest_half == DOCUMENTS[4], "the shortest, so the densest"
    assert same(table, prepared(back, frequency=rule | some)), "the file's order is no matter"
    fewer = prepared(forward, frequency=rule | some, per_group=1)
    assert list(fewer["group"].sort_values()) == ["0.0", "0.5", "1.0"]
    assert set(fewer["text"]) < set(table["text"])
    table = prepared(forward, frequency=rule | {"bin": 0.0025})
    assert set(table["group"]) == {"0.00", "0.50", "1.00"}


def test_wide_shares_get_groups_of_one_width(tmp_path):
    source = written(tmp_path / "x.txt", "wed wed\nwed " + "a " * 99 + "\na b\n")
    table = prepared(source, frequency={"words": WEDDING_WORDS, "bin": 0.01})
    assert sorted(table["group"]) == ["000", "001", "100"]


def test_sentences_lose_nothing_but_their_white_space(tmp_path):
    text = 'Dr. Smith paid 3.50 "for  it". Why?\nNobody\tknows... He left.\n\nA heading\n\nThe end!'
    table = prepared(written(tmp_path / "x.txt", text), format="text", sentences=True)
    assert list(table["text"]) == [
        'Dr. Smith paid 3.50 "for it".',
        "Why?",
        "Nobody knows...",
        "He left.",
        "A heading",
        "The end!",
    ]
    limits = {"at_least_words": 2, "at_least_characters": 9}
    longer = prepared(tmp_path / "x.txt", format="text", sentences=True, **limits)
    assert list(longer["text"]) == [*table["text"][[0, 2, 4]]], "limits are for sentences"


TRAINING = "Mr. Smith left. Then Mr. Smith came. He left and came as Mr. Jones. " * 9
CUT = 'He is no. 1. Mr. Smith left.\n\nA heading\n\nThe  "end."  Then\nmore.'


@pytest.fixture
def punkt(tmp_path, monkeypatch) -> PunktParameters:
    """Parameters that are also saved as a source, at first at its top."""
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    learned = PunktTrainer(TRAINING).get_params()
    assert "mr" in learned.abbrev_types and learned.ortho_context
    save_punkt_params(learned, str(tmp_path / "nltk-punkt"))
    return learned


@pytest.mark.parametrize("path", ["", "english", "punkt_tab/english"])
def test_punkt_cuts_as_nltk_does(tmp_path, punkt, path):
    source = tmp_path / "source"
    if path:
        (source / path).parent.mkdir(parents=True)
    (tmp_path / "nltk-punkt").rename(source / path)
    text = written(tmp_path / "x.txt", CUT)
    spec = {"format": "text", "sentences": True, "punkt": "source"}
    table = prepared(text, source, **spec)
    assert list(table["text"]) == PunktSentenceTokenizer(punkt).tokenize(CUT)
    assert list(table["text"]) == [
        "He is no.",
        "1.",
        "Mr. Smith left.",
        'A heading\n\nThe  "end."',
        "Then\nmore.",
    ], "as it stands, with its white space"
    by_rules = prepared(text, format="text", sentences=True)
    assert "A heading" in list(by_rules["text"])


def test_punkt_files_that_do_not_do_are_named(tmp_path, punkt):
    text, source = written(tmp_path / "x.txt", CUT), tmp_path / "nltk-punkt"
    spec = {"format": "text", "sentences": True, "punkt": source.name}
    (source / "ortho_context.tab").write_text("mr.\tmany\n")
    with pytest.raises(UserError, match=r"datasets\.x\.punkt: source 'nltk-punkt' cannot be read"):
        prepared(text, source, **spec)
    (source / "ortho_context.tab").unlink()
    with pytest.raises(UserError, match=r"source 'nltk-punkt' has no ortho_context\.tab; name"):
        prepared(text, source, **spec)


def test_a_sentence_may_occur_in_two_documents_but_once_in_each(tmp_path):
    source = written(tmp_path / "x.txt", "Yes. It is. Yes.\nYes. It was.\nYes. It is. Yes.\n")
    table = prepared(source, sentences=True)
    assert list(table["text"]) == ["Yes.", "It is.", "Yes.", "It was."]
    assert list(table["document"].factorize()[0]) == [0, 0, 1, 1]


def test_whole_documents_go_into_splits(tmp_path):
    lines = [f"Text {n}. It goes on. And {n} ends." for n in range(20)]
    source = written(tmp_path / "x.txt", "\n".join(lines))
    table = prepared(source, sentences=True, splits={"one": 5, "two": 10})
    sizes = table.groupby("split")["document"].nunique()
    assert sizes.to_dict() == {"one": 5, "two": 10} and len(table) == 45
    assert table.groupby("document")["split"].nunique().max() == 1
    reverse = written(tmp_path / "y.txt", "\n".join(reversed(lines)))
    assert same(table, prepared(reverse, sentences=True, splits={"one": 5, "two": 10}))


# --- the config's checks ---


@pytest.mark.parametrize(
    ("entry", "pattern"),
    [
        ({"format": "xml"}, r"format: 'xml' is not known"),
        ({"format": "triples"}, "templates need each other"),
        ({"templates": {"IsA": "A {subject} is a"}}, "templates need each other"),
        ({"templates": {"IsA": "A {subject} is a "}}, "without a space at its end"),
        ({"group_names": {"y.txt": "y"}}, r"group_names: 'y.txt' is not among its files"),
        ({"groups": {"a": [1, 0]}}, r"groups\.a: 1 is above 0"),
        ({"groups": {"b": [0.5, 1], "a": [0, 0.5]}}, "'a' and 'b' overlap at 0.5"),
        ({"groups": {"a": [0, 1]}, "frequency": {"words": ["a"]}}, "groups and frequency"),
        ({"frequency": {"words": ["Wed"]}}, "a word in lower case"),
        ({"per_group": 0}, "per_group"),
        ({"punkt": "absent", "sentences": True}, r"x\.punkt: there is no source 'absent'"),
        ({"punkt": "tiny"}, r"x\.punkt: it only cuts sentences; write sentences: true"),
    ],
)
def test_what_a_config_must_not_say(tmp_path, entry, pattern):
    written(tmp_path / "x.txt", "a")
    for name in ("texts.csv", "labelled.csv"):
        written(tmp_path / name, "text")
    config = copy.deepcopy(tiny.CONFIG)
    config["datasets"]["x"] = {"title": "x", "file": "x.txt", **entry}
    with pytest.raises(UserError, match=pattern):
        checked(config, tmp_path)


# --- files as they are published, and our own ---


def copied(folder: str, tmp_path: Path) -> Path:
    """A link to a published folder, beside which `prepared` may write."""
    link = tmp_path / folder
    link.symlink_to(published(folder), target_is_directory=True)
    return link


def test_the_essays(tmp_path):
    essays = {
        "chatgpt_wedding_essay_20230423.txt": "weddings",
        "chatgpt_shipping_essay_20230423.txt": "not-weddings",
        "wikipedia_macedonia.txt": "macedonia",
        "vegan_banana_bread.txt": "bread",
    }
    source = copied("essays", tmp_path)
    table = prepared(source, files=list(essays), format="text", group_names=essays, sentences=True)
    # Punkt, which the paper used, makes 57 of the first two. Ours also ends one at an empty line:
    # a heading is no part of what follows.
    assert table["group"].value_counts().to_dict() == {
        "weddings": 34,
        "not-weddings": 29,
        "macedonia": 26,
        "bread": 42,
    }
    for name, group in essays.items():
        cut = list(dict.fromkeys(table[table["group"] == group]["text"]))
        whole = " ".join((source / name).read_text(encoding="utf-8").split())
        assert all(sentence in whole for sentence in cut)


def test_the_toxicity_prompts(tmp_path):
    source = copied("rtp", tmp_path)
    spec = {
        "file": "random_prompts.jsonl",
        "columns": {"text": "prompt.text", "label": "prompt.toxicity"},
    }
    table = prepared(source, **spec)
    assert len(table) == 1000 and table["label"].notna().sum() == 999
    assert table["label"].mean() == pytest.approx(0.289, abs=5e-4)
    high = prepared(source, groups={"toxic": [0.5, 1]}, **spec)
    assert len(high) == 232 and set(high["group"]) == {"toxic"}


def test_the_conceptnet_rows(tmp_path):
    table = prepared(copied("conceptnet", tmp_path), file="test.jsonl", format="lama")
    assert len(table) == 146 and table["target"].str.fullmatch(r" \S+").all()
    assert (table["text"][0], table["target"][0], table["group"][0]) == (
        "Contemplating requires",
        " concentration",
        "HasPrerequisite",
    )


def test_the_open_web_text_sample(tmp_path):
    source = copied("openwebtext", tmp_path)
    spec = {"file": "openwebtext_1.xz", "format": "documents"}
    assert len(prepared(source, **spec)) == 149
    rule = {"words": WEDDING_WORDS, "bin": 0.0001}
    table = prepared(source, frequency=rule | {"unrelated": 1}, **spec)
    assert len(table) == 10, "nine documents with a keyword, and one without"
    rule = {"words": WEDDING_WORDS, "bin": 0.005}
    table = prepared(source, frequency=rule, sentences=True, at_least_words=6, **spec)
    assert set(table["group"]) == {"0.0", "1.0"} and not table["text"].str.contains("\0").any()


@pytest.mark.parametrize(
    ("name", "rows", "shortest", "longest"),
    [("provocations", 64, 8, 16), ("statements", 40, 6, 30)],
)
def test_our_own_prompts(tmp_path, name, rows, shortest, longest):
    source = written(tmp_path / "x.csv", (DATA / f"{name}.csv").read_text(encoding="utf-8"))
    table = prepared(source)
    assert (
        len(table) == rows and table["text"].str.split().str.len().between(shortest, longest).all()
    )
    assert (table["text"] == table["text"].str.strip()).all()
