"""A model on which trials are made: `actadd try` makes one, `actadd serve` one after another."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.base.files import read_json
from actadd.cli.trial import Trial, scores
from actadd.engine.decoding.sampling import Sampling
from actadd.engine.placement import Alignment, aligned
from actadd.engine.tokens import Tokens
from actadd.vectors.activations import REFERENCE, contrast_ids, late
from actadd.vectors.prompts import as_prompt

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# Contrast prompts whose streams are kept: a slider over layers reads each of them once.
STREAMS_KEPT = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a prompt is continued, with and without a vector.

    strength: the coefficient, or, if dosed, the dose. control: whether a random vector of the same
    norms is added too, in completions of its own. tokens: the most that a completion has.
    """

    layer: int
    strength: float
    dosed: bool = False
    position: Alignment = "front"
    control: bool = True
    samples: int = 3
    tokens: int = 40
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, eq=False)
class Plan:
    """A trial that was checked, before any weights are read.

    ids: token ids of the prompt. noise: what the noise depends on beside seed and sample. contrast:
    token ids of a pair's prompts, by name. rows: those of a vector's file at the layer. names: what
    stands at each position of the vector.
    """

    settings: Settings
    ids: list[int]
    text: str
    noise: str
    contrast: dict[str, list[int]]
    rows: "np.ndarray | None"
    names: list[str]
    warnings: list[str]


