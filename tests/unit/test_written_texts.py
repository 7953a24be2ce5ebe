"""Texts arrive as they were written, in every form that people have, or the line is named."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actadd.base.errors import UserError
from actadd.data import datasets
from actadd.data.text_equality import key_of


def prepared(source: Path | None, folder: Path, **spec) -> tuple[pd.DataFrame, dict]:
    counts = datasets.prepare({"name": "x", **spec}, source, folder / "out.parquet")
    return datasets.read(folder / "out.parquet", None, ""), counts


def rows(folder: Path, name: str, content: bytes | str, *columns: str, **spec) -> list:
    """The rows of a file of that name and content; of one column, its cells."""
    source = folder / name
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = prepared(source, folder, file=name, **spec)[0]
    table = table[list(columns) or ["text"]]
    result = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return result if columns else [row[0] for row in result]


# --- nothing is stripped and no row is lost ---


@pytest.mark.parametrize(
    ("column", "one", "other"), [("group", "a", "b"), ("label", 0.0, 1.0), ("target", " x", " y")]
)
def test_equal_texts_that_differ_in_something_are_two_rows(tmp_path, column, one, other):
    content = f"text,{column}\nThe doctor said,{one}\nThe doctor said,{other}\n"
    assert rows(tmp_path, "a.csv", content, "text", column) == [
        ["The doctor said", one],
        ["The doctor said", other],
    ]


def test_rows_that_are_equal_in_everything_are_one_and_counted(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("text,group\none,a\none,a\none,b\n")
    table, counts = prepared(tmp_path / "a.csv", tmp_path, file="a.csv")
    assert len(table) == 2 and counts["equal_rows"] == 1
    assert "1 rows are equal to another in everything, left out: a.csv:3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.jsonl", '{"text": "Review:\\n"}\n{"text": "\\t two  "}\n', ["Review:\n", "\t two  "]),
        ("a.jsonl", b'{"text": "a\\r\\n"}\r\n{"text": "b"}\r\n', ["a\r\n", "b"]),
        ("a.json", '[{"text": "\\nx\\n\\n"}]', ["\nx\n\n"]),
        ("a.csv", b'text,group\r\n" a\r\n",b\r\n c ,d\r\n', [" a\r\n", " c "]),
        ("a.csv", b"text,group\ra,b\rc,d\r", ["a", "c"]),
        ("a.txt", "  a \nb\t\n", ["  a ", "b\t"]),
        ("a.txt", b"a \r\nb\r\n", ["a ", "b"]),
        ("a.txt", b"a\rb\r", ["a", "b"]),
        ("a.txt", "one\u2028line\x0b\x85\n", ["one\u2028line\x0b\x85"]),
    ],
)
def test_white_space_and_line_ends_are_text(tmp_path, name, content, texts):
    assert rows(tmp_path, name, content) == texts


def test_only_the_last_line_end_of_a_file_is_not_part_of_its_text(tmp_path):
    assert rows(tmp_path, "a.txt", " a \r\n\r\nb\n\n", format="text") == [" a \n\nb\n"]


def test_inline_texts_keep_their_line_ends(tmp_path):
    table, _ = prepared(None, tmp_path, texts=["Q: 1\nA:\n", " x "])
    assert list(table["text"]) == ["Q: 1\nA:\n", " x "]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides_the_encoding_and_is_not_text(tmp_path, encoding):
    content = "text\n日本 é\n"
    assert rows(tmp_path, "a.csv", content.encode(encoding)) == ["日本 é"]
    spec = {"table": {"encoding": encoding.removesuffix("-sig")}}
    assert rows(tmp_path, "a.csv", content.encode(encoding), **spec) == ["日本 é"]


def test_an_encoding_makes_no_table_of_lines(tmp_path):
    spec = {"table": {"encoding": "latin-1"}}
    assert rows(tmp_path, "a.txt", "a, b\ncafé\n".encode("latin-1"), **spec) == ["a, b", "café"]


def test_nuls_are_taken_out_and_counted(tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text('{"text": "a\\u0000b"}\n{"text": "c"}\n')
    table, counts = prepared(tmp_path / "a.jsonl", tmp_path, file="a.jsonl")
    assert list(table["text"]) == ["ab", "c"] and counts["texts_with_nul"] == 1
    assert "NUL characters: a.jsonl:1" in capsys.readouterr().out


def test_numbers_are_texts_as_they_are_spelled(tmp_path):
    content = '{"text": 1.50, "group": 1}\n{"text": 3, "group": null}\n{"text": "c", "group": "1"}'
    assert rows(tmp_path, "a.jsonl", content, "text", "group") == [
        ["1.50", "1"],
        ["3", None],
        ["c", "1"],
    ]


@pytest.mark.parametrize("name", ["nan", "None", "NA", "null", "a@b", "x.y", "1", "$0", "高い"])
def test_a_group_may_have_any_name(tmp_path, name):
    assert rows(tmp_path, "a.csv", f"text,group\na,{name}\nb,\n", "group") == [[name], [None]]


# --- forms ---

FRAME = pd.DataFrame({"text": [" a ", "b\n", 'say "hi", ok\tyes'], "group": ["1", "2", "3"]})
PLAIN = b"text,group\nx,y\n"


def in_zip(**files: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(PLAIN, mtime=0)),
        ("a.csv.bz2", bz2.compress(PLAIN)),
        ("a.csv.xz", lzma.compress(PLAIN)),
        ("a.csv.zst", pa.compress(PLAIN, codec="zstd", asbytes=True)),
        ("a.csv.zip", in_zip(inside=PLAIN.decode())),
        ("a.csv", gzip.compress(PLAIN, mtime=0)),
        ("a.tsv.gz", gzip.compress(PLAIN.replace(b",", b"\t"), mtime=0)),
        ("a.TSV", PLAIN.replace(b",", b"\t")),
        ("a.ndjson", b'{"text": "x", "group": "y"}\n'),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x", "group": "y"}\n', mtime=0)),
        ("a.json", b'{"text": "x", "group": "y"}\n{"text": "x", "group": "y"}\n'),
        ("a.json", b'{"version": 1, "data": [{"text": "x", "group": "y"}]}'),
        ("a.json", b'{"text": ["x"], "group": ["y"]}'),
    ],
)
def test_compressed_and_wrapped_files_are_read(tmp_path, name, content):
    assert rows(tmp_path, name, content, "text", "group") == [["x", "y"]]


def test_binary_tables_are_read(tmp_path):
    expected = FRAME.to_numpy().tolist()
    FRAME.to_parquet(tmp_path / "a.parquet")
    FRAME.to_feather(tmp_path / "a.feather")
    table = pa.Table.from_pandas(FRAME)
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), table.schema) as stream:
        stream.write_table(table)
    for name in ("a.parquet", "a.feather", "a.arrow"):
        result, _ = prepared(tmp_path / name, tmp_path, file=name)
        assert result[["text", "group"]].to_numpy().tolist() == expected
    nested = pa.table({"prompt": [{"text": "p", "toxicity": 0.5}, {"text": "q", "toxicity": None}]})
    pq.write_table(nested, tmp_path / "n.parquet")
    columns = {"text": "prompt.text", "label": "prompt.toxicity"}
    result, _ = prepared(tmp_path / "n.parquet", tmp_path, file="n.parquet", columns=columns)
    assert list(result["text"]) == ["p", "q"] and result["label"][0] == 0.5


def test_the_rows_of_a_json_document_may_be_named(tmp_path):
    content = json.dumps({"a": [{"text": "1"}], "b": {"c": [{"text": "2"}]}, "d": [{"text": "3"}]})
    with pytest.raises(UserError, match=r"keys a, d; write records: KEY"):
        rows(tmp_path, "a.json", content)
    assert rows(tmp_path, "a.json", content, records="d") == ["3"]
    assert rows(tmp_path, "a.json", content, records="b.c") == ["2"]


@pytest.mark.parametrize("quoting", [0, 1, 2])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quoted_tables_with_tabs_are_read(tmp_path, quoting, end):
    frame = FRAME.assign(number=[1, 2, 3])
    content = frame.to_csv(sep="\t", index=False, quoting=quoting, lineterminator=end).encode()
    assert rows(tmp_path, "a.tsv", content, "text", "group") == FRAME.to_numpy().tolist()


def test_excels_tables_with_tabs(tmp_path):
    content = 'text\tgroup\r\n"Hello, you"\ta\r\n"say ""hi"""\tb\r\nplain\tc\r\n'
    assert rows(tmp_path, "a.tsv", content) == ["Hello, you", 'say "hi"', "plain"]


