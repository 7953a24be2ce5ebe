"""Options that the figure and the table of doses share, and what both are made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.errors import UserError
from actadd.base.kinds import option
from actadd.base.names import unknown
from actadd.measure.additions import DOSE, operation_of
from actadd.results.displays.kinds import Experiment, ExperimentOptions, Need, Sources

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from actadd.results.doses.curves import Curves, Readings

READS: tuple[Need, ...] = ("tables", "scores", "norms", "stream_norms")
# Keys by which a vector is not that of the layer at which it acts, as it stands in norms.csv.
OTHERWISE = ("source_layer", "source_depth", "dimensions", "match_norm", "layers")


@dataclass(frozen=True, kw_only=True)
class Doses(ExperimentOptions):
    condition: str = option("Condition with one addition whose layer and dose are swept.")
    effect: str = option("Metric whose paired difference from unsteered is the effect.")
    damage: str = option("Metric of the damage, the larger the worse.")
    limit: float | None = option(
        "Damage at which a model counts as collapsed.", None, exclusive_minimum=0
    )
    factor: float | None = option(
        "In place of limit: so many times the unsteered mean.", None, exclusive_minimum=1
    )
    marks: dict[str, float] = option("Name -> dose that curves are compared with.", {})

    def scored(self) -> Iterator[tuple[str, str]]:
        yield from (("effect", self.effect), ("damage", self.damage))

    def check(self, experiment: Experiment) -> Iterator[str]:
        if (self.limit is None) == (self.factor is None):
            yield "limit: write either limit or factor, which say when a model has collapsed"
        conditions = experiment.conditions
        if self.condition not in conditions:
            sentence = unknown("condition", self.condition, conditions)
            yield f"condition: {sentence} in experiments.{experiment.name}"
            return
        yield from experiment.lacks_unsteered()
        additions = conditions[self.condition].get("additions", [])
        if len(additions) != 1 or DOSE not in additions[0]:
            yield f"condition: {self.condition} needs one addition with a dose; name another"
        elif operation_of(additions[0]).dose != "vector":
            yield f"condition: {self.condition} does not add its vector; name another"
        elif (least := min(_many(additions[0][DOSE]))) <= 0:
            yield (
                f"condition: {self.condition} has a dose of {least:g}, and curves begin at 0; "
                "write doses above 0, or the vector with its prompts exchanged"
            )
        elif keys := [name for name in OTHERWISE if name in additions[0]]:
            yield f"condition: {self.condition} has {keys[0]}; name one whose layer is swept alone"


def _many(value: "float | list[float]") -> list[float]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True, eq=False)
class Model:
    """One model's curves. unit [L]: the coefficient that a dose of 1 comes to at each layer."""

    name: str
    curves: "Curves"
    readings: "Readings"
    limit: float
    unit: "np.ndarray"
    controls: "dict[str, Curves]"

    @property
    def depths(self) -> "np.ndarray":
        """Each layer as a share of the last."""
        shares: np.ndarray = self.curves.layers / max(self.curves.layers.max(), 1)
        return shares


def measured(options: Doses, sources: Sources) -> list[Model]:
    """Curves and readings of each model.

    Raises UserError if a metric was not measured, or an unsteered damage of 0 has a factor.
    """
    from actadd.results.doses.curves import curves_of, readings

    units = _units(sources)
    models = []
    for model, experiment in sources.tables:
        values = sources.values(model, experiment)
        for name in (options.effect, options.damage):
            if name not in set(values["metric"]):
                metrics = values["metric"].unique()
                raise UserError(f"{sources.key}: {unknown('metric', name, metrics)}")
        of_control = values["vector"].isin(sources.facts.controls)
        swept = values["condition"] == options.condition
        [vector] = values[swept]["vector"].unique()
        curves = curves_of(values, options.condition, options.effect, options.damage)
        limit = options.limit or (options.factor or 0) * curves.base
        if not limit > 0:
            raise UserError(
                f"{sources.key}.factor: unsteered text has no {options.damage}; write limit"
            )
        controls = {
            name: curves_of(values, name, options.effect, options.damage)
            for name in values[of_control & ~swept]["condition"].unique()
        }
        unit = units[model, vector].reindex(curves.layers).to_numpy(float)
        models.append(Model(model, curves, readings(curves, limit), limit, unit, controls))
    return models


def _units(sources: Sources) -> "dict[tuple[str, str], pd.Series[float]]":
    """(model, vector) -> layer -> the coefficient that a dose of 1 comes to."""
    import numpy as np

    streams = sources.read("stream_norms").set_index(["model", "layer"])["residual_norm"]
    norms = sources.read("norms")
    several = norms.groupby(["model", "vector"])["position"].transform("max") > 0
    # As `measure.steering.usual_norm`: rows of BOS and of zeros do not count.
    counted = (norms["vector_norm"] > 0) & ~(several & (norms["position"] == 0))
    logs = np.log(norms["vector_norm"].where(counted)).groupby(
        [norms["model"], norms["vector"], norms["layer"]]
    )
    usual = np.exp(logs.mean())
    return {
        (model, vector): streams[model] / usual[model, vector]
        for model, vector in usual.index.droplevel("layer").unique()
    }
