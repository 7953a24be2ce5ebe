"""Relevance: cosine of the sentence embeddings of prompt and completion."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from actadd.checkpoints import check_folder, last_hidden_state, load_whole

BATCH = 64


@lru_cache(maxsize=1)
def _encoder(folder: Path, device: str):
    """Tokenizer and model, loaded once for all cells of a job."""
    from tokenizers import Tokenizer
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    key = f"sources.{folder.name}"
    check_folder(folder, key, pickled="Take a revision that has safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    # Pickled weights can run code when they are read.
    model = load_whole(AutoModel, folder, key, output=last_hidden_state, use_safetensors=True)
    return tokenizer, model.to(device).eval()


def embed(texts: list[str], folder: Path, device: str) -> np.ndarray:
    """Mean-pooled, normalised embeddings by a sentence encoder, float32 [texts, width].

    Raises UserError if its weights are not safetensors.
    """
    import torch

    tokenizer, model = _encoder(folder, device)
    encoded = [tokenizer.encode(text).ids for text in texts]
    order = sorted(range(len(texts)), key=lambda i: (-len(encoded[i]), i))
    result = np.zeros((len(texts), model.config.hidden_size), np.float32)
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        width = len(encoded[batch[0]])
        ids = torch.tensor([encoded[i] + [0] * (width - len(encoded[i])) for i in batch])
        mask = torch.tensor(
            [[1] * len(encoded[i]) + [0] * (width - len(encoded[i])) for i in batch]
        )
        with torch.inference_mode():
            hidden = model(
                input_ids=ids.to(device), attention_mask=mask.to(device)
            ).last_hidden_state.cpu()
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        result[batch] = torch.nn.functional.normalize(pooled.float(), dim=-1).numpy()
    return result


def score(table: pd.DataFrame, spec: dict, inputs: Path) -> pd.DataFrame:
    """cosine: -1 to 1; NaN for an empty completion."""
    import torch

    torch.set_num_threads(spec["compute"]["threads"])
    texts = sorted(set(table["prompt"]) | set(table["completion"]))
    place = {text: index for index, text in enumerate(texts)}
    vectors = embed(texts, inputs, spec["compute"]["device"])
    prompt = vectors[[place[text] for text in table["prompt"]]]
    completion = vectors[[place[text] for text in table["completion"]]]
    cosine = (prompt * completion).sum(axis=1).astype("float64")
    cosine[(table["completion"].str.strip() == "").to_numpy()] = np.nan
    return pd.DataFrame({"cosine": cosine}, index=table.index)
