"""What an experiment's conditions do to the residual stream: vectors and strengths, in numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.engine.operations import OPERATIONS
from actadd.engine.placement import layers_text
from actadd.measure.additions import Addition, Gate
from actadd.measure.conditions import Condition
from actadd.vectors.vector_files import read_vector, tensor_digest

if TYPE_CHECKING:
    from actadd.engine import additions

# What does not enter a cell's key under its own name, with what stands for it there.
UNKEYED_ADDITION = {
    "vector",  # its numbers
    "source_layer",  # the vector's numbers at that layer
    "match_norm",  # the vector's numbers, scaled
    "dose",  # the strength that it comes to
}


def row_norms(rows: np.ndarray) -> np.ndarray:
    """The norm of each row but that of BOS, float64; a vector of one row has none of BOS."""
    first = 1 if len(rows) > 1 else 0
    norms: np.ndarray = np.linalg.norm(rows[first:].astype(np.float64), axis=1)
    return norms


def usual_norm(rows: np.ndarray) -> float:
    """The geometric mean of the norms of a vector's rows but BOS and zeros; 0 if all are zero."""
    norms = row_norms(rows)
    return float(np.exp(np.mean(np.log(norms[norms > 0])))) if norms.any() else 0.0


def norm_factor(target: np.ndarray, source: np.ndarray) -> np.float32 | None:
    """The factor that scales `source` to the norm of `target`; None where one of them is zero.

    target, source: the same vector at two layers, [positions, d_model]. The factor is the geometric
    mean, over positions but BOS, of the norms' ratios, as in the paper's transplant of embeddings.
    """
    norms = [row_norms(rows) for rows in (target, source)]
    # Rows that are zero, where both prompts have the same token, have no ratio.
    nonzero = (norms[0] > 0) & (norms[1] > 0)
    if not nonzero.any():
        return None
    return np.float32(np.exp(np.mean(np.log(norms[0][nonzero] / norms[1][nonzero]))))


