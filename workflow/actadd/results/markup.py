"""Tables as text: one number of decimals for each column, Markdown, LaTeX.

A table's index names its rows. Cells are numbers, texts or missing; texts may hold any character,
line ends included.
"""

import math
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pylatexenc.latexencode import (
    RULE_DICT,
    UnicodeToLatexConversionRule,
    UnicodeToLatexEncoder,
)
from tabulate import tabulate

from actadd.base.files import write_text, write_with
from actadd.results.displays.visible import visible

# Packages of a LaTeX document that inputs a table.
PREAMBLE = r"\usepackage{array,booktabs,longtable}"
# Font sizes, and how many characters fit on a line of 5.5 inches, gaps of GAP included.
SIZES = {"footnotesize": 92, "scriptsize": 106}
SMALLEST = "scriptsize"
GAP = 2
# Columns with longer texts may be wrapped, to at least this width.
TEXT = 14
# Longer words may be broken.
WORD = 10
# Lines that fit on one page with a caption.
LONG = 42
# A number, an estimate with or without its interval, "failed" or nothing.
NUMBER = re.compile(r"([-+]?[\d.]+(e[-+]?\d+)?( \[.*\])?|failed|)")

_MINUS = re.compile(r"(?<!\{)-(?=[\d.])")
_POWER = re.compile(r"e([-+]\d+)")
_encode = UnicodeToLatexEncoder(
    # In the fonts that LaTeX starts with, a bar is printed as a dash, a grave accent as a quote.
    conversion_rules=[
        UnicodeToLatexConversionRule(
            RULE_DICT, {ord("|"): r"{\textbar}", ord("`"): r"{\textasciigrave}"}
        ),
        "defaults",
    ],
    unknown_char_policy="unihex",
    unknown_char_warning=False,
).unicode_to_latex


def write_table(
    table: pd.DataFrame,
    *,
    title: str,
    caption: str,
    label: str,
    csv: Path,
    markdown: Path,
    latex: Path,
    digits: int = 6,
) -> None:
    """Write a table as CSV with `digits` significant digits, as Markdown and as LaTeX."""
    plain = flat(table)
    write_with(csv, lambda path: plain.to_csv(path, index=False, float_format=f"%.{digits}g"))
    lines = [f"# {markdown_text(title)}", markdown_table(table), markdown_text(caption)]
    write_text(markdown, "\n\n".join(lines) + "\n")
    write_text(latex, latex_table(table, caption=f"{title}. {caption}", label=label))


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its index as columns, if the index has names."""
    return table.reset_index(drop=table.index.names == [None])


# --- numbers ---


def decimals(values: Iterable[float], digits: int = 3) -> int:
    """How many decimals show `digits` significant digits of the median; at most six."""
    sizes = np.abs(np.asarray(list(values), np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(sizes):
        return 0
    # The upper median, so that one small value does not lengthen all.
    median = np.sort(sizes)[len(sizes) // 2]
    return int(np.clip(digits - 1 - math.floor(math.log10(median)), 0, 6))


def fixed(value: float, places: int) -> str:
    """A number with `places` decimals, and no minus before a zero."""
    text = f"{value:.{places}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text, with one number of decimals for each column of numbers."""
    return pd.DataFrame({name: _texts(table[name]) for name in table}, index=table.index)


def _texts(column: pd.Series) -> list[str]:
    if not pd.api.types.is_float_dtype(column):
        return ["" if pd.isna(value) else str(value) for value in column]
    sizes = column.abs()[column != 0].dropna()
    whole = bool((sizes == sizes.round()).all())
    # One number of decimals cannot show several orders of magnitude.
    wide = len(sizes) > 0 and sizes.max() / sizes.min() > 1e4
    places = 0 if whole else decimals(sizes, 4)
    return [
        "" if pd.isna(value) else f"{value:.3g}" if wide else fixed(value, places)
        for value in column
    ]


