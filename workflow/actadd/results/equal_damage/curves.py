"""Curves over settings, their resampled means, and what is read off them.

Every damage is measured from unsteered, where it is 0, in a unit in which means make sense: a ratio
as its logarithm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from actadd.base.files import digest
from actadd.base.intervals import LEVEL, RESAMPLES

# Of the resamples, those that have to reach a damage for the effect there to have an interval: what
# the others would have had, nobody knows.
LEAST_REACHED = 0.9


class Resampling:
    """How much each prompt, text and draw counts in each resample; the same in every run.

    Prompts are resampled whole and for all settings together, so differences of methods are paired.
    The draws of a control are a second, crossed random effect.
    """

    def __init__(self, resamples: int = RESAMPLES) -> None:
        self.resamples = resamples
        self._weights: dict[str, np.ndarray] = {}

    def weights(self, name: str, count: int) -> np.ndarray:
        """[resamples, count]: of the units of a name, always the same ones.

        Each name has a seed of its own, so that another method changes no interval of the others.
        """
        if name not in self._weights:
            shares = np.full(count, 1 / count)
            self._weights[name] = _generator(name).multinomial(count, shares, self.resamples)
        return self._weights[name]

    def draw_weights(self, name: str, count: int) -> np.ndarray:
        """[resamples, count], each row with the mean 1.

        A bootstrap of five draws would be much too narrow. Their mean is drawn from Student's t
        instead: deviations of the draws in normal proportions, over a variance that is itself
        uncertain.
        """
        if count == 1:
            return np.ones((self.resamples, 1))
        generator, freedom = _generator(f"draws of {name}"), count - 1
        normal = generator.standard_normal((self.resamples, count))
        normal -= normal.mean(axis=1, keepdims=True)
        squares = generator.chisquare(freedom, (self.resamples, 1))
        return np.asarray(1 + normal * np.sqrt(count / squares))


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=int(digest(name, 16), 16)))


@dataclass(frozen=True, eq=False)
class Values:
    """A quantity under each setting of a curve, [draws, settings, units]; NaN where it is missing.

    units: the name of what is resampled, prompts or texts.
    """

    values: np.ndarray
    units: str

    @cached_property
    def means(self) -> np.ndarray:
        """[settings]: over units and draws."""
        present = ~np.isnan(self.values)
        with np.errstate(invalid="ignore"):
            of_draws = np.where(present, self.values, 0).sum(axis=2) / present.sum(axis=2)
        means: np.ndarray = of_draws.mean(axis=0)
        return means

    def known(self, settings: int) -> np.ndarray:
        """[units]: which have a value in all draws under the first settings."""
        known: np.ndarray = ~np.isnan(self.values[:, :settings]).any(axis=(0, 1))
        return known

    def among(self, known: Mapping[str, np.ndarray]) -> "Values":
        """The same without the units that are not known, by the name of the units."""
        return Values(np.where(known[self.units], self.values, np.nan), self.units)

    def resampled(self, resampling: Resampling, draws: np.ndarray) -> np.ndarray:
        """[resamples, settings]. draws: weights of the draws, [resamples, draws]."""
        weights = resampling.weights(self.units, self.values.shape[2])
        present = ~np.isnan(self.values)
        sums = np.where(present, self.values, 0) @ weights.T
        counts = present.astype(np.float64) @ weights.T
        with np.errstate(invalid="ignore"):
            of_draws = sums / counts
        means: np.ndarray = np.einsum("dsb,bd->bs", of_draws, draws) / len(self.values)
        return means


class Curve:
    """What a method does under its settings, from the weakest to the strongest.

    name: for its draws, which are resampled together. effect: differences from unsteered. damages:
    by name, of as many settings or fewer. strengths: [settings]. from_unsteered: whether strength 0
    is the unsteered model, which is then the first point of the curve.
    """

    def __init__(
        self,
        name: str,
        effect: Values,
        damages: Mapping[str, Values],
        strengths: np.ndarray,
        resampling: Resampling,
        *,
        from_unsteered: bool = True,
    ) -> None:
        self.name, self.effect, self.damages, self.resampling = name, effect, damages, resampling
        self.from_unsteered = from_unsteered
        self._settings = strengths
        self._weights = resampling.draw_weights(name, len(effect.values))
        self.strengths = np.concatenate([[0.0], strengths]) if from_unsteered else strengths

    def _points(self, means: np.ndarray) -> np.ndarray:
        """Means of settings, [..., settings], with the unsteered point in front."""
        zero = np.zeros((*means.shape[:-1], 1))
        return np.concatenate([zero, means], axis=-1) if self.from_unsteered else means

    @cached_property
    def effects(self) -> np.ndarray:
        """[1 + resamples, points]: as measured, then in each resample."""
        return self._both(self.effect)

    def costs(self, damage: str) -> np.ndarray:
        """[1 + resamples, points] of a damage."""
        if damage not in self._costs:
            self._costs[damage] = self._both(self.damages[damage])
        return self._costs[damage]

    @cached_property
    def _costs(self) -> dict[str, np.ndarray]:
        return {}

    def _both(self, values: Values) -> np.ndarray:
        resampled = values.resampled(self.resampling, self._weights)
        return self._points(np.concatenate([values.means[None], resampled]))

    def at(self, name: str, setting: int) -> tuple[float, float, float]:
        """(mean, low, high) of the effect, or of a damage, under a setting."""
        values = self.effects if name == "effect" else self.costs(name)
        return interval_of(values[:, setting + self.from_unsteered])

    def read(self, damage: str, targets: np.ndarray) -> "Reading":
        """The effect where a damage reaches a target. targets: [1 + resamples]."""
        positions = crossing(self.costs(damage), targets)
        return Reading(interpolated(self.effects, positions), self._strength(positions[0]))

    def known(self, damage: str, targets: np.ndarray) -> dict[str, np.ndarray]:
        """Units -> which have values up to the setting that a reading at a damage needs."""
        [position] = crossing(self.costs(damage)[:1], targets[:1])
        last = self.costs(damage).shape[1] - 1 if np.isnan(position) else int(np.ceil(position))
        settings, result = last + 1 - self.from_unsteered, dict[str, np.ndarray]()
        for values in (self.effect, self.damages[damage]):
            known = values.known(settings)
            result[values.units] = known & result.get(values.units, known)
        return result

    def among(self, damage: str, known: Mapping[str, np.ndarray]) -> "Curve":
        """The curve of one damage over some prompts and texts alone."""
        return Curve(
            self.name,
            self.effect.among(known),
            {damage: self.damages[damage].among(known)},
            self._settings,
            self.resampling,
            from_unsteered=self.from_unsteered,
        )

    def _strength(self, position: float) -> float:
        return float(interpolated(self.strengths[None], np.array([position]))[0])

    def why_not(self, damage: str, target: float) -> str:
        """Why nothing can be read at a target that the curve does not reach."""
        costs = self.costs(damage)[0]
        if target > costs.max():
            return "never reached"
        return "less than any setting's"


@dataclass(frozen=True, eq=False)
class Reading:
    """An effect at one damage: as measured, then in each resample; NaN where it is not reached."""

    effects: np.ndarray
    strength: float = float("nan")

    @property
    def reached(self) -> float:
        """The share of resamples that reach the damage."""
        return float((~np.isnan(self.effects[1:])).mean())

    def __sub__(self, other: "Reading") -> "Reading":
        return Reading(self.effects - other.effects)

    @property
    def interval(self) -> tuple[float, float, float]:
        """(effect, low, high): 95 % percentile bootstrap, see `interval_of`."""
        return interval_of(self.effects)


def difference(
    curve: Curve, other: Curve, damage: str, targets: np.ndarray | None = None
) -> Reading:
    """A curve's effect at a damage minus another's, over the prompts and texts that both have.

    A prompt or text counts if it has a value in both curves, in all draws, under every setting up
    to the one that the reading needs; without it, a mean over other prompts would be subtracted.
    targets: as for `Curve.read`; the damage of the other's first setting, if not given.
    """
    at = other.costs(damage)[:, 0] if targets is None else targets
    known = curve.known(damage, at)
    for units, each in other.known(damage, at).items():
        known[units] = known[units] & each
    if not all(each.all() for each in known.values()):
        curve, other = curve.among(damage, known), other.among(damage, known)
        at = other.costs(damage)[:, 0] if targets is None else targets
    return curve.read(damage, at) - other.read(damage, at)


def interval_of(values: np.ndarray) -> tuple[float, float, float]:
    """(value, low, high) of a value and its resamples, [1 + resamples].

    Without bounds if fewer than `LEAST_REACHED` of the resamples have a value, or if all agree.
    """
    estimate, resamples = float(values[0]), values[1:]
    present = resamples[~np.isnan(resamples)]
    if np.isnan(estimate):
        return (float("nan"),) * 3
    if len(present) < LEAST_REACHED * len(resamples) or np.ptp(present) == 0:
        return estimate, float("nan"), float("nan")
    low, high = np.quantile(present, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return estimate, float(low), float(high)


def crossing(costs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Where each curve first has its target, walking from its first point; NaN where it never has.

    costs: [curves, points]; targets: [curves]. The result counts points, 1.5 being half way from
    the second to the third. Between two points the cost is taken to be linear, beyond the last one
    nothing is. A curve that turns back may have the target several times: the first counts, as a
    user who raises the strength meets that one first.
    """
    if costs.shape[1] == 1:
        costs = np.repeat(costs, 2, axis=1)
    before, after, target = costs[:, :-1], costs[:, 1:], targets[:, None]
    held = (np.minimum(before, after) <= target) & (target <= np.maximum(before, after))
    first = held.argmax(axis=1)
    rows = np.arange(len(costs))
    start, end = before[rows, first], after[rows, first]
    level = start == end
    share = np.where(level, 0, (targets - start) / np.where(level, 1, end - start))
    return np.where(held.any(axis=1), first + share, np.nan)


def interpolated(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Values, [curves, points], at positions of `crossing`, [curves]; NaN at NaN."""
    known = ~np.isnan(positions)
    positions = np.where(known, positions, 0)
    last = values.shape[1] - 1
    below = np.clip(np.floor(positions).astype(int), 0, max(last - 1, 0))
    share = positions - below
    rows = np.arange(len(values))
    low, high = values[rows, below], values[rows, np.minimum(below + 1, last)]
    return np.where(known, low + share * (high - low), np.nan)
