"""Equality of texts except for case, punctuation and white space."""

import re
import unicodedata


class _Bare(dict[int, int | None]):
    """A table for str.translate that removes punctuation, separators and control characters.

    Letters with their marks, numbers and symbols (sums, emoji) stay; variation selectors (U+FE00 to
    U+FE0F) do not.
    """

    def __missing__(self, code: int) -> int | None:
        bare = unicodedata.category(chr(code))[0] not in "PZC" and not 0xFE00 <= code <= 0xFE0F
        self[code] = code if bare else None
        return self[code]


_BARE = _Bare()


def _folded(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()


# Scripts without spaces between words: Thai and its neighbours, kana, Chinese characters.
UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
)


def words(text: str) -> list[str]:
    """A text's words in lower case, without punctuation and without empty words.

    In scripts without spaces between words, each character is a word.
    """
    parts = UNSPACED.sub(r" \1 ", _folded(text)).split()
    return [word for word in (part.translate(_BARE) for part in parts) if word]


def key_of(text: str) -> str:
    """The key that near-duplicates share; the text itself if it has no letter, number or symbol."""
    return _folded(text).translate(_BARE) or text
