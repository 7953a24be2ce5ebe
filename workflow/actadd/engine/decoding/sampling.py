"""Settings of the sampler, and noise that is the same for every condition. Needs no torch."""

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from actadd.base.kinds import option

if TYPE_CHECKING:
    import numpy as np

# In place of a token: after a row's end, and from where its logits are no longer numbers.
FINISHED, BROKEN = -1, -2


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn (paper, section 4 and the authors' `sample_logits`).

    temperature: 0 takes the likeliest token and ignores the other two.
    top_p: a token is dropped if the mass of the likelier ones already exceeds this.
    frequency_penalty: subtracted once for each time the token stands in the text so far, prompt
        and BOS included.
    """

    temperature: float = option(
        "Logits are divided by it; 0 takes the likeliest token, whatever the other two say.",
        1.0,
        minimum=0,
        column="float64",
    )
    top_p: float = option(
        "A token is left out if likelier ones hold more than this share of probability.",
        0.3,
        minimum=0,
        maximum=1,
        column="float64",
    )
    frequency_penalty: float = option(
        "Subtracted from a token's logit for each time that it stands in the text so far.",
        1.0,
        column="float64",
    )


SAMPLING = tuple(field.name for field in fields(Sampling))


def draws(seed: int | None, prompt: str, sample: int, steps: int) -> "np.ndarray":
    """Uniform numbers in [0, 1), float64 [steps], that depend on (seed, prompt, sample) alone.

    So a prompt's i-th sample meets the same noise under every condition, which makes comparisons
    paired, and its text does not depend on what else is in the batch.
    """
    import numpy as np

    key = hashlib.sha256(f"{seed}\x1f{sample}\x1f{prompt}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    return generator.random(steps)
