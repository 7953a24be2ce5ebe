"""A sequence classifier from the hub (or a local folder): the probability of one of its labels."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from actadd.checkpoints import check_folder, load_whole
from actadd.errors import UserError
from actadd.scorers import probabilities

BATCH = 32


@lru_cache(maxsize=1)
def _classifier(name: str, inputs: Path, device: str, allow_pickle: bool):
    """Tokenizer and model, loaded once for all cells of a job."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
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
    return tokenizer, model.to(device).eval()


def score(table: pd.DataFrame, spec: dict, inputs: Path) -> pd.DataFrame:
    """probability: of the label `label`, 0 to 1, of the completion alone; positive: above `cut`.

    Raises UserError if the classifier has no such label.
    """
    import torch

    torch.set_num_threads(spec["compute"]["threads"])
    device = spec["compute"]["device"]
    allowed = spec.get("allow_pickle", False)
    tokenizer, model = _classifier(spec["name"], inputs, device, allowed)
    labels = {str(name).lower(): index for index, name in model.config.id2label.items()}
    if spec["label"].lower() not in labels:
        raise UserError(
            f"scorers.{spec['name']}.label: the classifier has no label {spec['label']!r}, it has "
            f"{sorted(labels)}"
        )
    column = labels[spec["label"].lower()]
    values: list[float] = []
    texts = table["completion"].tolist()
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer(
            texts[start : start + BATCH],
            padding=True,
            truncation=True,
            max_length=512,
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            chances = model(**encoded).logits.float().softmax(-1)
        values += chances[:, column].tolist()
    return probabilities(values, spec, table.index)
