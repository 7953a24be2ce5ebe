"""Numbers of a card that come from the vector alone: norms, doses and how well it separates."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from actadd.measure.additions import DOSE, operation_of, strength_of
from actadd.results.reliability.card import Estimate, Position, Separation, Unmeasured, Versus
from actadd.vectors.derivation import DWARFS

# A direction that separates held-out pairs at least so well counts as decodable.
DECODABLE = 0.8
# Above this dose the addition is larger than the stream that it is added to.
LARGE = 1.0


def positions(
    additions: Sequence[Mapping[str, Any]], norms: pd.DataFrame
) -> tuple[Position, ...] | Unmeasured:
    """Each row's norm, and what is added at it as a share of the stream's norm.

    norms: of the vectors on one model, as `read_norms` reads them.
    """
    rows: list[Position] = []
    for addition in additions:
        if reason := _no_dose(addition):
            return Unmeasured(why=reason)
        of_vector = norms[norms["vector"] == addition["vector"]]
        at_source = of_vector[of_vector["layer"] == addition["source_layer"]]
        at_layer = of_vector[of_vector["layer"] == addition["layer"]]
        if at_source.empty or at_layer.empty:
            return Unmeasured(why=f"{addition['vector']} has no norm at that layer")
        stream = float(at_layer["residual_norm"].iloc[0])
        factor = _factor(addition, at_source["vector_norm"].to_numpy(float), stream)
        rows += [
            Position(
                vector=addition["vector"],
                position=int(row["position"]),
                token=str(row["token"]),
                norm=float(row["vector_norm"]),
                ratio=float(row["vector_norm"]) / stream,
                dose=float(row["vector_norm"]) / stream * factor,
            )
            for row in at_source.to_dict("records")
        ]
    return tuple(rows)


def _no_dose(addition: Mapping[str, Any]) -> str:
    """Why an addition has no dose at each position; "" if it has one."""
    operation = operation_of(addition)
    if operation.dose != "vector":
        return f"{operation.name} adds no multiple of the vector; its {operation.strength} says all"
    if "layers" in addition:
        return "it acts at several layers at once, each with norms of its own"
    if addition.get("dimensions") is not None:
        return "only a share of the vector's entries is added, whose norm is not in norms.csv"
    if addition.get("match_norm"):
        return "match_norm scales the vector; write coefficient in its place"
    return ""


def _factor(addition: Mapping[str, Any], norms: np.ndarray, stream: float) -> float:
    """What the vector is multiplied by, without its sign."""
    strength = abs(float(addition[strength_of(addition)]))
    if DOSE not in addition:
        return strength
    # A dose sets the geometric mean of the norms of all rows but BOS and zeros.
    rest = norms[1:] if len(norms) > 1 else norms
    rest = rest[rest > 0]
    return strength * stream / float(np.exp(np.log(rest).mean())) if len(rest) else 0.0


def warnings(rows: "tuple[Position, ...] | Unmeasured") -> tuple[str, ...]:
    """What norms and doses warn of."""
    if isinstance(rows, Unmeasured):
        return ()
    sentences = []
    if all(row.norm == 0 for row in rows):
        sentences.append("the vector is zero at every position: nothing is added")
    for row in rows:
        if row.ratio > DWARFS:
            sentences.append(
                f"at position {row.position} the vector is {row.ratio:.1f} times the stream's "
                "norm: a token there may be an attention sink"
            )
        elif row.dose > LARGE:
            sentences.append(
                f"at position {row.position} the addition is {row.dose:.1f} times the stream's norm"
            )
    return tuple(sentences)


def separation(
    additions: Sequence[Mapping[str, Any]], norms: pd.DataFrame
) -> Separation | Unmeasured:
    """Held-out AUC and d' of the direction, at the position where it separates best."""
    if len(additions) != 1 or "layers" in additions[0]:
        return Unmeasured(why="it is several vectors, or one at several layers")
    [addition] = additions
    rows = norms[
        (norms["vector"] == addition["vector"]) & (norms["layer"] == addition["source_layer"])
    ]
    if "auc" not in rows or rows["auc"].isna().all():
        return Unmeasured(why="a vector of one pair, or of too few, has no pairs to hold out")
    # Where all pairs have the same words, they differ without any spread, and nothing is to learn.
    spread = rows[rows["d_prime"].notna()]
    rows = spread if len(spread) else rows
    best = rows.loc[(rows["auc"] - 0.5).abs().idxmax()]
    return Separation(
        auc=float(best["auc"]),
        d_prime=float(best["d_prime"]),
        layer=int(best["layer"]),
        position=int(best["position"]),
    )


def decodable_not_steerable(
    separated: Separation | Unmeasured,
    effect: Estimate | Unmeasured,
    control: Versus | Unmeasured,
    aim: int,
) -> bool | None:
    """Whether the direction tells pairs apart and yet does not steer; None if either is unknown.

    It steers if the effect's interval lies on the side of the aim, and, where a control is
    measured, so does that of the effect minus the control's.
    """
    if isinstance(separated, Unmeasured) or isinstance(effect, Unmeasured) or not effect.bounded:
        return None
    steers = effect.side() == aim
    if isinstance(control, Versus):
        steers = steers and control.difference.side() > 0
    return separated.auc >= DECODABLE and not steers


def additions_of(coordinates: "pd.Series[Any]") -> list[dict[str, Any]]:
    """The additions of a setting, as they are recorded."""
    parts: list[dict[str, Any]] = json.loads(coordinates["additions"])
    return parts
