"""Datasets: prompts, texts and documents of any file as one table with splits."""

import hashlib
import html
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError, quote
from actadd.base.files import write_with
from actadd.data import formats, sentences
from actadd.data.text_equality import key_of

COLUMNS = ("id", "text", "split", "target", "group", "label", "document", "origin")
# A letter has to follow, because "a < b" is not a tag.
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")

Spec = dict[str, Any]
Counts = Counter[str]


def prepare(
    spec: Spec, source: Path | None, output: Path, *, punkt: Path | None = None
) -> dict[str, Any]:
    """Write a dataset as Parquet with the columns of `COLUMNS`; returns its counts.

    spec: the dataset's config entry and its name; `splits` as a mapping or as pairs, in order.
    source: the file, or the folder of a fetched source that holds `file`; None if the config holds
    the texts. punkt: the folder of a fetched source with the parameters of NLTK's Punkt; None to
    cut sentences by rules.
    Texts stay as they are written: only NULs, rows without a text, and rows that equal another one
    in every column are removed, which the log and the counts state.
    Rows are selected and cut into splits in the order of their texts' sha256, so that a split does
    not depend on the file's order; `order: file` is for data whose publisher took the first rows.
    Texts that are equal except for case, punctuation and white space stay in one split, see
    `_split`. Documents are selected and put into splits before they are cut into sentences, so that
    no split holds a part of another's document.
    """
    key = f"datasets.{spec['name']}"
    counts: Counts = Counter()
    table = _typed(_read(spec, source, key), spec, key, counts)
    table = _long_enough(_distinct(table, key, counts), spec)
    if "groups" in spec:
        table = _grouped(table, spec["groups"], key)
    selective = any(rule in spec for rule in ("frequency", "per_group", "splits"))
    if selective and spec.get("order") != "file":
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
        table = _unite_near_duplicates(table, key, counts)
    if spec.get("sentences"):
        cut = sentences.by_punkt(punkt, f"{key}.punkt") if punkt else sentences.by_rules
        table = _long_enough(_distinct(_in_sentences(table, cut), key, counts), spec)
        table = _cut(table, spec, key, counts)
    if table.empty:
        raise UserError(f"{key}: no text is left; check its file and what selects its rows")
    table = table.reset_index(drop=True).rename_axis("id").reset_index()[list(COLUMNS)]
    write_with(output, lambda path: table.to_parquet(path, index=False))
    sizes = {"rows": len(table), "splits": table["split"].value_counts().sort_index().to_dict()}
    documents = {"documents": table["document"].nunique()} if spec.get("sentences") else {}
    return sizes | documents | {name: count for name, count in counts.items() if count}


def read(path: Path, split: str | None, key: str) -> pd.DataFrame:
    """One split of a prepared dataset; None or "all": every row.

    Raises UserError, which names the config key, if there is no such split.
    """
    table = pd.read_parquet(path)
    if split in (None, "all"):
        return table
    rows = table[table["split"] == split]
    if rows.empty:
        names = sorted(set(table["split"].dropna()))
        raise UserError(f"{key}: there is no split {split!r}; write one of {names}")
    return rows.reset_index(drop=True)


def chosen(table: pd.DataFrame, prompts: Spec, key: str) -> pd.DataFrame:
    """The rows of a split that an experiment's `prompts` select, by group and limit.

    limit takes the first rows, of each group if each_group is set. Raises UserError if no row is
    left.
    """
    if prompts.get("group"):
        table = table[table["group"].isin(prompts["group"])]
    if prompts.get("limit"):
        # The first sentence of each document comes before any second one.
        spread = table.groupby(table["document"].fillna(table["id"].astype("string"))).cumcount()
        rows = table.loc[spread.sort_values(kind="stable").index]
        grouped = rows.groupby("group", sort=False, dropna=False)
        limited = (grouped if prompts.get("each_group") else rows).head(prompts["limit"])
        table = limited.sort_index()
    if table.empty:
        raise UserError(f"{key}: no text is left; check targets, group and limit")
    return table.reset_index(drop=True)


def _read(spec: Spec, source: Path | None, key: str) -> pd.DataFrame:
    if spec.get("texts"):
        origins = [f"texts.{index}" for index in range(len(spec["texts"]))]
        return pd.DataFrame({"text": spec["texts"], "origin": origins}, dtype=object)
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


