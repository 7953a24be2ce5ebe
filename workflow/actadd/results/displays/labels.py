"""How figures and tables speak of rows: what they are called, on which model and data."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.errors import UserError
from actadd.base.names import unknown
from actadd.engine.placement import layers_text
from actadd.results.displays.kinds import Sources

# Failed conditions that a caption names.
NAMED = 3

# What tells one steered line or row from another, and how a legend writes it.
COORDINATES = {
    "model": "{}",
    "condition": "{}",
    "vector": "{}",
    "operation": "{}",
    "source_layer": "from layer {:g}",
    "layer": "layer {:g}",
    "coefficient": "c = {:g}",
    "position": "{}",
    "dimensions": "{:.0%} of dimensions",
    "phase": "{}",
    "temperature": "T {:g}",
    "top_p": "top-p {:g}",
    "frequency_penalty": "penalty {:g}",
    "seed": "seed {:g}",
    "draws": "{:g} draws",
}

# Coordinates that are names of the config, which may have labels.
NAMED_COORDINATES = ("model", "condition", "vector")
# A name of the config -> what it is called.
Label = Callable[[str], str]

# How the strength of an operation is written, where its name and number are not good enough.
STRENGTHS = {"coefficient": "c = {}", "degrees": "{}°"}
# What an addition's record holds beside the options of its operation.
PLACED = {*COORDINATES, "layers", "match_norm", "gate"} - {"coefficient"}


def read_norms(files: Mapping[tuple[str, str], Path]) -> pd.DataFrame:
    """Norms of vectors under each other, with the names by which the files are called.

    files: by (model, vector); columns as `derive_all_layers` writes them, vector and model.
    """
    parts = [
        pd.read_csv(path).assign(vector=vector, model=model)
        for (model, vector), path in files.items()
    ]
    return pd.concat(parts, ignore_index=True)


def unsteered(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are the baseline; all others are steered, by whichever method."""
    return rows["method"] == "unsteered"


