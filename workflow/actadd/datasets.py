"""Prompts and texts from any file, as one plain table."""

import csv
import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.errors import UserError
from actadd.files import write_with

COLUMNS = ("id", "text", "split", "target", "group", "label")


def prepare(spec: dict, source: Path | None, output: Path) -> dict[str, Any]:
    """Writes a dataset as Parquet with the columns of `COLUMNS`; returns its counts.

    spec: the dataset's config entry and its name. source: the file, or the folder of a fetched
    source in which `file` lies; None if the texts stand in the config.
    Rows are cut into splits in the order of the sha256 of their text. So a split does not depend on
    the file's order, and the first rows of one dataset are among the first of another that holds
    the same texts: prompts taken from a first split are never in another dataset's later ones.
    """
    key = f"datasets.{spec['name']}"
    table = _read(spec, source, key)
    table = table.dropna(subset="text")
    table["text"] = table["text"].astype(str).str.strip("\r\n")
    table = table[table["text"].str.strip() != ""].drop_duplicates("text")
    if spec.get("at_least_words"):
        table = table[table["text"].str.split().str.len() >= spec["at_least_words"]]
    if spec.get("splits"):
        table = _split(table, spec["splits"], key)
    if spec.get("take_words"):
        table["text"] = table["text"].map(lambda text: " ".join(text.split()[: spec["take_words"]]))
        table = table.drop_duplicates("text")
    if table.empty:
        raise UserError(f"{key}: no text is left; check file, splits and at_least_words")
    for column in COLUMNS[2:]:
        if column not in table:
            table[column] = "all" if column == "split" else None
    table.insert(0, "id", range(len(table)))
    table = table[list(COLUMNS)].astype(
        {"text": "string", "split": "string", "target": "string", "group": "string"}
    )
    try:
        table["label"] = pd.to_numeric(table["label"]).astype("float64")
    except (ValueError, TypeError) as error:
        raise UserError(f"{key}.columns.label: labels must be numbers: {error}") from error
    write_with(output, lambda path: table.to_parquet(path, index=False))
    return {"rows": len(table), "splits": table["split"].value_counts().sort_index().to_dict()}


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
        return pd.DataFrame({"text": spec["texts"]})
    assert source is not None
    files = spec.get("files") or [spec.get("file")]
    paths = [source / file for file in files] if source.is_dir() else [source]
    parts = []
    for path in paths:
        if not path.is_file():
            raise UserError(f"{key}: {path} does not exist; check file and source")
        part = _read_one(path, spec, key)
        if len(paths) > 1 and "group" not in part:
            part["group"] = path.stem
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _read_one(path: Path, spec: dict, key: str) -> pd.DataFrame:
    layout = spec.get("table", {})
    encoding = layout.get("encoding", "utf-8")
    try:
        if path.suffix == ".jsonl":
            raw = pd.read_json(path, lines=True, encoding=encoding)
        elif path.suffix == ".txt" and not layout:
            lines = path.read_text(encoding=encoding).splitlines()
            raw = pd.DataFrame({"text": lines})
        else:
            separator = layout.get("separator", ",")
            raw = pd.read_csv(
                path,
                sep=separator,
                names=layout.get("columns"),
                encoding=encoding,
                # A tab-separated file of raw text has no quoting; a comma-separated one must.
                quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
                keep_default_na=False,
            )
    except (ValueError, LookupError) as error:
        raise UserError(f"{key}: {path} cannot be read: {error}") from error
    roles = {role: spec.get("columns", {}).get(role, role) for role in COLUMNS[1:]}
    for role in ("text", *spec.get("columns", {})):
        if roles[role] not in raw:
            raise UserError(
                f"{key}.columns.{role}: {path} has no column {roles[role]!r}, it has {list(raw)}"
            )
    return pd.DataFrame({role: raw[name] for role, name in roles.items() if name in raw})


def _split(table: pd.DataFrame, splits: dict[str, float], key: str) -> pd.DataFrame:
    """Rows in hash order, cut into named splits; a size is a count, or a share if below 1."""
    order = table["text"].map(lambda text: hashlib.sha256(text.encode()).hexdigest())
    table = table.loc[order.sort_values().index].copy()
    total, end, names = len(table), 0.0, []
    for name, size in splits.items():
        # Ends are rounded, not sizes, so that two halves of an odd number are all of it.
        end += size * total if size < 1 else size
        names += [name] * (round(end) - len(names))
    if len(names) > total:
        raise UserError(f"{key}.splits: {len(names)} rows are asked for, there are {total}")
    table = table.iloc[: len(names)]
    table["split"] = names
    return table
