"""Entries of `method_comparisons` written out as experiments and control vectors.

NAME-development searches layers, NAME draws each method's curve on held-out prompts, and
NAME-divergence and NAME-knowledge measure the same settings on given texts.
"""

from collections.abc import Iterator
from typing import Any

from actadd.config.sections.method_comparisons import CHOSEN, controlled, lacking
from actadd.config.sections.rules import Problem
from actadd.measure.methods import METHODS

UNSTEERED = {"method": "unsteered"}
SUFFIXES = ("development", "divergence", "knowledge")
# Keys that an experiment with completions has as the comparison does.
DRAWN = ("allow_overlap", "shards", "samples", "max_new_tokens", "sampling")


def written_out(config: dict[str, Any]) -> Iterator[Problem]:
    """Add the experiments and vectors of all entries to the config; problems if names are taken."""
    for name, entry in config["method_comparisons"].items():
        key = f"method_comparisons.{name}"
        yield from _names(key, config, name, entry)
        for section, entries in (
            ("vectors", _vectors(config, name, entry)),
            ("experiments", _experiments(config, name, entry)),
        ):
            for new, each in entries.items():
                if new in config[section]:
                    yield (
                        key,
                        f"it defines {section}.{new}, which exists already; rename one of them",
                    )
                config[section][new] = each


def _names(key: str, config: dict[str, Any], name: str, entry: dict[str, Any]) -> Iterator[Problem]:
    """A method must not be called as a condition that is put beside all methods."""
    beside = {
        condition
        for each in control_names(config, name, entry).values()
        for condition in each.values()
    }
    for method in sorted({"unsteered", *beside} & entry["methods"].keys()):
        role = "the baseline" if method == "unsteered" else "a control"
        yield (
            f"{key}.methods.{method}",
            f"{role} that is measured beside it has that name; rename it",
        )


def source_of(key: str, config: dict[str, Any]) -> str:
    """The key that an entry of `method_comparisons` writes for a key of what it was written out to.

    Other keys as they are.
    """
    section, _, rest = key.partition(".")
    name, _, inner = rest.partition(".")
    for comparison, entry in config.get("method_comparisons", {}).items():
        # The user's own may begin with the same name.
        if section == "experiments" and name in _experiments(config, comparison, entry):
            part, _, last = inner.partition(".")
            below = {"conditions": "methods", "choices": "methods"}.get(part, part)
            return ".".join(filter(None, ["method_comparisons", comparison, below, last]))
        if section == "vectors" and name in _vectors(config, comparison, entry):
            return f"method_comparisons.{comparison}.controls"
    return key


def experiments_of(name: str) -> list[str]:
    """The experiments that an entry may be written out to, that of the curves first."""
    return [name, *(f"{name}-{suffix}" for suffix in SUFFIXES)]


def spec(config: dict[str, Any], name: str) -> dict[str, Any]:
    """What `results.equal_damage.compare` needs to know of an entry."""
    entry, experiment = config["method_comparisons"][name], config["experiments"][name]
    metrics = {"disfluency": entry["damage"]["disfluency"]["metric"], "divergence": "kl"}
    metrics["knowledge"] = entry["damage"].get("knowledge", {}).get("metric", "")
    damage = {}
    for kind, each in entry["damage"].items():
        measured = name if kind == "disfluency" else f"{name}-{kind}"
        damage[kind] = {
            "experiment": measured,
            "dataset": config["experiments"][measured]["prompts"]["dataset"],
            "metric": metrics[kind],
            "at": sorted(each["at"]),
        }
    controls = control_names(config, name, entry).values()
    return {
        "name": name,
        "experiment": name,
        "dataset": experiment["prompts"]["dataset"],
        "effect": entry["effect"],
        "damage": damage,
        "controls": sorted(condition for each in controls for condition in each.values()),
    }


def lacks(config: dict[str, Any], name: str) -> list[str]:
    """Sentences about what an entry does not compare, or not well, and why."""
    entry, sentences = config["method_comparisons"][name], list[str]()
    for vector in controlled(config, entry):
        reasons = lacking(config, vector)
        sentences += [
            f"No {control} control: {reasons[control]}."
            for control in entry["controls"]
            if control in reasons
        ]
    judge = config["scorers"][entry["damage"]["disfluency"]["metric"].partition(".")[0]]
    if (model := judge.get("model")) in config["experiments"][name]["models"]:
        sentences.append(f"{model} judges its own disfluency.")
    unread = [name for name, method in entry["methods"].items() if not is_read(method)]
    if unread and entry["damage"].keys() > {"disfluency"}:
        sentences.append(
            f"In given texts not measured, as every prediction would be changed directly or drawn: "
            f"{', '.join(unread)}."
        )
    return sentences


# --- vectors --------------------------------------------------------------------------------------


def control_names(
    config: dict[str, Any], name: str, entry: dict[str, Any]
) -> dict[str, dict[str, str]]:
    """Vector -> control -> the name of its condition; without controls that it cannot have."""
    vectors = controlled(config, entry)
    return {
        vector: {
            control: control if len(vectors) == 1 else f"{control}-{vector}"
            for control in entry["controls"]
            if control not in lacking(config, vector)
        }
        for vector in vectors
    }


