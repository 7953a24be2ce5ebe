"""Prompts, texts and documents from any file, as one plain table."""

import hashlib
import html
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError, shown
from actadd.base.files import write_with
from actadd.data import formats, sentences
from actadd.data.text_equality import key_of

COLUMNS = ("id", "text", "split", "target", "group", "label", "document", "origin")
# A letter has to follow: "a < b" is no tag.
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def prepare(
    spec: dict, source: Path | None, output: Path, *, punkt: Path | None = None
) -> dict[str, Any]:
    """Writes a dataset as Parquet with the columns of `COLUMNS`; returns its counts.

    spec: the dataset's config entry and its name; `splits` as a mapping or as pairs, whose order
    decides. source: the file, or the folder of a fetched source in which `file` lies; None if the
    texts stand in the config. punkt: the folder of the fetched source by which NLTK's Punkt cuts
    sentences; None if rules do.
    Texts are kept as they are written: only NULs, rows without a text, and rows that are equal to
    another in everything are left out, which the log and the counts say.
    Rows are chosen and cut into splits in the order of the sha256 of their text, so that a split
    does not depend on the file's order; `order: file` is for data whose publisher took the first
    rows. Texts that are equal but for case, punctuation and white space stay in one split, see
    `_split`. Documents are chosen and put into splits before they are cut into sentences, so that
    no split holds a part of another's document.
    """
    key = f"datasets.{spec['name']}"
    counts: Counter = Counter()
    table = _typed(_read(spec, source, key), spec, key, counts)
    table = _long_enough(_distinct(table, key, counts), spec)
    if "groups" in spec:
        table = _grouped(table, spec["groups"], key)
    chosen = any(choice in spec for choice in ("frequency", "per_group", "splits"))
    if chosen and spec.get("order") != "file":
        table = _in_hash_order(table)
    if "frequency" in spec:
        table = _by_frequency(table, spec["frequency"])
    if "per_group" in spec:
        table = table.groupby("group", dropna=False).head(spec["per_group"])
    if not spec.get("sentences"):
        # Before the splits: the openings of two texts may be one.
        table = _cut(table, spec, key, counts)
    if "splits" in spec:
        table = _split(table, dict(spec["splits"]), key, counts)
    elif (table["split"] != "all").any():
        table = _on_one_side(table, key, counts)
    if spec.get("sentences"):
        cut = sentences.by_punkt(punkt, f"{key}.punkt") if punkt else sentences.by_rules
        table = _long_enough(_distinct(_in_sentences(table, cut), key, counts), spec)
        table = _cut(table, spec, key, counts)
    if table.empty:
        raise UserError(f"{key}: no text is left; check its file and what chooses among its rows")
    table = table.reset_index(drop=True).rename_axis("id").reset_index()[list(COLUMNS)]
    write_with(output, lambda path: table.to_parquet(path, index=False))
    sizes = {"rows": len(table), "splits": table["split"].value_counts().sort_index().to_dict()}
    documents = {"documents": table["document"].nunique()} if spec.get("sentences") else {}
    return sizes | documents | {name: count for name, count in counts.items() if count}


def read(path: Path, split: str | None, key: str) -> pd.DataFrame:
    """One split of a prepared dataset (None or "all": every row)."""
    table = pd.read_parquet(path)
    if split in (None, "all"):
        return table
    chosen = table[table["split"] == split]
    if chosen.empty:
        there = sorted(set(table["split"].dropna()))
        raise UserError(f"{key}: there is no split {split!r}; there are {there}")
    return chosen.reset_index(drop=True)


def chosen(table: pd.DataFrame, wanted: dict, key: str) -> pd.DataFrame:
    """The rows of a split that an experiment's `prompts` ask for, by group and limit.

    limit takes the first rows, of each group if each_group is set. Raises UserError if none is
    left.
    """
    if wanted.get("group"):
        table = table[table["group"].isin(wanted["group"])]
    if wanted.get("limit"):
        # The first sentence of each document comes before any second one.
        spread = table.groupby(table["document"].fillna(table["id"].astype("string"))).cumcount()
        rows = table.loc[spread.sort_values(kind="stable").index]
        if wanted.get("each_group"):
            rows = rows.groupby("group", sort=False, dropna=False)
        table = rows.head(wanted["limit"]).sort_index()
    if table.empty:
        raise UserError(f"{key}: no text is left; check targets, group and limit")
    return table.reset_index(drop=True)


