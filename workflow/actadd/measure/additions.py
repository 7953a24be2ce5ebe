"""An addition of a condition, as a config writes it: which vector, where, when, how strongly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal

from actadd.base.files import canonical
from actadd.base.kinds import Rule, option
from actadd.engine.operations import OPERATIONS, Operation
from actadd.engine.placement import Phase, Position, layers_text
from actadd.measure.gates import ThresholdRule

DEFAULT_OPERATION = "add"
# What a key takes whose type alone does not say it well.
LAYERS = "a layer number from 0 on, or a list of them"
SHARES = "a share above 0 and up to 1 (a depth may be 0), or a list of them"
Layers = Annotated[list[Annotated[int, Rule(minimum=0)]], Rule(min_length=1, unique=True)]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A condition on a prompt, see `engine.additions.Gate`."""

    vector: str = option("Vector on whose last row the prompt is projected.", section="vectors")
    layer: int = option(
        "Block at whose input the prompt is projected, not above the layer of the operation.",
        minimum=0,
    )
    threshold: float | ThresholdRule = option(
        "It is open above this projection, or above the one that a rule chooses on a development "
        "split.",
        title="a number, or a rule such as { dataset: NAME, positive: [GROUP] }",
    )


@dataclass(frozen=True, kw_only=True)
class Addition:
    """One vector of a condition: which, where, when, and by which operation.

    Fields without a description are not keys of a config. coefficient: strength of the operation,
    which is one of its options, whatever its name; or, if dosed, a share of the stream's norm, from
    which that strength follows. options: its other options.
    """

    vector: str = option("Steering vector.", section="vectors")
    operation: str = option("What the vector does to the residual stream.", DEFAULT_OPERATION)
    source_layer: int | None = option(
        "Layer that it is taken from; layer if not given.",
        None,
        swept=True,
        column="Int32",
        title=LAYERS,
        minimum=0,
    )
    layer: int | None = option(
        "Block at whose input it acts, counted from 0.",
        None,
        swept=True,
        column="Int32",
        title=LAYERS,
        minimum=0,
    )
    layers: Layers | Literal["all"] | None = option(
        "In place of layer, several blocks at once or all of them; each takes the vector of its "
        "own layer, or that of source_layer.",
        None,
        title="all, or a list of different layer numbers from 0 on",
    )
    coefficient: float = field(metadata={"column": "float64"})
    position: Position = option(
        "Which tokens of the prompt are changed: front from BOS on, or all but BOS; a "
        "number is the position of the first row, 0 being BOS.",
        "front",
        swept=True,
        column="string",
        title="front, middle, back, all or a position from 0 on, or a list of them",
    )
    dimensions: float | None = option(
        "Only the vector's first entries, as a share of d_model.",
        None,
        swept=True,
        column="float64",
        title=SHARES,
        minimum=0,
        maximum=1,
    )
    phase: Phase = option(
        "prefill changes the prompt alone, decode each drawn token alone (by the vector's last "
        "row), every_step to both.",
        "prefill",
        column="string",
    )
    match_norm: bool = option(
        "Scale the vector to the norm that it has at the injection layer.", False
    )
    gate: Gate | None = option(
        "It acts on prompts alone whose stream, projected on a vector, is above a threshold.", None
    )
    dosed: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strength(self) -> str:
        """What the config calls the strength."""
        return DOSE if self.dosed else OPERATIONS[self.operation].strength

    @property
    def sources(self) -> dict[int, int]:
        """Layer at which it acts -> layer that the vector is taken from."""
        at: Any = [self.layer] if self.layers is None else self.layers
        return {layer: layer if self.source_layer is None else self.source_layer for layer in at}

    @property
    def layers_read(self) -> set[int]:
        """The layers whose vectors are read; match_norm compares with the injection layer's."""
        return {*self.sources.values(), *(self.sources if self.match_norm else ())}

    @property
    def text(self) -> str:
        """The addition in a few words."""
        at = layers_text(list(self.sources))
        if self.operation == DEFAULT_OPERATION and not self.dosed:
            return f"{self.vector} at {at} times {self.coefficient:g}"
        name = "" if self.operation == DEFAULT_OPERATION else f"{self.operation} "
        return f"{name}{self.vector} at {at}, {self.strength} {self.coefficient:g}"

    def record(self) -> dict[str, Any]:
        """The whole addition as canonical JSON data; what is usual goes without saying."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        del values["dosed"]
        values[self.strength] = values.pop("coefficient")
        values |= values.pop("options")
        if self.operation == DEFAULT_OPERATION:
            del values["operation"]
        values["gate"] = self.gate and asdict(self.gate)
        if self.gate is None:
            del values["gate"]
        if self.layers is None:
            del values["layers"]
            [values["source_layer"]] = self.sources.values()
        return canonical(values)


@dataclass(frozen=True, kw_only=True)
class Shorthands:
    """Keys that an addition of a config may have in place of others."""

    depth: float | None = option(
        "In place of layer, a share of the model's blocks.",
        None,
        swept=True,
        replaces=("layer",),
        title=SHARES,
        minimum=0,
        maximum=1,
    )
    source_depth: float | None = option(
        "In place of source_layer, a share of the model's blocks.",
        None,
        swept=True,
        replaces=("source_layer",),
        title=SHARES,
        minimum=0,
        maximum=1,
    )
    choice: str | None = option(
        "Take the layer and a swept position from this choice; the strength too, if none is here.",
        None,
        replaces=("layer", "coefficient"),
    )
    factor: float | None = option(
        "Multiplies a chosen coefficient; -1 turns the direction round.", None
    )


@dataclass(frozen=True, kw_only=True)
class Dosed:
    """Keys of an addition whose operation's strength may be a dose."""

    dose: float | None = option(
        "In place of coefficient, a share of the residual stream's median norm at the layer.",
        None,
        swept=True,
        replaces=("coefficient",),
    )


[DOSE] = [each.name for each in fields(Dosed)]
# Key of a share of the blocks -> key of the layer that it means.
DEPTHS = {
    each.name: each.metadata["replaces"][0] for each in fields(Shorthands) if each.metadata["swept"]
}
COLUMNS = {
    each.name: each.metadata["column"] for each in fields(Addition) if each.metadata.get("column")
}
# Keys of an addition whose lists are swept; layer is the outermost loop. The operation's strength
# stands for coefficient.
SWEPT = sorted(
    [each.name for each in fields(Addition) if each.metadata.get("swept")] + ["coefficient"],
    key=lambda name: (name != "layer", list(COLUMNS).index(name)),
)


def operation_of(addition: Mapping[str, Any]) -> Operation:
    """The operation of a config's addition."""
    return OPERATIONS[addition.get("operation", DEFAULT_OPERATION)]


def strength_of(addition: Mapping[str, Any]) -> str:
    """What a config's addition calls the strength of its operation."""
    return DOSE if DOSE in addition else operation_of(addition).strength


def swept_keys(addition: Mapping[str, Any]) -> list[str]:
    """Keys of a config's addition whose lists are swept, the outermost loop first."""
    kind = operation_of(addition)
    names = [strength_of(addition) if name == "coefficient" else name for name in SWEPT]
    options = [each.name for each in fields(kind.options) if each.metadata["swept"]]
    return [*names, *(name for name in options if name not in (*names, kind.strength))]
