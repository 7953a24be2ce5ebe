"""Texts as they are written, in any script: nothing in them is mathematics.

Where the usual font lacks a character another one has it, or it becomes an escape, see `literal`.
"""

import textwrap
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from actadd.results.displays.visible import escape, visible

# Points, as printed; no text is smaller.
SMALL, NORMAL, LARGE = 6.5, 7, 8

# Package -> the font in it, for what the usual font lacks. Without a package its characters are
# drawn as escapes.
WIDE_FONTS = {
    "noto_cjk_sans_jp_regular": "NotoSansCJKjp-Regular.otf",
    "fontpkg_noto_sans_devanagari": "files/NotoSansDevanagari[wdth,wght].ttf",
    "fontpkg_noto_sans_thai": "files/NotoSansThai[wdth,wght].ttf",
}


@cache
def families() -> list[str]:
    """The usual font, then the installed ones of WIDE_FONTS, which are registered in matplotlib."""
    names = ["sans-serif", "DejaVu Sans"]
    for package, file in WIDE_FONTS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        fontManager.addfont(Path(spec.origin).parent / file)
        regular = fontManager.ttflist[-1]
        # Registered as bold too, since matplotlib would warn for each bold text.
        fontManager.ttflist.append(replace(regular, weight=700))
        names.append(regular.name)
    return names


@cache
def _drawable() -> frozenset[int]:
    """Code points of what can be drawn, whether bold or not."""

    def held(weight: str) -> set[int]:
        fonts = [findfont(FontProperties(family=name, weight=weight)) for name in families()]
        return set().union(*(get_font(font).get_charmap() for font in fonts))

    return frozenset(held("normal") & held("bold"))


# Characters of the figure being drawn that no font has.
_missing: set[str] = set()


def literal(text: str) -> str:
    """A text as it is drawn: what has no glyph or cannot be seen is an escape, such as \\u200b."""
    characters = visible(text)
    lacking = {char for char in characters if ord(char) not in _drawable()} - {"\n"}
    _missing.update(lacking)
    return "".join(escape(char) if char in lacking else char for char in characters)


@contextmanager
def literal_texts() -> Iterator[set[str]]:
    """In the block, matplotlib draws all texts literally; yields the characters that fonts lack."""
    set_text = Text.set_text

    def set_literally(self: Text, text: Any) -> None:
        set_text(self, literal("" if text is None else str(text).removeprefix(UNHIDDEN)))

    _missing.clear()
    with patch.object(Text, "set_text", set_literally):
        yield _missing


# In front of a label that begins with an underscore, which matplotlib leaves out of legends.
UNHIDDEN = "\u200b\u200b"


def entry(text: str) -> str:
    """A text as the label of what a legend names."""
    return UNHIDDEN + text if text.startswith("_") else text


def printed(token: str, longest: int) -> str:
    """A token as it can be drawn: spaces visible, what the font lacks as an escape."""
    text = token.replace(" ", "␣")
    text = "".join(char if char.isprintable() else escape(char) for char in text)
    return shortened(literal(text), longest)


def shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def text_width(text: str) -> int:
    """How wide a text is in letters of the Latin script; ideographs count twice."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def wrapped(text: str, inches: float, size: float = NORMAL) -> str:
    """A short text in lines of about so many inches."""
    text, room = literal(text), max(8, int(inches * 72 / (0.56 * size)))
    far = any(text_width(word) > 1.5 * room for word in text.split())
    letters = max(1, room * len(text) // max(1, text_width(text)))
    lines = (textwrap.fill(line, letters, break_long_words=far) for line in text.split("\n"))
    return "\n".join(lines)
