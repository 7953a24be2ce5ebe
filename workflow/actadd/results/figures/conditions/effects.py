"""What each condition changes, beside what a control changes: an estimation plot."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.kinds import option
from actadd.measure.methods import METHODS
from actadd.results.displays.kinds import Experiment, MetricsOptions, Sources, figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actadd.results.reliability.evidence import Evidence, Setting


@dataclass(frozen=True, kw_only=True)
class EffectsOptions(MetricsOptions):
    control: str = option(
        "Condition that adds a control in place of the vector; each other condition that adds "
        "something is also compared with it."
    )

    def check(self, experiment: Experiment) -> Iterator[str]:
        yield from experiment.lacks_unsteered()
        conditions = experiment.conditions
        if self.control not in conditions:
            named = ", ".join(name for name, each in conditions.items() if each.get("additions"))
            yield f"control: {experiment.name} has no condition {self.control!r}; write {named}"
        elif not conditions[self.control].get("additions"):
            yield f"control: {self.control!r} adds no vector; name another condition"
        elif swept := experiment.swept(self.control):
            yield (
                f"control: {self.control!r} has several values of {swept[0]}, and conditions are "
                "compared with one setting; name another condition, such as one with a choice"
            )

    def facts(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """conditions: their names, in the config's order."""
        return {"conditions": list(config["experiments"][self.experiment]["conditions"])}


