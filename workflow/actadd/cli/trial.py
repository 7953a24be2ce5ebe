"""A trial of `actadd try`: its completions with their scores, and how they are printed."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import isnan
from statistics import fmean
from typing import Any

import typer

from actadd.base.errors import UserError
from actadd.cli.project import configured
from actadd.cli.terminal import on_terminal


@dataclass(frozen=True)
class Trial:
    """Completions of a prompt, sample by sample, and the size of the addition.

    texts: condition -> its completions: unsteered, steered, and random if a random vector was added
    too. ratios: for each position of the vector, (its tokens, norm of coefficient times vector over
    the residual stream's reference norm at the layer). scores: condition -> metric -> the values of
    its completions. token_ids: condition -> those of its completions.
    """

    prompt: str
    layer: int
    texts: dict[str, list[str]]
    ratios: list[tuple[str, float]]
    warnings: list[str]
    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    token_ids: dict[str, list[list[int]]] = field(default_factory=dict)

    @property
    def samples(self) -> Iterator[int]:
        return iter(range(len(self.texts["unsteered"])))


def scores(
    prompt: str, texts: Mapping[str, list[str]], scorers: Mapping[str, Any]
) -> dict[str, dict[str, list[float]]]:
    """Condition -> metric -> values, of every scorer that reads nothing but the completion.

    scorers: the config's. A metric that is 0 everywhere is left out.
    """
    import pandas as pd

    from actadd.scorers.kinds import SCORERS

    names = [name for name, some in texts.items() for _ in some]
    rows = [{"prompt": prompt, "completion": text} for some in texts.values() for text in some]
    result: dict[str, dict[str, list[float]]] = {name: {} for name in texts}
    for scorer, entry in scorers.items():
        kind = SCORERS[entry["kind"]]
        if kind.reads or kind.asks:
            continue
        for metric, values in kind.score(pd.DataFrame(rows), {"name": scorer, **entry}).items():
            if not values.any():
                continue
            for name, some in values.groupby(names, sort=False):
                result[str(name)][f"{scorer}.{metric}"] = [float(value) for value in some]
    return result


def configured_scorers() -> dict[str, Any]:
    """The scorers of the config in this folder; none without a config, or if it is not valid."""
    with suppress(UserError):
        return dict(configured()["scorers"])
    return {}


def show(trial: Trial) -> None:
    """Print a trial: side by side on a terminal, elsewhere one record for each completion.

    A record begins with condition, number and scores in front of a tab. Line breaks of the text
    stay, and each further line of a record begins with a tab.
    """
    for line in trial.warnings:
        typer.echo(f"warning: {line}", err=True)
    sizes = ", ".join(f"{ratio:.2g} ({tokens})" for tokens, ratio in trial.ratios)
    summary = [
        f"added at layer {trial.layer}, in norms of the residual stream: {sizes}",
        *_means(trial),
    ]
    if on_terminal():
        _show_table(trial, summary)
        return
    for sample in trial.samples:
        for name, texts in trial.texts.items():
            scored = [f"{metric}={value}" for metric, value in _scores_of(trial, name, sample)]
            text = f"{trial.prompt}{texts[sample]}".replace("\n", "\n\t")
            typer.echo(f"{' '.join([name, str(sample + 1), *scored])}\t{text}")
    for line in summary:
        typer.echo(line, err=True)


def _show_table(trial: Trial, summary: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    side_by_side = Table(*trial.texts, header_style="bold", show_lines=True, expand=True)
    for sample in trial.samples:
        cells = []
        for name, texts in trial.texts.items():
            scored = ", ".join(f"{each} {value}" for each, value in _scores_of(trial, name, sample))
            below = (f"\n{scored}", "cyan") if scored else ""
            cells.append(Text.assemble((trial.prompt, "dim"), texts[sample], below))
        side_by_side.add_row(*cells)
    Console().print(side_by_side)
    for line in summary:
        Console(stderr=True).print(Text(line, style="dim"))


def _scores_of(trial: Trial, name: str, sample: int) -> list[tuple[str, str]]:
    """(metric, value) of one completion, without those that are not defined for it."""
    scored = ((metric, values[sample]) for metric, values in trial.scores.get(name, {}).items())
    return [(metric, f"{value:.2f}") for metric, value in scored if not isnan(value)]


def _means(trial: Trial) -> list[str]:
    """A line for each metric: its mean under each condition."""
    lines = []
    for metric in trial.scores.get("unsteered", {}):
        defined = {
            name: [value for value in values[metric] if not isnan(value)]
            for name, values in trial.scores.items()
        }
        means = [f"{name} {fmean(values):.2f}" for name, values in defined.items() if values]
        lines.append(f"mean {metric}: {', '.join(means)}")
    return lines
