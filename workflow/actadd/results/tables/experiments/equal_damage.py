"""Effects of methods at equal damage."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import MethodsOptions, Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class EqualDamage(MethodsOptions):
    pass


@table(EqualDamage, reads=("curves", "readings"))
def equal_damage(options: EqualDamage, sources: Sources) -> "tuple[pd.DataFrame, str]":
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
    readings = readings.assign(place=readings["damage"].map(order), point=readings["reference"])
    readings = readings.sort_values(["model", "place", "point", "at"], kind="stable")
    # A control is what methods are compared with at each stated damage; at a prompt's, the best.
    shown = readings[(readings["role"] != "control") | (readings["reference"] == "")]
    words = [
        f"{row['at']:.3g} {LABELS[row['damage']]}"
        + (f" ({row['reference']})" if row["reference"] else "")
        for _, row in shown.iterrows()
    ]
    columns = {
        "strength": [f"{value:.3g}" if pd.notna(value) else "" for value in shown["strength"]],
        "effect": _texts(shown, "effect"),
        "minus prompt": _texts(shown, "minus_point"),
        "minus best control": _texts(shown, "minus_control"),
        "best control": shown["control"].fillna("").tolist(),
        "resamples that reach it": [
            "" if row["role"] == "point" else f"{row['reached']:.0%}" for _, row in shown.iterrows()
        ],
    }
    names = ["model", "at", "condition"]
    index = pd.MultiIndex.from_arrays([shown["model"], words, shown["condition"]], names=names)
    written = pd.DataFrame(columns, index=index)
    caption = " ".join(
        filter(
            None,
            [
                f"Effect: paired difference in {options.label(readings['metric'].iloc[0])} from "
                "unsteered, read off each method's curve where it first reaches the damage, at the "
                "strength given there; layers were chosen on the development split. Nothing is "
                "extrapolated: a curve that does not reach a damage has no effect there, and one "
                "that fewer than 90 % of the resamples reach has no interval. At a prompt's "
                "own damage, its effect is subtracted; best control: the one with most effect at "
                "that damage.",
                samples_sentence(sources, curves),
                *sources.facts.notes,
                failures(curves),
            ],
        )
    )
    return written, caption


def _texts(rows: "pd.DataFrame", name: str) -> list[str]:
    """ "-0.21 [-0.3, -0.1]"; of an effect that cannot be read, why."""
    import pandas as pd

    from actadd.results.markup import decimals, fixed

    places = decimals(rows[name])
    texts = []
    for _, row in rows.iterrows():
        value, low, high = (row[each] for each in (name, f"{name}_low", f"{name}_high"))
        if pd.isna(value):
            texts.append(str(row["reason"]) if name == "effect" else "")
        elif pd.isna(low):
            texts.append(fixed(value, places))
        else:
            texts.append(f"{fixed(value, places)} [{fixed(low, places)}, {fixed(high, places)}]")
    return texts
