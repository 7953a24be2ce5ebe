"""The curves of a comparison's methods, from its experiments' tables, and what they come to."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.files import canonical_json, write_with
from actadd.base.intervals import detectable
from actadd.engine.operations import OPERATIONS
from actadd.measure.additions import DEFAULT_OPERATION, DOSE
from actadd.measure.methods import METHODS
from actadd.results.equal_damage.curves import Curve, Reading, Resampling, Values, difference
from actadd.results.equal_damage.damages import DAMAGES
from actadd.results.flat_tables import write_csv
from actadd.results.intervals import columns
from actadd.results.prompt_values import prompt_values
from actadd.results.summaries.controls import COORDINATES, controls

Row = dict[str, Any]
Bounds = tuple[float, ...]
# Each setting has one; sampling and the experiment's name differ between measures.
SETTING = ["condition", "additions"]
# What a curve has beside damages, by its name among them.
EFFECT = "effect"


@dataclass(frozen=True, eq=False)
class Table:
    """One metric of an experiment: a row of values for each cell, a column for each unit.

    units: what is resampled, the same name for the same prompts or texts.
    """

    cells: pd.DataFrame
    values: np.ndarray
    units: str

    def rows(self, cells: pd.DataFrame) -> np.ndarray:
        """The values of some cells, [cells, units]."""
        return self.values[cells.index]

    @property
    def unsteered(self) -> np.ndarray:
        """[units]"""
        roles = self.cells["method"].map(lambda name: METHODS[name].role)
        [row] = self.values[np.flatnonzero(roles == "unsteered")]
        return np.asarray(row)


@dataclass
class Condition:
    """A condition of the comparison: its settings from the weakest to the strongest.

    settings: the cells of each, several where vectors were drawn. failed: the effect or a damage ->
    setting -> why it has no value there. A damage that fails ends the curve of that damage, an
    effect that fails all of them.
    """

    name: str
    role: str
    settings: list[pd.DataFrame]
    strengths: np.ndarray
    from_unsteered: bool
    curve: Curve | None = None
    failed: dict[str, dict[int, str]] = field(default_factory=dict)

    def measured(self, name: str) -> int:
        """How many settings the curve holds of the effect or of a damage."""
        if self.curve is None:
            return 0
        values = self.curve.effect if name == EFFECT else self.curve.damages.get(name)
        return values.values.shape[1] if values else 0

    def failures(self, damage: str) -> dict[int, str]:
        """Setting -> why nothing can be read there at a damage."""
        reasons = self.failed.get(damage, {}) | self.failed.get(EFFECT, {})
        return {number: reasons[number] for number in sorted(reasons)}

    def ended(self, damage: str) -> str:
        """Why the curve of a damage ends before its last setting, "" if it does not."""
        return next(iter(self.failures(damage).values()), "")


def compare(
    spec: Mapping[str, Any], cells: Mapping[str, Path], scores: Mapping[str, Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(curves, readings) of a comparison on one model.

    spec: name; experiment, the one with the effect; dataset, its prompts'; effect {metric,
    direction}; damage, name -> {experiment, dataset, metric, at}; controls, names of conditions.
    cells: experiment -> its table. scores: scorer -> its table of the completions.

    curves: a row for each setting and damage: `COORDINATES`, role (method, point or control),
    draws, damage, cost with bounds, effect (paired difference from unsteered) with bounds,
    detectable, n_prompts, failed. readings: a row for each condition, damage and value at which it
    is read, see `_reading_row`. Bounds are those of the 95 % percentile bootstrap of `curves`.
    """
    frames = {name: prompt_values(path, scores) for name, path in cells.items()}
    effect = _table(frames[spec["experiment"]], spec["effect"]["metric"], spec["dataset"])
    damages = {
        name: _table(frames[each["experiment"]], each["metric"], each["dataset"])
        for name, each in spec["damage"].items()
    }
    resampling = Resampling()
    conditions = [
        _with_curve(condition, effect, damages, resampling)
        for condition in _conditions(effect.cells, spec["controls"])
    ]
    curves = [row for condition in conditions for row in _curve_rows(condition, effect, damages)]
    readings = [row for name in damages for row in _readings(spec, name, conditions)]
    metric = {"metric": spec["effect"]["metric"]}
    shared = {"model": effect.cells["model"].iloc[0], "comparison": spec["name"], **metric}
    return (
        pd.DataFrame([{**row, **metric} for row in curves]).astype({"failed": "string"}),
        pd.DataFrame([{**shared, **row} for row in readings]),
    )


