"""The model of the page: what is added to its stream, and completions, one trial after another."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from math import isnan
from pathlib import Path
from typing import Any

import actadd
from actadd.base.errors import UserError
from actadd.base.kinds import build
from actadd.cli.live.entry import config_files
from actadd.cli.live.request import Asked
from actadd.cli.trial_model import Plan, TrialModel, strength
from actadd.cli.try_out import named_vector
from actadd.pipeline import layout
from actadd.vectors.kinds import VECTOR_KINDS

# Tokens that the logit lens shows for each direction.
TOP = 6
# (kind, value) of what is said about a trial while it runs.
Emit = Callable[[str, Mapping[str, Any]], None]
Scores = dict[str, dict[str, list[float]]]


class Stopped(Exception):
    """Nobody waits for a trial any more."""


class Session:
    """A loaded model and the config, if there is one, and one thread that computes.

    name: of the model in the config. results: the folder of results. first: the vector that the
    page begins with, "" for a contrast pair.
    """

    def __init__(
        self,
        model: TrialModel,
        config: dict[str, Any] | None,
        results: Path,
        dtype: str,
        first: str = "",
    ) -> None:
        self.model, self.config, self.results, self.dtype = model, config, results, dtype
        self.name: str = model.facts["model"]
        self.first = first
        self._worker = ThreadPoolExecutor(1)
        self._waiting: set[Future[None]] = set()
        self._closing = threading.Event()

    def about(self) -> dict[str, Any]:
        """What the page shows of model and config before anything is asked for."""
        facts = self.model.facts
        return {
            "version": actadd.__version__,
            "model": self.name,
            "layers": facts["layers"],
            "width": facts["d_model"],
            "dtype": self.dtype,
            "vectors": [
                {"name": name, "ready": entry["kind"] == "pair" or self._file(name).is_file()}
                for name, entry in (self.config or {}).get("vectors", {}).items()
            ],
            "first": self.first,
            "seed": (self.config or {}).get("seed", 0),
        }

    def inspect(self, asked: Asked) -> dict[str, Any]:
        """What would be added: for each position its tokens, its size, and the logit lens.

        Raises what `run` raises, without drawing anything.
        """
        return self._worker.submit(self._inspect, asked).result()

    def start(self, asked: Asked, emit: Emit, stop: threading.Event) -> Future[None]:
        """Begin a trial once those before it have ended; a stopped one ends at its next token.

        emit is told, in the thread that computes: start; step with the texts that each step adds,
        as [condition, sample, text]; done with all texts, token ids and scores; or error with a
        message; and end, whatever happens. If other trials are before it, waiting comes first.
        """
        if self._waiting:
            emit("waiting", {"before": len(self._waiting)})
        future = self._worker.submit(self._run, asked, emit, stop)
        self._waiting.add(future)

        def ended(done: Future[None]) -> None:
            self._waiting.discard(done)
            emit("end", {})

        future.add_done_callback(ended)
        return future

    @property
    def idle(self) -> bool:
        return not self._waiting

    def close(self) -> None:
        """End what runs and what waits."""
        self._closing.set()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _file(self, vector: str) -> Path:
        return layout.output("vectors", "vector", self.results, model=self.name, vector=vector)

    def _plan(self, asked: Asked) -> Plan:
        entry, file = asked.pair, None
        if asked.vector and self.config is None:
            raise UserError(
                "vector: there is no config here; start in the workflow's folder, or write a pair"
            )
        if asked.vector:
            entry, file = named_vector(asked.vector, self.name, self.results, self.config)
        else:
            options: Any = build(VECTOR_KINDS["pair"].options, entry)
            for _, sentence in options.problems(""):
                raise UserError(f"pair: {sentence}")
        return self.model.plan(entry, asked.prompt, asked.settings, file)

    def _stream_norms(self, asked: Asked) -> list[float]:
        """The stream's median norm at each layer, if there is a dose, as the workflow measured it.

        Raises UserError, with the command that measures it, if it did not.
        """
        if not asked.dosed:
            return []
        if self.config is not None and not self.config.get("dose"):
            raise UserError(
                "dose: no texts say what it is a share of; write a section dose: { dataset: NAME } "
                "into the config, or a coefficient"
            )
        file = layout.output("stream_norms", "norms", self.results, model=self.name)
        if not file.is_file():
            target = layout.output("stream_norms", "norms", model=self.name)
            raise UserError(
                f"dose: {file} does not exist, and a dose is a share of the norms in it; this "
                f"makes it: snakemake --cores all {target}"
            )
        import pandas as pd

        return [float(norm) for norm in pd.read_csv(file)["residual_norm"]]

    def _inspect(self, asked: Asked) -> dict[str, Any]:
        plan, norms = self._plan(asked), self._stream_norms(asked)
        rows = self.model.vector(plan)
        coefficient = strength(plan.settings, rows, norms)
        beside = self.model.norms(plan, rows)
        # A negative coefficient turns the vector round.
        lens = self.model.lens(-rows if coefficient < 0 else rows, TOP)
        sizes = self.model.sizes(plan, beside, coefficient)
        return {
            "coefficient": coefficient,
            "stream": float(beside["residual_norm"].iloc[0]),
            "rows": [
                {"tokens": tokens, "norm": norm, "ratio": ratio, "up": up, "down": down}
                for (tokens, ratio), norm, (up, down) in zip(
                    sizes, (abs(coefficient) * beside["vector_norm"]).tolist(), lens, strict=True
                )
            ],
            "warnings": self.model.warnings(plan, beside),
            "config": config_files(asked, self.name, self.config, self.dtype),
        }

    def _run(self, asked: Asked, emit: Emit, stop: threading.Event) -> None:
        try:
            emit("start", {})
            self._continue(asked, emit, stop)
        except Stopped:
            pass
        except UserError as error:
            emit("error", {"message": str(error)})
        except Exception:
            traceback.print_exc()
            emit("error", {"message": "the server failed; its terminal shows why"})

    def _continue(self, asked: Asked, emit: Emit, stop: threading.Event) -> None:
        plan, norms = self._plan(asked), self._stream_norms(asked)
        texts = _Texts(self.model, plan)

        def watch(tokens: list[int]) -> None:
            if stop.is_set() or self._closing.is_set():
                raise Stopped
            emit("step", {"texts": texts.add(tokens)})

        started = time.perf_counter()
        trial = self.model.run(plan, (self.config or {}).get("scorers", {}), norms, watch)
        seconds = time.perf_counter() - started
        drawn = sum(len(ids) for several in trial.token_ids.values() for ids in several)
        emit(
            "done",
            {
                "texts": trial.texts,
                "token_ids": trial.token_ids,
                "scores": _without_nan(trial.scores),
                "seconds": seconds,
                "drawn": drawn,
            },
        )


def _without_nan(scores: Scores) -> dict[str, dict[str, list[float | None]]]:
    """Scores with None in place of what JSON has no number for."""
    return {
        name: {
            metric: [None if isnan(value) else value for value in values]
            for metric, values in metrics.items()
        }
        for name, metrics in scores.items()
    }


class _Texts:
    """The completions of a trial while they grow, condition by condition."""

    def __init__(self, model: TrialModel, plan: Plan) -> None:
        self.tokens, self.prompt = model.tokens, plan.ids
        self.stops = set(model.tokens.stop_ids)
        conditions = ["unsteered", "steered", *(["random"] if plan.settings.control else [])]
        self.rows = [(name, each) for name in conditions for each in range(plan.settings.samples)]
        self.ids: list[list[int]] = [[] for _ in self.rows]
        self.texts = ["" for _ in self.rows]

    def add(self, drawn: list[int]) -> list[tuple[str, int, str]]:
        """(condition, sample, what its text grows by) for the next token of each completion."""
        grown = []
        for row, token in enumerate(drawn):
            ids = self.ids[row]
            if ids and ids[-1] in self.stops:
                continue
            ids.append(token)
            text = self.tokens.continuation(self.prompt, ids)
            # A character whose bytes are not all there yet.
            if text.endswith("\N{REPLACEMENT CHARACTER}"):
                continue
            if new := text[len(self.texts[row]) :]:
                self.texts[row] = text
                grown.append((*self.rows[row], new))
        return grown