def test_quotes_of_a_raw_table_with_tabs_are_text(tmp_path):
    texts = ['He said "hi" to', '"Hello" she said', '"All of it"', 'it is 5" wide', '""']
    content = "".join(f"{number}\t{text}\n" for number, text in enumerate(texts))
    table = {"separator": "\t", "columns": ["number", "text"]}
    assert rows(tmp_path, "a.txt", content, table=table) == texts


def test_a_table_that_may_be_either_is_refused_by_its_key(tmp_path):
    content = 'text\tgroup\n"say ""hi"""\ta\nHe said "hi" to\tb\n'
    with pytest.raises(UserError, match=r"line 2: .*quoting: double .*quoting: none"):
        rows(tmp_path, "a.tsv", content)
    double, none = ({"table": {"quoting": quoting}} for quoting in ("double", "none"))
    assert rows(tmp_path, "a.tsv", content, **double) == ['say "hi"', 'He said "hi" to']
    assert rows(tmp_path, "a.tsv", content, **none) == ['"say ""hi"""', 'He said "hi" to']


def test_quotes_after_a_backslash(tmp_path):
    content = 'text,group\n"He said \\"hi\\"",a\n"C:\\\\x \\n",b\n'
    with pytest.raises(UserError, match=r"line 2: .*table: \{ quoting: backslash \}"):
        rows(tmp_path, "a.csv", content)
    table = {"quoting": "backslash"}
    assert rows(tmp_path, "a.csv", content, table=table) == ['He said "hi"', "C:\\x \\n"]


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("quoting", [0, 1, 3])
def test_escapes_written_by_pandas_are_read(tmp_path, separator, quoting):
    texts = ['"All of it"', 'say "hi", you', "C:\\x", "\\", 'a\\"b', "two\nlines", "a;b\tc", "x"]
    content = pd.DataFrame({"text": texts, "group": "g"}).to_csv(
        index=False, sep=separator, quoting=quoting, doublequote=False, escapechar="\\"
    )
    table = {"separator": separator, "quoting": "backslash"}
    assert rows(tmp_path, "a.csv", content, table=table) == texts


