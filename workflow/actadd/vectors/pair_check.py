"""What can be known of a contrast pair before anything is sampled with its vector."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.base.files import read_json, write_with
from actadd.engine.tokens import Tokens
from actadd.vectors import pairs
from actadd.vectors.activations import REFERENCE, contrast_ids, contrast_streams, late
from actadd.vectors.derivation import dwarfing, norms_beside
from actadd.vectors.kinds import VECTOR_KINDS
from actadd.vectors.logit_lens import readout
from actadd.vectors.separation import separation

if TYPE_CHECKING:
    from torch import Tensor

# Both prompts go on from each of these, so that one pair has many differences.
CONTEXTS = (
    "He said:",
    "The title of the book was",
    "She wrote down:",
    "They often thought of",
    "I read about",
    "We talked about",
    "The sign by the road says:",
    "Somebody whispered:",
)
# What the model goes on from by one token, steered and not.
OPENINGS = (
    "After work I walked home through the old town and then I saw the",
    "My sister called me last week to tell me all about her new",
    "The man at the counter looked up from his papers and said that the",
    "On the way to the station we stopped for a while because of the",
    "In the small house at the end of the street there was a",
    "When they opened the door of the room the first thing was the",
    "Every summer the whole family went to the lake, where there was a",
    "He put down the newspaper, looked out of the window and thought of the",
)
# Column -> what it is, for figures, tables and the command line.
PREDICTORS = {
    "norm": "norm of the vector over the stream's",
    "similarity": "cosine of the two prompts' streams",
    "agreement": "mean cosine among the differences in eight contexts",
    "d_prime": "separation (d') of held-out contexts",
    "sharpness": "logit lens: largest logit, in standard deviations",
    "lens": "logit lens: logit of the positive prompt, in standard deviations",
    "divergence": "KL of the first token, steered from unsteered: sum of p_s log(p_s / p_u)",
    "first_token": "log-probability that the positive prompt gains as first token",
}


class PairCheck:
    """Examines contrast pairs on a model at a layer.

    dose: the vector's strength for the first token, a share of the stream's median norm over the
    sentence `activations.REFERENCE`, so that a pair is examined without any file of texts.
    Raises UserError if the model has no such layer.
    """

    def __init__(self, model: Any, tokens: Tokens, layer: int, dose: float) -> None:
        self.model, self.tokens, self.layer, self.dose = model, tokens, layer, dose
        self.reference = self._streams({"": self._ids(REFERENCE)})[""]
        self.read_out = readout(model)
        self.openings = [self._ids(text) for text in OPENINGS]
        self.unsteered = self._next(self.openings, [])

    def examine(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of `PREDICTORS`, tokens (those the vector points to) and warnings of a pair.

        entry: of a vector of kind pair. A number is NaN where there is none: of the first token, of
        a vector with more rows than the shortest opening has tokens.
        """
        prompts = contrast_ids(entry, self.tokens)
        streams = self._streams(prompts)
        vector = streams["0.positive"] - streams["0.negative"]
        norms = norms_beside(vector, self.reference, self.layer)
        rows = np.flatnonzero(norms["vector_norm"])
        if not len(rows):
            raise UserError(
                f"the prompts do not differ at layer {self.layer}; take another layer or pair"
            )
        usual = float(np.exp(np.log(norms["ratio"][rows]).mean()))
        first = self._first_token(prompts["0.positive"])
        return {
            "norm": usual,
            "similarity": _cosine(streams["0.positive"][rows], streams["0.negative"][rows]),
            **self._in_contexts(entry),
            **self._lens(vector[rows[-1]], first),
            **self._first(vector, self.dose / usual, first),
            "warnings": self._warnings(entry, prompts, norms),
        }

    def _ids(self, text: str) -> list[int]:
        return [self.tokens.bos_id, *self.tokens.pieces(text)]

    def _streams(self, prompts: dict[str, list[int]]) -> dict[str, np.ndarray]:
        streams = contrast_streams(self.model, prompts)
        depth = len(next(iter(streams.values())))
        if self.layer >= depth:
            raise UserError(f"layer {self.layer} does not exist: the model has 0 to {depth - 1}")
        return {name: stream[self.layer].float().numpy() for name, stream in streams.items()}

    def _in_contexts(self, entry: Mapping[str, Any]) -> dict[str, float]:
        """How alike the pair's differences are where different texts stand before it."""
        sides = [entry[side] for side in pairs.SIDES]
        if not all(isinstance(side, str) for side in sides):
            return {"agreement": float("nan"), "d_prime": float("nan")}
        ids = {
            f"{index}.{side}": self._ids(f"{context} {text.strip()}".strip())
            for index, context in enumerate(CONTEXTS)
            for side, text in zip(pairs.SIDES, sides, strict=True)
        }
        streams = self._streams(ids)
        kind = VECTOR_KINDS["mean_difference"]
        options = pairs.PairOptions()
        measured = separation(kind, streams, options, kind(streams, options))
        activations = pairs.activations(streams, "last")[:, :, 0].astype(np.float64)
        units = pairs.unit(activations[:, 0] - activations[:, 1])
        cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
        return {"agreement": float(cosines.mean()), "d_prime": float(measured["d_prime"][0])}

    def _first_token(self, positive: list[int]) -> int:
        """The token with which the positive prompt begins in the middle of a text."""
        text = self.tokens.decode(positive[1:]).strip()
        pieces = self.tokens.pieces(f" {text}") if text else positive[1:]
        # A lone space in front is a token of its own in some tokenizers.
        return next((each for each in pieces if self.tokens.token(each).strip(" ▁Ġ")), 0)

    def _lens(self, row: np.ndarray, token: int) -> dict[str, Any]:
        import torch

        logits = self.read_out(torch.from_numpy(row[None]))[0].double().numpy()
        scores = (logits - logits.mean()) / logits.std()
        best = np.argsort(-scores, kind="stable")[:5]
        return {
            "sharpness": float(scores.max()),
            "lens": float(scores[token]),
            "tokens": [self.tokens.token(int(each)) for each in best],
        }

    def _first(self, vector: np.ndarray, coefficient: float, token: int) -> dict[str, float]:
        """What the vector does to the next token of the openings."""
        import torch

        from actadd.engine.additions import Addition

        if len(vector) > min(map(len, self.openings)):
            return {"divergence": float("nan"), "first_token": float("nan")}
        addition = Addition(torch.from_numpy(vector), self.layer, coefficient, "front")
        steered = self._next(self.openings, [addition])
        # The other way round than the damage of methods, which is unsteered from steered.
        divergence = (steered.exp() * (steered - self.unsteered)).sum(dim=1).mean()
        gain = (steered - self.unsteered)[:, token].mean()
        return {"divergence": float(divergence), "first_token": float(gain)}

    def _next(self, rows: list[list[int]], additions: list[Any]) -> "Tensor":
        """Log-probabilities of the next token, float64 [rows, vocabulary] on the CPU."""
        import torch

        from actadd.engine.batching import left_pad
        from actadd.engine.steering import steer
        from actadd.engine.structure import input_device, model_inputs

        ids, mask = left_pad(rows)
        device = input_device(self.model)
        inputs = model_inputs(self.model, ids.to(device), mask.to(device))
        with torch.inference_mode(), steer(self.model, [additions] * len(rows), mask):
            logits = self.model(**inputs, use_cache=False).logits[:, -1]
        return logits.double().log_softmax(dim=-1).cpu()

    def _warnings(
        self, entry: Mapping[str, Any], prompts: dict[str, list[int]], norms: pd.DataFrame
    ) -> list[str]:
        """Sentences about what often goes wrong with a pair."""
        texts = [self.tokens.token(i) for i in prompts["0.positive"]]
        lines = [*late(prompts, texts), *dwarfing(norms)]
        sides = {side: entry[side] for side in pairs.SIDES}
        if all(isinstance(side, str) for side in sides.values()):
            lengths = {name: len(self.tokens.pieces(text)) for name, text in sides.items()}
            if len(set(lengths.values())) > 1:
                lines.append(
                    f"the prompts have {lengths['positive']} and {lengths['negative']} tokens: the "
                    "shorter is padded, and what the pad token does is in the vector; write "
                    "prompts of as many tokens"
                )
            if len({bool(text[:1].isspace()) for text in sides.values() if text}) > 1:
                lines.append("one prompt begins with a space and the other does not; write both so")
        return lines


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    """The mean cosine of rows."""
    units = (pairs.unit(rows.astype(np.float64)) for rows in (one, other))
    return float(np.prod(np.stack(list(units)), axis=0).sum(axis=1).mean())


def check_pairs(spec: dict[str, Any], *, model_dir: Path, output: Path) -> dict[str, Any]:
    """Tabulate what can be known of pairs before sampling.

    spec: name, model, vectors (config entries with their names), layer, dose, dtype, compute.
    output: Parquet of model, vector, layer, dose, the columns of `PREDICTORS`, and tokens, those
    that the vector's last row points to.
    """
    from actadd.models.loading import load

    facts, tokens = read_json(model_dir / "model.json"), Tokens(model_dir)
    model = load(model_dir, dtype=spec["dtype"], **spec["compute"])
    check = PairCheck(model, tokens, spec["layer"], spec["dose"])
    rows = []
    for entry in spec["vectors"]:
        known = check.examine(entry)
        known["tokens"] = ", ".join(map(repr, known["tokens"]))
        del known["warnings"]
        about = {"model": facts["model"], "vector": entry["name"]}
        rows.append({**about, "layer": spec["layer"], "dose": spec["dose"], **known})
    table = pd.DataFrame(rows)
    write_with(output, partial(table.to_parquet, index=False))
    return {"pairs": len(table)}