class TrialModel:
    """A prepared model, whose weights are read by `load`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = read_json(folder / "model.json")
        self.tokens = Tokens(folder)
        self._streams: dict[tuple[int, ...], np.ndarray] = {}
        self._read_out: Any = None

    def plan(
        self,
        vector: Mapping[str, Any],
        prompt: str | Mapping[str, Any],
        settings: Settings,
        file: Path | None = None,
    ) -> Plan:
        """Check a trial; see `try_out.compare` for vector, prompt and file, and what is raised."""
        if isinstance(prompt, str):
            ids, text, noise = self.tokens.encode(prompt), prompt, prompt
        else:
            ids = self.tokens.prompt(as_prompt(prompt))
            text, noise = self.tokens.decode(ids), str(prompt.get("chat", ids))
        layer, facts = settings.layer, self.facts
        if layer >= facts["layers"]:
            raise UserError(
                f"--layer: {layer} is beyond {facts['model']}, whose layers are 0 to "
                f"{facts['layers'] - 1}"
            )
        contrast: dict[str, list[int]] = {}
        rows, names, warnings = None, [], []
        if vector["kind"] == "pair":
            contrast = contrast_ids(vector, self.tokens)
            sides = [[self.tokens.token(i) for i in side] for side in contrast.values()]
            names = [" / ".join(map(repr, both)) for both in zip(*sides, strict=True)]
            warnings = late(contrast, sides[0])
        elif file is not None:
            rows = _rows(file, layer)
            names = [f"row {number}" for number in range(len(rows))]
        self._check_fit(settings, len(names), len(ids))
        return Plan(settings, ids, text, noise, contrast, rows, names, warnings)

    def _check_fit(self, settings: Settings, rows: int, prompt: int) -> None:
        try:
            aligned(settings.position, rows, prompt)
        except UserError as error:
            if settings.position == "all":
                raise UserError(f"--position: {error}") from error
            raise UserError(
                f"{error}; write a longer prompt or shorter contrast prompts"
            ) from error
        facts = self.facts
        if facts["context"] and prompt + settings.tokens > facts["context"]:
            raise UserError(
                f"--tokens: {prompt} tokens of the prompt and {settings.tokens} more are beyond "
                f"the {facts['context']} that {facts['model']} reads; write a smaller number"
            )

    def load(self, *, device: str = "cpu", dtype: str | None = None, threads: int = 1) -> None:
        """Read the weights. dtype: None takes the one in which the model was made ready."""
        # Torch then asks for large pages, as in the workflow's programs.
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from actadd.models.dtypes import for_trial
        from actadd.models.loading import load

        with redirect_stdout(sys.stderr):
            self.dtype = for_trial(self.folder, dtype, {"device": device, "threads": threads})
            self.model = load(self.folder, dtype=self.dtype, device=device, threads=threads)

    def vector(self, plan: Plan) -> "np.ndarray":
        """The vector at the layer of a plan, float32 [positions, d_model].

        Raises UserError if it is zero at every position, so that nothing would be added.
        """
        from actadd.vectors.kinds import VECTOR_KINDS

        layer, rows = plan.settings.layer, plan.rows
        if rows is None:
            streams = {name: self._stream(ids)[layer] for name, ids in plan.contrast.items()}
            rows = VECTOR_KINDS["pair"](streams, None)
        if not rows.any():
            raise UserError(
                f"--layer: the vector is zero at layer {layer}, so that nothing is added; take "
                "another layer or vector"
            )
        return rows

    def norms(self, plan: Plan, rows: "np.ndarray") -> "pd.DataFrame":
        """The norm of each row beside the residual stream's, see `derivation.norms_beside`."""
        from actadd.vectors.derivation import norms_beside

        layer = plan.settings.layer
        reference = self._stream([self.tokens.bos_id, *self.tokens.pieces(REFERENCE)])[layer]
        return norms_beside(rows, reference, layer)

    def lens(self, rows: "np.ndarray", top: int) -> list[tuple[list[str], list[str]]]:
        """The tokens that each row raises most, and those that it lowers most, by the logit lens.

        Equal logits go to the smaller token id; of a row of zeros there are none.
        """
        import numpy as np
        import torch

        from actadd.vectors.logit_lens import readout

        if self._read_out is None:
            self._read_out = readout(self.model)
        logits = self._read_out(torch.from_numpy(rows)).numpy()

        def best(row: "np.ndarray") -> list[str]:
            return [self.tokens.token(int(i)) for i in np.argsort(-row, kind="stable")[:top]]

        return [
            (best(each), best(-each)) if row.any() else ([], [])
            for row, each in zip(rows, logits, strict=True)
        ]

    def run(
        self,
        plan: Plan,
        scorers: Mapping[str, Any],
        stream_norms: "Sequence[float]" = (),
        watch: Callable[[list[int]], None] | None = None,
    ) -> Trial:
        """Continue the prompt with and without the vector, with the same noise.

        scorers: the config's. stream_norms: the residual stream's median norm at each layer, for a
        dose. watch: what is told the drawn tokens of all completions, condition by condition, at
        each step but the last; what it raises ends the trial.
        """
        import numpy as np
        import torch

        from actadd.engine.additions import Addition
        from actadd.engine.batching import left_pad, padded_width
        from actadd.engine.decoding.generation import generate
        from actadd.engine.decoding.sampling import BROKEN, FINISHED, draws
        from actadd.measure.measures import TOO_LARGE

        settings, rows = plan.settings, self.vector(plan)
        norms = self.norms(plan, rows)
        vectors = {"steered": rows}
        if settings.control:
            vectors["random"] = random_like(rows, settings.seed)
        strengths = {name: strength(settings, each, stream_norms) for name, each in vectors.items()}
        additions = [
            [Addition(torch.from_numpy(each), settings.layer, strengths[name], settings.position)]
            for name, each in vectors.items()
        ]
        conditions = ["unsteered", *vectors]
        count = settings.samples
        noise = [draws(settings.seed, plan.noise, each, settings.tokens) for each in range(count)]
        with _watched(self.model, watch) if watch else nullcontext():
            drawn = generate(
                self.model,
                *left_pad([plan.ids] * len(conditions), width=padded_width(len(plan.ids))),
                additions=[[], *additions],
                sampling=settings.sampling,
                uniforms=torch.from_numpy(np.stack(noise * len(conditions))),
                max_new_tokens=settings.tokens,
                stop_ids=self.tokens.stop_ids,
                samples=count,
                # A captured step calls no hook.
                static=False if watch else None,
            ).tolist()
        if any(BROKEN in row for row in drawn):
            raise UserError(TOO_LARGE)
        written = [[token for token in row if token != FINISHED] for row in drawn]
        texts = [self.tokens.continuation(plan.ids, ids) for ids in written]
        parts = {name: slice(n * count, (n + 1) * count) for n, name in enumerate(conditions)}
        by_condition = {name: texts[part] for name, part in parts.items()}
        return Trial(
            plan.text,
            settings.layer,
            by_condition,
            self.sizes(plan, norms, strengths["steered"]),
            self.warnings(plan, norms),
            scores(plan.text, by_condition, scorers),
            {name: written[part] for name, part in parts.items()},
        )

    def sizes(
        self, plan: Plan, norms: "pd.DataFrame", coefficient: float
    ) -> list[tuple[str, float]]:
        """For each position, its tokens and the norm that is added there over the stream's."""
        ratios = (abs(coefficient) * norms["ratio"]).tolist()
        return list(zip(plan.names, ratios, strict=True))

    def warnings(self, plan: Plan, norms: "pd.DataFrame") -> list[str]:
        """Sentences about what often goes wrong with a vector."""
        from actadd.vectors.derivation import dwarfing

        return [*plan.warnings, *dwarfing(norms)]

    def _stream(self, ids: Sequence[int]) -> "np.ndarray":
        """The residual stream of a text, float32 [layers, tokens, d_model]."""
        import torch

        from actadd.engine.hooks import record_activations
        from actadd.engine.structure import input_device

        key = tuple(ids)
        if key not in self._streams:
            row = torch.tensor([key], device=input_device(self.model))
            stream = record_activations(self.model, row)[:, 0].float().cpu().numpy()
            while len(self._streams) >= STREAMS_KEPT:
                del self._streams[next(iter(self._streams))]
            self._streams[key] = stream
        return self._streams[key]


