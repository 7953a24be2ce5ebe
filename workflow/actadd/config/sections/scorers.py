"""Section `scorers`: measures of a completion."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from actadd.base.kinds import Rule, option
from actadd.config.kinds import Family
from actadd.config.sections import datasets
from actadd.config.sections.rules import Name, NotBlank, Problem
from actadd.scorers import is_share, metrics

Descriptions = Annotated[list[NotBlank], Rule(min_length=1)]
CUT = {"minimum": 0, "maximum": 1}
ABOVE = "Probabilities above it count as positive."
ENDPOINT = {
    "title": "an http address without a password or key (name the key's variable in key_env)",
    "pattern": r"^https?://[^\s@?#]+\Z",
    "secret": True,
}
VARIABLE = {
    "title": "the name of the environment variable that holds the key, not the key itself",
    "pattern": r"^[A-Z][A-Z0-9_]*\Z",
    "secret": True,
}


@dataclass(frozen=True, kw_only=True)
class Plain:
    note: str | None = option("What captions and the scorer card say of it.", None)


@dataclass(frozen=True, kw_only=True)
class Validation:
    dataset: str = option("Dataset with labels.", section="datasets")
    split: str = option("Split of it on which the scorer was not fitted.")
    metric: str = option("The scorer's metric that is compared, without the scorer's name.")
    threshold: float = option("Labels above it count as positive.")
    cut: float = option("Metric values above it count as positive.")
    limit: int | None = option("Only the first so many rows.", None, minimum=1)
    allow_overlap: bool | None = option(
        "Compare although texts are among what the scorer is fitted on; it is counted all the "
        "same.",
        None,
    )


@dataclass(frozen=True, kw_only=True)
class Validated(Plain):
    validate: Validation | None = option(
        "Comparison with people's labels, for the scorer card.", None
    )


@dataclass(frozen=True, kw_only=True)
class Words(Plain):
    words: list[
        Annotated[
            str, Rule(title="one word in lower case, without punctuation", pattern=r"^[^A-Z\W]+\Z")
        ]
    ] = option("Words that are counted, in upper or lower case.", min_length=1)


@dataclass(frozen=True, kw_only=True)
class Fit:
    dataset: str = option("Dataset with labels.", section="datasets")
    split: str = option("Split of it that the classifier sees.")


@dataclass(frozen=True, kw_only=True)
class Classifier(Validated):
    fit: Fit = option("Labelled texts that the classifier is fitted on.")
    threshold: float = option("Labels above it are the positive class.")
    margin: float | None = option(
        "Texts whose label is nearer to the threshold are left out of the fit.", None, minimum=0
    )
    regularisation: float | None = option(
        "C of the logistic regression, larger for a closer fit; 2 if not given.",
        None,
        exclusive_minimum=0,
    )
    cut: float = option(ABOVE, 0.5, **CUT)


@dataclass(frozen=True, kw_only=True)
class Perplexity(Plain):
    model: str = option("Model under which perplexity is measured.", section="models")


@dataclass(frozen=True, kw_only=True)
class Similarity(Plain):
    source: str = option("Source with the sentence encoder.", section="sources")


@dataclass(frozen=True, kw_only=True)
class HubClassifier(Validated):
    source: str = option("Source with the classifier.", section="sources")
    label: str | int = option(
        "Label of the classifier whose probability is measured, by its name or its number.",
        title="a label's name, or its number",
    )
    allow_pickle: bool = option(
        "Read pickled weights, which can run code when they are read.", False
    )
    cut: float = option(ABOVE, 0.5, **CUT)


@dataclass(frozen=True, kw_only=True)
class Topics(Validated):
    source: str = option("Source with the sentence encoder.", section="sources")
    topics: dict[Name, Descriptions] = option(
        "Topic -> descriptions of a text about it.", min_length=1
    )
    contrast: Descriptions | None = option(
        "Descriptions of texts about none of them.", None, min_length=1
    )
    temperature: float = option(
        "Cosines are divided by it; the smaller, the nearer probabilities are to 0 or 1.",
        0.05,
        exclusive_minimum=0,
    )


@dataclass(frozen=True, kw_only=True)
class Remote(Validated):
    timeout: float | None = option(
        "Seconds in which a server has to send something; 120 if not given.",
        None,
        exclusive_minimum=0,
    )


RATE = "Requests in a second, at most, over all jobs; as fast as they go if not given."


@dataclass(frozen=True, kw_only=True)
class Judge(Remote):
    url: str = option("Address of the server's chat completions.", **ENDPOINT)
    model: str = option("The judge's name on that server.", min_length=1)
    key_env: str | None = option(
        "Environment variable with the key; no key is sent if not given.", None, **VARIABLE
    )
    question: str = option(
        "What the judge is asked about each completion.",
        title="a question with {completion} in it, and {prompt} if you like, to be answered yes "
        "or no",
        pattern=r"\{completion\}",
    )
    temperature: float = option("Temperature of the judge.", 0, minimum=0)
    max_tokens: int = option(
        "Tokens that an answer may have; a judge that thinks first needs hundreds.", 5, minimum=1
    )
    parameters: (
        dict[
            Annotated[
                str,
                Rule(
                    title="a parameter's name, but not model, messages or stream",
                    pattern=r"^(?!(model|messages|stream)\Z)[A-Za-z_][A-Za-z0-9_.-]*\Z",
                ),
            ],
            Any,
        ]
        | None
    ) = option(
        "Further parameters of a request, or others in their place; null leaves one out, as in "
        "{max_tokens: null, max_completion_tokens: 64}.",
        None,
    )
    per_second: float | None = option(RATE, None, exclusive_minimum=0)


@dataclass(frozen=True, kw_only=True)
class Perspective(Remote):
    attribute: str = option(
        "Attribute whose probability is asked for.",
        "TOXICITY",
        title="the name of a Perspective attribute, in capitals",
        pattern=r"^[A-Z_]+\Z",
    )
    language: str = option(
        "Language of the completions.",
        "en",
        title="a language's code, such as en",
        pattern=r"^[a-z]{2}(-[A-Za-z]+)?\Z",
    )
    key_env: str = option("Environment variable with the key.", "PERSPECTIVE_API_KEY", **VARIABLE)
    url: str = option(
        "Address of the API.",
        "https://commentanalyzer.googleapis.com/v1alpha1/comments:analyze",
        **ENDPOINT,
    )
    per_second: float = option(RATE, 1, exclusive_minimum=0)
    cut: float = option(ABOVE, 0.5, **CUT)


KINDS = {
    "vader": Validated,
    "words": Words,
    "distinct": Validated,
    "classifier": Classifier,
    "perplexity": Perplexity,
    "similarity": Similarity,
    "hub_classifier": HubClassifier,
    "topics": Topics,
    "llm_judge": Judge,
    "perspective": Perspective,
}
Scorer = Annotated[Any, Family("kind", lambda: KINDS, "What measures the completions.")]


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["scorers"].items():
        key = f"scorers.{name}"
        for topic in entry.get("topics", {}):
            if not is_share(topic):
                yield (
                    f"{key}.topics",
                    f"{topic!r} is also a measure's name; call the topic otherwise",
                )
        for use in ("fit", "validate"):
            if use in entry:
                texts = entry[use]
                yield from datasets.split(
                    config, f"{key}.{use}", texts["dataset"], texts["split"]
                )
        if "validate" in entry:
            check = entry["validate"]
            if check["metric"] not in metrics(entry):
                yield (
                    f"{key}.validate.metric",
                    f"{check['metric']!r} is not one of its metrics; write one of "
                    f"{', '.join(metrics(entry))}",
                )
            fit = entry.get("fit", {"dataset": None, "split": ""})
            if check["dataset"] == fit["dataset"] and datasets.overlap(check["split"], fit["split"]):
                yield (
                    f"{key}.validate.split",
                    f"{check['split']!r} is what the scorer is fitted on; name a split that was "
                    "held out",
                )
