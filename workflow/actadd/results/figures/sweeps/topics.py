"""How much more often completions are about a topic when steered to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.results.displays.kinds import Experiment, MetricsOptions, Sources, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Topics(MetricsOptions):
    def check(self, experiment: Experiment) -> Iterator[str]:
        for metric in self.metrics:
            topic = topic_of(metric)
            if "additions" not in experiment.conditions.get(topic, {}):
                yield (
                    f"metrics: {metric!r} needs a condition {topic!r} that adds the topic's "
                    "vector; add it, or remove the metric"
                )


def topic_of(metric: str) -> str:
    return metric.partition(".")[2]


@figure(Topics, reads=("summary",), measures=("completions",))
def topics(options: Topics, sources: Sources) -> "tuple[Figure, str]":
    """How much more often completions are about a topic when steered to it (paper, Fig. 4, v5).

    metrics: the judge's. A condition is named like the topic that its vector is for; a condition
    that is named like none is drawn for each topic.
    """
    import numpy as np
    import pandas as pd

    from actadd.results.displays.labels import data_sentence, metric_rows, unsteered
    from actadd.results.drawing import LEVEL, error_lines, in_percent, legend, levels, panels, split

    table = sources.read("summary")
    figure, [axis] = panels(1, 2.3)
    axis.axhline(0, **LEVEL)
    named = {topic_of(metric) for metric in options.metrics}
    parts = []
    for metric in options.metrics:
        topic = topic_of(metric)
        rows = metric_rows(sources, table, metric)
        rows = rows[~unsteered(rows)]
        rows = rows[(rows["condition"] == topic) | ~rows["condition"].isin(named)]
        change = {"mean": "difference", "low": "difference_low", "high": "difference_high"}
        parts.append(rows.assign(topic=topic, **{to: rows[name] for to, name in change.items()}))
    changes = pd.concat(parts)
    several = changes["model"].nunique() > 1
    lines = []
    for key, part in changes.groupby(["topic", "condition", "model"], sort=True):
        name, condition, model = map(str, key)
        names = [name, condition if condition != name else "", model if several else ""]
        lines.append((", ".join(filter(None, names)), in_percent(part)))
    swept, unswept = split(lines, "coefficient")
    error_lines(axis, swept)
    levels(axis, unswept, len(swept))
    axis.set(xlabel="coefficient", ylabel="change in share (points)")
    legend(figure, [axis])
    layers = ", ".join(f"{layer:g}" for layer in np.unique(changes["layer"].dropna()))
    caption = (
        "Completions that the judge puts to the topic, steered minus unsteered, in percentage "
        f"points, at layer {layers}; a topic's vector is its word against a neutral one. "
        f"{data_sentence(options, sources, changes)}"
    )
    return figure, caption
