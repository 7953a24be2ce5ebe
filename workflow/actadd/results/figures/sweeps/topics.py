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

    from actadd.results.displays.captions import data_sentence
    from actadd.results.displays.labels import in_order, metric_rows, unsteered
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
    models = in_order(changes["model"])
    lines = []
    for topic in sorted(named):
        here = changes[changes["topic"] == topic]
        for condition in in_order(here["condition"]):
            for model in models:
                part = here[(here["condition"] == condition) & (here["model"] == model)]
                names = [topic, condition if condition != topic else ""]
                names += [model] if len(models) > 1 else []
                text = ", ".join(options.label(name) for name in names if name)
                lines += [(text, in_percent(part))] if len(part) else []
    swept, unswept = split(lines, "coefficient")
    error_lines(axis, swept, looks=sources.facts.looks)
    levels(axis, unswept, len(swept), sources.facts.looks)
    axis.set(xlabel="coefficient", ylabel="change in share (points)")
    legend(figure, [axis])
    layers = ", ".join(f"{layer:g}" for layer in np.unique(changes["layer"].dropna()))
    caption = (
        "The figure shows the share of completions that the judge puts to the topic, steered minus "
        f"unsteered, in percentage points, at layer {layers}; a topic's vector is its word "
        "against a neutral one. "
        f"{data_sentence(options, sources, changes)}"
    )
    return figure, caption
