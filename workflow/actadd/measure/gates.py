"""Thresholds of gates, chosen on a development split by a rule that the config states."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.base.files import canonical_json, write_json
from actadd.base.kinds import option
from actadd.engine.tokens import Tokens

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn

# An entry of `conditions` or `gate`, as a config writes it.
Entry = dict[str, Any]
# Digits that a threshold is rounded to, where no text is then decided otherwise.
DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class ThresholdRule:
    """The smallest threshold with at most so many false positives."""

    dataset: str = option(
        "Texts by group, for some of which the gate shall be open.", section="datasets"
    )
    split: str = option("Split on which the threshold is chosen.", "development")
    report: str = option("Split of other texts, on which its rates are reported.", "held-out")
    positive: list[str] = option(
        "Groups of the texts for which it shall be open.", min_length=1, unique=True
    )
    negative: list[str] | None = option(
        "Groups of those for which it shall not; all others if not given.",
        None,
        min_length=1,
        unique=True,
    )
    at_most_false_positive: float = option(
        "Share of the negative texts for which it may be open.", 0.05, minimum=0, maximum=1
    )


def gates_of(entries: Mapping[str, Entry]) -> list[Entry]:
    """The gates of an experiment's `conditions` whose threshold is a rule, each once."""
    gates = [
        addition["gate"]
        for condition in entries.values()
        for addition in condition.get("additions", [])
        if isinstance(addition.get("gate", {}).get("threshold"), dict)
    ]
    unique = {canonical_json(gate): gate for gate in gates}
    return [unique[text] for text in sorted(unique)]


def with_thresholds(entries: dict[str, Entry], chosen: list[Entry]) -> dict[str, Entry]:
    """The conditions with a number in place of each rule. chosen: see `choose_thresholds`."""
    numbers = {canonical_json(item["gate"]): item["threshold"] for item in chosen}

    def decided(addition: Entry) -> Entry:
        gate = addition.get("gate", {})
        number = numbers.get(canonical_json(gate))
        return addition if number is None else {**addition, "gate": {**gate, "threshold": number}}

    return {
        name: {**entry, "additions": [decided(addition) for addition in entry["additions"]]}
        if "additions" in entry
        else entry
        for name, entry in entries.items()
    }


def choose_thresholds(
    spec: dict[str, Any],
    *,
    model_dir: Path,
    texts: Mapping[str, Path],
    vectors: Mapping[str, Path],
    output: Path,
) -> dict[str, Any]:
    """Write the threshold of each gate, and how often it is open by mistake and rightly.

    spec: {name, gates: as in the config, dtype, compute}. texts: dataset -> its table. vectors:
    vector -> its file. output: a list of {gate, threshold, chosen_on, reported_on}; the last two
    have the split, and false_positive and true_positive: texts, open, rate and its 95 % interval.
    Raises UserError, before the model is loaded, if a split has no texts of one of the two kinds;
    and if the gate would be open for no positive text.
    """
    from actadd.models.loading import load

    key = f"experiments.{spec['name']}"
    tokens = Tokens(model_dir)
    tables = [_labelled(gate, texts, key) for gate in spec["gates"]]
    encoded = {
        text: tokens.encode(text) for table in tables for text in table["text"].unique().tolist()
    }
    rows = [_direction(gate, vectors, key) for gate in spec["gates"]]
    model = load(model_dir, dtype=spec["dtype"], **spec["compute"])
    chosen = []
    for gate, table, row in zip(spec["gates"], tables, rows, strict=True):
        values = _projections(model, [encoded[text] for text in table["text"]], gate["layer"], row)
        table = table.assign(projection=values)
        rule = gate["threshold"]
        number = _threshold(table[table["split"] == rule["split"]], rule, f"{key}: {_name(gate)}")
        rates = {
            name: _rates(table[table["split"] == rule[split]], number, rule[split])
            for name, split in (("chosen_on", "split"), ("reported_on", "report"))
        }
        chosen.append({"gate": gate, "threshold": number, **rates})
        reported = _text(rates["reported_on"])
        print(f"{_name(gate)}: threshold {number:g}; {reported}", flush=True)
    write_json(output, chosen)
    return {"thresholds": [item["threshold"] for item in chosen]}


def _name(gate: Entry) -> str:
    return f"gate on {gate['vector']} at layer {gate['layer']}"


