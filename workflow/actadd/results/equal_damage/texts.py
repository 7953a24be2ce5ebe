"""What the figure and the table of methods at equal damage say alike."""

import pandas as pd

from actadd.results.displays.kinds import Options, Sources
from actadd.results.displays.labels import in_order
from actadd.results.equal_damage.damages import DAMAGES
from actadd.results.intervals import span
from actadd.results.markup import decimals, fixed

LABELS = {
    "disfluency": "times the disfluency of unsteered",
    "divergence": "nats of KL from unsteered",
    "knowledge": "of the targets lost",
}


def at_text(damage: str, value: float) -> str:
    """A damage in words: "1.25 times the disfluency"."""
    return f"{value:.3g} {LABELS[damage]}"


def samples_sentence(options: Options, sources: Sources, curves: pd.DataFrame) -> str:
    """Model, data, n, what the intervals are, and the smallest effect that could have been seen."""
    models = options.listed(in_order(curves["model"]))
    draws = curves["draws"].dropna().unique()
    drawn = f"; controls are means over {draws[0]:g} draws, resampled too" if len(draws) else ""
    smallest = curves.loc[curves["role"] == "method", "detectable"].median()
    power = (
        f" A true effect of {fixed(smallest, decimals([smallest]))} would have been seen with "
        "80 % power (median over settings)."
        if pd.notna(smallest)
        else ""
    )
    return (
        f"The model is {models}. The data are {sources.facts.data}, with n = "
        f"{span(curves['n_prompts'])} prompts that no setting was chosen on. Intervals are 95 % "
        f"percentile bootstraps over prompts, of whole curves{drawn}.{power}"
    )


def failures(curves: pd.DataFrame) -> str:
    """Settings that failed, and why; of which only some damages failed, these."""
    lost, names = curves[curves["failed"].notna()], []
    if lost.empty:
        return ""
    for _, part in lost.groupby(["model", "condition", "strength"], sort=False, dropna=False):
        row = part.iloc[0]
        alike = (curves["model"] == row["model"]) & (curves["condition"] == row["condition"])
        failed = list(part["damage"])
        name = str(row["condition"])
        name += "" if pd.isna(row["strength"]) else f" {row['strength']:g}"
        some = set(failed) != set(curves.loc[alike, "damage"])
        names.append(f"{name} ({', '.join(failed)})" if some else name)
    reasons = "; ".join(dict.fromkeys(lost["failed"]))
    return f"Failed, so that curves end before: {', '.join(names)}. Reason: {reasons.rstrip('.')}."


def damages_of(table: pd.DataFrame) -> list[str]:
    """The damages of a table, in the order of `DAMAGES`."""
    measured = set(table["damage"])
    return [name for name in DAMAGES if name in measured]
