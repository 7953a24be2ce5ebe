"""One prompt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actadd.base.kinds import option
from actadd.vectors.kinds import Prompts, vector_kind
from actadd.vectors.prompts import Reader, SolePrompt

if TYPE_CHECKING:
    import numpy as np

    from actadd.vectors.kinds import Streams


@dataclass(frozen=True, kw_only=True)
class Options:
    prompt: SolePrompt = option("Prompt whose residual stream is the vector.")


def prompts(options: Options, reader: Reader) -> Prompts:
    """The one prompt."""
    return {"0.positive": reader.ids(options.prompt)}


@vector_kind(Options, prompts=prompts)
def single(streams: "Streams", options: Options) -> "np.ndarray":
    """The prompt's own residual stream."""
    return streams["0.positive"]