def metric_rows(sources: Sources, table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of one metric, over all prompts unless the metric is written as metric@group."""
    name, _, group = metric.partition("@")
    rows = table[table["metric"] == name]
    if rows.empty:
        raise UserError(f"{sources.key}: {unknown('metric', name, table['metric'])}")
    of_group = rows[rows["group"] == (group or "all")]
    if len(of_group):
        return of_group
    # Where every condition failed, nobody knows the groups.
    if group and not failed(rows).any():
        groups = set(rows["group"]) - {"all"}
        raise UserError(f"{sources.key}: {metric}: {unknown('group', group, groups)}")
    return rows[failed(rows)] if group else rows


def failed(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows stand for what failed and has no number; rows may not know of failures."""
    if "failed" not in rows:
        return pd.Series(False, index=rows.index)
    return rows["failed"].notna()


def failures(rows: pd.DataFrame, label: Label = str) -> str:
    """How many conditions failed, which, and why; nothing if none did."""
    keys = [name for name in (*COORDINATES, "additions") if name in rows]
    conditions = rows.drop_duplicates(keys)
    lost = conditions[failed(conditions)]
    if lost.empty:
        return ""
    texts = [text.replace("\n", " ") for text in row_labels(conditions, label)]
    texts = [text for text, gone in zip(texts, failed(conditions), strict=True) if gone]
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    reasons = "; ".join(dict.fromkeys(lost["failed"]))
    verb = "is" if len(lost) == 1 else "are"
    return (
        f"{len(lost)} of {len(conditions)} conditions failed and {verb} in no mean (×): "
        f"{', '.join(texts[:NAMED])}{more}. Reason: {reasons.rstrip('.')}."
    )


def coordinate_text(name: str, value: Any, label: Label = str) -> str:
    """A coordinate in words."""
    return label(str(value)) if name in NAMED_COORDINATES else COORDINATES[name].format(value)


def in_order(values: "pd.Series[Any]") -> list[str]:
    """Names as they stand in a table, each once: tables have the config's order."""
    return [str(value) for value in values.dropna().drop_duplicates()]


def settings(
    rows: pd.DataFrame, x: str = "coefficient", always: tuple[str, ...] = (), label: Label = str
) -> list[tuple[str, pd.DataFrame]]:
    """(label, rows) of every combination of coordinates but x.

    A label names the coordinates that vary, and those in `always`; a source layer only where it is
    not the injection layer. Names are in the order of the rows, and numbers ascend.
    """
    rows = rows.assign(operation=_operations(rows))
    columns = [name for name in COORDINATES if name != x and name in rows]
    # Against an unsteered row, which has none of them, every coordinate would vary.
    steered = rows[~unsteered(rows)]
    varying = {name for name in columns if steered[name].nunique(dropna=False) > 1}
    varying |= {"model"} if rows["model"].nunique() > 1 else set()
    varying |= {"condition"} if rows["condition"].nunique() > 1 else set()
    varying |= {"operation"} if rows["operation"].notna().any() else set()
    varying |= set(always)
    same_layer = rows["source_layer"].isna() | (rows["source_layer"] == rows["layer"])
    if same_layer.all():
        varying.discard("source_layer")
        columns.remove("source_layer")
    else:
        varying.add("source_layer")
    parts = []
    names = [name for name in NAMED_COORDINATES if name in columns]
    ordered = {name: pd.Categorical(rows[name], in_order(rows[name])) for name in names}
    grouped = rows.assign(**ordered).groupby(columns, dropna=False, sort=True, observed=True)
    for values, part in grouped:
        part = part.astype(dict.fromkeys(names, object))
        texts = [
            _strength(part.iloc[0])
            if name == "coefficient"
            else coordinate_text(name, value, label)
            for name, value in zip(columns, pd.Series(values, dtype=object), strict=True)
            if name in varying and name in columns and pd.notna(value)
        ]
        parts.append((", ".join(texts), part))
    return parts


def _one(row: "pd.Series[Any]") -> dict[str, Any]:
    """The one addition of a row, as it is recorded; empty if there is none or there are several."""
    additions = row.get("additions")
    parts = json.loads(additions) if isinstance(additions, str) else []
    return dict(parts[0]) if len(parts) == 1 else {}


def _operations(rows: pd.DataFrame) -> "pd.Series[str]":
    """Each row's operation, if it is one and not the usual one."""
    names = [_one(row).get("operation") for _, row in rows.iterrows()]
    return pd.Series(names, rows.index, dtype="string")


def _strength(row: "pd.Series[Any]") -> str:
    """A row's strength in words; its column is called coefficient, whatever the operation."""
    return ", ".join(strengths(_one(row))) or coordinate_text("coefficient", row["coefficient"])


def strengths(addition: Mapping[str, Any]) -> list[str]:
    """An operation's strength and other options in words: "c = 2", or "30°", "one_sided True"."""
    texts = []
    if gate := addition.get("gate"):
        texts.append(f"if {gate['vector']} at {gate['layer']} > {gate['threshold']:g}")
    for name in sorted(addition.keys() - PLACED):
        value = addition[name]
        number = f"{value:g}" if isinstance(value, int | float) and value is not True else value
        texts.append(STRENGTHS.get(name, f"{name} {{}}").format(number))
    return texts


def axis_label(rows: pd.DataFrame, x: str, usual: str) -> str:
    """What an axis of x is called: of the coefficient, what the rows' operations call it."""
    if x != "coefficient":
        return usual
    names = {
        name
        for _, row in rows.iterrows()
        for name, value in _one(row).items()
        if name not in PLACED and value == row["coefficient"]
    }
    return " or ".join(sorted(names)) or usual


def addition_text(addition: Mapping[str, Any]) -> str:
    """One addition of a composite in a few words, of whichever operation."""
    layer, coefficient = addition.get("layer"), addition.get("coefficient")
    text = " ".join(str(addition[name]) for name in ("operation", "vector") if name in addition)
    text += "" if layer is None else f" at {layer}"
    text += f" at {layers_text(addition['layers'])}" if "layers" in addition else ""
    others = {name: value for name, value in addition.items() if name != "coefficient"}
    text += "" if coefficient is None else f" times {coefficient:g}"
    return ", ".join([text, *strengths(others)])


def addition_details(addition: Mapping[str, Any], *more: str) -> str:
    """One addition with all that is unusual of it: "v (layer 3, c = 2, from layer 0, back)"."""
    layer = addition.get("layer")
    source_layer, position = addition.get("source_layer"), addition.get("position", "front")
    details = [
        addition.get("operation", ""),
        "" if layer is None else f"layer {layer}",
        layers_text(addition["layers"]) if "layers" in addition else "",
        *strengths(addition),
        "" if source_layer in (None, layer) else f"from layer {source_layer}",
        "" if position == "front" else str(position),
        *more,
    ]
    return f"{addition.get('vector', '')} ({', '.join(filter(None, details))})".strip()


def row_labels(rows: pd.DataFrame, label: Label = str) -> list[str]:
    """A name for each row: its condition, layer and coefficient, and what else tells rows apart."""
    columns = [
        name for name in COORDINATES if name not in ("condition", "vector", "layer", "coefficient")
    ]
    steered = rows[rows["coefficient"].notna()]
    varying = [
        name
        for name in columns
        if name in rows and (steered[name].nunique(dropna=False) > 1 or rows[name].nunique() > 1)
    ]
    if (rows["source_layer"].isna() | (rows["source_layer"] == rows["layer"])).all():
        varying = [name for name in varying if name != "source_layer"]
    texts = []
    for _, row in rows.iterrows():
        one = _one(row)
        more = [coordinate_text(name, row[name], label) for name in varying if pd.notna(row[name])]
        text = ", ".join([label(str(row["condition"])), *more])
        if {"operation", "layers", "gate"} & one.keys():
            text += f"\n({addition_text(one)})"
        elif pd.notna(row["layer"]) and pd.notna(row["coefficient"]):
            text += f"\n(layer {int(row['layer'])}, c = {row['coefficient']:g})"
        elif pd.notna(row["layer"]):
            text += f"\n(layer {int(row['layer'])})"
        elif additions := json.loads(row["additions"]):
            # A composite has no one layer and coefficient.
            text += f"\n({' + '.join(map(addition_text, additions))})"
        texts.append(text)
    return texts