class Steering:
    """The vectors of an experiment's conditions, and how strongly they act.

    key: of the experiment, for messages. d_model: of the model. norms: the residual
    stream's median norm at each layer, if there are doses, see `vectors.stream_norms`.
    """

    def __init__(
        self,
        key: str,
        conditions: Sequence[Condition],
        d_model: int,
        vector_files: Mapping[str, Path],
        norms: Path | None,
    ) -> None:
        self.key, self.d_model = key, d_model
        # Vector -> the layers of it that some condition reads.
        read: dict[str, set[int]] = {}
        for condition in conditions:
            for addition in condition.additions:
                read.setdefault(addition.vector, set()).update(addition.layers_read)
                if addition.gate:
                    read.setdefault(addition.gate.vector, set()).add(addition.gate.layer)
        self.vectors: dict[str, dict[int, np.ndarray]] = {
            vector: read_vector(path, read[vector])
            for vector, path in vector_files.items()
            if vector in read
        }
        self.norms: dict[int, float] = {}
        if norms is not None:
            self.norms = dict(enumerate(pd.read_csv(norms)["residual_norm"]))

    def check(self, condition: Condition) -> None:
        """Raises UserError if an operation of a condition has no direction anywhere.

        What adds may add nothing, as a control does; of any other nobody means that.
        """
        for addition in condition.additions:
            vectors = self.vectors_at(addition, condition.draw).values()
            end = self.dimensions(addition.dimensions)
            kind = OPERATIONS[addition.operation]
            if kind.reads_stream and not any(vector[:, :end].any() for vector in vectors):
                raise UserError(
                    f"{self.key}.conditions.{condition.name}: operation: {kind.name} needs a "
                    f"direction, and vectors.{addition.vector} is zero at every position, taken "
                    f"from {layers_text(sorted(set(addition.sources.values())))}; take another "
                    "layer or vector"
                )

    def vectors_at(self, addition: Addition, draw: int | None = None) -> dict[int, np.ndarray]:
        """Layer at which it acts -> an addition's vector, scaled to the norm there if it says so.

        draw: which one of a random vector with several draws.
        """
        return {
            layer: self._scaled(addition, layer, source, draw)
            for layer, source in addition.sources.items()
        }

    def _scaled(self, addition: Addition, layer: int, source: int, draw: int | None) -> np.ndarray:
        vector = self._at(addition.vector, source, draw)
        if not addition.match_norm:
            return vector
        factor = norm_factor(self._at(addition.vector, layer, draw), vector)
        if factor is None:
            raise UserError(
                f"{self.key}: match_norm: vectors.{addition.vector} is zero at layer "
                f"{layer} or {source}, so there is no norm to scale "
                "to; take other layers, or remove match_norm"
            )
        return vector * factor

    def rows(self, addition: Addition) -> int:
        """Rows of an addition's vector: of every layer and draw as many."""
        return int(next(iter(self.vectors[addition.vector].values())).shape[-2])

    def _at(self, name: str, layer: int, draw: int | None) -> np.ndarray:
        """A vector of a layer.

        Raises UserError if it is of a file that lacks that layer: nothing would be added.
        """
        vector = self.vectors[name].get(layer)
        if vector is None:
            raise UserError(
                f"{self.key}: vectors.{name}.file does not hold layer "
                f"{layer}, which is needed; take a layer that it holds"
            )
        return vector if vector.ndim == 2 else vector[draw or 0]

    def strengths(self, addition: Addition, draw: int | None = None) -> dict[int, float]:
        """Layer at which it acts -> the operation's strength there, a dose multiplied out."""
        if not addition.dosed:
            return dict.fromkeys(addition.sources, addition.coefficient)
        vectors = self.vectors_at(addition, draw)
        return {layer: self._dose(addition, layer, vector) for layer, vector in vectors.items()}

    def _dose(self, addition: Addition, layer: int, vector: np.ndarray) -> float:
        size = 1.0
        if OPERATIONS[addition.operation].dose == "vector":
            size = usual_norm(vector[:, : self.dimensions(addition.dimensions)])
        if size == 0 and addition.layers:
            # At the other layers there is something to add.
            return 0.0
        if size == 0:
            raise UserError(
                f"{self.key}: dose: vectors.{addition.vector} is zero at layer "
                f"{addition.sources[layer]}, so that no multiple of it has a norm; take another "
                "layer, or write coefficient"
            )
        return addition.coefficient * self.norms[layer] / size

    def gate_vector(self, gate: Gate) -> np.ndarray:
        """The vector of a gate, float32 [d_model]. Raises UserError if it has no direction."""
        row: np.ndarray = self._at(gate.vector, gate.layer, None)[-1]
        if not row.any():
            raise UserError(
                f"{self.key}: gate: the last row of vectors.{gate.vector} is zero at layer "
                f"{gate.layer}, so that nothing is projected on it; take another layer or vector"
            )
        return row

    def records(self, condition: Condition) -> list[dict[str, Any]]:
        """A condition's additions as a cell's key has them."""
        records = []
        for addition in condition.additions:
            record = addition.record()
            numbers: dict[str, list[Any]] = {
                "vector": [*map(tensor_digest, self.vectors_at(addition, condition.draw).values())]
            }
            if addition.gate:
                gate = self.gate_vector(addition.gate)
                record["gate"] = {**record["gate"], "vector": tensor_digest(gate)}
            if addition.dosed:
                strength = OPERATIONS[addition.operation].strength
                numbers[strength] = [*self.strengths(addition, condition.draw).values()]
            for name in UNKEYED_ADDITION & record.keys():
                del record[name]
            one = addition.layers is None
            records.append({**record, **{k: v[0] if one else v for k, v in numbers.items()}})
        return records

    def additions(self, condition: Condition) -> "list[additions.Addition]":
        """The condition as the engine's additions."""
        import torch

        from actadd.engine import additions

        result = []
        # Equal gates are one, so that what stands behind them is summed as without a gate.
        gates = {
            gate: additions.Gate(
                torch.from_numpy(self.gate_vector(gate)),
                gate.layer,
                float(cast(float, gate.threshold)),
            )
            for gate in dict.fromkeys(addition.gate for addition in condition.additions)
            if gate
        }
        for addition in condition.additions:
            strengths = self.strengths(addition, condition.draw)
            result += [
                additions.Addition(
                    torch.from_numpy(vector),
                    layer,
                    # A large whole number is an int here, which no tensor takes as a factor.
                    float(strengths[layer]),
                    addition.position,
                    self.dimensions(addition.dimensions),
                    addition.phase,
                    addition.operation,
                    addition.options,
                    gates[addition.gate] if addition.gate else None,
                )
                for layer, vector in self.vectors_at(addition, condition.draw).items()
            ]
        return result

    def dimensions(self, share: float | None) -> int | None:
        return None if share is None else round(share * self.d_model)