def _typed(table: pd.DataFrame, spec: Spec, key: str, counts: Counts) -> pd.DataFrame:
    """All columns except id, typed; texts without NULs and, if `html` is set, without tags.

    Removes rows without a text and names them in the log.
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
        # An empty CSV cell is a missing value.
        table[column] = table[column].replace("", pd.NA)
    _refuse_all(table, key)
    table["split"] = table["split"].fillna("all")
    if spec.get("html"):
        # HTML renders any run of white space as one space.
        table["text"] = table["text"].map(
            lambda text: " ".join(html.unescape(TAG.sub(" ", text)).split()), na_action="ignore"
        )
    with_nul = table["text"].str.contains("\0", regex=False).fillna(False)
    if with_nul.any():
        table["text"] = table["text"].str.replace("\0", "", regex=False)
        _log(table["origin"][with_nul], "texts lose their NUL characters", key)
        counts["texts_with_nul"] += int(with_nul.sum())
    blank = table["text"].fillna("").str.strip() == ""
    if blank.any():
        _log(table["origin"][blank], "rows without a text are left out", key)
        counts["rows_without_text"] += int(blank.sum())
    return table[~blank]


def _text_of(value: Any, origin: str, key: str) -> Any:
    """A cell as text, a number as Python spells it; None or NA for a missing value."""
    if isinstance(value, str) or value is None or value is pd.NA:
        return value
    if isinstance(value, float) and np.isnan(value):
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise UserError(
        f"{key}: {origin}: {quote(value)} is not a text; write one, or name another column"
    )


def _number_of(value: Any, origin: str, key: str) -> float:
    """A label as a number; NaN for a missing value."""
    if value is None or value is pd.NA or value == "":
        return np.nan
    try:
        number = float(value)
    except (ValueError, TypeError):
        number = np.inf
    if np.isinf(number):
        raise UserError(
            f"{key}: {origin}: labels must be numbers, not {quote(value)}; write numbers "
            "such as 1 and 0, or name another column"
        )
    return number


def _refuse_all(table: pd.DataFrame, key: str) -> None:
    """Raise UserError for a split or group called "all", the name of all rows together."""
    for column in ("split", "group"):
        reserved = table[column] == "all"
        if reserved.fillna(False).any() and (column == "group" or not reserved.fillna(True).all()):
            origin = table["origin"][reserved.fillna(False)].iloc[0]
            raise UserError(
                f"{key}.columns.{column}: {origin}: 'all' stands for every {column} together; "
                f"rename this {column}, or leave the cell empty"
            )


def _log(origins: "pd.Series[str]", event: str, key: str) -> None:
    """Print how many rows something happens to, and the origins of the first five."""
    more = ", ..." if len(origins) > 5 else ""
    print(f"{key}: {len(origins)} {event}: {', '.join(origins[:5])}{more}", flush=True)


def _distinct(table: pd.DataFrame, key: str, counts: Counts) -> pd.DataFrame:
    """The rows without those that equal an earlier one in every column except origin."""
    repeated = table.duplicated([name for name in COLUMNS[1:] if name != "origin"])
    if repeated.any():
        _log(table["origin"][repeated], "rows are equal to another in everything, left out", key)
        counts["equal_rows"] += int(repeated.sum())
    return table[~repeated]


def _cut(table: pd.DataFrame, spec: Spec, key: str, counts: Counts) -> pd.DataFrame:
    """Texts cut after their first `take_words` words, if the config sets that."""
    if "take_words" not in spec:
        return table
    words = table["text"].str.split().str[: spec["take_words"]]
    return _distinct(table.assign(text=words.str.join(" ")), key, counts)


def _long_enough(table: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """The rows whose texts have the least number of characters and words."""
    table = table[table["text"].str.len() >= spec.get("at_least_characters", 0)]
    words: Any = table["text"].str.split().str
    mask: pd.Series[bool] = words.len() >= spec.get("at_least_words", 0)
    return table[mask]


def _grouped(table: pd.DataFrame, groups: dict[str, list[float]], key: str) -> pd.DataFrame:
    """Rows whose label lies in one of the closed ranges, with the range's name as their group."""
    if table["label"].isna().all():
        raise UserError(f"{key}.groups: no row has a label; name its column in columns.label")
    parts = [
        table[table["label"].between(low, high)].assign(group=name)
        for name, (low, high) in groups.items()
    ]
    grouped = pd.concat(parts).sort_index().astype({"group": "string"})
    ambiguous = grouped[grouped.index.duplicated(keep=False)][:2]
    if len(ambiguous):
        one, other = ambiguous["group"]
        origin, label = ambiguous["origin"].iloc[0], ambiguous["label"].iloc[0]
        raise UserError(
            f"{key}.groups: {origin}: the label {label:g} is in {one} and "
            f"in {other}; groups include both ends, so let one begin above the other"
        )
    return grouped


