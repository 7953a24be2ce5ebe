"""A linear text classifier over TF-IDF of words and word pairs, fitted here on labelled text.

Stored as safetensors and JSON; nothing that could run code is written or read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actadd.base.errors import UserError
from actadd.base.files import read_json, whole_folder, write_json
from actadd.base.kinds import option
from actadd.scorers.kinds import CUT, PROBABILITIES, Job, ValidatedOptions, probabilities, scorer

if TYPE_CHECKING:
    import pandas as pd

TOKEN = r"(?u)\b\w[\w']*\b"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Texts that a classifier is fitted on."""

    dataset: str = option("Dataset with labels.", section="datasets")
    split: str = option("Split that the classifier is fitted on.")


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ValidatedOptions):
    # The texts are in what is fitted on them.
    LABELS = (*ValidatedOptions.LABELS, "fit")

    fit: Fit = option("Labelled texts that the classifier is fitted on.")
    threshold: float = option("Labels above it are the positive class.")
    margin: float = option(
        "Texts whose label is nearer to the threshold are left out of the fit.", 0, minimum=0
    )
    regularisation: float = option(
        "C of the logistic regression, larger for a closer fit.", 2.0, exclusive_minimum=0
    )
    cut: float = option("Probabilities above it count as positive.", 0.5, **CUT)


def _vectorizer(vocabulary: dict[str, int] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=1 if vocabulary else 2,
        sublinear_tf=True,
        token_pattern=TOKEN,
        vocabulary=vocabulary,
    )


def fit(options: ClassifierOptions, texts: pd.DataFrame, target: Path, job: Job) -> dict[str, Any]:
    """Fit logistic regression and write it to the folder `target`; return counts.

    texts: columns text and label. `threshold` cuts the label into two classes; texts closer to it
    than `margin`, and texts without a label, are left out. Raises UserError if there are not two
    classes, or no word is in two texts.
    """
    import numpy as np
    from safetensors.numpy import save_file
    from sklearn.linear_model import LogisticRegression

    if texts["label"].isna().all():
        raise UserError(
            f"{job.key}.fit: none of the {len(texts)} texts has a label; name the column of labels "
            "in columns.label of the dataset"
        )
    distance = texts["label"] - options.threshold
    texts = texts[distance.abs() >= options.margin]
    positive = texts["label"] > options.threshold
    if positive.nunique() != 2:
        raise UserError(
            f"{job.key}.threshold: all labels lie on one side of {options.threshold}, margin left "
            "out; write another threshold or a smaller margin"
        )
    vectorizer = _vectorizer()
    try:
        features = vectorizer.fit_transform(texts["text"])
    except ValueError as error:
        raise UserError(
            f"{job.key}.fit: no word is in two of the {len(texts)} texts; name a dataset with more "
            "texts, of words with spaces between them"
        ) from error
    model = LogisticRegression(C=options.regularisation, max_iter=1000)
    model.fit(features, positive)
    # The vocabulary in the order of its columns, so that the file is the same every time.
    terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.get)
    with whole_folder(target) as folder:
        tensors = {"idf": vectorizer.idf_, "weight": model.coef_[0], "bias": model.intercept_}
        arrays = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        save_file(arrays, folder / "classifier.safetensors")
        write_json(folder / "vocabulary.json", terms)
    return {"rows": len(texts), "positive": int(positive.sum()), "terms": len(terms)}


@scorer(ClassifierOptions, metrics=PROBABILITIES, reads="classifier", fit=fit)
def classifier(table: pd.DataFrame, options: ClassifierOptions, job: Job) -> pd.DataFrame:
    """A linear classifier over TF-IDF that is fitted on labelled texts. probability: of the class
    above the threshold, 0 to 1; positive: 1 if it is above `cut`, else 0.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        fitted = load_file(job.path / "classifier.safetensors")
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{job.key}: {job.path}/classifier.safetensors cannot be read ({error}); "
            "delete the folder and run again"
        ) from error
    terms = read_json(job.path / "vocabulary.json")
    vectorizer = _vectorizer({term: column for column, term in enumerate(terms)})
    vectorizer.idf_ = fitted["idf"]
    logits = vectorizer.transform(table["completion"]) @ fitted["weight"] + fitted["bias"]
    return probabilities(1 / (1 + np.exp(-logits)), options.cut, table.index)
