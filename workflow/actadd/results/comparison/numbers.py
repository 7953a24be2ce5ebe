"""Published numbers: each one's deviation from ours and a verdict."""

from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.results.comparison.rows import (
    check_selector,
    estimates,
    estimates_by_x,
    models_of,
    select,
    single,
)

VERDICTS = ("matches", "same direction", "differs", "not comparable", "not run")


def compare(
    name: str,
    entry: dict[str, Any],
    reference: pd.DataFrame,
    ours: pd.DataFrame,
    context: dict[str, Any],
) -> pd.DataFrame:
    """The published numbers of one comparison beside ours, for each model, with verdicts.

    The index is that of `reference`.
    """
    key = f"comparison.comparisons.{name}"
    published = select(reference, entry["published"])
    if published.empty:
        raise UserError(
            f"{key}.published: no published number has {entry['published']}; "
            f"the items are {sorted(set(reference['item']))}"
        )
    check_selector(f"{key}.ours", entry["ours"], ours, context)
    experiment, x, y = entry["ours"]["experiment"], entry.get("x"), entry.get("y", "mean")
    rows = select(ours, entry["ours"])
    points = [_point(value) if x else "" for value in published["x"]]
    frames = []
    for model in models_of(ours, experiment):
        model_rows = rows[rows["model"] == model]
        if x:
            values = estimates_by_x(f"{key}.ours", model_rows, x, y)
            values = values.assign(point=[_point(value) for value in values.pop("x")])
        else:
            row = single(f"{key}.ours", model_rows)
            values = estimates(model_rows if row is None else model_rows.iloc[:1], y)
            values = values.assign(point="")
        # A merge drops the index, by which the caller knows which numbers have a comparison.
        merged = (
            published.assign(point=points)
            .merge(values, on="point", how="left")
            .drop(columns="point")
        )
        merged.index = published.index
        frames.append(
            merged.assign(
                kind="number",
                name=name,
                title=entry["title"],
                model=model,
                data=context[experiment].get("data", ""),
            )
        )
    table = pd.concat(frames)
    judged = [_judge(entry, row, context[experiment]) for row in table.to_dict("records")]
    return table.assign(
        deviation=[deviation for deviation, _, _ in judged],
        verdict=[verdict for _, verdict, _ in judged],
        reason=[reason for _, _, reason in judged],
    )


def _point(value: Any) -> str:
    """The key that x values are matched by: a number to six decimals, or a name unchanged."""
    try:
        return f"{round(float(value), 6) + 0.0:.6f}"
    except ValueError:
        return str(value)


def _judge(
    entry: dict[str, Any], row: dict[Any, Any], context: dict[str, Any]
) -> tuple[float, str, str]:
    """(deviation, verdict, reason) of one number. context: the experiment's data and dataset."""
    experiment = entry["ours"]["experiment"]
    if np.isnan(row["ours"]):
        if not row["model"]:
            return np.nan, "not run", f"experiment {experiment} was not run"
        if isinstance(row["failed"], str):
            return np.nan, "not run", f"the condition failed: {row['failed']}"
        where = f" at {entry['x']} {row['x']}" if entry.get("x") else ""
        return np.nan, "not run", f"no such row of experiment {experiment}{where}"
    reasons = []
    if row["model"] not in entry["models"]:
        reasons.append(f"other model: published on {' or '.join(entry['models'])}")
    data = entry.get("data")
    if data and data not in (context.get("data"), context.get("dataset")):
        reasons.append(f"other data: published on {data}")
    if reasons:
        return np.nan, "not comparable", "; ".join(reasons)
    published, value = row["published"], row["ours"]
    deviation = value - published
    tolerance = entry["tolerance"]
    allowed = max(tolerance.get("absolute", 0.0), tolerance.get("relative", 0.0) * abs(published))
    # The slack lets 0.874 and 0.875 be 0.001 apart in floating point.
    if abs(deviation) <= allowed + 1e-12:
        return deviation, "matches", f"within {allowed:.4g}"
    reason = f"off by {deviation:+.4g}, allowed {allowed:.4g}"
    if row["low"] <= published <= row["high"]:
        reason += "; the published value lies in our 95 % interval"
    neutral = entry.get("neutral")
    if neutral is not None and (value - neutral) * (published - neutral) > 0:
        return deviation, "same direction", f"{reason}; both on one side of {neutral:g}"
    return deviation, "differs", reason


def largest_deviations(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The largest deviation of every series that is compared on its own model and data."""
    judged = table[table["deviation"].notna()]
    series = []
    keys = ["name", "model", "series", "layer", "y_name"]
    for values, part in judged.groupby(keys, sort=False):
        largest = part.iloc[int(part["deviation"].abs().to_numpy().argmax())]
        series.append(
            {
                **dict(zip(keys, values, strict=True)),
                "numbers": len(part),
                "matches": int((part["verdict"] == "matches").sum()),
                "max_deviation": float(abs(largest["deviation"])),
                "at": largest["x"],
            }
        )
    return series
