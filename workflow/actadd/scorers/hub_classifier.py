"""A sequence classifier from the hub (or a local folder): the probability of one of its labels.

The numbers are those of transformers' own text-classification pipeline: its tokenizer settings,
its choice of sigmoid, softmax or neither.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from actadd.base.errors import UserError, shown
from actadd.models.encoders import encoded_length
from actadd.models.folders import check_folder
from actadd.models.weights import load_whole
from actadd.scorers import probabilities

BATCH = 32


@lru_cache(maxsize=1)
def _classifier(name: str, inputs: Path, device: str, allow_pickle: bool):
    """The pipeline, loaded once for all cells of a job."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TextClassificationPipeline,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    key = f"scorers.{name}"
    trusted = "" if allow_pickle else "If you trust them, write allow_pickle: true"
    check_folder(inputs, key, pickled=trusted)
    tokenizer = AutoTokenizer.from_pretrained(inputs, trust_remote_code=False)
    # Pickled weights can run code when they are read, so they need the user's word.
    safetensors = None if allow_pickle else True
    model = load_whole(AutoModelForSequenceClassification, inputs, key, use_safetensors=safetensors)
    return TextClassificationPipeline(model=model.eval(), tokenizer=tokenizer, device=device)


def score(table: pd.DataFrame, spec: dict, inputs: Path) -> pd.DataFrame:
    """probability: of the label `label`, 0 to 1, of the completion alone; positive: above `cut`.

    It is the score that `pipeline("text-classification", top_k=None, truncation=True)` gives for
    the text alone: of a regression head, the number as it is. NaN for a completion that is no token
    to the classifier. Raises UserError if the classifier has no such label.
    """
    import torch

    from actadd.engine.batching import is_out_of_memory

    torch.set_num_threads(spec["compute"]["threads"])
    allowed = spec.get("allow_pickle", False)
    pipeline = _classifier(spec["name"], inputs, spec["compute"]["device"], allowed)
    label = _label(spec, pipeline.model.config.id2label)
    texts = sorted(set(table["completion"]))
    try:
        known = dict(zip(texts, _answers(pipeline, texts), strict=True))
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"scorers.{spec['name']}.source: transformers' own text-classification pipeline cannot "
            f"run {inputs.name} ({reason}); mend its config.json and tokenizer files, or take "
            "another classifier"
        ) from error
    values = [known[text][label] if known[text] else float("nan") for text in table["completion"]]
    return probabilities(values, spec, table.index)


def _answers(pipeline, texts: list[str]) -> list[list[float]]:
    """For each text, the pipeline's score of each label by its id; none for one without tokens."""
    options = encoded_length(pipeline.model, pipeline.tokenizer)
    lengths = [len(pipeline.tokenizer(text, **options)["input_ids"]) for text in texts]
    answers: list[list[float]] = [[] for _ in texts]
    # Texts of one length go together: nothing is padded, so a text has the score that it has alone,
    # also under a model that takes its padding for text.
    for length in sorted(set(lengths) - {0}):
        alike = [index for index, own in enumerate(lengths) if own == length]
        for start in range(0, len(alike), _rows(pipeline)):
            batch = alike[start : start + _rows(pipeline)]
            rows = [texts[index] for index in batch]
            encoded = pipeline.tokenizer(rows, return_tensors="pt", **options)
            for index, logits in zip(batch, pipeline.forward(encoded)["logits"], strict=True):
                scores = pipeline.postprocess({"logits": logits[None]}, top_k=None)
                answers[index] = [entry["score"] for entry in scores]
    return answers


def _rows(pipeline) -> int:
    """Texts in a batch: one where the model names no pad token, as some then refuse more."""
    return 1 if pipeline.model.config.get_text_config().pad_token_id is None else BATCH


def _label(spec: dict[str, Any], id2label: dict[int, Any]) -> int:
    """The id of the label that the entry means: its name, in any case, or the id itself."""
    names = {index: str(name) for index, name in id2label.items()}
    label = spec["label"]
    ways = (
        lambda index: names[index] == label,
        lambda index: names[index].lower() == str(label).lower(),
        lambda index: str(index) == str(label),
    )
    for means in ways[2:] if isinstance(label, int) else ways:
        matching = [index for index in names if means(index)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            break
    listed = ", ".join(f"{index}: {shown(names[index])}" for index in sorted(names)[:20])
    problem = "no label" if not matching else "several labels"
    raise UserError(
        f"scorers.{spec['name']}.label: the classifier has {problem} {label!r}, it has {listed}; "
        "write one of these names, or its number"
    )