def test_a_space_and_a_quote_within_a_quoted_text_are_text(tmp_path):
    texts = [' "hello"', 'a, "b", c', ' "']
    content = pd.DataFrame({"group": "g", "text": texts}).to_csv(index=False)
    assert rows(tmp_path, "a.csv", content) == texts
    assert rows(tmp_path, "b.csv", 'text\n "x"\n', table={"quoting": "none"}) == [' "x"']


def test_what_is_in_a_zip_says_its_form(tmp_path):
    content = FRAME.to_csv(sep="\t", index=False)
    packed = in_zip(**{"a.tsv": content, "__MACOSX/._a.tsv": "x"})
    assert rows(tmp_path, "a.zip", packed) == FRAME["text"].tolist()
    assert rows(tmp_path, "b.zip", in_zip(**{"a.jsonl": '{"text": "x"}'})) == ["x"]


def test_an_encoding_without_its_characters_is_refused(tmp_path):
    content = "text\nok\n“quoted” é\n".encode("cp1252")
    with pytest.raises(UserError, match=r"line 3: .*encoding: cp1252"):
        rows(tmp_path, "a.csv", content, table={"encoding": "latin-1"})
    for encoding, text in (("cp1252", "“quoted” é"), ("latin-1", "é")):
        table = {"encoding": encoding}
        assert rows(tmp_path, "a.csv", f"text\n{text}\n".encode(encoding), table=table) == [text]


