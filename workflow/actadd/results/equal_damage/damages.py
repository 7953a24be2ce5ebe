"""What damage is, and in which unit its means are taken."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A kind of damage.

    text: what it is, for axes and captions. measured(steered, unsteered): of a prompt or a text, in
    a unit in which means make sense, 0 for unsteered. inside, outside: from the unit in which
    damages are stated to that one, and back; both increase.
    """

    text: str
    measured: Callable[[np.ndarray, np.ndarray], np.ndarray]
    inside: Callable[[np.ndarray], np.ndarray] = np.asarray
    outside: Callable[[np.ndarray], np.ndarray] = np.asarray


def _log_ratio(steered: np.ndarray, unsteered: np.ndarray) -> np.ndarray:
    """Natural logarithm of steered over unsteered; NaN where one of them is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(steered) - np.log(unsteered)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def steered_alone(steered: np.ndarray, unsteered: np.ndarray) -> np.ndarray:
    return steered


def lost(steered: np.ndarray, unsteered: np.ndarray) -> np.ndarray:
    result: np.ndarray = unsteered - steered
    return result


# By the names that they have in a config.
DAMAGES = {
    "disfluency": Damage(
        text="disfluency over unsteered",
        measured=_log_ratio,
        inside=np.log,
        outside=np.exp,
    ),
    "divergence": Damage(text="KL divergence from unsteered (nats)", measured=steered_alone),
    "knowledge": Damage(text="knowledge lost", measured=lost),
}
