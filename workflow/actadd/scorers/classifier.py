"""A linear text classifier over TF-IDF of words and word pairs, fitted here on labelled text.

Stored as safetensors and JSON; nothing that could run code is written or read.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from actadd.base.errors import UserError
from actadd.base.files import read_json, whole_folder, write_json
from actadd.scorers import probabilities

TOKEN = r"(?u)\b\w[\w']*\b"


def _vectorizer(vocabulary: dict[str, int] | None = None):
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=1 if vocabulary else 2,
        sublinear_tf=True,
        token_pattern=TOKEN,
        vocabulary=vocabulary,
    )


def fit(spec: dict, texts: pd.DataFrame, target: Path) -> dict[str, Any]:
    """Fits logistic regression and writes it to the folder `target`.

    spec: the scorer's entry; `threshold` cuts the label into two classes, and rows closer to it
    than `margin` are left out, as are those without a label. texts: columns text and label.
    Raises UserError if there are not two classes, or no word stands in two texts.
    """
    from safetensors.numpy import save_file
    from sklearn.linear_model import LogisticRegression

    key = f"scorers.{spec['name']}"
    if texts["label"].isna().all():
        raise UserError(
            f"{key}.fit: none of the {len(texts)} texts has a label; name the column of labels in "
            "columns.label of the dataset"
        )
    distance = texts["label"] - spec["threshold"]
    texts = texts[distance.abs() >= spec.get("margin", 0)]
    positive = texts["label"] > spec["threshold"]
    if positive.nunique() != 2:
        raise UserError(
            f"{key}.threshold: all labels lie on one side of {spec['threshold']}, margin left out; "
            "write another threshold or a smaller margin"
        )
    vectorizer = _vectorizer()
    try:
        features = vectorizer.fit_transform(texts["text"])
    except ValueError as error:
        raise UserError(
            f"{key}.fit: no word stands in two of the {len(texts)} texts; name a dataset with more "
            "texts, of words with spaces between them"
        ) from error
    model = LogisticRegression(C=spec.get("regularisation", 2.0), max_iter=1000)
    model.fit(features, positive)
    # The vocabulary in the order of its columns, so that the file is the same every time.
    terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.get)
    with whole_folder(target) as folder:
        tensors = {"idf": vectorizer.idf_, "weight": model.coef_[0], "bias": model.intercept_}
        arrays = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        save_file(arrays, folder / "classifier.safetensors")
        write_json(folder / "vocabulary.json", terms)
    return {"rows": len(texts), "positive": int(positive.sum()), "terms": len(terms)}


def score(table: pd.DataFrame, spec: dict, inputs: Path) -> pd.DataFrame:
    """probability: of the class above the threshold, 0 to 1; positive: 1 if it is above `cut`."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        fitted = load_file(inputs / "classifier.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"scorers.{spec['name']}: {inputs}/classifier.safetensors cannot be read ({error}); "
            "delete the folder and run again"
        ) from error
    terms = read_json(inputs / "vocabulary.json")
    vectorizer = _vectorizer({term: column for column, term in enumerate(terms)})
    vectorizer.idf_ = fitted["idf"]
    logits = vectorizer.transform(table["completion"]) @ fitted["weight"] + fitted["bias"]
    return probabilities(1 / (1 + np.exp(-logits)), spec, table.index)
