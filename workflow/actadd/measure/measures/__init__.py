"""Measures: one file for each, what is measured of a condition on its texts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from actadd.base.kinds import Kind, Kinds, NoOptions, declares

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from actadd.base.errors import CellError
    from actadd.measure.experiment import Experiment
    from actadd.measure.work import Work

# Why a cell fails whose logits are NaN or infinite.
TOO_LARGE = (
    "the logits are not numbers any more: the addition is too large for the model's dtype; take a "
    "smaller coefficient, or dtype float32"
)


class Cells(Protocol):
    """The cells of one experiment on one model: one for each of its conditions, in order."""

    # Of columns that hold nothing where a cell failed.
    types: "Mapping[str, pa.DataType]"
    keys: Sequence[str]

    def compute(self, indices: list[int]) -> "Iterator[tuple[int, pa.Table | CellError]]":
        """The wanted cells, each as soon as it is finished, in any order."""
        ...

    def failed(self, index: int) -> "pa.Table":
        """The rows that stand for a cell that could not be computed."""
        ...

    def placed(self, index: int, table: "pd.DataFrame") -> "pd.DataFrame":
        """A cell's rows with what they say of their texts."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measure(Kind):
    """What an experiment may measure; function(experiment, texts) returns its `Cells`.

    options: keys of an experiment that its cells depend on. draws: completions are drawn, which
    takes a seed, and can be scored; else given texts are read. targets: given texts may have
    targets, of which it scores the tokens. baseline: it needs an unsteered condition. batched:
    cells depend on compute.batch_rows.

    Forecasts go by these, no result does. readings: how often a cell reads each of its texts.
    token_bytes: what a token drawn, or else read, leaves in the store and in the table.
    work(experiment, cells, indices): the work of some cells, where it is more than that.
    """

    draws: bool = False
    targets: bool = False
    baseline: bool = False
    batched: bool = True
    readings: int = 1
    token_bytes: float = 40.0
    work: "Callable[[Experiment, Any, Sequence[int]], Work] | None" = None

    def new_tokens(self, spec: Mapping[str, Any]) -> int:
        """Tokens that a text may grow by: none where given texts are read."""
        return int(spec["max_new_tokens"]) if self.draws else 0


def measure(
    options: type = NoOptions, *, name: str | None = None, **traits: Any
) -> "Callable[[Callable[[Experiment, pd.DataFrame], Cells]], Measure]":
    """Declare a measure; traits: further fields of `Measure`."""
    return declares(Measure, options, name, **traits)


MEASURES: Kinds[Measure] = Kinds(Measure, __name__, "measure")