@figure(EffectsOptions, reads=("tables", "scores"), measures=("completions",))
def effects(options: EffectsOptions, sources: Sources) -> "tuple[Figure, str]":
    """Paired differences of each condition from unsteered and of steering from its control.

    A panel for each metric, a row for each condition and model; several draws of a control are one
    row, with a small mark for each draw.
    """
    import pandas as pd

    from actadd.results.drawing import LEVEL, panels, wrapped

    rows = pd.DataFrame(_rows(options, sources))
    labels = rows["label"].drop_duplicates().tolist()
    count = len(options.metrics)
    height = 0.55 + 0.13 * sum(1.4 + label.count("\n") for label in labels)
    # In a column of a paper, so that it also reads on a phone.
    figure, axes = panels(count, height, columns=1, narrow=count)
    for axis, metric in zip(axes, options.metrics, strict=True):
        _draw(axis, rows[rows["metric"] == metric].reset_index(drop=True))
        axis.axvline(0, **LEVEL)
        axis.set(xlabel=wrapped(f"change of {options.label(metric)}", 2))
        axis.locator_params(axis="x", nbins=6, min_n_ticks=4)
        axis.set_yticks(range(len(labels)), labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
    return figure, _caption(options, sources, rows)


def _rows(options: EffectsOptions, sources: Sources) -> "Iterator[dict[str, Any]]":
    """One row of a panel for each setting, then one for each that is compared with the control.

    label, metric; style: number of the setting's colour and mark; mean, low, high; detectable: the
    smallest difference that the prompts detect; prompts: how many; draws: means of each draw of
    several; net: whether it is a difference from the control; failed: why there is no number.
    """
    from actadd.results.reliability.evidence import Evidence

    several = len({model for model, _ in sources.tables}) > 1
    order = sources.facts.more["conditions"]
    for model, experiment in sources.tables:
        end = f", {model}" if several else ""
        evidence = Evidence(sources.values(model, experiment))
        settings = [each for each in evidence.settings if not _is_unsteered(each)]
        settings.sort(key=lambda each: order.index(each.iloc[0]["condition"]))
        [control] = [each for each in settings if each.iloc[0]["condition"] == options.control]
        named = list(enumerate(zip(_labels(settings), settings, strict=True), start=1))
        for metric in options.metrics:
            for style, (label, setting) in named:
                row = _row(evidence.changes(setting, metric), evidence.failed(setting, metric))
                yield {**row, "label": label + end, "metric": metric, "style": style}
            for style, (label, setting) in named:
                if setting is control or setting.iloc[0]["additions"] == "[]":
                    continue
                row = _row(*_net(evidence, setting, control, metric))
                label = f"{label}\nminus {options.control}{end}"
                yield {**row, "label": label, "metric": metric, "style": style, "net": True}


def _is_unsteered(setting: "Setting") -> bool:
    return METHODS[setting.iloc[0]["method"]].role == "unsteered"


def _labels(settings: "list[Setting]") -> list[str]:
    """A name for each setting: its condition, and its layer and strength where that has several."""
    import pandas as pd

    from actadd.results.displays.labels import row_labels

    firsts = pd.DataFrame([each.iloc[0] for each in settings])
    single = ~firsts["condition"].duplicated(keep=False)
    whole = row_labels(firsts.assign(draws=float("nan")))
    names = zip(firsts["condition"], whole, single, strict=True)
    return [str(name) if one else label for name, label, one in names]


def _net(
    evidence: "Evidence", setting: "Setting", control: "Setting", metric: str
) -> "tuple[pd.DataFrame, str | None]":
    """A setting's differences from the control, float64 [prompts, draws], or why it has none."""
    failed = evidence.failed(setting, metric) or evidence.failed(control, metric)
    others = evidence.changes(control, metric)
    changes = evidence.changes(setting, metric)
    if changes.shape[1] > 1:
        changes = changes.mean(axis=1).to_frame()
    return others.rsub(changes[0].reindex(others.index), axis=0).dropna(), failed


def _row(changes: "pd.DataFrame", failed: str | None) -> "dict[str, Any]":
    import numpy as np

    from actadd.base.intervals import detectable
    from actadd.results.intervals import columns
    from actadd.results.reliability.effects import mean_of

    row: dict[str, Any] = {"failed": failed, "net": False, "prompts": len(changes), "draws": []}
    if failed or changes.empty:
        return {**row, **columns("mean", [np.nan] * 3), "detectable": np.nan}
    if changes.shape[1] > 1:
        row["draws"] = changes.mean().tolist()
    row["detectable"] = detectable(changes.mean(axis=1).to_numpy())
    return row | columns("mean", mean_of(changes))


def _draw(axis: "Axes", rows: "pd.DataFrame") -> None:
    from actadd.results.drawing import say_failed, series, whiskers

    for index, row in rows.iterrows():
        line = float(str(index))
        if row["failed"] is not None:
            say_failed(axis, line)
            continue
        style = {**series(row["style"], len(rows)), "linestyle": "none"}
        if row["net"]:
            # The comparison that carries the claim stands out from those with unsteered.
            axis.axhspan(line - 0.5, line + 0.5, color="0.5", alpha=0.12, linewidth=0)
        axis.plot(
            row["draws"],
            [line + 0.25] * len(row["draws"]),
            **{**style, "marker": "|", "markersize": 3},
        )
        axis.errorbar(row["mean"], line, xerr=whiskers(rows.loc[[index]]), markersize=4.5, **style)


def _caption(options: EffectsOptions, sources: Sources, rows: "pd.DataFrame") -> str:
    from actadd.results.intervals import interval_text

    draws = max(map(len, rows["draws"]))
    parts = []
    for metric in options.metrics:
        net = rows[(rows["metric"] == metric) & rows["net"] & rows["failed"].isna()]
        if len(net):
            intervals = net[["mean", "low", "high"]].to_numpy()
            texts = [
                f"{label} {interval_text(interval, '{:+.3f}'.format)}"
                for label, interval in zip(
                    net["label"].str.replace("\n", " "), intervals, strict=True
                )
            ]
            smallest = ", ".join(f"{value:.2g}" for value in net["detectable"])
            parts.append(
                f"Difference in {options.label(metric)}: {'; '.join(texts)} (80 % power detects "
                f"{smallest})"
            )
    several = (
        f" The {options.control} row is the mean of {draws} draws, each a small line, and its "
        f"intervals cover {sources.facts.unit} and draws."
        if draws
        else ""
    )
    models = ", ".join(dict.fromkeys(model for model, _ in sources.tables))
    return (
        "Marks are mean differences from unsteered completions of the same prompts with the same "
        f"noise; shaded rows are differences from {options.control} with the same norm at each "
        f"position. Bars are 95 % intervals over {int(rows['prompts'].max())} "
        f"{sources.facts.unit}.{several} {'. '.join(parts)}. Model: {models}. "
        f"{sources.facts.sentences}"
    )
