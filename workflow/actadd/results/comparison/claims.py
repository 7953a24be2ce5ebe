"""The paper's claims, each tested on our rows with its interval."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from actadd.results.comparison.rows import (
    BOUNDS,
    check_selector,
    estimates,
    estimates_by_x,
    models_of,
    select,
    single,
)

VERDICTS = (
    "same direction, interval excludes none",
    "same direction, within noise",
    "differs, within noise",
    "differs",
    "not run",
)
MONOTONE = {"increasing": 1, "decreasing": -1}
# Points that a rank correlation needs.
MINIMUM_POINTS = 3
# Resamples of the means within their intervals.
DRAWS = 2000

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Evidence:
    """An estimate of ours with its interval, and how far it lies on the claim's side.

    value, margin: (estimate, low, high). margin: the distance by which the claim holds; negative if
    it does not hold.
    """

    value: Interval
    margin: Interval
    note: str = ""

    @property
    def verdict(self) -> str:
        estimate, low, high = self.margin
        if estimate > 0:
            certainty = "interval excludes none" if low > 0 else "within noise"
            return f"same direction, {certainty}"
        return "differs" if high < 0 else "differs, within noise"


def evaluate(
    name: str, entry: dict[str, Any], ours: pd.DataFrame, context: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row for each model that ran the experiments that the claim is about."""
    key = f"comparison.claims.{name}"
    kind, argument = _split_test(entry["test"])
    selectors: dict[str, dict[str, Any]] = {"ours": entry.get("ours") or {}}
    if kind == "greater_than":
        selectors["test.greater_than"] = argument or {}
    elif kind == "ordered":
        selectors = {f"test.ordered[{i}]": selector or {} for i, selector in enumerate(argument)}
    for path, selector in selectors.items():
        check_selector(f"{key}.{path}", selector, ours, context)
    experiments = list(dict.fromkeys(s["experiment"] for s in selectors.values()))
    shared = {
        "kind": "claim",
        "name": name,
        "title": entry["title"],
        "item": "claims",
        "series": name,
        "x_name": entry.get("x", ""),
        "y_name": _test_in_words(kind, argument),
        "source": entry["source"],
        "data": "; ".join(str(context[e].get("data", "")) for e in experiments),
    }
    rows = []
    for model in models_of(ours, *experiments):
        model_rows = ours[ours["model"] == model]
        selected = [
            (f"{key}.{path}", select(model_rows, selector)) for path, selector in selectors.items()
        ]
        evidence = _evidence(kind, argument, entry, selected)
        if isinstance(evidence, str):
            rows.append({**shared, "model": model, "verdict": "not run", "reason": evidence})
            continue
        value, low, high = evidence.value
        rows.append(
            {
                **shared,
                "model": model,
                **{"ours": value, "low": low, "high": high},
                "verdict": evidence.verdict,
                "reason": evidence.note or ("no interval" if np.isnan(evidence.margin[1]) else ""),
            }
        )
    return rows


def _split_test(test: str | dict[str, Any]) -> tuple[str, Any]:
    """(kind, argument) of a claim's test, which the config writes as `kind` or {kind: argument}."""
    if isinstance(test, str):
        return test, None
    [(kind, argument)] = test.items()
    return kind, argument


def _test_in_words(kind: str, argument: Any) -> str:
    if kind == "near":
        return f"within {argument[1]:g} of {argument[0]:g}"
    if kind in ("above", "below"):
        return f"{kind} {argument:g}"
    return kind.replace("_", " ")


def _evidence(
    kind: str, argument: Any, entry: dict[str, Any], selected: list[tuple[str, pd.DataFrame]]
) -> Evidence | str:
    """The evidence on one model, or the reason why there is none.

    selected: (config key, its rows) of each selector.
    """
    y = entry.get("y", "mean")
    if kind in MONOTONE:
        [(key, points)] = selected
        points = estimates_by_x(key, points, entry["x"], y)
        return _rank_correlation(points, entry["x"], MONOTONE[kind])
    rows, missing = [], []
    for key, part in selected:
        row = single(key, part)
        if row is None:
            missing.append(key)
        else:
            rows.append(row)
    failures = [reason for _, part in selected for reason in estimates(part, y)["failed"].dropna()]
    if missing and failures:
        return f"the condition failed: {failures[0]}"
    if missing:
        return f"no row matches {', '.join(missing)}"
    if kind == "greater_than":
        return _difference(rows[0], rows[1], y)
    if kind == "ordered":
        return _ascending([_difference(above, below, y) for below, above in pairwise(rows)])
    [row] = rows
    return _threshold(kind, argument, _interval(row, y))


