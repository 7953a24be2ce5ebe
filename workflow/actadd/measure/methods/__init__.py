"""Methods: one file for each, what a condition holds and which texts it reads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from actadd.base.kinds import Kind, Kinds, declares

# unsteered: the baseline of every difference. control: another way to the same end, without
# touching the residual stream. steered: the residual stream is changed.
Role = Literal["unsteered", "control", "steered"]


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """What stands before each prompt of a condition.

    prefix: before the prompt itself, right after BOS. contrasted: before the prompt in a second
    context, or None if there is none. Tokens are drawn from l + strength * (l' - l), l' being the
    second context's logits.
    """

    prefix: str = ""
    contrasted: str | None = None
    strength: float | None = None


@dataclass(frozen=True, kw_only=True)
class Method(Kind):
    """A way of getting other completions; function(options) returns its `Contexts`.

    options: keys of a condition beside those of every condition, see `conditions.Condition`.
    order: position among the conditions of an experiment, where equals are sorted by name.
    only_drawn: the method is not available for measures of given texts. only_given: keys that a
    condition may have only for those measures.
    """

    role: Role
    order: int = 100
    only_drawn: bool = False
    only_given: tuple[str, ...] = ()


def method(
    options: type, *, role: Role, name: str | None = None, **traits: Any
) -> Callable[[Callable[..., Contexts]], Method]:
    """Declare a method; traits: further fields of `Method`."""
    return declares(Method, options, name, role=role, **traits)


METHODS: Kinds[Method] = Kinds(Method, __name__, "method")
# What every prefix that a config writes must meet.
PREFIX: dict[str, Any] = {"min_length": 1, "max_length": 2000}
