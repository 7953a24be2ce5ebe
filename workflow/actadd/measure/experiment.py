"""What completions and log-probabilities share: an experiment's conditions, ready to be run."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError, error_context, quote
from actadd.base.files import read_json
from actadd.data import datasets
from actadd.engine.placement import changed
from actadd.engine.tokens import Tokens
from actadd.measure import steering
from actadd.measure.conditions import Condition, column_types, expand, modules_of
from actadd.measure.gates import with_thresholds
from actadd.measure.measures import MEASURES
from actadd.measure.steering import Steering
from actadd.store.cells import cell_key

if TYPE_CHECKING:
    from torch import nn

    from actadd.engine import additions

# What does not enter a cell's key under its own name, with what stands for it there. All else does,
# so that a new field cannot be forgotten. Of an experiment's spec:
UNKEYED_SPEC = {
    "name",
    "model",  # its identity
    "measure",  # its code
    "conditions",  # each has a cell of its own
    "prompts",  # the token ids of the texts that they choose
    "sampling",  # the condition's
    "seed",  # the condition's
    "watch",  # its token ids
    "plugins",  # their code
    "upstream",  # what those jobs made
}
# Of a condition:
UNKEYED_CONDITION = {
    "name",
    "additions",  # each of them, but for what follows
    "group",  # the texts that it chooses
    "draw",  # the numbers of the vectors that it chooses
}
# Code whose results are in the key.
KEYED_CODE = (
    *("actadd.data", "actadd.vectors"),
    *(f"{steering.__name__}.{name}" for name in ("norm_factor", "row_norms", "usual_norm")),
)


def _without(names: Container[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


class Experiment:
    """The conditions of one experiment on one model, their vectors, and what determines a cell.

    spec: name, prompts, conditions, sampling and seed (of completions), dtype, compute.
    vector_files: by vector. Reads tokenizer and vectors, not the weights, so that mistakes show
    before a model is loaded.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        model_dir: Path,
        vector_files: Mapping[str, Path],
        choice: Path | None,
        norms: Path | None = None,
        thresholds: Path | None = None,
    ) -> None:
        self.spec = spec
        self.model_dir = model_dir
        self.facts: dict[str, Any] = read_json(model_dir / "model.json")
        self.tokens = Tokens(model_dir)
        # Text -> where it stands, for messages.
        self._origins: dict[str, str] = {}
        # Texts that prompts.targets left out.
        self.left_out = 0
        self._pieces: dict[tuple[str, str, str], tuple[list[int], list[int]]] = {}
        self.conditions: list[Condition] = expand(
            with_thresholds(spec["conditions"], read_json(thresholds) if thresholds else []),
            read_json(choice) if choice else None,
            spec.get("sampling"),
            spec.get("seed"),
        )
        # Tables have a column of draws only where some condition has several.
        self.drawn = any(condition.draw is not None for condition in self.conditions)
        self.steering = Steering(
            self.key, self.conditions, self.facts["d_model"], vector_files, norms
        )

    @property
    def key(self) -> str:
        """Where the experiment stands in the config."""
        return f"experiments.{self.spec['name']}"

    def texts(self, file: Path) -> pd.DataFrame:
        """The experiment's rows of a prepared dataset: its split, groups, limit and cut.

        prompts.targets leaves out those whose target this model reads as several tokens;
        prompts.first_tokens cuts each text to so many of the model's own tokens, BOS included.
        Raises UserError if no row is left.
        """
        prompts = self.spec["prompts"]
        table = datasets.read(file, prompts["split"], f"{self.key}.prompts.split")
        if prompts.get("targets") == "single_token":
            table = self._single_token(table)
        table = datasets.chosen(table, prompts, f"{self.key}.prompts")
        if prompts.get("first_tokens"):
            cut = [self.tokens.cut(text, prompts["first_tokens"]) for text in table["text"]]
            table = table.assign(text=pd.Series(cut, dtype="string"))
        if "origin" in table:
            self._origins |= dict(zip(table["text"], table["origin"], strict=True))
        return table

    def _single_token(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows with a target of one token (the paper's code, ConceptNet); counts the others."""
        single = []
        for text, target in zip(table["text"], table["target"].fillna(""), strict=True):
            with error_context(f"{self.key}: prompt {quote(text)}"):
                single.append(len(self._split(text, target, "")[1]) == 1)
        self.left_out = single.count(False)
        if self.left_out:
            print(
                f"{self.key}.prompts.targets: {self.left_out} of {len(single)} texts are left out: "
                f"{self.tokens.model} does not read their target as a single token",
                flush=True,
            )
        return table[np.array(single, bool)]

    def rows(self, condition: Condition, texts: pd.DataFrame) -> list[int]:
        """Numbers of the texts that a condition is run on: all, or those of its group."""
        if condition.group is None:
            return list(range(len(texts)))
        rows = np.flatnonzero(texts["group"] == condition.group).tolist()
        if not rows:
            groups = ", ".join(sorted(set(texts["group"].dropna()))) or "none"
            raise UserError(
                f"{self.key}.conditions.{condition.name}.group: no text has the group "
                f"{condition.group!r}; there are: {groups}"
            )
        return rows

    def encode(
        self, condition: Condition, texts: list[str], targets: list[str] | None = None
    ) -> list[tuple[list[int], list[int]]]:
        """(prompt ids, target ids) of each text under a condition.

        The condition's prefix, if any, is put before each prompt, see `_behind`; PREADD's is not,
        see `contrast`. Raises UserError, naming the prompt, if a vector does not fit it, or if an
        operation has no direction.
        """
        rows = []
        self.steering.check(condition)
        prefix = condition.contexts.prefix
        if condition.prefix:
            with error_context(f"{self.key}.conditions.{condition.name}.prefix"):
                self.tokens.pieces(condition.prefix)
        targets = targets or [""] * len(texts)
        for text, target in zip(texts, targets, strict=True):
            origin = self._origins.get(text)
            at = f"{self.key}: prompt {quote(text)}" + (f" ({origin})" if origin else "")
            with error_context(at):
                ids, target_ids = self._split(*self._behind(prefix, text, target))
                self._check_length(len(ids) + len(target_ids), text, targets)
            for addition in condition.additions:
                with error_context(at, f" (vector {addition.vector})"):
                    rows_of_vector = self.steering.rows(addition)
                    changed(addition.position, addition.phase, rows_of_vector, len(ids))
            rows.append((ids, target_ids))
        return rows

    def _behind(self, prefix: str, text: str, target: str = "") -> tuple[str, str, str]:
        """What is read as one text, its target, and the prefix whose tokens stand before it.

        A prompt behind a prefix that ends in a space is read with it: in "Be kind. " and "The sea"
        the space belongs to " The", as in PREADD's own code. Given texts keep their own tokens, as
        those are compared one by one.
        """
        if prefix.endswith(" ") and MEASURES[self.spec["measure"]].draws:
            return prefix + text, target, ""
        return text, target, prefix

    def _check_length(self, count: int, text: str, targets: list[str]) -> None:
        """Raises UserError if a text, of so many tokens with what stands around it, is too long.

        The message names a length to which all texts can be cut.
        """
        new, context = MEASURES[self.spec["measure"]].new_tokens(self.spec), self.tokens.context
        if not context or count + new <= context:
            return
        # BOS or the chat template, the longest prefix and the longest target.
        around = len(self.tokens.encode(text)) - len(self.tokens.pieces(text)) + new
        prefixes = [len(self.tokens.pieces(c.prefix)) for c in self.conditions if c.prefix]
        around += max(prefixes, default=0) + max(len(self.tokens.pieces(t)) for t in {"", *targets})
        fitting = context - around + 1
        remedy = "take a model that reads more, or a shorter prefix, target or completion"
        if fitting >= 2:
            remedy = f"shorten it, or write {self.key}.prompts.first_tokens: {fitting}"
        self.tokens.check_length(count + new, remedy)

    def _split(self, text: str, target: str, prefix: str) -> tuple[list[int], list[int]]:
        """`Tokens.split`, once for all conditions: they share the lists."""
        key = (text, target, prefix)
        if key not in self._pieces:
            self._pieces[key] = self.tokens.split(text, target, prefix)
        return self._pieces[key]

    def changed(self, condition: Condition, prompt: int, total: int | None = None) -> set[int]:
        """Positions that are changed in a text of `total` tokens, its first `prompt` the prompt."""
        positions: set[int] = set()
        for addition in condition.additions:
            positions.update(
                changed(addition.position, addition.phase, self.steering.rows(addition), prompt)
            )
            if addition.phase != "prefill":
                positions.update(range(prompt, total or prompt))
        return positions

    def contrast(self, condition: Condition, texts: list[str]) -> list[list[int]]:
        """Token ids of each text in the contrasted context, if the condition has one."""
        contrasted = condition.contexts.contrasted
        if contrasted is None:
            return []
        contexts = []
        for text in texts:
            whole, _, prefix = self._behind(contrasted, text)
            ids = self.tokens.encode(whole, prefix)
            key = f"{self.key}.conditions.{condition.name}.prefix"
            with error_context(f"{key}, before {quote(text)}"):
                self._check_length(len(ids), text, [])
            contexts.append(ids)
        return contexts

    def cell_key(
        self, module: str, condition: Condition, unkeyed: Iterable[str] = (), **read: Any
    ) -> str:
        """The key of a cell: the digest of all that its bytes depend on.

        module: the measure's, which computes the cell. unkeyed: entries of the spec that its
        numbers do not depend on. read: token ids, and whatever else stands for entries that are
        not in the key.
        """
        kinds = modules_of({condition.name: self.spec["conditions"][condition.name]})
        return cell_key(
            (__name__, module, *kinds),
            KEYED_CODE,
            self.spec.get("compute"),
            spec=_without({*UNKEYED_SPEC, *unkeyed}, self.spec),
            model=self.facts["identity"],
            condition=_without(UNKEYED_CONDITION, asdict(condition)),
            additions=self.steering.records(condition),
            read=read,
        )

    def spelled_out(self, index: int, key: str, cell: pd.DataFrame) -> pd.DataFrame:
        """A cell's rows, with every coordinate of its condition in each of them.

        index: of the condition; key: the cell's.
        """
        shared = {
            "model": self.spec["model"],
            "experiment": self.spec["name"],
            **self.conditions[index].coordinates(),
            **({"draw": self.conditions[index].draw} if self.drawn else {}),
            "cell": key[:16],
        }
        table = pd.concat([pd.DataFrame(shared, index=cell.index), cell], axis=1)
        return table.astype(column_types(self.drawn))

    def prefix_length(self, condition: Condition) -> int:
        """Tokens of the condition's prefix; they stand right after BOS."""
        if condition.prefix and self.tokens.chat_template is not None:
            raise UserError(
                f"{self.key}.conditions.{condition.name}: log-probabilities after a prefix are not "
                "defined inside a chat template; use chat_template: false"
            )
        return len(self.tokens.pieces(condition.prefix)) if condition.prefix else 0

    def model(self) -> "nn.Module":
        """The weights, loaded at the first call: a job whose cells are all stored needs none."""
        from actadd.models.loading import load

        return load(self.model_dir, dtype=self.spec["dtype"], **self.spec["compute"])

    def additions(self, condition: Condition) -> "list[additions.Addition]":
        """The condition as the engine's additions."""
        return self.steering.additions(condition)