# --- what is refused, with line and remedy ---


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", 'text,g\na,b\n"open,c\nd,e\n', ["line 3", "never closed", "quoting: none"]),
        ("a.csv", 'text,g\n"a" b,c\n', ["line 2", "quoting: none"]),
        ("a.csv", "text,g\na\n", ["line 2", "1 columns"]),
        ("a.csv", "text;label\na b;1\n", ["text;label", 'separator: ";"']),
        ("a.csv", "text;label\na, b;1\n", ["line 2", 'separator: ";"']),
        ("a.csv", "text\tlabel\na b\t1\n", [r'separator: "\t"']),
        ("a.csv", "sep=;\r\ntext;label\r\na;1\r\n", ["line 1", "delete", 'separator: ";"']),
        ("a.csv", "Text,label\na,1\n", ["columns.text", "Text", "columns: { text: 'Text' }"]),
        ("a.csv", " text\na\n", ["columns: { text: ' text' }"]),
        ("a.csv", b"text\nok\ncaf\xe9\n", ["line 3", "0xe9", "encoding: cp1252"]),
        ("a.csv", "text\nhello\n".encode("utf-16-le"), ["encoding: utf-16-le"]),
        ("a.csv", "text\nnaïve\n".encode("utf-16-be"), ["encoding: utf-16-be"]),
        ("a.csv", 'group,text\n1, "hello"\n', ["line 2", "space", "quoting: none"]),
        ("a.csv", 'group,text\n1, "a, b"\n', ["line 2", "space", "quoting: none"]),
        ("a.tsv", '"text"\t"g"\n"1"\t"a b"\t"x"\n', ["line 2", "row.names = FALSE"]),
        ("a.tsv", 'text\tg\n"a \\"b\\""\t1\nc "d" e\t2\n', ["line 2", "quoting: backslash"]),
        ("a.csv", "text,label\na,1\nb,four\n", ["columns.label", "a.csv:3", "'four'"]),
        ("a.csv", "text,label\na,True\n", ["columns.label", "a.csv:2", "1 and 0"]),
        ("a.csv", "text,label\na,inf\n", ["columns.label", "a.csv:2"]),
        ("a.csv", "text,group\na,all\n", ["columns.group", "a.csv:2", "'all'"]),
        ("a.csv", "text,split\na,all\nb,fit\n", ["columns.split", "a.csv:2", "'all'"]),
        ("a.json", '[{"text": true}]', ["columns.text", "a.json:1", "True"]),
        ("a.json", '{"text": {"0": "a"}}', ["list of objects", "orient='records'"]),
        ("a.jsonl", '{"text": "a"}\n{"text": "b", "text": "c"}\n', ["line 2", "twice"]),
        ("a.jsonl", '[{"text": "a"},\n{"text": "b"}]\n', ["line 1", "format: json"]),
        ("a.xlsx", in_zip(**{"[Content_Types].xml": ""}), ["CSV UTF-8"]),
        ("a.xls", b"\xd0\xcf\x11\xe0", ["CSV UTF-8"]),
        ("a.zip", in_zip(one="text\na\n", two=""), ["one, two", "unpack"]),
        ("a.pkl", b"\x80\x04x", ["pickle", "Parquet"]),
        ("a.csv.gz", gzip.compress(b"text\na\n" * 99, mtime=0)[:-9], ["cannot be read"]),
    ],
)
def test_what_cannot_be_read_is_named_with_line_and_remedy(tmp_path, name, content, words):
    with pytest.raises(UserError) as caught:
        rows(tmp_path, name, content)
    message = str(caught.value)
    assert all(word in message for word in ("datasets.x", *words)), message
    assert len(message.splitlines()) == 1 and not (tmp_path / "out.parquet").exists()


def test_a_column_that_is_a_roles_but_for_its_case_is_reported(tmp_path, capsys):
    assert rows(tmp_path, "a.csv", "text,Group\na,b\n", "group") == [[None]]
    assert "'Group' of a.csv is not read" in capsys.readouterr().out
    columns = {"group": "Group"}
    assert rows(tmp_path, "a.csv", "text,Group\na,b\n", "group", columns=columns) == [["b"]]


# --- splits ---


def split_of(folder: Path, texts: list[str], splits) -> tuple[dict[str, str], dict]:
    table, counts = prepared(None, folder, texts=texts, splits=splits, order="file")
    return dict(zip(table["text"], table["split"], strict=True)), counts


TEN = [f"text number {number}" for number in range(10)]


def test_the_first_split_takes_the_first_rows(tmp_path):
    for splits in ({"held-out": 0.2, "fit": 0.8}, [["held-out", 0.2], ["fit", 0.8]]):
        result, counts = split_of(tmp_path, TEN, splits)
        assert [text for text in TEN if result[text] == "held-out"] == TEN[:2]
        assert counts == {"rows": 10, "splits": {"held-out": 2, "fit": 8}}
    turned, _ = split_of(tmp_path, TEN, {"fit": 0.8, "held-out": 0.2})
    assert [text for text in TEN if turned[text] == "fit"] == TEN[:8]


