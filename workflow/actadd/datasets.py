"""Prompts, texts and documents from any file, as one plain table."""

import hashlib
import html
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from actadd import formats, sentences
from actadd.errors import UserError, shown
from actadd.files import write_with

COLUMNS = ("id", "text", "split", "target", "group", "label", "document", "origin")
# A letter has to follow: "a < b" is no tag.
TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def prepare(
    spec: dict, source: Path | None, output: Path, *, punkt: Path | None = None
) -> dict[str, Any]:
    """Writes a dataset as Parquet with the columns of `COLUMNS`; returns its counts.

    spec: the dataset's config entry and its name. source: the file, or the folder of a fetched
    source in which `file` lies; None if the texts stand in the config. punkt: the folder of the
    fetched source by which NLTK's Punkt cuts sentences; None if rules do.
    Rows are chosen and cut into splits in the order of the sha256 of their text. So a split does
    not depend on the file's order, and the first rows of one dataset are among the first of another
    that holds the same texts: prompts taken from a first split are never in another dataset's later
    ones. `order: file` is for data whose publisher took the first rows. Documents are chosen and
    put into splits before they are cut into sentences, so that no split holds a part of another's
    document.
    """
    key = f"datasets.{spec['name']}"
    table = _long_enough(_distinct(_typed(_read(spec, source, key), spec, key)), spec)
    if "groups" in spec:
        table = _grouped(table, spec["groups"], key)
    chosen = any(choice in spec for choice in ("frequency", "per_group", "splits"))
    if chosen and spec.get("order") != "file":
        table = _in_hash_order(table)
    if "frequency" in spec:
        table = _by_frequency(table, spec["frequency"])
    if "per_group" in spec:
        table = table.groupby("group", dropna=False).head(spec["per_group"])
    if "splits" in spec:
        table = _split(table, spec["splits"], key)
    if spec.get("sentences"):
        cut = sentences.by_punkt(punkt, f"{key}.punkt") if punkt else sentences.by_rules
        table = _long_enough(_distinct(_in_sentences(table, cut)), spec)
    if "take_words" in spec:
        words = table["text"].str.split().str[: spec["take_words"]]
        table = _distinct(table.assign(text=words.str.join(" ")))
    if table.empty:
        raise UserError(f"{key}: no text is left; check its file and what chooses among its rows")
    table = table.reset_index(drop=True).rename_axis("id").reset_index()[list(COLUMNS)]
    write_with(output, lambda path: table.to_parquet(path, index=False))
    counts = {"rows": len(table), "splits": table["split"].value_counts().sort_index().to_dict()}
    return counts | ({"documents": table["document"].nunique()} if spec.get("sentences") else {})


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


def _read(spec: dict, source: Path | None, key: str) -> pd.DataFrame:
    if spec.get("texts"):
        places = [f"texts.{index}" for index in range(len(spec["texts"]))]
        return pd.DataFrame({"text": spec["texts"], "origin": places})
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


def _typed(table: pd.DataFrame, spec: dict, key: str) -> pd.DataFrame:
    """All columns but the id, in their types; texts without NULs and, if asked, without HTML.

    Rows without a text are left out, and named in the log.
    """
    table = table.reindex(columns=COLUMNS[1:])
    for column in ("text", "split", "target", "group"):
        for value, origin in zip(table[column], table["origin"], strict=True):
            if isinstance(value, (bool, list, dict)):
                raise UserError(
                    f"{key}.columns.{column}: {origin}: {shown(value)} is no text; write one, or "
                    "name another column"
                )
    table = table.astype(dict.fromkeys(set(COLUMNS[1:]) - {"label"}, "string"))
    table["split"] = table["split"].fillna("all")
    try:
        table["label"] = pd.to_numeric(table["label"]).astype("float64")
    except (ValueError, TypeError) as error:
        raise UserError(f"{key}.columns.label: labels must be numbers: {error}") from error
    if spec.get("html"):
        # In HTML any run of white space is one space.
        table["text"] = table["text"].map(
            lambda text: " ".join(html.unescape(TAG.sub(" ", text)).split())
        )
    table["text"] = table["text"].str.replace("\0", "", regex=False).str.strip("\r\n")
    blank = table["text"].fillna("").str.strip() == ""
    if blank.any():
        places = ", ".join(table["origin"][blank][:5])
        more = ", ..." if blank.sum() > 5 else ""
        print(f"{key}: {blank.sum()} rows without a text are left out: {places}{more}", flush=True)
    return table[~blank]


def _distinct(table: pd.DataFrame) -> pd.DataFrame:
    """A text once, but for the targets it has and the documents it stands in."""
    return table.drop_duplicates(["text", "target", "document"])


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
    return pd.concat(parts).sort_index().astype({"group": "string"})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _in_hash_order(table: pd.DataFrame) -> pd.DataFrame:
    hashed = table.assign(hash=table["text"].map(_hash))
    return hashed.sort_values(["hash", "target"]).drop(columns="hash")


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


def _split(table: pd.DataFrame, splits: dict[str, float], key: str) -> pd.DataFrame:
    """Rows in their order, cut into named splits; a size is a count, or a share if below 1."""
    total, end, names = len(table), 0.0, []
    for name, size in splits.items():
        # Ends are rounded, not sizes, so that two halves of an odd number are all of it.
        end += size * total if size < 1 else size
        names += [name] * (round(end) - len(names))
    if len(names) > total:
        raise UserError(f"{key}.splits: {len(names)} rows are asked for, there are {total}")
    return table.iloc[: len(names)].assign(split=pd.array(names, dtype="string"))


def _in_sentences(table: pd.DataFrame, cut: Callable[[str], Iterable[str]]) -> pd.DataFrame:
    """Each row's text cut into sentences, with the row's hash as the id of their document."""
    lists = table.assign(
        document=table["text"].map(_hash).str[:16],
        text=[list(cut(text)) for text in table["text"]],
    )
    return lists.explode("text", ignore_index=True).astype({"text": "string", "document": "string"})
