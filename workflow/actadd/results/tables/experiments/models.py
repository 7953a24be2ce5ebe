"""One property on several models."""

from typing import TYPE_CHECKING, Any

from actadd.results.displays.kinds import Sources, table
from actadd.results.displays.model_options import ModelOptions

if TYPE_CHECKING:
    import pandas as pd


@table(ModelOptions, reads=("tables", "scores", "norms"), measures=("completions",))
def models(options: ModelOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """A row for each model: chosen layer and dose, effect, control, their difference, damage."""
    import pandas as pd

    from actadd.results.displays.estimates import interval_texts, two_digits
    from actadd.results.displays.models import gather

    rows = gather(options, sources)
    metric = options.label(options.metric)
    columns: dict[str, Any] = {
        "layer": [f"{at} of {of}" for at, of in rows[["layer", "blocks"]].to_numpy()],
        "strength": rows["strength"].tolist(),
        "dose": two_digits(rows["dose"]),
        f"{metric}, unsteered": [f"{value:.3f}" for value in rows["unsteered"]],
        "effect": interval_texts(rows, "gain"),
        "effect of the control": interval_texts(rows, "control"),
        "effect minus control": interval_texts(rows, "net"),
        "detectable": two_digits(rows["detectable"]),
        "prompts moved the wrong way": [f"{value:.0%}" for value in rows["wrong"]],
        "disfluency ratio": interval_texts(rows, "damage", "{:.2f}"),
    }
    if options.prompting:
        columns["effect of prompting"] = interval_texts(rows, "prompting")
    if rows["failed"].notna().any():
        columns["failed"] = rows["failed"].fillna("")
    table = pd.DataFrame(columns).set_index(pd.Index(rows["model"], name="model"))
    caption = (
        f"The effect is the paired difference in {metric} from unsteered on held-out prompts, n = "
        f"{int(rows['prompts'].max())} {sources.facts.unit}, with 95 % intervals, at the layer and "
        "strength chosen on the development split. The dose is the norm of what is added over the "
        "residual stream's, at the position where it is largest. The control is as much of the "
        f"vector of {options.control}. Detectable is the smallest true effect minus control that "
        "these prompts see with 80 % power. The disfluency ratio is "
        f"{options.label(options.damage)} over unsteered's, as a geometric mean over prompts. "
        f"{sources.facts.sentences}"
    )
    return table, caption
