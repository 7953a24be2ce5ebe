"""Steering in the residual stream."""

from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.measure.additions import Addition
from actadd.measure.methods import PREFIX, Contexts, method


@dataclass(frozen=True, kw_only=True)
class Options:
    additions: list[Addition] = option(
        "Vectors that change the residual stream, all at once; lists in them are swept.",
        min_length=1,
    )
    prefix: str | None = option(
        "Text put before every given text, as tokens of its own.", None, **PREFIX
    )


@method(Options, role="steered", order=3, only_given=("prefix",))
def actadd(options: Options) -> Contexts:
    """Vectors change the residual stream (Turner et al. 2023)."""
    return Contexts(prefix=options.prefix or "")
