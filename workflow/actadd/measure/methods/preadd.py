"""Prefix-adaptive decoding."""

from dataclasses import dataclass

from actadd.base.kinds import option
from actadd.measure.methods import PREFIX, Contexts, method


@dataclass(frozen=True, kw_only=True)
class Options:
    prefix: str = option("Text put before the prompts of the contrasted context.", **PREFIX)
    strength: float = option("How much the contrasted context's logits count (PREADD's alpha).")


@method(Options, role="control", order=2, only_drawn=True)
def preadd(options: Options) -> Contexts:
    """Logits are moved towards, or away from, those of a contrasted context (Pei et al. 2023)."""
    return Contexts(contrasted=options.prefix, strength=options.strength)
