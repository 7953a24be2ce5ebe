"""The values of one experiment on one model, prompt by prompt, by setting."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from actadd.engine.decoding.sampling import SAMPLING
from actadd.results.summaries.controls import cells_of, controls, failure, unsteered_beside

NOTHING = pd.DataFrame({"value": np.array([], float), "failed": np.array([], object)})
# The draws of one setting, as rows of `Evidence.cells`.
Setting = pd.DataFrame


class Evidence:
    """Values of one experiment on one model, see `prompt_values`.

    table: its rows. prompts: prompt_id -> text, where texts are to be read.
    """

    def __init__(self, table: pd.DataFrame, prompts: Mapping[Any, str] | None = None) -> None:
        self.prompts = dict(prompts or {})
        # Where nothing is drawn these are empty, and of a type in which nothing equals nothing.
        drawn = dict.fromkeys([*SAMPLING, "seed"], "float64")
        self.cells = cells_of(table).reset_index(drop=True).astype(drawn)
        keys = ["metric", "condition", "cell"]
        self.metrics = table["metric"].unique().tolist()
        self._values = {
            key: part.set_index("prompt_id")[["value", "failed"]]
            for key, part in table.groupby(keys, sort=False)
        }

    @cached_property
    def settings(self) -> list[Setting]:
        """Every setting, the draws of a control together."""
        return list(controls(self.cells)) if len(self.cells) else []

    def failed(self, setting: Setting, metric: str) -> str | None:
        """Why a setting has no values of a metric."""
        parts = [self._cell(cell, metric)["failed"] for _, cell in setting.iterrows()]
        reason = failure([part.iloc[0] if len(part) else None for part in parts])
        return None if pd.isna(reason) else str(reason)

    def values(self, setting: Setting, metric: str) -> pd.DataFrame:
        """A setting's values, float64 [prompts, draws]."""
        parts = [self._cell(cell, metric)["value"] for _, cell in setting.iterrows()]
        return pd.concat(parts, axis=1, keys=range(len(parts)))

    def unsteered(self, setting: Setting, metric: str) -> "pd.Series[float] | None":
        """Values of the unsteered cell with the same sampling and seed, by prompt_id."""
        beside = self._beside[setting.index[0]]
        return None if beside is None else self._cell(beside, metric)["value"]

    @cached_property
    def _beside(self) -> "list[pd.Series[Any] | None]":
        """The unsteered cell that each cell is compared with."""
        return [unsteered_beside(self.cells, cell) for _, cell in self.cells.iterrows()]

    def changes(self, setting: Setting, metric: str) -> pd.DataFrame:
        """Paired differences from unsteered, float64 [prompts, draws], of prompts with all values.

        Empty where there is nothing to compare with.
        """
        baseline, values = self.unsteered(setting, metric), self.values(setting, metric)
        if baseline is None:
            return values.iloc[:0]
        return values.sub(baseline.reindex(values.index), axis=0).dropna()

    def same(self, additions: str) -> Setting | None:
        """The setting with these additions, as their column writes them."""
        equal = (each for each in self.settings if each.iloc[0]["additions"] == additions)
        return next(equal, None)

    def _cell(self, cell: "pd.Series[Any]", metric: str) -> pd.DataFrame:
        return self._values.get((metric, cell["condition"], cell["cell"]), NOTHING)
