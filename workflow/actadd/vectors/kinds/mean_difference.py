"""The mean difference of many pairs of prompts."""

from collections.abc import Iterator
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
    positive: list[SolePrompt] = option("Prompts to steer towards.", min_length=1, max_length=150)
    negative: list[SolePrompt] = option(
        "Prompts that are subtracted, as many.", min_length=1, max_length=150
    )

    def problems(self, key: str) -> Iterator[tuple[str, str]]:
        """(key, sentence) of what is wrong with the options together."""
        if len(self.positive) != len(self.negative):
            yield (
                key,
                f"{len(self.positive)} positive and {len(self.negative)} negative prompts; "
                "write as many of one as of the other",
            )


def prompts(options: Options, reader: Reader) -> Prompts:
    """All prompts, as n.positive and n.negative, without padding: only last tokens are compared."""
    return {
        f"{index}.{side}": reader.ids(entry)
        for index, pair in enumerate(zip(options.positive, options.negative, strict=True))
        for side, entry in zip(("positive", "negative"), pair, strict=True)
    }


@vector_kind(Options, prompts=prompts, row="last tokens")
def mean_difference(streams: "Streams", options: Options) -> "np.ndarray":
    """The mean over pairs of the difference at the last token, one row."""
    import numpy as np

    count = sum(name.endswith(".positive") for name in streams)
    rows = [streams[f"{i}.positive"][-1] - streams[f"{i}.negative"][-1] for i in range(count)]
    mean: np.ndarray = np.asarray(np.mean(rows, axis=0, dtype=np.float32))
    return mean[None]