def write_comparison(
    spec: Mapping[str, Any],
    cells: Mapping[str, Path],
    scores: Mapping[str, Path],
    **outputs: Path,
) -> dict[str, Any]:
    """`compare`, written as Parquet and CSV. outputs: curves, readings, and both with _csv."""
    tables = dict(zip(("curves", "readings"), compare(spec, cells, scores), strict=True))
    for name, table in tables.items():
        write_with(outputs[name], partial(table.to_parquet, index=False))
        write_with(outputs[f"{name}_csv"], partial(write_csv, table))
    return {name: len(table) for name, table in tables.items()}


def _table(frame: pd.DataFrame, metric: str, dataset: str) -> Table:
    rows = frame[frame["metric"] == metric]
    if rows.empty:
        # Every cell failed, or the unsteered one with which all are compared.
        rows = frame[frame["metric"] == frame["metric"].iloc[0]].assign(value=np.nan)
    # Draws of one control have one setting, and cells of equal bytes one name.
    keys = ["condition", "additions", "draw", "cell"]
    cells = rows.drop_duplicates(keys).reset_index(drop=True)
    number = rows.merge(cells[keys].assign(row=range(len(cells))), on=keys, how="left")["row"]
    values = pd.DataFrame(
        {"row": number.to_numpy(), "unit": rows["prompt_id"], "value": rows["value"]}
    ).pivot(index="row", columns="unit", values="value")
    units = canonical_json([dataset, [str(unit) for unit in values.columns]])
    return Table(cells, values.to_numpy(np.float64), units)


def _conditions(cells: pd.DataFrame, control_names: Sequence[str]) -> Iterator[Condition]:
    """The conditions but unsteered, methods first, then points, then controls."""
    order = {"method": 0, "point": 1, "control": 2}
    conditions = []
    for name, part in cells.groupby("condition", sort=False):
        role = METHODS[part["method"].iloc[0]].role
        if role == "unsteered":
            continue
        settings = list(controls(part))
        additions = [json.loads(setting["additions"].iloc[0]) for setting in settings]
        strengths = _strengths(additions)
        ascending = np.argsort(np.abs(strengths), kind="stable")
        conditions.append(
            Condition(
                str(name),
                "control" if name in control_names else "method" if additions[0] else "point",
                [settings[number] for number in ascending],
                strengths[ascending],
                from_unsteered(additions[0]),
            )
        )
    yield from sorted(conditions, key=lambda condition: order[condition.role])


def _operation(addition: Mapping[str, Any]) -> Any:
    return OPERATIONS[addition.get("operation", DEFAULT_OPERATION)]


def _strengths(settings: list[list[dict[str, Any]]]) -> np.ndarray:
    """The strength of each setting: that of the addition in which they differ, NaN without any."""
    if not settings[0]:
        return np.full(len(settings), np.nan)
    strengths = np.array(
        [
            [each[DOSE] if DOSE in each else each[_operation(each).strength] for each in setting]
            for setting in settings
        ],
        dtype=np.float64,
    )
    swept = int(np.ptp(strengths, axis=0).argmax())
    return np.asarray(strengths[:, swept])


def from_unsteered(additions: list[dict[str, Any]]) -> bool:
    """Whether a method with these additions is unsteered at strength 0, where its curve begins."""
    return len(additions) == 1 and bool(_operation(additions[0]).nothing_at_zero)


def _with_curve(
    condition: Condition, effect: Table, damages: Mapping[str, Table], resampling: Resampling
) -> Condition:
    """The condition with its curve; of what failed somewhere, up to the setting before."""
    known = dict[str, list[np.ndarray]]()
    for number, setting in enumerate(condition.settings):
        measured = {EFFECT: (setting["failed"], effect.rows(setting) - effect.unsteered)}
        for name, table in damages.items():
            same = _same(table.cells, setting)
            if len(same):
                values = DAMAGES[name].measured(table.rows(same), table.unsteered)
                measured[name] = same["failed"], values
        for name, (reasons, values) in measured.items():
            reason = _failure(reasons) or (f"no prompt has a value of {name}" * _empty(values))
            if reason:
                condition.failed.setdefault(name, {})[number] = reason
            if not {EFFECT, name} & condition.failed.keys():
                known.setdefault(name, []).append(values)
    if effects := known.pop(EFFECT, None):
        condition.curve = Curve(
            condition.name,
            _stacked(effects, effect.units),
            {name: _stacked(each, damages[name].units) for name, each in known.items()},
            condition.strengths[: len(effects)],
            resampling,
            from_unsteered=condition.from_unsteered,
        )
    return condition


def _failure(reasons: "pd.Series[Any]") -> str:
    reasons = reasons.dropna()
    return "" if reasons.empty else str(reasons.iloc[0])


def _empty(values: np.ndarray) -> bool:
    return bool(np.isnan(values).all())


def _same(cells: pd.DataFrame, setting: pd.DataFrame) -> pd.DataFrame:
    """The cells of another experiment with a setting's condition, additions and draws, in order."""
    first = setting.iloc[0]
    same = cells[(cells[SETTING] == first[SETTING]).all(axis=1)]
    return same.sort_values("draw", kind="stable")