def _rows(file: Path, layer: int) -> "np.ndarray":
    """A vector file's rows at a layer, float32 [positions, d_model]; of several draws, the first.

    Raises UserError if the file has no such layer.
    """
    from actadd.vectors.vector_files import read_vector

    rows = read_vector(file, [layer]).get(layer)
    if rows is None:
        held = ", ".join(map(str, read_vector(file)))
        raise UserError(f"--layer: {file} does not hold layer {layer}; it holds {held}")
    return rows[0] if rows.ndim == 3 else rows


def control_seed(seed: int) -> int:
    """The seed of a trial's random vector, which is none of a config's own random vectors."""
    return seed % 2**62 + 2**62


def random_like(rows: "np.ndarray", seed: int) -> "np.ndarray":
    """The workflow's vector of kind random, like these rows, with the seed `control_seed`."""
    from actadd.base.kinds import build
    from actadd.vectors.kinds import VECTOR_KINDS

    kind = VECTOR_KINDS["random"]
    options: Any = build(kind.options, {"like": "vector", "seed": control_seed(seed)})
    vector: np.ndarray = kind({"vector": rows}, options)
    return vector


def strength(settings: Settings, rows: "np.ndarray", stream_norms: Sequence[float]) -> float:
    """The coefficient of a vector's rows; a dose is multiplied out as an experiment's is."""
    if not settings.dosed:
        return settings.strength
    from actadd.measure.steering import usual_norm

    size = usual_norm(rows)
    if not size:
        raise UserError("--dose: the vector is zero but for BOS; write a coefficient")
    return settings.strength * stream_norms[settings.layer] / size


@contextmanager
def _watched(model: Any, watch: Callable[[list[int]], None]) -> Iterator[None]:
    """Tell the tokens that each decode step reads, which are those that were drawn before it."""
    passes = 0

    def read(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        nonlocal passes
        if passes:
            watch(inputs["input_ids"][:, -1].tolist())
        passes += 1

    handle = model.register_forward_pre_hook(read, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
