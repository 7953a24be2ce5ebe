"""Writes what steering-vectors and repeng make of the same activations, for tests/golden.

In a checkout, with the two packages in a folder of their own, since they ask for other versions:

    pip install --no-deps --target FOLDER steering-vectors==0.12.2 repeng==0.4.0
    PYTHONPATH=tests:FOLDER python tests/tools/record_directions.py > tests/golden/directions.json
"""

import importlib
import json
from types import SimpleNamespace

import numpy as np
import torch
from steering_vectors import aggregators

from builders.pairs import synthetic

# repeng 0.4.0 names a type that numpy 2 no longer has.
np.float_ = np.float64
extract = importlib.import_module("repeng.extract")


def main() -> None:
    activations = synthetic()
    positive, negative = torch.from_numpy(activations.astype(np.float64)).unbind(1)
    exact = {"tol": 1e-12, "max_iter": 100_000}
    rows = {
        "steering-vectors mean": aggregators.mean_aggregator()(positive, negative),
        "steering-vectors pca": aggregators.pca_aggregator()(positive, negative),
        "steering-vectors logistic": aggregators.logistic_aggregator(exact)(positive, negative),
        "repeng pca_diff": of_repeng(activations, "pca_diff"),
        "repeng pca_center": of_repeng(activations, "pca_center"),
    }
    recorded = {name: [float(f"{value:.9g}") for value in row] for name, row in rows.items()}
    print(json.dumps(recorded))


def of_repeng(activations: np.ndarray, method: str) -> np.ndarray:
    """The direction that repeng makes of the activations, which it takes from no model here."""
    hidden = activations.reshape(-1, activations.shape[-1]).copy()
    extract.batched_get_hiddens = lambda *_: {1: hidden}
    extract.model_layer_list = lambda _: [None, None]
    model = SimpleNamespace(config=SimpleNamespace(num_hidden_layers=2))
    entries = [SimpleNamespace(positive="", negative="")] * len(activations)
    return extract.read_representations(model, None, entries, [1], method=method)[1]


if __name__ == "__main__":
    main()
