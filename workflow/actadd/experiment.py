"""What completions and log-probabilities share: an experiment's conditions, ready to be run."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from actadd.alignment import aligned
from actadd.codedigest import code_digest
from actadd.conditions import Condition, expand
from actadd.errors import UserError
from actadd.files import read_json
from actadd.tokens import Tokens
from actadd.vectors import read_vector, tensor_digest


class Experiment:
    """The conditions of one experiment on one model, their vectors, and what determines a cell.

    spec: name, conditions, dtype, compute. Reads tokenizer and vectors, not the weights, so that
    mistakes show before a model is loaded.
    """

    def __init__(
        self, spec: dict, model_dir: Path, vector_files: list[Path], choice: Path | None
    ) -> None:
        self.spec = spec
        self.model_dir = model_dir
        self.facts: dict[str, Any] = read_json(model_dir / "model.json")
        self.tokens = Tokens(model_dir)
        self.conditions: list[Condition] = expand(
            spec["conditions"], read_json(choice) if choice else None
        )
        files = {(path.parent.name, int(path.stem.split("_")[1])): path for path in vector_files}
        self.vectors: dict[tuple[str, int], np.ndarray] = {
            (addition["vector"], addition["source_layer"]): read_vector(
                files[addition["vector"], addition["source_layer"]]
            )
            for condition in self.conditions
            for addition in condition.additions
        }
        self._model: Any = None
        for condition in self.conditions:
            for addition in condition.additions:
                if (addition["dimensions"] or 0) > self.facts["d_model"]:
                    raise UserError(
                        f"{self.key}.conditions.{condition.name}: dimensions "
                        f"{addition['dimensions']} is more than the model's {self.facts['d_model']}"
                    )

    @property
    def key(self) -> str:
        """Where the experiment stands in the config."""
        return f"experiments.{self.spec['name']}"

    def encode(
        self, condition: Condition, texts: list[str], targets: list[str] | None = None
    ) -> list[tuple[list[int], list[int]]]:
        """(prompt ids, target ids) of each text under a condition.

        The condition's prefix, if any, is put before each prompt. Raises UserError, naming the
        prompt, if a vector is longer than it.
        """
        rows = []
        for text, target in zip(texts, targets or [""] * len(texts), strict=True):
            ids, target_ids = self.tokens.split(text, target, condition.prefix)
            needed = len(ids) + len(target_ids) + self.spec.get("max_new_tokens", 0)
            if self.facts["context"] and needed > self.facts["context"]:
                raise UserError(
                    f"{self.key}: prompt {text[:60]!r}: {needed} tokens with what follows it, but "
                    f"{self.facts['model']} reads at most {self.facts['context']}"
                )
            for addition in condition.additions:
                vector = self.vectors[addition["vector"], addition["source_layer"]]
                try:
                    aligned(addition["position"], len(vector), len(ids))
                except UserError as error:
                    raise UserError(
                        f"{self.key}: prompt {text!r}: {error} (vector {addition['vector']})"
                    ) from error
            rows.append((ids, target_ids))
        return rows

    def determinants(self, module: str, condition: Condition) -> dict[str, Any]:
        """What a cell's bytes depend on, but for its texts and how they are run.

        module: the library module that computes the cell; its digest stands for the code.
        """
        additions = [
            {
                **{name: value for name, value in addition.items() if name != "source_layer"},
                "vector": tensor_digest(self.vectors[addition["vector"], addition["source_layer"]]),
            }
            for addition in condition.additions
        ]
        return {
            "code": code_digest(module),
            "model": self.facts["identity"],
            "dtype": self.spec["dtype"],
            "compute": self.spec["compute"],
            "additions": additions,
        }

    def assemble(self, keys: list[str], tables: dict[int, pa.Table]) -> pd.DataFrame:
        """All cells as one table, every coordinate of its condition spelled out in each row.

        tables: cell by number, as `actadd.cells.collect` gives them; all of them are needed.
        """
        parts = []
        for index, condition in enumerate(self.conditions):
            cell = tables[index].to_pandas()
            shared = {
                "model": self.spec["model"],
                "experiment": self.spec["name"],
                **condition.coordinates(),
                "cell": keys[index][:16],
            }
            parts.append(pd.concat([pd.DataFrame(shared, index=cell.index), cell], axis=1))
        integers = dict.fromkeys(("source_layer", "layer", "dimensions"), "Int32")
        strings = dict.fromkeys(("vector", "position", "phase"), "string")
        table = pd.concat(parts, ignore_index=True)
        return table.astype({**integers, **strings, "coefficient": "float64"})

    def prefix_length(self, condition: Condition) -> int:
        """Tokens of the condition's prefix; they stand right after BOS."""
        if condition.prefix and self.tokens.chat_template is not None:
            raise UserError(
                f"{self.key}.conditions.{condition.name}: log-probabilities after a prefix are not "
                "defined inside a chat template; use chat_template: false"
            )
        return len(self.tokens.pieces(condition.prefix)) if condition.prefix else 0

    def model(self):
        """The weights, loaded at the first call: a job whose cells are all stored needs none."""
        if self._model is None:
            from actadd.models import load

            self._model = load(
                self.model_dir,
                dtype=self.spec["dtype"],
                **self.spec["compute"],
            )
        return self._model

    def additions(self, condition: Condition) -> list:
        """The condition as `actadd.steering.Addition`s."""
        import torch

        from actadd.steering import Addition

        return [
            Addition(
                torch.from_numpy(self.vectors[addition["vector"], addition["source_layer"]]),
                addition["layer"],
                addition["coefficient"],
                addition["position"],
                addition["dimensions"],
                addition["phase"],
            )
            for addition in condition.additions
        ]
