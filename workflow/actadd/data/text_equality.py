"""When two texts are alike: equal but for case, punctuation and white space."""

import re
import unicodedata


class _Bare(dict):
    """For str.translate: takes out punctuation, separators and control characters.

    Letters with their marks, numbers and symbols, such as those of sums and moods, are kept; how a
    symbol is to be drawn (U+FE00 to U+FE0F) is not.
    """

    def __missing__(self, code: int) -> int | None:
        kept = unicodedata.category(chr(code))[0] not in "PZC" and not 0xFE00 <= code <= 0xFE0F
        self[code] = code if kept else None
        return self[code]


_BARE = _Bare()


def _folded(text: str) -> str:
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()


# Scripts that put no spaces between words: Thai and its neighbours, kana, Chinese characters.
UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])"
)


def words(text: str) -> list[str]:
    """A text's words in lower case, without punctuation; a word of nothing else is left out.

    Characters of scripts that put no spaces between words stand each by itself.
    """
    parts = UNSPACED.sub(r" \1 ", _folded(text)).split()
    return [word for word in (part.translate(_BARE) for part in parts) if word]


def key_of(text: str) -> str:
    """The key that near-duplicates share; the text itself if it has no letter, number or symbol."""
    return _folded(text).translate(_BARE) or text