def _stacked(settings: list[np.ndarray], units: str) -> Values:
    """settings: [draws, units] each."""
    return Values(np.stack(settings, axis=1), units)


# --- rows -----------------------------------------------------------------------------------------


MISSING: Bounds = (float("nan"),) * 3


def _curve_rows(condition: Condition, effect: Table, damages: Mapping[str, Table]) -> Iterator[Row]:
    for number, setting in enumerate(condition.settings):
        differences = (effect.rows(setting) - effect.unsteered).mean(axis=0)
        shared = {
            **{str(key): value for key, value in setting.iloc[0][COORDINATES].to_dict().items()},
            "role": condition.role,
            "strength": condition.strengths[number],
            "draws": len(setting) if len(setting) > 1 else np.nan,
            "detectable": detectable(differences),
            "n_prompts": int((~np.isnan(differences)).sum()),
        }
        values = {name: _at(condition, name, number) for name in (EFFECT, *damages)}
        for name in damages:
            cost = tuple(float(each) for each in DAMAGES[name].outside(np.array(values[name])))
            failed = {"failed": condition.failures(name).get(number), "damage": name}
            yield {**shared, **failed, **columns("cost", cost), **columns("effect", values[EFFECT])}


def _at(condition: Condition, name: str, setting: int) -> Bounds:
    """The effect, or a damage, with its bounds, under a setting."""
    if condition.curve is None or setting >= condition.measured(name):
        return MISSING
    return condition.curve.at(name, setting)


def _readings(spec: Mapping[str, Any], damage: str, conditions: list[Condition]) -> Iterator[Row]:
    """The rows of one damage: at each stated value, then at that of each point."""
    kind = DAMAGES[damage]
    curves = {e.name: e.curve for e in conditions if e.curve and damage in e.curve.damages}
    size = 1 + Resampling().resamples
    targets = [
        (float(at), np.full(size, float(kind.inside(np.array(at)))), "")
        for at in spec["damage"][damage]["at"]
    ]
    for condition in conditions:
        if condition.role == "point" and condition.name in curves:
            costs = curves[condition.name].costs(damage)[:, 0]
            targets.append((float(kind.outside(costs[:1])[0]), costs, condition.name))
    for at, target, point in targets:
        of_controls = {
            condition.name: curves[condition.name].read(damage, target)
            for condition in conditions
            if condition.role == "control" and condition.name in curves
        }
        best = _best(of_controls, spec["effect"]["direction"])
        for condition in conditions:
            row = {"condition": condition.name, "role": condition.role, "damage": damage, "at": at}
            row |= {"reference": point}
            if condition.role != "point":
                yield {**row, **_reading_row(condition, curves, damage, target, point, best)}
            elif condition.name == point:
                itself = Reading(curves[condition.name].effects[:, 0])
                yield {**row, **columns("effect", itself.interval), "reached": 1.0, "reason": ""}


def _best(readings: Mapping[str, Reading], direction: str) -> str:
    """The control that does most in the wanted direction where it reaches the damage, or ""."""
    sign = -1 if direction == "min" else 1
    known = {name: each for name, each in readings.items() if not np.isnan(each.effects[0])}
    return max(known, key=lambda name: sign * known[name].effects[0], default="")


def _reading_row(
    condition: Condition,
    curves: Mapping[str, Curve],
    damage: str,
    target: np.ndarray,
    point: str,
    control: str,
) -> Row:
    """What a method or a control comes to at one damage.

    Columns: strength, effect with bounds, reached (share of resamples), reason (why there is no
    effect); of a damage that is a point's, minus_point with bounds; of a method, control, the name
    of the best one at that damage or "", and minus_control with bounds. Differences are over the
    prompts that both have, see `curves.difference`.
    """
    curve, ended = curves.get(condition.name), condition.ended(damage)
    row: Row = {"strength": np.nan, **columns("effect", MISSING), "reached": 0.0}
    row |= {**columns("minus_point", MISSING), "control": ""}
    row |= columns("minus_control", MISSING)
    if curve is None:
        return {**row, "reason": ended or "not measured"}
    reading = curve.read(damage, target)
    row |= {"strength": reading.strength, **columns("effect", reading.interval)}
    row |= {"reached": reading.reached, "reason": ""}
    if np.isnan(reading.effects[0]):
        reason = curve.why_not(damage, float(target[0]))
        return {**row, "reason": f"{reason}; it ends where {ended}" if ended else reason}
    if point:
        row |= columns("minus_point", difference(curve, curves[point], damage).interval)
    if control and condition.role == "method":
        minus = difference(curve, curves[control], damage, target)
        row |= {"control": control, **columns("minus_control", minus.interval)}
    return row
