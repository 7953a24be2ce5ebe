"""What a reliability card holds; each field is a number with its interval, or why there is none."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd


class Estimate(NamedTuple):
    """A value with its 95 % interval; NaN bounds where there is none."""

    value: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        return not np.isnan(self.low)

    def side(self) -> int:
        """1 or -1 if the interval is above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True, kw_only=True)
class Unmeasured:
    """Why a field has no number. remedy: lines of a config on top that would measure it."""

    why: str
    remedy: str = ""


class Prompt(NamedTuple):
    """A prompt that moved the wrong way, and how far."""

    text: str
    change: float


@dataclass(frozen=True, kw_only=True)
class WrongWay:
    """Prompts that moved against the aim. worst: furthest first."""

    share: Estimate
    count: int
    unmoved: int
    worst: tuple[Prompt, ...]


@dataclass(frozen=True, kw_only=True)
class Slope:
    """The metric's slope over strengths: its mean over prompts and how these differ.

    spread: standard deviation over prompts. against: share of prompts whose slope has the wrong
    sign.
    """

    mean: Estimate
    spread: float
    against: Estimate
    strengths: tuple[float, ...]
    prompts: int


@dataclass(frozen=True, kw_only=True)
class Versus:
    """The effect beside that of another condition. changes: the other's, by prompt, aimed or not.

    difference: the vector's effect minus the other's, in the direction of the aim. at: what both
    are compared at.
    """

    name: str
    other: Estimate
    difference: Estimate
    wrong_way: float = float("nan")
    changes: "pd.Series[float] | None" = None
    at: str = ""


class Position(NamedTuple):
    """A row of a vector: its norm, that over the residual stream's, and what is added over it."""

    vector: str
    position: int
    token: str
    norm: float
    ratio: float
    dose: float


class Separation(NamedTuple):
    """How well a direction tells held-out pairs apart, at its best position."""

    auc: float
    d_prime: float
    layer: int
    position: int


class Agreement(NamedTuple):
    """Another scorer's effect, and the rank correlation of both over prompts."""

    metric: str
    effect: Estimate
    correlation: Estimate

    def same_sign(self, effect: Estimate) -> bool:
        return bool(np.sign(self.effect.value) == np.sign(effect.value))


@dataclass(frozen=True, kw_only=True)
class Card:
    """One vector at one setting of one experiment on one model.

    setting: in words. label: what the metric is called. aim: 1 if the metric should rise, -1 if it
    should fall. changes: steered minus unsteered, float64 by prompt_id. detectable: see
    `base.intervals.detectable`. decodable_not_steerable: None where one of the two is unknown.
    """

    model: str
    experiment: str
    condition: str
    vector: str
    setting: str
    metric: str
    label: str
    aim: int
    settings_tried: int
    chosen: str
    changes: "pd.Series[float]"
    effect: Estimate | Unmeasured
    detectable: float | Unmeasured
    wrong_way: WrongWay | Unmeasured
    slope: Slope | Unmeasured
    control: Versus | Unmeasured
    prompting: Versus | Unmeasured
    disfluency: Estimate | Unmeasured
    kl: Estimate | Unmeasured
    knowledge: Estimate | Unmeasured
    positions: tuple[Position, ...] | Unmeasured
    warnings: tuple[str, ...]
    separation: Separation | Unmeasured
    decodable_not_steerable: bool | None
    agreement: tuple[Agreement, ...] | Unmeasured
    provenance: dict[str, str]

    @property
    def prompts(self) -> int:
        return len(self.changes)

    @property
    def unmeasured(self) -> dict[str, Unmeasured]:
        """Field -> why it has no number."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Unmeasured)}
