"""The settings of a sweep that other experiments take, and the caps of their rules."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.measure.choice import pick
from actadd.results.displays.captions import rule_text
from actadd.results.displays.kinds import Options, Sources
from actadd.results.displays.labels import failed, in_order, unsteered

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Chosen:
    """One rule's setting on one model.

    rows: of the setting, by metric. caps: metric -> the most that a mean may be. over: (layer,
    coefficient) of what the cap excludes. experiments: those that take it.
    """

    model: str
    layer: float
    coefficient: float
    rows: dict[str, "pd.Series[Any]"]
    caps: dict[str, float]
    over: frozenset[tuple[float, float]]
    rule: dict[str, Any]
    experiments: tuple[str, ...]

    def mark(self, axis: "Axes", metric: str) -> None:
        """A ring around the setting, and a line at the cap of a metric."""
        if metric in self.rows:
            ring: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "color": "black"}
            ring |= {"markersize": 9, "markeredgewidth": 1.0, "linestyle": "none", "zorder": 4}
            axis.plot(self.coefficient, self.rows[metric]["mean"], **ring, label="chosen")
        if metric in self.caps:
            cap = self.rule["cap"]["factor"]
            line: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 0.9}
            axis.axhline(self.caps[metric], **line, label=f"cap: {cap:g} times unsteered")


def picks(sources: Sources, table: "pd.DataFrame", condition: str | None = None) -> list[Chosen]:
    """What each rule on this sweep picks on each model; nothing where it can pick nothing.

    condition: the only one that is drawn.
    """
    table = table[table["group"] == "all"]
    result = []
    for choice in sources.facts.more.get("choices", []):
        rule = choice["rule"]
        if condition not in (None, rule["condition"]):
            continue
        for model in in_order(table["model"]):
            here = table[table["model"] == model]
            try:
                best, candidates = pick(here, rule, sources.key)
            except UserError:
                # The experiment that needs the choice says what is wrong.
                continue
            setting = (float(best["layer"]), float(best["coefficient"]))
            excluded = candidates[~candidates["allowed"].astype(bool)]
            over = zip(excluded["layer"], excluded["coefficient"], strict=True)
            rows = _rows(here[here["condition"] == rule["condition"]], setting)
            names = tuple(choice["experiments"])
            result.append(
                Chosen(model, *setting, rows, _caps(here, rule), frozenset(over), rule, names)
            )
    return result


def _rows(table: "pd.DataFrame", setting: tuple[float, float]) -> "dict[str, pd.Series[Any]]":
    same = (table["layer"] == setting[0]) & (table["coefficient"] == setting[1])
    return {str(row["metric"]): row for _, row in table[same].iterrows()}


def _caps(table: "pd.DataFrame", rule: dict[str, Any]) -> dict[str, float]:
    if not (cap := rule.get("cap")):
        return {}
    level = table[unsteered(table) & (table["metric"] == cap["metric"]) & ~failed(table)]
    return {cap["metric"]: cap["factor"] * float(level["mean"].iloc[0])} if len(level) else {}


def sentences(options: Options, chosen: list[Chosen]) -> Iterator[str]:
    """What rings and dotted lines mark."""
    for each in chosen:
        on = f" on {options.label(each.model)}" if len({one.model for one in chosen}) > 1 else ""
        rule = rule_text(options, {**each.rule, "data": "these prompts"})
        yield (
            f"The ring marks layer {each.layer:g} and coefficient {each.coefficient:g}{on}, chosen "
            f"{rule}, at which {' and '.join(each.experiments)} "
            f"{'is' if len(each.experiments) == 1 else 'are'} measured."
        )
    if any(each.caps for each in chosen):
        yield "The dotted line is that limit."
