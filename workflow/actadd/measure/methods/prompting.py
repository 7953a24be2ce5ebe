"""Steering by words."""

from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.measure.methods import PREFIX, Contexts, method


@dataclass(frozen=True, kw_only=True)
class Options:
    prefix: str = option(
        "Text put before every prompt. It is tokens of its own, but of completions one that ends "
        "in a space is read with the prompt.",
        **PREFIX,
    )


@method(Options, role="control", order=1)
def prompting(options: Options) -> Contexts:
    """A text is put before every prompt."""
    return Contexts(prefix=options.prefix)