def _ascending(steps: list[Evidence]) -> Evidence:
    """The evidence that every step of an order is positive: that of its smallest step."""
    smallest = min(steps, key=lambda step: step.margin[0])
    if len(steps) == 1:
        return smallest
    # Wrong beyond noise if any step is; right beyond noise if all are.
    low, high = (min(step.margin[i] for step in steps) for i in (1, 2))
    return Evidence(smallest.value, (smallest.margin[0], low, high), "smallest step of the order")


def _threshold(kind: str, argument: Any, value: Interval) -> Evidence:
    """The evidence that an estimate is near, above or below a number."""
    estimate, low, high = value
    if kind == "near":
        target, allowed = argument
        # An estimate exactly at the edge is near.
        margin = np.nextafter(allowed, np.inf) - abs(estimate - target)
        furthest = max(abs(low - target), abs(high - target))
        nearest = max(low - target, target - high, 0.0)
        if np.isnan(low):
            furthest = nearest = np.nan
        return Evidence(value, (margin, allowed - furthest, allowed - nearest))
    if kind == "above":
        return Evidence(value, (estimate - argument, low - argument, high - argument))
    return Evidence(value, (argument - estimate, argument - high, argument - low))


def _interval(row: "pd.Series[Any]", y: str) -> Interval:
    estimate, low, high = (float(row.get(column, np.nan)) for column in (y, *BOUNDS[y]))
    return estimate, low, high


def _difference(above: "pd.Series[Any]", below: "pd.Series[Any]", y: str) -> Evidence:
    """The difference of two rows: the paired one where one of them is unsteered, if we have it.

    Otherwise the two intervals are combined as of independent estimates (Zou and Donner 2008),
    which is wider than necessary where both share their prompts.
    """
    a, b = _interval(above, y), _interval(below, y)
    gap = a[0] - b[0]
    for row, baseline, sign in ((above, below, 1), (below, above, -1)):
        estimate, *bounds = (sign * value for value in _interval(row, "difference"))
        same = all(row.get(name) == baseline.get(name) for name in ("experiment", "metric"))
        unsteered = baseline.get("method") == "unsteered"
        if y == "mean" and same and unsteered and np.isclose(estimate, gap, atol=1e-6):
            value = (gap, min(bounds), max(bounds))
            return Evidence(value, value, "paired over prompts")
    low = gap - np.hypot(a[0] - a[1], b[2] - b[0])
    high = gap + np.hypot(a[2] - a[0], b[0] - b[1])
    value = (gap, float(low), float(high))
    note = "no interval" if np.isnan(low) else "intervals combined as independent"
    return Evidence(value, value, note)


def _rank_correlation(points: pd.DataFrame, x: str, sign: int) -> Evidence | str:
    """Spearman's rank correlation; its interval lets each mean vary within its own interval."""
    points = points.dropna(subset=["ours"])
    if len(points) < MINIMUM_POINTS:
        return f"{len(points)} values of {x}, {MINIMUM_POINTS} needed"
    positions = points["x"].astype(float).to_numpy()
    means = points["ours"].to_numpy(np.float64)
    if np.ptp(means) == 0:
        zero = (0.0, np.nan, np.nan)
        return Evidence(zero, zero, f"all {len(points)} means are equal")
    rho = float(spearmanr(positions, means).statistic)
    # A mean without an interval is the same for all prompts: it does not vary.
    spread = ((points["high"] - points["low"]) / 3.92).to_numpy(np.float64)
    low = high = np.nan
    if not np.isnan(spread).all():
        noise = np.random.Generator(np.random.Philox(key=0)).normal(size=(DRAWS, len(points)))
        drawn = rankdata(means + noise * np.nan_to_num(spread), axis=1)
        rhos = np.corrcoef(rankdata(positions), drawn)[0, 1:]
        low, high = (float(value) for value in np.percentile(rhos, [2.5, 97.5]))
    value = (rho, low, high)
    margin = value if sign > 0 else (-rho, -high, -low)
    note = f"rho = {rho:.2f} over {len(points)} values of {x}"
    return Evidence(value, margin, note + ("; no interval" if np.isnan(low) else ""))
