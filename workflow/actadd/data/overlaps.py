"""Whether what an experiment measures on is among what its scorers were fitted on."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.errors import UserError, shown
from actadd.base.files import write_json
from actadd.data import datasets
from actadd.data.text_equality import UNSPACED, key_of, words

# A shorter text is the beginning of others by chance. Where no spaces stand between words, so many
# characters count as one.
FEWEST_WORDS = 4
CHARACTERS = 3


def overlapping(
    texts: Iterable[str], others: Iterable[str], *, beginnings: bool = True
) -> dict[str, str]:
    """Each of `texts` that overlaps with one of `others` -> that other.

    Two texts overlap if they are equal but for case, punctuation and white space; with `beginnings`
    also if one of them is the beginning of the other, up to the end of a word, and has at least
    `FEWEST_WORDS` words, or `CHARACTERS` times as many characters of a script without spaces.
    Takes time in proportion to the number of words.
    """
    keys = {text: key_of(text) for text in texts}
    # The first of equal texts.
    whole = {key_of(other): other for other in reversed(list(others))}
    met = {key: whole[key] for key in keys.values() if key in whole}
    if beginnings:
        starts = {key: _starts(text) for text, key in keys.items()}
        for key, own in starts.items():
            for start in own:
                if start in whole:
                    met.setdefault(key, whole[start])
        for key, other in _beginnings({key for key, own in starts.items() if own}, whole):
            met.setdefault(key, other)
    return {text: met[key] for text, key in keys.items() if key in met}


def _starts(text: str) -> list[str]:
    """A text's beginnings that are long enough, as keys; the last one is the whole text's."""
    parts = words(text)
    sizes = (1 if UNSPACED.fullmatch(part) else CHARACTERS for part in parts)
    pairs = zip(accumulate(parts), accumulate(sizes), strict=True)
    return [start for start, size in pairs if size >= CHARACTERS * FEWEST_WORDS]


def _beginnings(keys: set[str], whole: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(key, text) of those of `keys` by which one of the texts in `whole` begins."""
    if not keys:
        return
    fewest, most = min(map(len, keys)), max(map(len, keys))
    # Few texts begin as one of the keys does, and only their words are looked at.
    first = {key[:fewest] for key in keys}
    for own, other in whole.items():
        if own[:fewest] in first:
            for start in accumulate(words(other)):
                if len(start) > most:
                    break
                if start in keys:
                    yield start, other


def check(spec: dict, files: list[Path], record: Path) -> dict[str, Any]:
    """Compares pairs of prepared datasets, writes what they share to `record`, and returns counts.

    spec: {pairs: [{texts, others, beginnings, refused, remedy}]}; texts and others are a `dataset`,
    the rows of it as in an experiment's `prompts`, and the `key` in the config that says so.
    Raises UserError, with a text that is shared, for a pair that is `refused`.
    """
    by_name = {file.stem: file for file in files}
    compared = [_compared(pair, by_name) for pair in spec["pairs"]]
    for pair, found in zip(spec["pairs"], compared, strict=True):
        if not found["overlapping"]:
            continue
        message = _said(pair, found)
        if pair["refused"]:
            raise UserError(f"{message}; {pair['remedy']}")
        print(message, flush=True)
    write_json(record, {"pairs": compared})
    return {"overlapping": sum(found["overlapping"] for found in compared)}


def _compared(pair: dict, files: dict[str, Path]) -> dict[str, Any]:
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


def _rows(side: dict, files: dict[str, Path]) -> pd.DataFrame:
    table = datasets.read(files[side["dataset"]], side.get("split"), f"{side['key']}.split")
    table = datasets.chosen(table, side, side["key"])
    if "first_tokens" in side:
        # No tokenizer is at hand, and a token is at most a word.
        cut = table["text"].str.split().str[: side["first_tokens"]]
        table = table.assign(text=cut.str.join(" "))
    return table


def _origin(table: pd.DataFrame, text: str) -> str:
    return table["origin"][table["text"] == text].iloc[0]


def _said(pair: dict, found: dict) -> str:
    first = found["examples"][0]
    return (
        f"{found['texts']}: {found['overlapping']} of {found['compared'][0]} texts overlap with "
        f"what {pair['others']['use']}, such as {shown(first['text'])} ({first['from']}) with "
        f"{shown(first['other'])} ({first['in']})"
    )
