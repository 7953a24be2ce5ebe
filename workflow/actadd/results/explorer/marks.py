"""The words that a scorer counts, which the page marks in completions."""

import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Lexicon = Callable[[Mapping[str, Any], Iterable[str]], dict[str, float]]


def _words(entry: Mapping[str, Any], texts: Iterable[str]) -> dict[str, float]:
    """The scorer's own list."""
    return {word.lower(): 1 for word in entry["words"]}


def _vader(entry: Mapping[str, Any], texts: Iterable[str]) -> dict[str, float]:
    """Words of VADER's lexicon that the texts use, with their valence, -4 to 4.

    Its rules on negation, capitals and the like are not followed.
    """
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    lexicon = SentimentIntensityAnalyzer().lexicon
    used = {
        word.strip(string.punctuation) for text in set(texts) for word in set(text.lower().split())
    }
    return {word: lexicon[word] for word in sorted(used & lexicon.keys())}


# Kind of scorer -> its lexicon, and where its words are parted: at every other character or at
# white space.
LEXICONS: dict[str, tuple[Lexicon, str]] = {"words": (_words, "other"), "vader": (_vader, "space")}


def marks(scorers: Mapping[str, Mapping[str, Any]], texts: Iterable[str]) -> dict[str, Any]:
    """Scorer -> {parted, words: word -> value, positive or negative}.

    scorers: config entries of kinds in `LEXICONS`.
    """
    texts = list(texts)
    parts = {}
    for name, entry in scorers.items():
        lexicon, parted = LEXICONS[entry["kind"]]
        parts[name] = {"parted": parted, "words": lexicon(entry, texts)}
    return parts
