"""Effects of methods at equal damage."""

from functools import partial
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import MethodsOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@table(MethodsOptions, reads=("curves", "readings"))
def equal_damage(options: MethodsOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """The effect of each method and control where it reaches a damage, with its comparisons.

    A row for each damage, value at which it is read, and condition; a method that never reaches a
    damage says so.
    """
    import pandas as pd

    from actadd.results.equal_damage.texts import (
        LABELS,
        damages_of,
        failures,
        samples_sentence,
    )

    curves, readings = sources.read("curves"), sources.read("readings")
    order = {name: number for number, name in enumerate(damages_of(readings))}
    readings = readings.assign(order=readings["damage"].map(order))
    readings = readings.sort_values(["model", "order", "reference", "at"], kind="stable")
    # A control is what methods are compared with at each stated damage; at a prompt's, the best.
    rows = readings[(readings["role"] != "control") | (readings["reference"] == "")]
    words = [
        f"{row['at']:.3g} {LABELS[row['damage']]}"
        + (f" ({row['reference']})" if row["reference"] else "")
        for _, row in rows.iterrows()
    ]
    columns = {
        "strength": [f"{value:.3g}" if pd.notna(value) else "" for value in rows["strength"]],
        "effect": _texts(rows, "effect"),
        "minus prompt": _texts(rows, "minus_point"),
        "minus best control": _texts(rows, "minus_control"),
        "best control": rows["control"].fillna("").tolist(),
        "resamples that reach it": [
            "" if row["role"] == "point" else f"{row['reached']:.0%}" for _, row in rows.iterrows()
        ],
    }
    names = ["model", "at", "condition"]
    index = pd.MultiIndex.from_arrays([rows["model"], words, rows["condition"]], names=names)
    written = pd.DataFrame(columns, index=index)
    caption = " ".join(
        filter(
            None,
            [
                f"The effect is the paired difference in "
                f"{options.label(readings['metric'].iloc[0])} from unsteered, read off each "
                "method's curve where it first reaches the damage, at the strength in the table; "
                "layers were chosen on the development split. Nothing is extrapolated: a curve "
                "that does not reach a damage has no effect there, and one that fewer than 90 % of "
                "the resamples reach has no interval. At a prompt's own damage, its effect is "
                "subtracted; the best control is the one with most effect at that damage. Both "
                "differences are over the prompts that both have.",
                samples_sentence(options, sources, curves),
                *sources.facts.notes,
                failures(curves),
            ],
        )
    )
    return written, caption


def _texts(rows: "pd.DataFrame", name: str) -> list[str]:
    """ "-0.21 [-0.30, -0.10]"; of an effect that cannot be read, why."""
    from actadd.results.intervals import column_names, interval_text
    from actadd.results.markup import decimals, fixed

    number = partial(fixed, places=decimals(rows[name]))
    intervals = rows[[*column_names(name)]].to_numpy(float)
    reasons = rows["reason"] if name == "effect" else [""] * len(rows)
    return [
        interval_text(interval, number) or str(reason)
        for interval, reason in zip(intervals, reasons, strict=True)
    ]