def _numeric(column: pd.Series) -> bool:
    return bool(column.map(lambda text: NUMBER.fullmatch(text) is not None).all())


# --- Markdown ---


# Characters that Markdown reads as markup, except where it does not: brackets of an interval, an
# underscore within a name.
_MARKED = re.compile(r"[\\`*~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|^[#>+=-]|(?<=^\d)[.)](?= )")


def markdown_text(text: str) -> str:
    """A text as one line of Markdown with all markup escaped; a line end becomes <br>."""
    plain = visible(text.replace("\r\n", " \n"))
    text = re.sub(r"&(?=#?\w+;)", "&amp;", plain).replace("<", "&lt;")
    return _MARKED.sub(r"\\\g<0>", text).replace("\n", "<br>")


def markdown_table(table: pd.DataFrame) -> str:
    """A pipe table, with markup and cell separators in its texts escaped."""

    def cell(text: str) -> str:
        return text if NUMBER.fullmatch(text) else markdown_text(text).replace("|", "\\|")

    texts = readable(flat(table))
    return str(
        tabulate(
            [[cell(text) for text in line] for line in texts.to_numpy().tolist()],
            headers=[cell(str(name)) for name in texts],
            tablefmt="pipe",
            disable_numparse=True,
            colalign=["right" if _numeric(texts[name]) else "left" for name in texts],
        )
    )


# --- LaTeX ---


def latex_table(table: pd.DataFrame, *, caption: str, label: str) -> str:
    """A table in booktabs' style for \\input: a float, or a longtable if it exceeds a page.

    Omits empty columns, moves index columns with one value into the caption, and wraps long texts.
    Columns beyond the page's width go into further blocks below, each with the index columns.
    """
    texts = readable(flat(table))
    texts = texts[[name for name in texts if (texts[name] != "").any()]]
    keys = [str(name) for name in table.index.names if name in texts]
    constant = [name for name in keys if len(texts) > 1 and texts[name].nunique() == 1]
    if constant:
        values = ", ".join(f"{name} {texts[name].iloc[0]}" for name in constant)
        caption = f"{caption} Everywhere: {values}."
        texts, keys = texts.drop(columns=constant), [name for name in keys if name not in constant]
    fitting = [size for size, page in SIZES.items() if len(_blocks(texts, keys, page)) == 1]
    size = fitting[0] if fitting else SMALLEST
    page = SIZES[size]
    blocks = [texts[names] for names in _blocks(texts, keys, page)]
    styled = [_styled(block, page) for block in blocks]
    caption, long = _cell(caption), sum(lines for *_, lines in styled) > LONG
    font = [rf"\{size}", r"\setlength{\tabcolsep}{3.5pt}"]
    lines = [f"% {PREAMBLE}"]
    if long:
        lines += ["{", *font]
    else:
        lines += [r"\begin{table}[htbp]", r"\centering", *font]
        lines += [rf"\caption{{{caption}}}", rf"\label{{{label}}}", r"\smallskip"]
    for number, (styler, columns, _) in enumerate(styled):
        if not long:
            lines += [r"\par\medskip"] if number else []
            lines.append(styler.to_latex(hrules=True, column_format=columns).rstrip())
            continue
        # Further pages and blocks belong to the same table, which is counted once.
        lines += [r"\addtocounter{table}{-1}"] if number else []
        text = styler.to_latex(
            hrules=True,
            column_format=columns,
            environment="longtable",
            caption="CAPTION",
            label=None if number else label,
        )
        text = text.replace(r"\caption[]{CAPTION}", r"\caption[]{(continued)}")
        first = r"\caption[]{(continued)}" if number else rf"\caption{{{caption}}}"
        lines.append(text.replace(r"\caption{CAPTION}", first).rstrip())
    lines.append("}" if long else r"\end{table}")
    return "\n".join(lines) + "\n"


