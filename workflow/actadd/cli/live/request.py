"""What the page asks for."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from actadd.base.errors import UserError
from actadd.cli.trial_model import Settings
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.placement import Alignment

# What one machine draws side by side, and while somebody waits.
MOST_SAMPLES, MOST_TOKENS = 16, 2000
Number = Annotated[float, Field(allow_inf_nan=False)]


class Asked(BaseModel):
    """A prompt, a vector and how it is added; vector: a name of the config, "" for the pair."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Annotated[str, Field(max_length=100_000)]
    vector: str = ""
    positive: Annotated[str, Field(max_length=2000)] = ""
    negative: Annotated[str, Field(max_length=2000)] = ""
    layer: Annotated[int, Field(ge=0)]
    strength: Number
    dosed: bool = False
    position: Alignment = "front"
    control: bool = False
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 1
    tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] = 40
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    temperature: Annotated[Number, Field(ge=0)] = 1.0
    top_p: Annotated[Number, Field(ge=0, le=1)] = 0.3
    frequency_penalty: Number = 1.0

    @property
    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.frequency_penalty)

    @property
    def settings(self) -> Settings:
        return Settings(
            layer=self.layer,
            strength=self.strength,
            dosed=self.dosed,
            position=self.position,
            control=self.control,
            samples=self.samples,
            tokens=self.tokens,
            seed=self.seed,
            sampling=self.sampling,
        )

    @property
    def pair(self) -> dict[str, Any]:
        """The config entry of the contrast pair that was typed."""
        return {"kind": "pair", "positive": self.positive, "negative": self.negative}


def asked(text: bytes) -> Asked:
    """A request of the page. Raises UserError, which names the field, if it is not one."""
    try:
        request = Asked.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "request"
        raise UserError(f"{field}: {first['msg']}; write another value") from error
    if not request.prompt.strip():
        raise UserError("prompt: it is blank; write the text that is to be continued")
    if "\0" in request.prompt:
        raise UserError("prompt: it holds a NUL character; leave it out")
    return request
