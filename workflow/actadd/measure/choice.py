"""Layer, strength and position, chosen on a development split by a rule that the config states."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.errors import UserError
from actadd.base.files import write_json
from actadd.measure.additions import DOSE

# What tells the settings of a sweep apart; additions say how a strength and a position are written.
SETTING = ["source_layer", "layer", "coefficient", "position", "additions"]
COLUMNS = ["layer", "coefficient"]


def choose(spec: dict[str, Any], *, summaries: dict[str, Path], output: Path) -> dict[str, Any]:
    """Write, for each choice of an experiment, the setting that its rule picks.

    spec: {name, choices}; a choice has experiment (the sweep), condition, metric, direction (max
    or min) and optionally cap {metric, factor}: settings whose mean exceeds factor times the
    unsteered one's are out; where all are, over_cap: least takes the one that exceeds it least.
    summaries: the sweep's table, by experiment; its rows of all prompts count, not those of a
    group. `strength` says where what is called coefficient is a dose; a
    position is chosen only if it was swept.
    The output also lists every candidate, so that a reader can see what was not taken.
    Raises UserError if every setting failed, or none keeps under the cap.
    """
    chosen = {}
    for name, rule in spec["choices"].items():
        table = pd.read_parquet(summaries[rule["experiment"]])
        key = f"experiments.{spec['name']}.choices.{name}"
        best, candidates = pick(table, rule, key)
        metrics = _metrics(rule)
        columns = [*COLUMNS, *metrics, "allowed"]
        record = _addition(best)
        if "position" in candidates and candidates["position"].nunique() > 1:
            columns.insert(2, "position")
        chosen[name] = {
            "layer": int(best["layer"]),
            "source_layer": int(best["source_layer"]),
            "coefficient": float(best["coefficient"]),
            **({"strength": DOSE} if DOSE in record else {}),
            **({"position": record["position"]} if "position" in columns else {}),
            "rule": rule,
            "candidates": candidates[columns].round(6).to_dict("records"),
        }
    write_json(output, chosen)
    return {name: [item["layer"], item["coefficient"]] for name, item in chosen.items()}


def pick(
    table: pd.DataFrame, rule: Mapping[str, Any], key: str
) -> tuple["pd.Series[Any]", pd.DataFrame]:
    """(the setting that a rule picks, every candidate with `allowed`) of a sweep's summary.

    key: the rule's place in the config, for messages. Raises UserError as `choose` does.
    """
    table = table[table["group"] == "all"]
    metrics = _metrics(rule)
    missing = set(metrics) - set(table["metric"])
    if missing:
        raise UserError(
            f"{key}: {rule['experiment']} has no metric {missing.pop()!r}; it has "
            f"{sorted(set(table['metric']))}"
        )
    swept = table[(table["condition"] == rule["condition"]) & table["layer"].notna()]
    setting = [name for name in SETTING if name in swept]
    candidates = swept.pivot_table(index=setting, columns="metric", values="mean")
    candidates = candidates.reindex(columns=metrics).dropna(subset=[rule["metric"]])
    candidates = candidates.reset_index()
    if candidates.empty:
        raise UserError(
            f"{key}: no setting of {rule['experiment']} has a {rule['metric']}, {_why(table)}; "
            "sweep smaller coefficients"
        )
    candidates["allowed"] = True
    if rule.get("cap"):
        metric = rule["cap"]["metric"]
        baseline = table[(table["method"] == "unsteered") & (table["metric"] == metric)]["mean"]
        if baseline.isna().all():
            raise UserError(
                f"{key}.cap: the unsteered cell of {rule['experiment']} has no {metric}, "
                f"{_why(table[table['method'] == 'unsteered'])}; run again"
            )
        limit = rule["cap"]["factor"] * float(baseline.iloc[0])
        candidates["allowed"] = candidates[metric] <= limit
    allowed = candidates[candidates["allowed"]]
    if allowed.empty and rule.get("over_cap") == "least":
        allowed = candidates.dropna(subset=[metric]).nsmallest(1, metric)
    if allowed.empty:
        raise UserError(
            f"{key}.cap: no setting of {rule['experiment']} keeps under it; raise factor, or "
            "sweep smaller coefficients"
        )
    ascending = rule["direction"] == "min"
    # Ties go to the smaller coefficient and the lower layer.
    allowed = allowed.assign(size=allowed["coefficient"].abs())
    best = allowed.sort_values(
        [rule["metric"], "size", "layer"], ascending=[ascending, True, True]
    ).iloc[0]
    return best, candidates


def _metrics(rule: Mapping[str, Any]) -> list[str]:
    """What a rule reads: its metric, and that of its cap."""
    return [rule["metric"]] + ([rule["cap"]["metric"]] if rule.get("cap") else [])


def _addition(setting: "pd.Series[Any]") -> dict[str, Any]:
    """The one addition of a setting."""
    [record] = json.loads(setting.get("additions", "[{}]"))
    return dict(record)


def _why(rows: pd.DataFrame) -> str:
    """Why some rows of a summary have no numbers."""
    reasons = rows["failed"].dropna()
    return f"since cells failed: {reasons.iloc[0]}" if len(reasons) else "as none was scored"
