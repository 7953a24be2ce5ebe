"""Tables as text: decimals under each other, and LaTeX that compiles."""

import re
import shutil
import subprocess
from html import unescape

import markdown
import numpy as np
import pandas as pd
import pytest

from actadd.results import markup
from actadd.results.displays.visible import visible
from actadd.results.report import rst, write_table_page

NASTY = '50 % of _x_ & $5 #1 {a} \\foo ~^ |a|\n--- <b> "q" 中文 é ␣ 🙂'
TABLE = pd.DataFrame(
    {
        "case": ["a_b", "c"],
        "model": ["one", "one"],
        "mean": [0.5, -12.25],
        "p": ["1e-05", "0.3"],
        "estimate": ["0.10 [-0.20, 0.40]", "failed"],
        "nothing": [None, None],
        "text": [NASTY, "[x] " + "-" * 90],
    }
).set_index(["case", "model"])
# More columns than a page has room for.
WIDE = pd.DataFrame({f"column {n}": [f"{n}.125 [{n}.025, {n}.225]"] * 3 for n in range(14)})
WIDE.index = pd.Index(["x", "y", "z"], name="condition")
LONG = pd.DataFrame({"n": range(200), "text": ["many words " * 9] * 200}).set_index("n")


def latex(table: pd.DataFrame) -> str:
    return markup.latex_table(table, caption=NASTY, label="tab:t")


def bodies(text: str) -> list[list[list[str]]]:
    """The cells of each tabular's rows."""
    result = []
    for body in re.findall(r"\\midrule\n(?!\\end|\\multi)(.*?)\\bottomrule", text, flags=re.DOTALL):
        lines = [line.rstrip("\\ ") for line in body.splitlines() if line.endswith("\\\\")]
        result.append([re.split(r"(?<!\\) & |(?<!\\)& ", line) for line in lines])
    return result


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.25, 0.125], ["0.5000", "0.2500", "0.1250"]),
        ([30.123456, 5.0], ["30.12", "5.00"]),
        ([-0.00001, 100.5, 99.5], ["-1e-05", "100", "99.5"]),
        ([1.0, 2.0, np.nan], ["1", "2", ""]),
        ([np.nan, np.nan], ["", ""]),
    ],
)
def test_a_column_has_one_number_of_decimals(values, expected):
    assert markup.readable(pd.DataFrame({"x": values}))["x"].tolist() == expected


def test_zero_has_no_sign():
    assert markup.fixed(-1e-9, 2) == "0.00" and markup.fixed(-0.01, 2) == "-0.01"


def test_numbers_are_aligned_right_and_texts_left_in_markdown():
    _, rule, *rows = markup.markdown_table(TABLE).splitlines()
    sides = [cell.endswith(":") for cell in rule.strip("|").split("|")]
    assert sides == [False, False, True, True, True, True, False]
    assert len(rows) == 2


def test_latex_has_booktabs_rules_a_caption_and_a_label():
    text = latex(TABLE)
    for part in (r"\begin{table}", r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:t}"):
        assert text.count(part) == 1
    assert text.isascii()
    [rows] = bodies(text)
    assert [row[:4] for row in rows] == [
        ["a\\_b", "0.50", r"1$\times10^{-5}$", "0.10 [$-$0.20, 0.40]"],
        ["c", "$-$12.25", "0.3", "failed"],
    ]
    assert r"50 \% of \_x\_ \& \$5 \#1 \{a\} {\textbackslash}foo" in rows[0][4]
    assert rows[1][4].startswith("{}["), "no optional argument of the end of a row"
    # What is the same in all rows is said once; what is empty not at all.
    assert "Everywhere: model one." in text and "nothing" not in text


def test_a_wide_table_is_cut_into_blocks_that_name_their_rows():
    result = bodies(latex(WIDE))
    assert len(result) > 3
    assert all([row[0] for row in rows] == ["x", "y", "z"] for rows in result)
    cells = [cell for rows in result for cell in rows[0][1:]]
    assert cells == WIDE.iloc[0].tolist(), "each column once, in order"


def test_a_long_table_breaks_over_pages_and_counts_once():
    text = latex(LONG)
    assert r"\begin{longtable}" in text and r"\begin{table}" not in text
    assert text.count(r"\caption{") == 1 and r"\caption[]{(continued)}" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex")
