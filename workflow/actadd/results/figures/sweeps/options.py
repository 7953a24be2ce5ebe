"""What the kinds that draw a measure against an addition's coordinate share."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from actadd.base.errors import UserError
from actadd.base.kinds import option
from actadd.base.names import unknown
from actadd.measure.additions import DEFAULT_OPERATION
from actadd.results.displays.kinds import Experiment, ExperimentOptions, Sources

if TYPE_CHECKING:
    import pandas as pd

AXES = {
    "coefficient": "coefficient",
    "layer": "layer (block input)",
    "dimensions": "share of dimensions added",
}

# Operations that leave the stream as it is at 0. A figure's job loads no operation, whose code
# would be part of what the job is; a test compares the names with what the operations declare.
NOTHING_AT_ZERO = ("ablate", "add", "add_preserving_norm", "rotate")


@dataclass(frozen=True, kw_only=True)
class SweptOptions(ExperimentOptions):
    """Keys of what is drawn against a coordinate of an addition."""

    x: Literal["coefficient", "layer", "dimensions"] = option(
        "What the measure is drawn against.", "coefficient"
    )
    condition: str | None = option("The one condition that is drawn; all if not given.", None)
    log: bool = option("Draw the measure on a logarithmic axis.", False)

    def steered(self, rows: "pd.DataFrame", sources: Sources) -> "pd.DataFrame":
        """The steered rows of the condition, or of all; some of them have no one x.

        Raises UserError if none has one.
        """
        from actadd.results.displays.labels import unsteered

        rows = rows[~unsteered(rows)]
        if self.condition:
            rows = rows[rows["condition"] == self.condition]
        if rows[self.x].isna().all():
            raise UserError(f"{sources.key}: no condition has one addition to sweep")
        return rows

    def axis(self, rows: "pd.DataFrame") -> str:
        """What the axis of x is called."""
        from actadd.results.displays.labels import axis_label

        return axis_label(rows, self.x, AXES[self.x])

    def check(self, experiment: Experiment) -> Iterator[str]:
        if self.condition is not None:
            if self.condition not in experiment.conditions:
                sentence = unknown("condition", self.condition, experiment.conditions)
                yield f"condition: {sentence} in experiments.{experiment.name}"
                return
            if not any(experiment.additions(self.condition)):
                yield (
                    f"condition: {self.condition!r} adds no vector, so there is nothing to sweep; "
                    "name another"
                )
                return
        additions = experiment.additions(self.condition)
        alone = [several[0] for several in additions if len(several) == 1]
        if not any(self.x != "dimensions" or self.x in addition for addition in alone):
            with_it = " with dimensions" if self.x == "dimensions" else ""
            yield f"x: no condition has one addition{with_it} to sweep; add one"


def from_zero(
    part: "pd.DataFrame", rows: "pd.DataFrame", level: float | None = None
) -> "pd.DataFrame":
    """The rows of a line over the coefficient, and at 0 what is unsteered, which is known.

    rows: among which the unsteered ones are; level: its value, where it is no row. The point has no
    interval, since the unsteered band has it. Without a point where 0 does not leave the stream as
    it is, was measured, or has several unsteered rows.
    """
    import pandas as pd

    from actadd.results.displays.labels import unsteered

    if part.empty or "additions" not in part:
        return part
    first = part.iloc[0]
    additions = json.loads(first["additions"])
    operation = additions[0].get("operation", DEFAULT_OPERATION) if additions else ""
    if len(additions) != 1 or operation not in NOTHING_AT_ZERO:
        return part
    if (part["coefficient"] == 0).any():
        return part
    if level is None:
        same = rows[unsteered(rows) & (rows["model"] == first["model"])]
        if "group" in part:
            same = same[same["group"] == first["group"]]
        if len(same) != 1 or same["mean"].isna().any():
            return part
        level = float(same["mean"].iloc[0])
    nothing = {"coefficient": 0.0, "mean": level, "low": float("nan"), "high": float("nan")}
    # What failed elsewhere did not fail here.
    zero = part.iloc[[0]].assign(**nothing, **({"failed": None} if "failed" in part else {}))
    return pd.concat([part, zero]).sort_values("coefficient")
