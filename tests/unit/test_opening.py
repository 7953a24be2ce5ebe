"""Where the explorer opens: the clearest result, and the setting that was chosen."""

from typing import Any

from actadd.results.explorer.opening import opening


def run(strengths: list[float], differences: list[float], **placed: Any) -> dict[str, Any]:
    """A run of an unsteered cell and one of several additions for each strength."""
    parts = [[{"vector": "a", "coefficient": c}, {"vector": "b"}] for c in strengths]
    cells = [{}, *({"vector": "a, b", "parts": part, "part": 0, **placed} for part in parts)]
    rows = range(1, len(cells))
    return {
        "model": "tiny",
        "cells": cells,
        "metrics": ["words.any"],
        "groups": ["all"],
        "summary": {
            "cell": list(rows),
            "metric": [0 for _ in rows],
            "group": [0 for _ in rows],
            "difference": differences,
            "difference_low": [value - 0.1 for value in differences],
            "difference_high": [value + 0.1 for value in differences],
        },
    }


def test_it_opens_on_the_clearest_result_of_several_additions():
    sweep = {"name": "sweep", "runs": [run([1, 2, 3], [0.9, 0.9, 0.9])], "chosen_in": ["held"]}
    held = {"name": "held", "runs": [run([2], [0.5])], "held_out": True, "metric": "words.any"}
    weak = {"name": "weak", "runs": [run([1], [0.1])], "held_out": True, "metric": "words.any"}
    experiments = [weak, sweep, held]
    assert opening(experiments) == [2, 0]
    assert [run["start"] for entry in experiments for run in entry["runs"]] == [1, 2, 1]
    assert [cell.get("chosen", False) for cell in sweep["runs"][0]["cells"]] == [0, 0, 1, 0]
