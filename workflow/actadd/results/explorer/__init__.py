"""The explorer: one page with all completions, steered beside unsteered, and their scores.

The page is a single file that needs no server and no network. Its texts are data, never markup: the
page's own script inserts them, and the page lets no other script run. Completions and token
probabilities are packed by cell, so that a browser unpacks only what it shows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actadd.base.files import write_text
from actadd.results.explorer.opening import opening


def build(
    spec: dict[str, Any],
    *,
    completions: Mapping[tuple[str, str], Path],
    scores: Mapping[tuple[str, str, str], Path],
    summaries: Mapping[tuple[str, str], Path],
    tokens: Mapping[tuple[str, str], Path] | None = None,
    output: Path,
) -> dict[str, Any]:
    """Write the page; returns its number of completions.

    spec: title, controls (vectors that steer nowhere on purpose), and experiments in order of
    display; each has name, title, models, data (a description of its prompts), and may have notes
    on its scorers, labels of its metrics, and what `opening` reads: metric, direction, held_out,
    chosen_in. marked: scorer -> the config entry by whose lexicon its words are marked.
    completions, summaries, tokens (log-probabilities of given texts): tables by (model,
    experiment); scores: by (model, experiment, scorer). The column `failed` of completions and
    summaries holds the reason where there are no numbers.
    """
    # Planning a run reads this package, without pandas and Plotly.
    from actadd.results.explorer.page import Parts, page
    from actadd.results.explorer.runs import run_of

    score_files: dict[tuple[str, str], dict[str, Path]] = {}
    for (model, experiment, scorer), path in scores.items():
        score_files.setdefault((model, experiment), {})[scorer] = path
    controls = frozenset(spec.get("controls", ()))
    parts, experiments, count = Parts(), [], 0
    for entry in spec["experiments"]:
        runs = []
        for model in entry["models"]:
            key = (model, entry["name"])
            run = run_of(
                completions.get(key),
                score_files.get(key, {}),
                summaries[key],
                tokens=(tokens or {}).get(key),
                marked=entry.get("marked", {}),
                controls=controls,
            )
            rows = run.pop("parts")
            for number, cell in enumerate(run["cells"]):
                if number in rows:
                    cell["part"] = parts.add(rows[number])
                    count += len(rows[number].get("text", ()))
            runs.append({"model": model, **run})
        about = {name: value for name, value in entry.items() if name not in ("marked", "models")}
        experiments.append({**about, "runs": runs})
    start = opening(experiments)
    data = {"title": spec["title"], "start": start, "experiments": experiments}
    write_text(output, page(data, parts))
    return {"completions": count}