def _vectors(config: dict[str, Any], name: str, entry: dict[str, Any]) -> dict[str, Any]:
    vectors = {}
    for vector, conditions in control_names(config, name, entry).items():
        of_vector = config["vectors"][vector]
        for control, condition in conditions.items():
            like = of_vector.get("like", vector) if control == "shuffled" else vector
            read = {key: of_vector[key] for key in ("token", "count") if key in of_vector}
            vectors[f"{name}-{condition}"] = {
                "kind": control,
                "like": like,
                "draws": entry["draws"],
                # Of one seed, orthogonal rows would be the random ones but for their part along.
                "seed": config["seed"] + entry["controls"].index(control),
                **(read if control == "shuffled" else {}),
            }
    return vectors


# --- experiments ----------------------------------------------------------------------------------


def _experiments(config: dict[str, Any], name: str, entry: dict[str, Any]) -> dict[str, Any]:
    methods, prompts = entry["methods"], entry["prompts"]
    searched = [each for each in methods if _searched(methods[each])]
    choices = {each: {**_rule(name, entry), "condition": each} for each in searched}
    curves, method_of = _curves(config, name, entry)
    judges = dict.fromkeys(_scorer(metric) for metric in _metrics(entry))
    shared: dict[str, Any] = {key: entry[key] for key in ("models",) if key in entry}
    drawn: dict[str, Any] = {key: entry[key] for key in DRAWN if key in entry}
    drawn |= {"measure": "completions"}
    rows = {key: prompts[key] for key in ("dataset", "limit") if key in prompts}
    held_out = {**rows, "split": prompts["held_out"]}
    experiments: dict[str, Any] = {}
    if searched:
        experiments[f"{name}-development"] = {
            **{"title": f"{entry['title']}: layers searched", **shared, **drawn},
            "prompts": {**rows, "split": prompts["development"]},
            "conditions": {"unsteered": UNSTEERED, **{each: methods[each] for each in searched}},
            "scorers": [*judges],
        }
    experiments[name] = {
        **{"title": entry["title"], **shared, **drawn, **_choices(choices)},
        "prompts": held_out,
        "conditions": curves,
        "scorers": [*dict.fromkeys([*judges, *entry.get("scorers", [])])],
    }
    readable = {
        each: curves[each]
        for each in curves
        if each not in method_of or is_read(methods[method_of[each]])
    }
    used = {method_of[each] for each in readable if each in method_of}
    for kind, measure in (("divergence", "divergence"), ("knowledge", "logprobs")):
        if (damage := entry["damage"].get(kind)) is None:
            continue
        texts = {key: damage[key] for key in ("dataset", "split", "limit") if key in damage}
        experiments[f"{name}-{kind}"] = {
            **{"title": f"{entry['title']}: {kind}", **shared, "measure": measure},
            "shards": entry["shards"],
            **_choices({each: choices[each] for each in choices if each in used}),
            "prompts": texts if "dataset" in texts else held_out,
            "conditions": readable,
        }
    return experiments


def _rule(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The rule by which a method's layer is chosen."""
    metric, disfluency = _metrics(entry)
    at = entry["damage"]["disfluency"]["at"]
    return {
        "experiment": f"{name}-development",
        "metric": metric,
        "direction": entry["effect"]["direction"],
        "cap": {"metric": disfluency, "factor": entry.get("cap", max(at))},
        "over_cap": "least",
    }


def _metrics(entry: dict[str, Any]) -> tuple[str, str]:
    """The metrics of the effect and of disfluency."""
    return entry["effect"]["metric"], entry["damage"]["disfluency"]["metric"]


def _scorer(metric: str) -> str:
    return metric.partition(".")[0]


def _choices(choices: dict[str, Any]) -> dict[str, Any]:
    return {"choices": choices} if choices else {}


def _curves(
    config: dict[str, Any], name: str, entry: dict[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The conditions on held-out prompts, and the method whose layer and strengths each has."""
    methods, vectors = entry["methods"], controlled(config, entry)
    curves: dict[str, dict[str, Any]] = {"unsteered": UNSTEERED}
    curves |= {each: _curve(each, methods[each]) for each in methods}
    method_of = {each: each for each in methods}
    for vector, conditions in control_names(config, name, entry).items():
        method = curves[vectors[vector]]
        for condition in conditions.values():
            [addition] = method["additions"]
            added = {**addition, "vector": f"{name}-{condition}"}
            curves[condition] = {**method, "additions": [added]}
            method_of[condition] = vectors[vector]
    return curves, method_of


def _searched(method: dict[str, Any]) -> bool:
    """Whether something of a method is chosen on the development split."""
    additions = method.get("additions", [])
    return len(additions) == 1 and any(isinstance(additions[0].get(key), list) for key in CHOSEN)


def _curve(name: str, method: dict[str, Any]) -> dict[str, Any]:
    """A method at the chosen layer, with all its strengths."""
    if not _searched(method):
        return method
    [addition] = method["additions"]
    left_out = {"layer", "depth", *(key for key in CHOSEN if isinstance(addition.get(key), list))}
    kept = {key: value for key, value in addition.items() if key not in left_out}
    return {**method, "additions": [{**kept, "choice": name}]}


def is_read(method: dict[str, Any]) -> bool:
    """Whether given texts can be read under a method, with predictions that it did not change."""
    if METHODS[method["method"]].only_drawn:
        return False
    return all(
        addition.get("phase", "prefill") == "prefill"
        and not {"back", "all"} & {*_positions(addition)}
        for addition in method.get("additions", [])
    )


def _positions(addition: dict[str, Any]) -> list[Any]:
    position = addition.get("position", "front")
    return position if isinstance(position, list) else [position]
