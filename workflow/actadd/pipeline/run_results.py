"""The results of a run in a line for each figure: differences of conditions from unsteered."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from actadd.pipeline import layout

BASELINE = "unsteered"


def results_in_words(config: Mapping[str, Any], results: Path, figures: set[str]) -> list[str]:
    """A line for each of these figures and each model, with the figure's first metric.

    A figure of a grid has none: its numbers are not read in a line.
    """
    lines: list[str] = []
    for name, entry in config["figures"].items():
        experiment = config["experiments"].get(entry.get("experiment"))
        if name not in figures or experiment is None:
            continue
        for model in experiment["models"]:
            names = {"model": model, "experiment": entry["experiment"]}
            path = layout.output("summary", "csv", results, **names)
            if path.is_file():
                about = f"{entry['experiment']} on {model}"
                labels = config.get("labels", {}) | entry.get("labels", {})
                lines += _line(about, entry, labels, list(experiment["conditions"]), path)
    return list(dict.fromkeys(lines))


def _line(
    about: str,
    figure: Mapping[str, Any],
    labels: Mapping[str, str],
    conditions: list[str],
    path: Path,
) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["group"] == "all"]
    metrics = figure.get("metrics") or [row["metric"] for row in rows[:1]]
    cells = [row for row in rows if row["metric"] in metrics[:1] and row["mean"]]
    by_condition = {row["condition"]: row for row in cells}
    if len(by_condition) < max(2, len(cells)) or BASELINE not in by_condition:
        return
    label = labels.get(metrics[0], metrics[0])
    differences = [
        f"{labels.get(name, name)} {_difference(row)}"
        for name in conditions
        if (row := by_condition.get(name)) and row["difference"]
    ]
    mean = float(by_condition[BASELINE]["mean"])
    yield (
        f"{about}, {label}: {BASELINE} {mean:.3g}; difference from it, with 95 % interval: "
        f"{', '.join(differences)}"
    )


def _difference(row: Mapping[str, str]) -> str:
    """ "+0.12 [+0.08, +0.17]"; without bounds where every prompt differs by as much."""
    numbers = [row[name] for name in ("difference", "difference_low", "difference_high")]
    value, *bounds = [f"{float(number):+.2g}" for number in numbers if number]
    return f"{value} [{', '.join(bounds)}]" if bounds else value