@pytest.mark.parametrize("table", [TABLE, WIDE, LONG], ids=["nasty", "wide", "long"])
def test_latex_compiles_within_the_margins(table, tmp_path):
    (tmp_path / "t.tex").write_text(latex(table))
    lines = [
        r"\documentclass{article}\usepackage[textwidth=5.5in]{geometry}",
        markup.PREAMBLE,
        r"\begin{document}\input{t}\ref{tab:t}\end{document}",
    ]
    (tmp_path / "d.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "d.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


# What a text may hold, and how it reads in Markdown.
TEXTS = {
    "$$": r"\$\$",
    "$0 - $10": r"\$0 - \$10",
    "高い": "高い",
    "a_b _c_ __d__": r"a_b \_c\_ \_\_d\_\_",
    "<b>x</b>": "&lt;b>x&lt;/b>",
    "*x* `y` ~~z~~": r"\*x\* \`y\` \~\~z\~\~",
    "[x](y) [0.1, 0.2]": r"[x\](y) [0.1, 0.2]",
    "&amp; & R&D": "&amp;amp; & R&D",
    "# h": r"\# h",
    "1. one": r"1\. one",
    "0.5 of it": "0.5 of it",
    "- l": r"\- l",
    "a|b\\c": r"a|b\\c",
    "two\r\nlines\nmore": "two <br>lines<br>more",
    "zero\u200bwidth": r"zero\\u200bwidth",
    "bell\x07\ttab\x7f": r"bell\\x07\\ttab\\x7f",
    "\u202eturned": r"\\u202eturned",
    "می\u200cخواهم": "می\u200cخواهم",
}


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_is_unchanged_in_rendered_markdown(text):
    assert markup.markdown_text(text) == TEXTS[text]
    html = markdown.markdown(markup.markdown_text(text).replace("<br>", " "))
    [rendered] = re.fullmatch(r"<p>(.*)</p>", html, flags=re.DOTALL).groups()
    # GitHub's markers that this parser does not know are escaped for it all the same.
    rendered = re.sub(r"\\([$~|])", r"\1", unescape(rendered))
    assert rendered.split() == visible(text).split()


@pytest.mark.parametrize(
    "text", [*TEXTS, "`q` ?` !`", "नमस्ते", "e\u0301", "😀", "%^{}~#&"], ids=ascii
)
def test_any_text_is_plain_in_latex(text):
    result = markup._cell(text)
    assert result.isascii() and "\x7f" not in result and "\t" not in result and "`" not in result
    # Every active character is escaped, or part of a command that we wrote.
    bare = re.sub(r"\\[a-z]+\{[^{}]*\}|\{\\[a-z]+\}|\\[#$%&_{}]|\{\}|\\['^~]|\\[a-z]+", "", result)
    assert not set("#$%&_^~\\") & set(bare), bare
    assert result.count("{") - result.count(r"\{") == result.count("}") - result.count(r"\}")


def test_texts_that_differ_look_different_in_every_form():
    alike = [
        "zerowidth",
        "zero\u200bwidth",
        "zero\u200dwidth",
        "高い",
        "安い",
        "\u202ea",
        "a",
        "\ra",
        "\ta",
    ]
    for form in (visible, markup.markdown_text, markup._cell):
        assert len({form(text) for text in alike}) == len(alike), form
    # A paragraph of a report has no line ends or tabs.
    assert len({rst(text) for text in alike[:-2]}) == len(alike) - 2


def test_long_texts_of_a_page_are_whole_and_no_markup(tmp_path):
    pd.DataFrame({"<i>": ["<b>" + "x" * 200, "bell\x07"]}).to_csv(tmp_path / "t.csv", index=False)
    write_table_page(
        tmp_path / "t.html", title="$a & <b>", csv=tmp_path / "t.csv", caption="{{ 1 }}"
    )
    page = (tmp_path / "t.html").read_text()
    assert "x" * 200 in page and "<b>" not in page and "<i>" not in page and r"bell\x07" in page
    assert "$a &amp; &lt;b&gt;" in page and "{{ 1 }}" in page
