"""How large the residual stream is at each layer of a model, which a dose is a share of."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.files import write_with
from actadd.data import datasets
from actadd.engine.tokens import Tokens

# Norms of every token but BOS: the median is what a dose relates to.
QUANTILES = {"lower_quartile": 0.25, "residual_norm": 0.5, "upper_quartile": 0.75}


def tabulate_norms(
    spec: dict[str, Any], model_dir: Path, texts_file: Path, output: Path
) -> dict[str, Any]:
    """Write quartiles of the residual stream's norm at every layer of a model, over given texts.

    spec: {model, texts: split and limit, dtype, compute}. texts_file: a prepared dataset. output:
    CSV of model, layer, lower_quartile, residual_norm (the median) and upper_quartile, over all
    tokens of all texts but BOS. Texts are read as prompts are, in the model's chat template if it
    has one.
    Raises UserError if no text is left or a token is unknown.
    """
    import torch

    from actadd.engine.hooks import record_activations
    from actadd.engine.structure import input_device
    from actadd.models.loading import load

    tokens = Tokens(model_dir)
    table = datasets.read(texts_file, spec["texts"]["split"], "dose.split")
    texts = datasets.chosen(table, spec["texts"], "dose")["text"]
    encoded = [tokens.encode(text) for text in texts]
    model = load(model_dir, dtype=spec["dtype"], **spec["compute"])
    device = input_device(model)
    # One text at a time, so that its numbers do not depend on the others.
    norms = np.concatenate(
        [
            record_activations(model, torch.tensor([ids], device=device))[:, 0, 1:]
            .double()
            .norm(dim=-1)
            .cpu()
            .numpy()
            for ids in encoded
        ],
        axis=1,
    )
    quantiles = np.quantile(norms, list(QUANTILES.values()), axis=1)
    columns = dict(zip(QUANTILES, quantiles, strict=True))
    result = pd.DataFrame(columns).rename_axis("layer").reset_index()
    result.insert(0, "model", spec["model"])
    write_with(output, lambda path: result.to_csv(path, index=False, float_format="%.6g"))
    return {"texts": len(encoded), "tokens": int(norms.shape[1])}