def _hash(text: str) -> str:
    """Hex sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _in_hash_order(table: pd.DataFrame) -> pd.DataFrame:
    hashed = table.assign(hash=table["text"].map(_hash))
    # Equal texts are ordered by their other columns, not by their order in the file.
    return hashed.sort_values(["hash", "target", "group", "label", "split"]).drop(columns="hash")


def _by_frequency(table: pd.DataFrame, rule: Spec) -> pd.DataFrame:
    """Documents grouped by the binned share of their words that are in `words`.

    rule: how many documents to take of those with the largest shares (`related`) and of those with
    none of the words (`unrelated`). Words are split at spaces, so that "wedding," does not count,
    as in the paper's code.
    """
    words = frozenset(rule["words"])

    def density(text: str) -> float:
        tokens = text.lower().split()
        return sum(map(words.__contains__, tokens)) / len(tokens)

    share = table["text"].map(density).astype("float64")
    related = share[share > 0].sort_values(ascending=False, kind="stable").index
    unrelated = share.index[share == 0]
    rows = related[: rule.get("related")].union(unrelated[: rule.get("unrelated")])
    table, share = table[table.index.isin(rows)], share[share.index.isin(rows)]
    # Bin centres in percent, padded to one width, so that groups sort as numbers do.
    digits = len(f"{100 * rule['bin']:g}".partition(".")[2])
    centre = (share / rule["bin"]).round() * rule["bin"] * 100
    group = centre.map(lambda percent: f"{percent:.{digits}f}").astype("string")
    return table.assign(group=group.str.zfill(max(map(len, group), default=0)))


def _split(table: pd.DataFrame, splits: dict[str, float], key: str, counts: Counts) -> pd.DataFrame:
    """Rows in their order, cut into named splits; a size is a count, or a share if below 1.

    Near-duplicates of a text in an earlier split join that split if its size is a share, and no
    split if it is a count, which then stays exact.
    """
    total, end = len(table), 0.0
    sizes: dict[str, int] = {}
    for name, size in splits.items():
        # Ends are rounded instead of sizes, so that two halves of an odd number cover all rows.
        end += size * total if size < 1 else size
        sizes[name] = round(end) - sum(sizes.values())
        if not sizes[name]:
            raise UserError(
                f"{key}.splits.{name}: {size:g} of {total} rows is 0; write a larger size"
            )
    texts = table["text"].to_numpy(object)
    # The first split in which a text occurs, by the key that near-duplicates share.
    split_of: dict[str, str] = {}
    names: list[str | None] = [None] * total
    row = 0
    moved: list[int] = []
    dropped: list[int] = []
    for name, size in sizes.items():
        count = 0
        while count < size and row < total:
            first = split_of.setdefault(key_of(texts[row]), name)
            if first == name:
                count += 1
                names[row] = name
            elif splits[first] < 1:
                moved.append(row)
                names[row] = first
            else:
                dropped.append(row)
            row += 1
        if count < size and splits[name] >= 1:
            raise UserError(
                f"{key}.splits: {sum(sizes.values())} rows are asked for, there are {total}, of "
                f"which {len(dropped)} are near-duplicates of rows in an earlier split; ask for "
                "fewer"
            )
    for rows, action in ((moved, "go to the split of that one"), (dropped, "are in no split")):
        if rows:
            message = f"rows are near-duplicates of one in an earlier split and {action}"
            _log(table["origin"].iloc[rows], message, key)
    counts["near_duplicates_moved"] += len(moved)
    counts["near_duplicates_left_out"] += len(dropped)
    table = table.assign(split=pd.array(names, dtype="string"))
    return table[table["split"].notna()]


def _unite_near_duplicates(table: pd.DataFrame, key: str, counts: Counts) -> pd.DataFrame:
    """Rows of a file that names splits, with near-duplicates in the split of the first one."""
    keys = [key_of(text) for text in table["text"]]
    first = table["split"].groupby(pd.Series(keys, index=table.index)).transform("first")
    moved = first != table["split"]
    if moved.any():
        message = "rows are near-duplicates of one in another split and go to that split"
        _log(table["origin"][moved], message, key)
        counts["near_duplicates_moved"] += int(moved.sum())
    return table.assign(split=first.astype("string"))


def _in_sentences(table: pd.DataFrame, cut: Callable[[str], Iterable[str]]) -> pd.DataFrame:
    """Each row's text cut into sentences, with the row's hash as the id of their document."""
    cut_texts = pd.Series([list(cut(text)) for text in table["text"]], table.index, dtype=object)
    lists = table.assign(document=table["text"].map(_hash).str[:16], text=cut_texts)
    return lists.explode("text", ignore_index=True).astype({"text": "string", "document": "string"})
