"""How steering moves the log-probability of single tokens (paper, Table 8 and Fig. 7)."""

from pathlib import Path

import pandas as pd

from actadd.base.errors import UserError


def token_shift(sources: list[Path], at_least: int) -> pd.DataFrame:
    """One row for each model and token with enough instances, most raised first.

    sources: log-probabilities of texts, one file for each model, with an unsteered and one steered
    condition. Columns: model, token, n, difference (mean of steered minus unsteered, nats), normal
    (mean unsteered log-probability). Predictions at positions that were changed directly are out.
    """
    parts = []
    for path in sources:
        columns = ["model", "method", "text_id", "token_index", "token", "logprob", "modified"]
        # A condition that failed has no log-probabilities.
        table = pd.read_parquet(path, columns=columns).dropna(subset="logprob")
        table = table.astype({"modified": bool})
        keys = ["text_id", "token_index"]
        steered = table[(table["method"] == "actadd") & ~table["modified"]].set_index(keys)
        normal = table[table["method"] == "unsteered"].set_index(keys)["logprob"]
        steered = steered.join(normal.rename("normal"))
        steered["difference"] = steered["logprob"] - steered["normal"]
        found = steered.groupby(["model", "token"], observed=True).agg(
            n=("difference", "size"), difference=("difference", "mean"), normal=("normal", "mean")
        )
        parts.append(found[found["n"] >= at_least].reset_index())
    shifts = pd.concat(parts, ignore_index=True)
    if shifts.empty:
        raise UserError(
            f"at_least: no token has {at_least} instances where steering did not fail; write a "
            "smaller number"
        )
    return shifts.sort_values(
        ["model", "difference", "token"], ascending=[True, False, True], ignore_index=True
    )