def _read(spec: dict, source: Path | None, key: str) -> pd.DataFrame:
    if spec.get("texts"):
        places = [f"texts.{index}" for index in range(len(spec["texts"]))]
        return pd.DataFrame({"text": spec["texts"], "origin": places}, dtype=object)
    assert source is not None
    names = spec.get("group_names", {})
    parts = []
    for file in spec.get("files") or [spec.get("file")]:
        path = source / file if source.is_dir() else source
        if not path.is_file():
            raise UserError(f"{key}: {path} does not exist; check file and source")
        part = formats.read(path, spec, key)
        part["origin"] = [
            f"{file or path.name}:{number}" if number else file or path.name
            for number in part.index
        ]
        if file in names:
            part["group"] = names[file]
        elif "files" in spec and len(spec["files"]) > 1 and "group" not in part:
            part["group"] = path.stem
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _typed(table: pd.DataFrame, spec: dict, key: str, counts: Counter) -> pd.DataFrame:
    """All columns but the id, in their types; texts without NULs and, if asked, without HTML.

    Rows without a text are left out, and named in the log.
    """
    table = table.reindex(columns=COLUMNS[1:])
    for column in ("text", "split", "target", "group"):
        pairs = zip(table[column], table["origin"], strict=True)
        cells = [_text_of(value, origin, f"{key}.columns.{column}") for value, origin in pairs]
        table[column] = pd.array(cells, dtype="string")
    pairs = zip(table["label"], table["origin"], strict=True)
    labels = [_number_of(value, origin, f"{key}.columns.label") for value, origin in pairs]
    table["label"] = np.array(labels, dtype="float64")
    table = table.astype({"document": "string", "origin": "string"})
    for column in ("split", "target", "group"):
        # An empty cell of CSV is one that holds nothing.
        table[column] = table[column].replace("", pd.NA)
    _refuse_all(table, key)
    table["split"] = table["split"].fillna("all")
    if spec.get("html"):
        # In HTML any run of white space is one space.
        table["text"] = table["text"].map(
            lambda text: " ".join(html.unescape(TAG.sub(" ", text)).split()), na_action="ignore"
        )
    odd = table["text"].str.contains("\0", regex=False).fillna(False)
    if odd.any():
        table["text"] = table["text"].str.replace("\0", "", regex=False)
        _say(table["origin"][odd], "texts lose their NUL characters", key)
        counts["texts_with_nul"] += int(odd.sum())
    blank = table["text"].fillna("").str.strip() == ""
    if blank.any():
        _say(table["origin"][blank], "rows without a text are left out", key)
        counts["rows_without_text"] += int(blank.sum())
    return table[~blank]


def _text_of(value: Any, origin: str, key: str) -> Any:
    """A cell as text; numbers as they are spelled, and None if there is nothing."""
    if isinstance(value, str) or value is None or value is pd.NA:
        return value
    if isinstance(value, float) and np.isnan(value):
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise UserError(
        f"{key}: {origin}: {shown(value)} is no text; write one, or name another column"
    )


def _number_of(value: Any, origin: str, key: str) -> float:
    """A label as a number; NaN if there is none."""
    if value is None or value is pd.NA or value == "":
        return np.nan
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = np.inf
    if np.isinf(number):
        raise UserError(
            f"{key}: {origin}: labels must be numbers, and {shown(value)} is none; write numbers "
            "such as 1 and 0, or name another column"
        )
    return number


def _refuse_all(table: pd.DataFrame, key: str) -> None:
    """Every split and every group together go by the name all."""
    for column in ("split", "group"):
        named = table[column] == "all"
        if named.fillna(False).any() and (column == "group" or not named.fillna(True).all()):
            origin = table["origin"][named.fillna(False)].iloc[0]
            raise UserError(
                f"{key}.columns.{column}: {origin}: 'all' stands for every {column} together; call "
                f"this {column} otherwise, or leave the cell empty"
            )


def _say(origins: pd.Series, what: str, key: str) -> None:
    """How many rows something happens to, and the first of them."""
    more = ", ..." if len(origins) > 5 else ""
    print(f"{key}: {len(origins)} {what}: {', '.join(origins[:5])}{more}", flush=True)


def _distinct(table: pd.DataFrame, key: str, counts: Counter) -> pd.DataFrame:
    """Each row once: those that are equal in everything but where they come from are one."""
    again = table.duplicated([name for name in COLUMNS[1:] if name != "origin"])
    if again.any():
        _say(table["origin"][again], "rows are equal to another in everything, left out", key)
        counts["equal_rows"] += int(again.sum())
    return table[~again]


def _cut(table: pd.DataFrame, spec: dict, key: str, counts: Counter) -> pd.DataFrame:
    """Texts after their first words, if the config says how many."""
    if "take_words" not in spec:
        return table
    words = table["text"].str.split().str[: spec["take_words"]]
    return _distinct(table.assign(text=words.str.join(" ")), key, counts)


def _long_enough(table: pd.DataFrame, spec: dict) -> pd.DataFrame:
    table = table[table["text"].str.len() >= spec.get("at_least_characters", 0)]
    return table[table["text"].str.split().str.len() >= spec.get("at_least_words", 0)]


