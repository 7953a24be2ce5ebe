"""A language model as judge, behind any server of OpenAI's chat completions form.

Each text is one question, to be answered with yes or no.
"""

import re

import pandas as pd

from actadd.answers import answer, say_once


def score(table: pd.DataFrame, spec: dict, inputs) -> pd.DataFrame:
    """yes: 1 or 0; NaN for an empty completion, which is not asked about, and for an answer that
    starts with neither yes nor no."""
    rows = zip(table["prompt"], table["completion"], strict=True)
    values = [_yes(spec, prompt, completion) for prompt, completion in rows]
    return pd.DataFrame({"yes": pd.Series(values, index=table.index, dtype="float64")})


def _yes(spec: dict, prompt: str, completion: str) -> float | None:
    if not completion.strip():
        return None
    texts = {"prompt": prompt, "completion": completion}
    # In one pass: a text may itself spell out a placeholder.
    question = re.sub(r"\{(prompt|completion)\}", lambda found: texts[found[1]], spec["question"])
    body = {
        "model": spec["model"],
        "messages": [{"role": "user", "content": question}],
        "temperature": spec.get("temperature", 0),
        "max_tokens": spec.get("max_tokens", 5),
    }
    said = answer(
        spec,
        body,
        lambda reply: reply["choices"][0]["message"]["content"],
        headers=lambda key: {"Authorization": f"Bearer {key}"},
    )
    found = re.match(r"\W*(yes|no)\b", said or "", re.IGNORECASE)
    if not found:
        say_once(f"scorers.{spec['name']}: some answers are neither yes nor no, such as {said!r}")
        return None
    return float(found[1].lower() == "yes")
