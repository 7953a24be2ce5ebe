"""How steering moves the log-probability of single tokens (paper, Table 8 and Fig. 7)."""

import json

import pandas as pd

from actadd.base.errors import UserError
from actadd.results.displays.kinds import Sources
from actadd.results.displays.labels import addition_details, unsteered


def token_shift(sources: Sources, at_least: int) -> pd.DataFrame:
    """One row for each model, steered setting and token with enough instances, most raised first.

    sources: log-probabilities of texts, one file for each model, with an unsteered condition and
    others. Columns: model, setting ("" if there is only one), token, n, difference (mean of steered
    minus unsteered, nats), normal (mean unsteered log-probability). Predictions at positions that
    were changed directly are left out; the draws of one control are counted together.
    """
    keys = ["text_id", "token_index"]
    setting = ["condition", "additions"]
    columns = ["model", "method", *setting, *keys, "token", "logprob", "modified"]
    parts = []
    for path in sources.paths["cells"]:
        # A condition that failed has no log-probabilities.
        table = pd.read_parquet(path, columns=columns).dropna(subset="logprob")
        table = table.astype({"modified": bool})
        baseline = unsteered(table)
        steered = table[~baseline & ~table["modified"]].set_index(keys)
        normal = table[baseline].set_index(keys)["logprob"]
        steered = steered.join(normal.rename("normal"))
        steered["difference"] = steered["logprob"] - steered["normal"]
        shifts = steered.groupby(["model", *setting, "token"], observed=True).agg(
            n=("difference", "size"), difference=("difference", "mean"), normal=("normal", "mean")
        )
        parts.append(shifts[shifts["n"] >= at_least].reset_index())
    shifts = pd.concat(parts, ignore_index=True)
    if shifts.empty:
        raise UserError(
            f"{sources.key}.at_least: no token has {at_least} instances where steering did not "
            "fail; write a smaller number"
        )
    shifts.insert(1, "setting", _settings(shifts))
    return shifts.drop(columns=setting).sort_values(
        ["model", "setting", "difference", "token"],
        ascending=[True, True, False, True],
        ignore_index=True,
    )


def _settings(rows: pd.DataFrame) -> list[str]:
    """What tells the steered settings of each row apart; nothing if there is only one."""
    settings = rows[["condition", "additions"]].drop_duplicates()
    if len(settings) == 1:
        return [""] * len(rows)
    texts = {}
    for condition, additions in settings.itertuples(index=False):
        alone = (settings["condition"] == condition).sum() == 1
        details = " + ".join(map(addition_details, json.loads(additions)))
        texts[condition, additions] = condition if alone else f"{condition}: {details}"
    return [texts[pair] for pair in zip(rows["condition"], rows["additions"], strict=True)]