def _grouped(table: pd.DataFrame, groups: dict[str, list[float]], key: str) -> pd.DataFrame:
    """Rows whose label lies in one of the ranges, in the group of that name."""
    if table["label"].isna().all():
        raise UserError(f"{key}.groups: no row has a label; name its column in columns.label")
    parts = [
        table[table["label"].between(low, high)].assign(group=name)
        for name, (low, high) in groups.items()
    ]
    grouped = pd.concat(parts).sort_index().astype({"group": "string"})
    twice = grouped[grouped.index.duplicated(keep=False)][:2]
    if len(twice):
        one, other = twice["group"]
        raise UserError(
            f"{key}.groups: {twice['origin'].iloc[0]}: the label {twice['label'].iloc[0]:g} is in "
            f"{one} and in {other}; both ends belong to a group, so let one begin above the other"
        )
    return grouped


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _in_hash_order(table: pd.DataFrame) -> pd.DataFrame:
    hashed = table.assign(hash=table["text"].map(_hash))
    # Equal texts are in the order of their other columns, not in that of the file.
    return hashed.sort_values(["hash", "target", "group", "label", "split"]).drop(columns="hash")


def _by_frequency(table: pd.DataFrame, rule: dict) -> pd.DataFrame:
    """Documents by the share of their words that are among `words`, its bin as their group.

    Those with most of them are `related`, those with none `unrelated`; words are compared as they
    stand between spaces, so that "wedding," is none, as in the paper's code.
    """
    words = frozenset(rule["words"])

    def density(text: str) -> float:
        found = text.lower().split()
        return sum(map(words.__contains__, found)) / len(found)

    share = table["text"].map(density).astype("float64")
    related = share[share > 0].sort_values(ascending=False, kind="stable").index
    unrelated = share.index[share == 0]
    kept = related[: rule.get("related")].union(unrelated[: rule.get("unrelated")])
    table, share = table[table.index.isin(kept)], share[share.index.isin(kept)]
    # The bin's centre in percent, as wide as the widest, so that groups sort as numbers do.
    places = len(f"{100 * rule['bin']:g}".partition(".")[2])
    centre = (share / rule["bin"]).round() * rule["bin"] * 100
    group = centre.map(lambda percent: f"{percent:.{places}f}").astype("string")
    return table.assign(group=group.str.zfill(group.str.len().max()))


def _split(
    table: pd.DataFrame, splits: dict[str, float], key: str, counts: Counter
) -> pd.DataFrame:
    """Rows in their order, cut into named splits; a size is a count, or a share if below 1.

    Near-duplicates of a text that is in an earlier split go to that split too if its size is a
    share, and to none if it is a count: what was asked by number holds.
    """
    total, end, sizes = len(table), 0.0, {}
    for name, size in splits.items():
        # Ends are rounded, not sizes, so that two halves of an odd number are all of it.
        end += size * total if size < 1 else size
        sizes[name] = round(end) - sum(sizes.values())
        if not sizes[name]:
            raise UserError(f"{key}.splits.{name}: {size:g} of {total} rows is none; ask for more")
    texts = table["text"].to_numpy(object)
    home: dict[str, str] = {}
    names: list[str | None] = [None] * total
    row, moved, left = 0, [], []
    for name, size in sizes.items():
        taken = 0
        while taken < size and row < total:
            first = home.setdefault(key_of(texts[row]), name)
            if first == name:
                taken += 1
            (moved if splits[first] < 1 else left).extend([row] if first != name else [])
            names[row] = first if first == name or splits[first] < 1 else None
            row += 1
        if taken < size and splits[name] >= 1:
            wanted = sum(sizes.values())
            raise UserError(
                f"{key}.splits: {wanted} rows are asked for, there are {total}, of which "
                f"{len(left)} are near-duplicates of rows in an earlier split; ask for fewer"
            )
    for rows, what in ((moved, "go to the split of the one before"), (left, "are in no split")):
        if rows:
            message = f"rows are near-duplicates of one in an earlier split and {what}"
            _say(table["origin"].iloc[rows], message, key)
    counts["near_duplicates_moved"] += len(moved)
    counts["near_duplicates_left_out"] += len(left)
    table = table.assign(split=pd.array(names, dtype="string"))
    return table[table["split"].notna()]


def _on_one_side(table: pd.DataFrame, key: str, counts: Counter) -> pd.DataFrame:
    """The splits that a file itself names, near-duplicates in that of the first of them."""
    alike = [key_of(text) for text in table["text"]]
    first = table["split"].groupby(pd.Series(alike, index=table.index)).transform("first")
    moved = first != table["split"]
    if moved.any():
        message = "rows are near-duplicates of one in another split and go to that split"
        _say(table["origin"][moved], message, key)
        counts["near_duplicates_moved"] += int(moved.sum())
    return table.assign(split=first.astype("string"))


def _in_sentences(table: pd.DataFrame, cut: Callable[[str], Iterable[str]]) -> pd.DataFrame:
    """Each row's text cut into sentences, with the row's hash as the id of their document."""
    lists = table.assign(
        document=table["text"].map(_hash).str[:16],
        text=[list(cut(text)) for text in table["text"]],
    )
    return lists.explode("text", ignore_index=True).astype({"text": "string", "document": "string"})
