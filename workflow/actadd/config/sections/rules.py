"""Rules of values that stand in several sections."""

from collections.abc import Collection, Iterator
from typing import Annotated, Any

from actadd.base.kinds import FILE, NAME, Rule
from actadd.base.names import unknown

# (key, what is wrong and what to write instead)
Problem = tuple[str, str]

Name = Annotated[str, NAME]
FileName = Annotated[str, FILE]
OwnFile = Annotated[
    str,
    Rule(
        title=f"{FILE.title}; a file elsewhere is a source: sources: {{ mine: {{ type: path, path: "
        "/where/it/is.csv } }, and here source: mine, file: is.csv",
        pattern=FILE.pattern,
        max_length=FILE.max_length,
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

# What tells how to add an entry of a section.
HOW_TO = {
    "model": "docs/how-to/model.md",
    "dataset": "docs/how-to/data.md",
    "scorer": "docs/how-to/scorer.md",
    "vector": "docs/how-to/vector.md",
}
# Models of an experiment, lens or figure.
MODELS = "Models that it is run on; those of run_on if not given."


def listed(value: Any) -> list[Any]:
    """The values of a key that takes one or a list."""
    return value if isinstance(value, list) else [value]


def known(
    key: str, value: str, names: Any, noun: str, first: Collection[str] = ()
) -> Iterator[Problem]:
    """A problem if a name is not among `names`. first: those that the message lists."""
    if value not in names:
        how = f"; {HOW_TO[noun]} says how to add one" if noun in HOW_TO else ""
        yield key, f"{unknown(noun, value, names, first)}{how}"
