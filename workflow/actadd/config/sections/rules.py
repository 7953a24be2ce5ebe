"""Rules of values that stand in several sections."""

from collections.abc import Iterator
from typing import Annotated, Any

from actadd.base.kinds import NAME, Rule

# (key, what is wrong and what to write instead)
Problem = tuple[str, str]

INSIDE = (
    r"^(?![/~\s-])(?!(.*/)?\.{1,2}(/|\Z))(?!.*//)"
    "[^\\\\\n\r{}]*[^\\\\\n\r{}/\\s]\\Z"
)
RELATIVE = "a relative path that stays in its folder, without ~ in front or / at its end"
FILE_RULE = Rule(title=RELATIVE, pattern=INSIDE, max_length=200)

Name = Annotated[str, NAME]
FileName = Annotated[str, FILE_RULE]
OwnFile = Annotated[
    str,
    Rule(
        title=f"{RELATIVE}; a file elsewhere is a source: sources: {{ mine: {{ type: path, path: "
        "/where/it/is.csv } }, and here source: mine, file: is.csv",
        pattern=INSIDE,
        max_length=200,
    ),
]
Sum = Annotated[str, Rule(title="64 hexadecimal digits, lower case", pattern=r"^[0-9a-f]{64}\Z")]
Filled = Annotated[str, Rule(min_length=1)]
NotBlank = Annotated[str, Rule(title="a text that is not blank", pattern=r"\S")]
ShortText = Annotated[str, Rule(title="a text that is not blank", pattern=r"\S", max_length=300)]
Probability = Annotated[float, Rule(minimum=0, maximum=1)]
Natural = Annotated[int, Rule(minimum=0)]
ModelName = Annotated[str, Rule(section="models")]
VectorName = Annotated[str, Rule(section="vectors")]

# Models of an experiment, lens or figure.
MODELS = "Models that it is run on; those of run_on if not given."


def listed(value: Any) -> list[Any]:
    """The values of a key that takes one or a list."""
    return value if isinstance(value, list) else [value]


def known(key: str, value: str, names: Any, noun: str) -> Iterator[Problem]:
    """A problem if a name is not among `names`."""
    if value not in names:
        from actadd.config.messages import nearest

        yield (
            key,
            f"there is no {noun} {value!r}{nearest(value, names)}; there are: "
            f"{', '.join(sorted(names)) or 'none'}",
        )
