"""Whether the concept or the wording of its contrast pair decides how steering works."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.results.displays.concept_options import OTHERS, ConceptOptions
from actadd.results.displays.kinds import Sources, table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class WordingsOptions(ConceptOptions):
    published: dict[str, float] = option("Row of the table -> a published value beside ours.", {})
    published_gain: str | None = option(
        "Dataset of published gains, with which ours are compared by rank: its text is the "
        "concept, its label the gain, its group the wording, in the order of wordings.",
        None,
        section="datasets",
    )
    published_layer: str | None = option(
        "Dataset of published layers, likewise.", None, section="datasets"
    )


@table(
    WordingsOptions,
    reads=("tables", "scores", "texts"),
    measures=("completions",),
    others=OTHERS,
    datasets=("published_gain", "published_layer"),
)
def concept_wordings(options: WordingsOptions, sources: Sources) -> "tuple[pd.DataFrame, str]":
    """Gains, layers and damage of each wording over all concepts, and how the wordings agree."""
    import pandas as pd

    from actadd.base.errors import UserError
    from actadd.results.displays.concepts import answers, beside_published, gather, sentences
    from actadd.results.displays.estimates import estimates

    rows = gather(options, sources)
    tables = []
    for model, part in rows.groupby("model", sort=False):
        result = answers(part)
        for column in ("gain", "layer"):
            if name := getattr(options, f"published_{column}"):
                result |= beside_published(part, column, pd.read_parquet(sources.texts[name]))
        if unknown := sorted(options.published.keys() - result.keys()):
            raise UserError(
                f"{sources.key}.published: there is no row {unknown[0]!r}; write one of "
                f"{', '.join(map(repr, result))}"
            )
        frame = pd.DataFrame(result, index=["mean", "low", "high"]).T
        columns = {"ours": estimates(frame)}
        if options.published:
            quoted = (options.published.get(name) for name in result)
            columns["published"] = ["" if value is None else f"{value:g}" for value in quoted]
        index = pd.MultiIndex.from_product([[model], result], names=["model", "over all concepts"])
        tables.append(pd.DataFrame(columns, index))
    caption = (
        f"Each row is a mean or a correlation (Pearson's r) over {rows['concept'].nunique()} "
        "concepts, each at the layer chosen on the development split, on held-out prompts, with "
        "95 % bootstrap intervals over concepts. Halves are gains from every other prompt, and "
        "layers that every other development prompt would have chosen by its mean, whatever cap "
        "the choice has; two wordings cannot agree better than a wording "
        f"does with itself. {sentences(rows)} {sources.facts.sentences}"
    )
    return pd.concat(tables), caption
