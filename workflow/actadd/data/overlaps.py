"""Overlaps between the texts of an experiment and those that its scorers are fitted on."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.errors import UserError, quote
from actadd.base.files import write_json
from actadd.data import datasets
from actadd.data.text_equality import UNSPACED, key_of, words

# A shorter text is the beginning of others by chance. In scripts without spaces, so many characters
# count as one word.
MINIMUM_WORDS = 4
CHARACTERS = 3


def overlapping(
    texts: Iterable[str], others: Iterable[str], *, beginnings: bool = True
) -> dict[str, str]:
    """Each of `texts` that overlaps with one of `others`, mapped to that one.

    Two texts overlap if they are equal except for case, punctuation and white space; with
    `beginnings` also if one of them is the beginning of the other, up to the end of a word, and has
    at least `MINIMUM_WORDS` words, or `CHARACTERS` times as many characters of a script without
    spaces. Runs in time proportional to the number of words.
    """
    keys = {text: key_of(text) for text in texts}
    # Reversed, so that the first of equal texts stays.
    other_by_key = {key_of(other): other for other in reversed(list(others))}
    matches = {key: other_by_key[key] for key in keys.values() if key in other_by_key}
    if beginnings:
        starts = {key: _starts(text) for text, key in keys.items()}
        for key, text_starts in starts.items():
            for start in text_starts:
                if start in other_by_key:
                    matches.setdefault(key, other_by_key[start])
        long_keys = {key for key, text_starts in starts.items() if text_starts}
        for key, other in _beginnings(long_keys, other_by_key):
            matches.setdefault(key, other)
    return {text: matches[key] for text, key in keys.items() if key in matches}


def _starts(text: str) -> list[str]:
    """The keys of a text's beginnings that are long enough; the last one is the whole text's."""
    parts = words(text)
    sizes = (1 if UNSPACED.fullmatch(part) else CHARACTERS for part in parts)
    pairs = zip(accumulate(parts), accumulate(sizes), strict=True)
    return [start for start, size in pairs if size >= CHARACTERS * MINIMUM_WORDS]


def _beginnings(keys: set[str], other_by_key: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(key, other) for each of `keys` that is the beginning of an other."""
    if not keys:
        return
    shortest, longest = min(map(len, keys)), max(map(len, keys))
    # Few texts share their first characters with a key, and only those are split into words.
    prefixes = {key[:shortest] for key in keys}
    for other_key, other in other_by_key.items():
        if other_key[:shortest] in prefixes:
            for start in accumulate(words(other)):
                if len(start) > longest:
                    break
                if start in keys:
                    yield start, other


def check(spec: dict[str, Any], files: Mapping[str, Path], record: Path) -> dict[str, Any]:
    """Compare pairs of prepared datasets, write their overlaps to `record`, and return counts.

    files: by dataset.
    spec: {pairs: [{texts, others, beginnings, refused, remedy}]}; texts and others are a `dataset`,
    its rows as in an experiment's `prompts`, and the config `key` that names them. Raises
    UserError, with a shared text, for a pair that overlaps and is `refused`.
    """
    overlaps = [_overlap(pair, files) for pair in spec["pairs"]]
    for pair, overlap in zip(spec["pairs"], overlaps, strict=True):
        if not overlap["overlapping"]:
            continue
        message = _message(pair, overlap)
        if pair["refused"]:
            raise UserError(f"{message}; {pair['remedy']}")
        print(message, flush=True)
    write_json(record, {"pairs": overlaps})
    return {"overlapping": sum(overlap["overlapping"] for overlap in overlaps)}


def _overlap(pair: dict[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """The record of one pair: sizes, the number of overlapping texts, at most five examples."""
    texts, others = (_rows(pair[side], files) for side in ("texts", "others"))
    shared = overlapping(texts["text"], others["text"], beginnings=pair["beginnings"])
    examples = [
        {"text": text, "other": other, "from": _origin(texts, text), "in": _origin(others, other)}
        for text, other in list(shared.items())[:5]
    ]
    return {
        "texts": pair["texts"]["key"],
        "others": pair["others"]["key"],
        "compared": [len(texts), len(others)],
        "overlapping": int(texts["text"].isin(shared).sum()),
        "refused": pair["refused"],
        "examples": examples,
    }


def _rows(side: dict[str, Any], files: Mapping[str, Path]) -> pd.DataFrame:
    table = datasets.read(files[side["dataset"]], side.get("split"), f"{side['key']}.split")
    table = datasets.chosen(table, side, side["key"])
    if "first_tokens" in side:
        # Words instead of tokens, since there is no tokenizer here; a token is at most a word.
        cut = table["text"].str.split().str[: side["first_tokens"]]
        table = table.assign(text=cut.str.join(" "))
    return table


def _origin(table: pd.DataFrame, text: str) -> str:
    return str(table["origin"][table["text"] == text].iloc[0])


def _message(pair: dict[str, Any], overlap: dict[str, Any]) -> str:
    first, count = overlap["examples"][0], overlap["overlapping"]
    return (
        f"{overlap['texts']}: {count} of {overlap['compared'][0]} texts overlap with what "
        f"{pair['others']['use']}, such as {quote(first['text'])} ({first['from']}) with "
        f"{quote(first['other'])} ({first['in']})"
    )
