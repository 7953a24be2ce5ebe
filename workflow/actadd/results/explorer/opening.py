"""Where the page opens: on the clearest result among those reported at a chosen setting."""

from typing import Any

from actadd.base.files import canonical_json

# What a cell has to share with a control of the same strength.
PLACED = ("layer", "coefficient", "temperature", "top_p", "frequency_penalty", "seed")


def opening(experiments: list[dict[str, Any]]) -> list[int]:
    """[experiment, run] on which the page opens; gives each run the cell `start` of its own.

    experiments: as the page holds them. metric: the one that their figure shows first. held_out:
    their setting was chosen elsewhere. chosen_in: names of experiments whose setting was chosen on
    this one; the cells of that setting get `chosen`.

    An experiment at a chosen setting opens at the cell with the largest effect; a sweep at the
    cell that was chosen on it, or for the same vector elsewhere; any other run at its first steered
    cell. The effect: the difference from
    unsteered minus that of the control of the same strength (of several, the largest), over half
    the width of the difference's interval. Cells without an interval do not compete.
    """
    by_name = {entry["name"]: entry for entry in experiments}
    best, start = -1.0, [0, 0]
    for index, entry in enumerate(experiments):
        for number, run in enumerate(entry["runs"]):
            effects = _effects(run, entry.get("metric"))
            run["start"] = _first(run["cells"])
            if chosen := _chosen(run, [by_name[each] for each in entry.get("chosen_in", ())]):
                for cell in chosen:
                    run["cells"][cell]["chosen"] = True
                run["start"] = chosen[0]
            elif not entry.get("held_out"):
                elsewhere = _chosen(run, [each for each in experiments if each.get("held_out")])
                run["start"] = next(iter(elsewhere), run["start"])
            elif effects:
                run["start"] = max(effects, key=lambda cell: effects[cell])
                if effects[run["start"]] > best and "part" in run["cells"][run["start"]]:
                    best, start = effects[run["start"]], [index, number]
    return start


def _first(cells: list[dict[str, Any]]) -> int:
    """The first steered cell that did not fail, of a vector that is not a control."""
    steered = [n for n, cell in enumerate(cells) if "vector" in cell and "failed" not in cell]
    return next((n for n in steered if "control" not in cells[n]), next(iter(steered), 0))


def _chosen(run: dict[str, Any], users: list[dict[str, Any]]) -> list[int]:
    """The cells at the settings that other experiments report."""
    settings = {
        _setting(cell)
        for user in users
        for other in user["runs"]
        if other["model"] == run["model"]
        for cell in other["cells"]
        if "vector" in cell
    }
    return [
        number
        for number, cell in enumerate(run["cells"])
        if "vector" in cell and "control" not in cell and _setting(cell) in settings
    ]


def _setting(cell: dict[str, Any]) -> str:
    """The additions of a cell as text, since several of them are a list."""
    return canonical_json([cell.get(name) for name in ("vector", "layer", "coefficient", "parts")])


def _effects(run: dict[str, Any], metric: str | None) -> dict[int, float]:
    """The effect of each steered cell in units of its interval's half width."""
    summary, cells = run["summary"], run["cells"]
    if metric not in run["metrics"]:
        return {}
    differences = {}
    whole = run["groups"].index("all") if "all" in run["groups"] else -1
    for row, cell in enumerate(summary["cell"]):
        if (
            summary["metric"][row] == run["metrics"].index(metric)
            and summary["group"][row] == whole
        ):
            columns = ("difference", "difference_low", "difference_high")
            differences[cell] = tuple(summary[name][row] for name in columns)

    def control(cell: int) -> float:
        values = [
            differences[other][0] or 0.0
            for other, entry in enumerate(cells)
            if "control" in entry
            and other in differences
            and all(entry.get(name) == cells[cell].get(name) for name in PLACED)
        ]
        return max(values, key=abs, default=0.0)

    return {
        cell: abs(value - control(cell)) / ((high - low) / 2)
        for cell, (value, low, high) in differences.items()
        if "vector" in cells[cell]
        and not {"control", "failed"} & cells[cell].keys()
        and None not in (value, low, high)
        and high > low
    }
