"""A sequence classifier from the hub (or a local folder): the probability of one of its labels.

The numbers are those of transformers' own text-classification pipeline: its tokenizer settings,
its choice of sigmoid, softmax or neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError, quote
from actadd.base.kinds import option
from actadd.scorers.kinds import CUT, PROBABILITIES, Job, ValidatedOptions, probabilities, scorer

if TYPE_CHECKING:
    import pandas as pd

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class HubClassifierOptions(ValidatedOptions):
    source: str = option("Source with the classifier.", section="sources")
    label: str | int = option(
        "Label of the classifier whose probability is measured, by its name or its number.",
        title="a label's name, or its number",
    )
    allow_pickle: bool = option(
        "Read pickled weights, which can run code when they are read.", False
    )
    cut: float = option("Probabilities above it count as positive.", 0.5, **CUT)


@lru_cache(maxsize=1)
def _classifier(key: str, path: Path, device: str, allow_pickle: bool) -> Any:
    """The pipeline, loaded once for all cells of a job."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TextClassificationPipeline,
    )
    from transformers.utils import logging

    from actadd.models.folders import check_folder
    from actadd.models.weights import load_whole

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    trusted = "" if allow_pickle else "If you trust them, write allow_pickle: true"
    check_folder(path, key, pickled=trusted)
    tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    # Pickled weights can run code when they are read, so they need the user's word.
    safetensors = None if allow_pickle else True
    model = load_whole(AutoModelForSequenceClassification, path, key, use_safetensors=safetensors)
    return TextClassificationPipeline(model=model.eval(), tokenizer=tokenizer, device=device)


@scorer(HubClassifierOptions, metrics=PROBABILITIES, reads="source")
def hub_classifier(table: pd.DataFrame, options: HubClassifierOptions, job: Job) -> pd.DataFrame:
    """A sequence classifier from the hub, or a local folder. probability: of the label `label` in
    the completion alone, 0 to 1; positive: 1 if it is above `cut`, else 0.

    The score equals that of `pipeline("text-classification", top_k=None, truncation=True)` for the
    text alone; for a regression head, the raw number. NaN for a completion without any token of the
    classifier. Raises UserError if the classifier has no such label.
    """
    import torch

    from actadd.engine.batching import is_out_of_memory

    torch.set_num_threads(job.compute["threads"])
    pipeline = _classifier(job.key, job.path, job.compute["device"], options.allow_pickle)
    label = _label(options.label, pipeline.model.config.id2label, job.key)
    texts = sorted(set(table["completion"]))
    try:
        known = dict(zip(texts, _answers(pipeline, texts), strict=True))
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"{job.key}.source: transformers' own text-classification pipeline cannot "
            f"run {job.path.name} ({reason}); mend its config.json and tokenizer files, or take "
            "another classifier"
        ) from error
    values = [known[text][label] if known[text] else float("nan") for text in table["completion"]]
    return probabilities(values, options.cut, table.index)


def _answers(pipeline: Any, texts: list[str]) -> list[list[float]]:
    """For each text, the pipeline's score of each label by its id; none for one without tokens."""
    from actadd.models.encoders import encoded_length

    options = encoded_length(pipeline.model, pipeline.tokenizer)
    lengths = [len(pipeline.tokenizer(text, **options)["input_ids"]) for text in texts]
    answers: list[list[float]] = [[] for _ in texts]
    # Batches of texts of equal length need no padding, so that a text has the same score as alone,
    # also from a model that reads padding as text.
    for length in sorted(set(lengths) - {0}):
        group = [index for index, count in enumerate(lengths) if count == length]
        for start in range(0, len(group), _rows(pipeline)):
            batch = group[start : start + _rows(pipeline)]
            rows = [texts[index] for index in batch]
            encoded = pipeline.tokenizer(rows, return_tensors="pt", **options)
            for index, logits in zip(batch, pipeline.forward(encoded)["logits"], strict=True):
                scores = pipeline.postprocess({"logits": logits[None]}, top_k=None)
                answers[index] = [entry["score"] for entry in scores]
    return answers


def _rows(pipeline: Any) -> int:
    """Texts in a batch: one where the model names no pad token, as some then refuse more."""
    return 1 if pipeline.model.config.get_text_config().pad_token_id is None else BATCH


def _label(label: str | int, id2label: dict[int, Any], key: str) -> int:
    """The id of a label that is given by its name, in any case, or by the id itself."""
    names = {index: str(name) for index, name in id2label.items()}
    same = [index for index, name in names.items() if name == label]
    alike = [index for index, name in names.items() if name.lower() == str(label).lower()]
    numbered = [index for index in names if str(index) == str(label)]
    ways = [numbered] if isinstance(label, int) else [same, alike, numbered]
    matching = next((way for way in ways if way), [])
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(f"{index}: {quote(names[index])}" for index in sorted(names)[:20])
    problem = "no label" if not matching else "several labels"
    raise UserError(
        f"{key}.label: the classifier has {problem} {label!r}, it has {listed}; "
        "write one of these names, or its number"
    )
