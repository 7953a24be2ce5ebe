"""One value for each cell, prompt and metric: what paired statistics start from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from actadd.base.files import read_cells
from actadd.results.summaries.controls import COORDINATES
from actadd.results.summaries.divergences import metrics_of
from actadd.results.summaries.log_probabilities import COMPARED, TOKEN, measured

CELL = [*COORDINATES, "draw", "cell", "failed"]
COLUMNS = [*CELL, "prompt_id", "group", "metric", "value"]
# What a table calls the number of its text.
COMPLETIONS, TEXTS = "prompt_id", "text_id"
# The values of a cell that failed.
NOTHING = pd.Series(dtype="float64")


def prompt_values(
    cells: Path,
    scores: Mapping[str, Path] | None = None,
    *,
    ranks: Sequence[int] = (1, 10),
    mask: bool = True,
) -> pd.DataFrame:
    """The metrics of an experiment's cells, prompt by prompt: columns `COLUMNS`.

    cells: the experiment's table, of any measure. scores: of completions, scorer -> its table.
    ranks, mask: of log-probabilities, as in their summary.

    A row is one cell (`COORDINATES`, draw, cell), prompt_id, group, metric and value (float64); the
    order is that of the tables. Of completions, a metric is scorer.column, its value the mean over
    the prompt's samples, without those that have no score. Of divergences, the metrics are kl and
    kl_over_entropy and those of watched tokens, over the positions that were not changed directly.
    Of log-probabilities: of texts with targets, precision_at_K, target_logprob and rank; of others,
    logprob, the mean over the tokens of a document, whose name is then prompt_id.
    A cell that failed has a value of NaN for each prompt, and its reason in `failed`.
    """
    if "kl" in (columns := pq.read_schema(cells).names):
        rows = _of_divergences(cells)
    elif "logprob" in columns:
        rows = _of_logprobs(cells, ranks, mask)
    else:
        rows = _of_completions(cells, scores or {})
    parts = [part for part in rows if len(part)]
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    table = pd.concat(parts, ignore_index=True)
    return table.reindex(columns=COLUMNS).astype({"value": "float64", "failed": "string"})


def _of_completions(cells: Path, scores: Mapping[str, Path]) -> Iterator[pd.DataFrame]:
    available = pq.read_schema(cells).names
    wanted = [name for name in [*CELL, COMPLETIONS, "group"] if name in available]
    # A failure of a scorer is that scorer's alone, so its own table says what failed.
    wanted.remove("failed")
    prompts = pd.read_parquet(cells, columns=wanted)
    prompts = prompts.drop_duplicates(["condition", "cell", COMPLETIONS])
    keys = ["condition", "cell", COMPLETIONS]
    for scorer, path in scores.items():
        table = pd.read_parquet(path)
        failed = table.groupby(keys, sort=False)["failed"].first().reset_index()
        metrics = table.columns.drop([*keys, "sample", "failed"])
        means = table.groupby(keys, sort=False)[list(metrics)].mean().reset_index()
        for metric in metrics:
            values = means[[*keys, metric]].rename(columns={metric: "value"})
            rows = prompts.merge(values, on=keys, how="left", validate="one_to_one")
            rows = rows.merge(failed, on=keys, how="left", validate="one_to_one")
            yield rows.assign(metric=f"{scorer}.{metric}")


def _of_divergences(cells: Path) -> Iterator[pd.DataFrame]:
    names = ["kl"]
    for cell in read_cells(cells):
        if cell["failed"].notna().any():
            yield _rows(cell, dict.fromkeys(names, NOTHING))
            continue
        values = {name: metric.values for name, metric in metrics_of(cell).items()}
        names = list(values)
        yield _rows(cell, values)


def _of_logprobs(cells: Path, ranks: Sequence[int], mask: bool) -> Iterator[pd.DataFrame]:
    unsteered = pd.DataFrame()
    # A cell that failed has no tokens; what the others have says which metrics it lacks.
    names, text = ["logprob"], "document"
    for cell in read_cells(cells):
        cell["document"] = cell["document"].fillna(cell[TEXTS].astype("string"))
        tokens = cell.set_index(TOKEN)
        if cell["failed"].notna().any():
            yield _rows(cell, dict.fromkeys(names, NOTHING), text)
            continue
        if cell["method"].iloc[0] == "unsteered":
            unsteered = pd.concat([unsteered, tokens[COMPARED]])
        if unsteered.empty:
            cell["failed"] = "the unsteered cell that it is compared with failed"
            yield _rows(cell, dict.fromkeys(names, NOTHING), text)
            continue
        targeted = not cell["target"].all()
        tokens = tokens.join(unsteered, rsuffix="_unsteered", validate="one_to_one")
        tokens = measured(tokens, targeted=targeted, mask=mask)
        if targeted:
            text, tokens = TEXTS, tokens.droplevel("token_index")
            hits = {f"precision_at_{k}": (tokens["rank"] < k).astype("float64") for k in ranks}
            values = {**hits, "target_logprob": tokens["logprob"], "rank": tokens["rank"]}
        else:
            text = "document"
            values = {"logprob": tokens.groupby("document", sort=False)["logprob"].mean()}
        names = list(values)
        yield _rows(cell, values, text)


def _rows(
    cell: pd.DataFrame, metrics: "Mapping[str, pd.Series[float]]", text: str = TEXTS
) -> pd.DataFrame:
    """A cell's texts with the values of each metric, which are indexed by text."""
    texts = cell.drop_duplicates(text)[[*[name for name in CELL if name in cell], text, "group"]]
    return pd.concat(
        [
            texts.assign(metric=metric, value=values.reindex(texts[text]).to_numpy("float64"))
            for metric, values in metrics.items()
        ]
    ).rename(columns={text: COMPLETIONS})
