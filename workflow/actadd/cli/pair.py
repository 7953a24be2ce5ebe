"""`actadd pair`: what can be known of a contrast pair before anything is sampled."""

import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from actadd.base.errors import UserError
from actadd.base.files import read_json
from actadd.cli.terminal import table
from actadd.config.files import CHECKOUT
from actadd.pipeline import layout

if TYPE_CHECKING:
    import pandas as pd

    from actadd.base.predictors import Best

# The table of the study whose pairs are compared with, and the copy that is shipped.
STUDY = "is-my-pair-good"
SHIPPED = CHECKOUT / "workflow/data/pairs_measured.csv"
# A predictor that tells nothing is the best by chance with less than this probability.
SIGNIFICANT = 0.05
# Share of the blocks at which a pair is examined on a model that the study has not, as in it.
DEPTH = 1 / 3


@dataclass(frozen=True)
class Study:
    """The pairs whose effect was measured.

    pairs: a row for each of one model, with effect and predictors. model: that model. file: where
    they are from.
    """

    pairs: "pd.DataFrame"
    model: str
    file: Path

    def foretells(self, predictor: str) -> tuple[float, float, float]:
        """(rho, low, high): the rank correlation of a predictor with the effect."""
        from actadd.base.intervals import rank_correlation

        return rank_correlation(
            self.pairs[predictor].to_numpy(float), self.pairs["effect"].to_numpy(float)
        )

    def best(self) -> "Best | None":
        """The predictor with the largest correlation, and what is left of it on other pairs."""
        from actadd.base.predictors import best_predictor
        from actadd.vectors.pair_check import PREDICTORS

        values = {name: self.pairs[name].to_numpy(float) for name in PREDICTORS}
        return best_predictor(values, self.pairs["effect"].to_numpy(float))


def study(results: Path, model: str) -> Study:
    """The study of a model in results, or else the one that is shipped.

    Of another model if it has not this one. Raises UserError if the table is not one.
    """
    import pandas as pd

    from actadd.vectors.pair_check import PREDICTORS

    table_of_run = layout.output("table", "csv", results, display=STUDY)
    file = table_of_run if table_of_run.is_file() else SHIPPED
    try:
        pairs = pd.read_csv(file)
        pairs = pairs[["model", "pair", "effect", "layer", "dose", *PREDICTORS]].dropna(
            subset="effect"
        )
        models = pairs["model"].tolist()
        name = model if model in models else models[0]
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"{file} is not a table of measured pairs; compute it again with snakemake --cores all "
            f"table_{STUDY.replace('-', '_')}"
        ) from error
    return Study(pairs[pairs["model"] == name], name, file)


def examine(
    model_dir: Path,
    positive: str,
    negative: str,
    *,
    layer: int | None = None,
    dose: float | None = None,
    measured: Study,
    threads: int = 1,
) -> dict[str, Any]:
    """What `PairCheck.examine` says of a pair, with the layer, the dose and the model's name.

    layer, dose: those of the study if not given, so that its pairs compare; on a model that it has
    not, the layer is at the same depth as on stories15m.
    """
    from actadd.engine.tokens import Tokens
    from actadd.models.loading import load
    from actadd.vectors.activations import contrast_ids
    from actadd.vectors.pair_check import PairCheck

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    facts, tokens = read_json(model_dir / "model.json"), Tokens(model_dir)
    if layer is None:
        same = measured.model == facts["model"]
        layer = int(measured.pairs["layer"].iloc[0]) if same else round(DEPTH * facts["layers"])
    if layer >= facts["layers"]:
        raise UserError(
            f"--layer: {layer} is beyond {facts['model']}, whose layers are 0 to "
            f"{facts['layers'] - 1}"
        )
    entry = {"kind": "pair", "positive": positive, "negative": negative}
    dose = float(measured.pairs["dose"].iloc[0]) if dose is None else dose
    # What is wrong with the prompts is known before the weights are read.
    contrast_ids(entry, tokens)
    with redirect_stdout(sys.stderr):
        model = load(model_dir, dtype="float32", device="cpu", threads=threads)
    check = PairCheck(model, tokens, layer, dose).examine(entry)
    return {"model": facts["model"], "layer": layer, "dose": dose, **check}


def verdict(check: dict[str, Any], measured: Study) -> str:
    """Where the pair stands by the best predictor, and how far that is to be trusted."""
    from actadd.results.displays.pair_quality import corrected
    from actadd.results.intervals import interval_text

    best, pairs = measured.best(), measured.pairs
    other = "" if check["model"] == measured.model else ", not on this model"
    about = f"{len(pairs)} pairs on {measured.model} ({measured.file.name}){other}"
    if best is None or not best.p < SIGNIFICANT:
        chance = "" if best is None else f": the best, {best.name}, has {corrected(best)}"
        return f"None of these foretold what {about} do{chance}. Only sampling tells."
    value = check[best.name]
    if value != value:
        return f"The best predictor, {best.name}, has no value for this pair."
    rho = best.apparent[0]
    share = float((pairs[best.name] < value).mean())
    rank = share if rho > 0 else 1 - share
    third = pairs[pairs[best.name].rank(pct=True, ascending=rho > 0).sub(rank).abs() <= 1 / 6]
    return (
        f"By the best predictor, {best.name}, it promises more than {rank:.0%} of the pairs that "
        f"were measured; those near it had effects of {third['effect'].quantile(0.1):+.2g} to "
        f"{third['effect'].quantile(0.9):+.2g}, of all {pairs['effect'].quantile(0.1):+.2g} to "
        f"{pairs['effect'].quantile(0.9):+.2g}. That predictor has rho "
        f"{interval_text(best.apparent, '{:+.2f}'.format)} with the effect of {about}. It was "
        f"chosen as the best on these pairs: {corrected(best)}."
    )


def show(check: dict[str, Any], measured: Study) -> None:
    """Print warnings, a table of the predictors and the verdict."""
    from actadd.results.intervals import interval_text
    from actadd.vectors.pair_check import PREDICTORS

    for line in check["warnings"]:
        typer.echo(f"warning: {line}", err=True)
    rows = []
    for name, meaning in PREDICTORS.items():
        value = check[name]
        lower = (measured.pairs[name] < value).mean()
        missing = value != value
        rows.append(
            (
                name,
                "" if missing else f"{value:.3g}",
                "" if missing else f"{lower:.0%}",
                interval_text(measured.foretells(name), "{:+.2f}".format),
                meaning,
            )
        )
    columns = ("predictor", "value", "pairs below it", "rho, not corrected", "what it is")
    typer.echo(f"{check['model']}, layer {check['layer']}, dose {check['dose']:g}")
    table(columns, rows, numbers=("value", "pairs below it"))
    typer.echo(f"points to: {', '.join(map(repr, check['tokens']))}")
    typer.echo(verdict(check, measured))
