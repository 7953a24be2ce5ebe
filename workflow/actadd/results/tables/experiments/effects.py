"""What each condition changes, beside what a control changes."""

from typing import TYPE_CHECKING

from actadd.results.displays.effect_options import EffectsOptions
from actadd.results.displays.kinds import Sources, table

if TYPE_CHECKING:
    import pandas as pd


@table(EffectsOptions, reads=("tables", "scores"), measures=("completions", "logprobs"))
def effects(options: EffectsOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Paired differences of each condition from unsteered and of steering from its control."""
    import pandas as pd

    from actadd.results.displays.effects import caption, effect_rows
    from actadd.results.displays.estimates import interval_texts

    rows = pd.DataFrame(effect_rows(options, sources))
    order = rows["label"].drop_duplicates()
    columns = {}
    for metric in options.metrics:
        of_metric = rows[rows["metric"] == metric].set_index("label")
        texts = pd.Series(interval_texts(of_metric, "mean"), of_metric.index, dtype="object")
        columns[options.label(metric)] = texts.mask(of_metric["failed"].notna(), "failed")
    wide = pd.DataFrame(columns).reindex(order)
    wide.index = pd.Index([label.replace("\n", " ") for label in order], name="condition")
    return wide, caption(options, sources, rows)