LIKE = ["Text number 0!", "TEXT,  number 0", "text number 9?"]


def test_equal_texts_are_chosen_whatever_their_order_in_the_file(tmp_path):
    lines = [f"text {n % 5},{'abc'[n % 3]},{n}" for n in range(20)]
    for spec in ({"splits": {"x": 5, "y": 3}}, {"splits": {"x": 0.3, "y": 4}}, {"per_group": 3}):
        one, other = (
            rows(tmp_path, "a.csv", "\n".join(["text,group,label", *part]), "text", "label", **spec)
            for part in (lines, lines[::-1])
        )
        assert one == other


def test_no_row_is_in_two_groups(tmp_path):
    content = "text,label\na,1\nb,5\nc,9\n"
    with pytest.raises(UserError, match=r"x\.groups: a\.csv:3: the label 5 .*low.*high"):
        rows(tmp_path, "a.csv", content, groups={"low": [0, 5], "high": [5, 9]})
    groups = {"low": [0, 5], "high": [5.1, 9]}
    expected = [["a", "low"], ["b", "low"], ["c", "high"]]
    assert rows(tmp_path, "a.csv", content, "text", "group", groups=groups) == expected


def test_rows_without_a_group_count_as_one(tmp_path):
    (tmp_path / "a.csv").write_text("text,group\na,g\nb,\nc,g\nd,\n")
    table, _ = prepared(tmp_path / "a.csv", tmp_path, file="a.csv")
    first = datasets.chosen(table, {"limit": 1, "each_group": True}, "")
    assert first["text"].tolist() == ["a", "b"]


def test_near_duplicates_stay_on_the_side_of_the_first(tmp_path):
    """With shares they move there; where a number was asked for, they are left out."""
    result, counts = split_of(tmp_path, TEN + LIKE, {"a": 0.4, "b": 0.6})
    assert {result[text] for text in (TEN[0], *LIKE[:2])} == {"a"}
    assert result[TEN[9]] == result[LIKE[2]] == "b" and len(result) == 13
    assert counts["near_duplicates_moved"] == 2
    result, counts = split_of(tmp_path, TEN + LIKE, {"a": 4, "b": 7})
    assert not set(LIKE[:2]) & set(result) and result[LIKE[2]] == "b"
    assert counts["splits"] == {"a": 4, "b": 7} and counts["near_duplicates_left_out"] == 2
    with pytest.raises(UserError, match=r"splits: 12 rows .* there are 13, of which 2 are near"):
        split_of(tmp_path, TEN + LIKE, {"a": 4, "b": 8})


def test_openings_are_compared_as_they_are_cut(tmp_path):
    texts = ["one two three", "One two, four", "a b c", "d e f"]
    spec = {"texts": texts, "order": "file", "take_words": 2}
    table, counts = prepared(None, tmp_path, splits={"a": 1, "b": 2}, **spec)
    assert list(table["text"]) == ["one two", "a b", "d e"]
    assert counts["near_duplicates_left_out"] == 1


def test_near_duplicates_in_splits_of_a_file_move_together(tmp_path, capsys):
    content = (
        "text,split\nThe doctor said,dev\nthe doctor said!,test\nThe doctor said,test\nx,test\n"
    )
    assert rows(tmp_path, "a.csv", content, "split") == [["dev"], ["dev"], ["dev"], ["test"]]
    assert "near-duplicates of one in another split" in capsys.readouterr().out


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"datasets\.x\.splits\.a: 0\.01 of 10 rows is 0"):
        split_of(tmp_path, TEN, {"a": 0.01, "b": 0.5})


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("The End.", "the  end", True),
        ("well-known", "well known", True),
        ("Straße", "STRASSE", True),
        ("ﬁne\u200b", "fine", True),
        ("café", "cafe", False),
        ("कि", "का", False),
        ("2 + 2", "2 = 2", False),
        ("fine :)", "fine", True),
        ("fine 😀", "fine 😢", False),
        ("I ❤\ufe0f it", "I ❤ it", True),
        ("...", "!", False),
    ],
)
def test_what_is_alike(one, other, alike):
    assert (key_of(one) == key_of(other)) is alike
