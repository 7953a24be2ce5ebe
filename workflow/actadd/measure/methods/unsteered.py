"""The baseline."""

from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.measure.methods import PREFIX, Contexts, method


@dataclass(frozen=True, kw_only=True)
class Options:
    prefix: str | None = option(
        "Text put before every given text, as tokens of its own.", None, **PREFIX
    )


@method(Options, role="unsteered", order=0, only_given=("prefix",))
def unsteered(options: Options) -> Contexts:
    """The model as it is."""
    return Contexts(prefix=options.prefix or "")