def _width(name: str, column: "pd.Series[str]") -> int:
    """Characters of a column whose texts are not wrapped, but whose heading is."""
    cells = max((len(line) for text in column for line in text.split("\n")), default=0)
    return max(cells, *(len(word) for word in name.split(" ")))


def _blocks(texts: pd.DataFrame, keys: list[str], page: int) -> list[list[str]]:
    """Column names of each block that fits a page's width."""
    names = [str(name) for name in texts]
    least = {name: GAP + _width(name, texts[name]) for name in names}
    least |= {name: min(TEXT + GAP, least[name]) for name in names if not _numeric(texts[name])}
    room = page - sum(least[name] for name in keys)
    blocks: list[list[str]] = [[]]
    for name in texts.columns.drop(keys):
        if blocks[-1] and sum(least[n] for n in blocks[-1]) + least[name] > room:
            blocks.append([])
        blocks[-1].append(name)
    return [[*keys, *block] for block in blocks]


def _styled(block: pd.DataFrame, page: int) -> tuple[Any, str, int]:
    """pandas' writer for a block, its column format, and about how many lines it takes."""
    widths = {str(name): _width(str(name), block[name]) for name in block}
    room = page - GAP * len(widths)
    wrapped = [name for name, width in widths.items() if width > TEXT and not _numeric(block[name])]
    if sum(widths.values()) <= room:
        wrapped = []
    room -= sum(TEXT if name in wrapped else width for name, width in widths.items())
    # Wrapped columns share the remaining width by the mean length of their texts.
    amount = {name: block[name].str.len().mean() for name in wrapped}
    for name in wrapped:
        widths[name] = TEXT + int(room * amount[name] / sum(amount.values()))
    formats, cells, lines = [], {}, pd.Series(1, block.index)
    for name in widths:
        right = _numeric(block[name])
        if name in wrapped:
            width = widths[name]
            needed = block[name].map(lambda text, w=width: _lines(text, w))
            lines = lines.combine(needed, max)
            formats.append(rf">{{\raggedright\arraybackslash}}p{{{width / page:.3f}\linewidth}}")
        else:
            formats.append("r" if right else "l")
        heading = _heading(name, widths[name], right, name in wrapped)
        cells[heading] = [_cell(text, name in wrapped, right) for text in block[name]]
    return pd.DataFrame(cells).style.hide(axis="index"), "".join(formats), int(lines.sum()) + 3


def _lines(text: str, width: int) -> int:
    return sum(max(1, math.ceil(len(line) / width)) for line in text.split("\n"))


def _power(match: re.Match[str]) -> str:
    return rf"$\times10^{{{int(match[1])}}}$"


def _heading(name: str, width: int, right: bool, wrapped: bool) -> str:
    lines = textwrap.wrap(name, max(width, 8), break_long_words=False)
    if wrapped or len(lines) < 2:
        return _cell(name)
    stacked = r" \\ ".join(_cell(line) for line in lines)
    return rf"\begin{{tabular}}[b]{{@{{}}{'r' if right else 'l'}@{{}}}}{stacked}\end{{tabular}}"


def _cell(text: str, wrapped: bool = False, number: bool = False) -> str:
    """A text in LaTeX, in ASCII only."""
    if number:
        return _MINUS.sub("$-$", _POWER.sub(_power, text))
    lines = []
    for line in visible(text).split("\n"):
        size = WORD if wrapped else max(1, len(line))
        words = [
            r"\allowbreak{}".join(_encode(word[at : at + size]) for at in range(0, len(word), size))
            for word in line.split(" ")
        ]
        # LaTeX joins consecutive hyphens to a dash.
        lines.append(re.sub("-(?=-)", "-{}", " ".join(words)))
    joined = (r"\newline " if wrapped else " ").join(lines)
    # After the end of a row, LaTeX reads these as arguments.
    return "{}" + joined if joined.lstrip().startswith(("[", "*")) else joined