def _labelled(gate: Entry, texts: Mapping[str, Path], key: str) -> "pd.DataFrame":
    """Texts of both splits: split, text and positive (bool)."""
    import pandas as pd

    from actadd.data import datasets

    rule = gate["threshold"]
    at = f"{key}: {_name(gate)}: threshold"
    parts = []
    for field in ("split", "report"):
        table = datasets.read(texts[rule["dataset"]], rule[field], f"{at}.{field}")
        positive = table["group"].isin(rule["positive"])
        others = table["group"].isin(rule["negative"]) if "negative" in rule else ~positive
        for name, rows in (("positive", positive), ("negative", others)):
            if not rows.any():
                groups = ", ".join(sorted(table["group"].dropna().unique())) or "none"
                raise UserError(
                    f"{at}.{name}: the split {rule[field]!r} of datasets.{rule['dataset']} has no "
                    f"{name} text, and a threshold lies between two kinds of text; its groups "
                    f"are: {groups}"
                )
        part = table.assign(split=rule[field], positive=positive)[positive | others]
        parts.append(part[["split", "text", "positive"]])
    return pd.concat(parts, ignore_index=True)


def _direction(gate: Entry, vectors: Mapping[str, Path], key: str) -> "np.ndarray":
    """The vector's last row at the gate's layer, float32 [d_model]."""
    from actadd.vectors.vector_files import read_vector

    row: np.ndarray = read_vector(vectors[gate["vector"]], {gate["layer"]})[gate["layer"]][-1]
    if not row.any():
        raise UserError(
            f"{key}: gate: the last row of vectors.{gate['vector']} is zero at layer "
            f"{gate['layer']}, so that nothing is projected on it; take another layer or vector"
        )
    return row


def _projections(
    model: "nn.Module", rows: list[list[int]], layer: int, direction: "np.ndarray"
) -> list[float]:
    """What the gate compares with its threshold, for each text; one at a time, as it is decided."""
    import torch

    from actadd.engine.additions import projected
    from actadd.engine.hooks import record_activations
    from actadd.engine.structure import input_device

    vector, device = torch.from_numpy(direction), input_device(model)
    streams = (record_activations(model, torch.tensor([ids], device=device)) for ids in rows)
    return [float(projected(stream[layer, 0], vector)) for stream in streams]


def _threshold(table: "pd.DataFrame", rule: Entry, key: str) -> float:
    """The smallest threshold that opens the gate for at most the allowed share of negatives.

    It lies in the middle between two texts' projections, so that rounding decides for none.
    """
    import numpy as np

    negative = np.sort(table[~table["positive"]]["projection"])[::-1]
    allowed = int(rule["at_most_false_positive"] * len(negative) + 1e-9)
    values = np.sort(table["projection"])
    if allowed == len(negative):
        return _round(values[0] - 1.0, values[0])
    low = negative[allowed]
    above = values[values > low]
    if not (table["positive"] & (table["projection"] > low)).any():
        share = rule["at_most_false_positive"]
        raise UserError(
            f"{key}.threshold.at_most_false_positive: with {share:g} it is open for no positive "
            "text; take another layer or vector, or allow more"
        )
    return _round(low, above[0])


def _round(low: float, high: float) -> float:
    """A number between two, of few digits."""
    middle = float((low + high) / 2)
    short = float(f"{middle:.{DIGITS}g}")
    return short if low <= short < high else middle


def _rates(table: "pd.DataFrame", threshold: float, split: str) -> Entry:
    from actadd.base.intervals import share_interval

    result: Entry = {"split": split}
    for name, positive in (("false_positive", False), ("true_positive", True)):
        rows = table[table["positive"] == positive]["projection"] > threshold
        rate, low, high = share_interval(int(rows.sum()), len(rows))
        result[name] = {
            "texts": len(rows),
            "open": int(rows.sum()),
            "rate": rate,
            "interval": [low, high],
        }
    return result


def _text(rates: Entry) -> str:
    parts = []
    for name, kind in (("false_positive", "negative"), ("true_positive", "positive")):
        rate = rates[name]
        low, high = (100 * bound for bound in rate["interval"])
        parts.append(
            f"open for {100 * rate['rate']:.0f} % [{low:.0f}, {high:.0f}] of {rate['texts']} "
            f"{kind} texts"
        )
    return f"in the split {rates['split']!r} it is {' and '.join(parts)}"
