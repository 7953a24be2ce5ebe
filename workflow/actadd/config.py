"""Checking a config before anything runs: its form by the schema, its names against each other."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from actadd.errors import UserError
from actadd.files import canonical
from actadd.scorers import KINDS, METRICS

SCHEMA = Path(__file__).resolve().parents[1] / "schemas" / "config.schema.yaml"


def checked(config: dict[str, Any], root: Path = Path()) -> dict[str, Any]:
    """The config with defaults filled in, integral numbers as integers, and every name resolved.

    root: the folder that relative paths in the config start from. Raises UserError with at most
    five lines that name the key, the value and the remedy.
    """
    config = _filled(canonical(config))
    for problem in _problems(config, root):
        raise UserError(problem)
    return config


def _filled(config: Any) -> Any:
    """The config after the schema: valid, with its defaults."""
    import jsonschema

    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    plain = jsonschema.Draft202012Validator
    properties = plain.VALIDATORS["properties"]

    def with_defaults(validator, subschemas, instance, whole):
        if isinstance(instance, dict):
            for key, subschema in subschemas.items():
                if isinstance(subschema, dict) and "default" in subschema:
                    default = subschema["default"]
                    instance.setdefault(key, type(default)(default))
        yield from properties(validator, subschemas, instance, whole)

    filling = jsonschema.validators.extend(plain, {"properties": with_defaults})
    error = jsonschema.exceptions.best_match(filling(schema).iter_errors(config))
    if error is not None:
        raise UserError(_said(error))
    return config


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _said(error) -> str:
    """A schema error as one sentence: key, value, what to write instead."""
    key = ".".join(str(part) for part in error.absolute_path) or "the config"
    value, expected = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(value) - set(known), key=str)
        return f"{key}: unknown key {_shown(unknown[0])}; known keys are {', '.join(known)}"
    if error.validator == "required":
        missing = next(name for name in expected if name not in value)
        return f"{key}: the key {missing!r} is missing; add it"
    if error.validator == "enum":
        allowed = ", ".join(str(item) for item in expected)
        return f"{key}: {_shown(value)} is not known; write one of {allowed}"
    if error.validator == "type":
        return f"{key}: {_shown(value)} has the wrong type; write a value of type {expected}"
    if error.validator == "pattern" and error.schema.get("description"):
        return f"{key}: {_shown(value)} is not allowed; write {error.schema['description']}"
    if error.validator in ("oneOf", "not") and error.schema.get("title"):
        return f"{key}: {_shown(value)} does not fit; write {error.schema['title']}"
    hint = error.schema.get("description") if isinstance(error.schema, dict) else None
    said = error.message if len(error.message) < 200 else f"{_shown(value)} is not valid"
    return f"{key}: {said}" + (f"; expected: {hint}" if hint else "")


def _known(key: str, value: str, section: dict, what: str) -> Iterator[str]:
    if value not in section:
        there = ", ".join(sorted(section)) or "none"
        yield f"{key}: there is no {what} {value!r}; there are: {there}"


def _problems(config: dict[str, Any], root: Path) -> Iterator[str]:
    """Sentences for everything that the schema cannot see, in the config's order."""
    yield from _numbers(config)
    yield from _models(config)
    yield from _datasets(config, root)
    yield from _vectors(config)
    yield from _scorers(config)
    for name, entry in config["experiments"].items():
        yield from _experiment(config, f"experiments.{name}", name, entry)
    for name, entry in config["figures"].items():
        yield from _figure(config, f"figures.{name}", entry)


def _numbers(value: Any, key: str = "") -> Iterator[str]:
    """YAML has .nan and .inf, and no setting here means anything with them."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: {value} is not a number to calculate with; write a finite one"
    items = value.items() if isinstance(value, dict) else []
    if isinstance(value, list):
        items = enumerate(value)
    for name, item in items:
        yield from _numbers(item, f"{key}.{name}" if key else str(name))


def _metric(config: dict[str, Any], key: str, metric: str, scorers: list[str]) -> Iterator[str]:
    """A metric is scorer.column; the scorer must be used and have that column."""
    scorer, _, column = metric.partition(".")
    if scorer not in scorers:
        yield (
            f"{key}: {metric!r} is not scored there; write scorer.metric with one of "
            f"{', '.join(scorers) or 'none'}, or add the scorer"
        )
    columns = METRICS[config["scorers"][scorer]["kind"]]
    if column not in columns:
        there = ", ".join(f"{scorer}.{name}" for name in columns)
        yield f"{key}: there is no metric {metric!r}; write one of {there}"


def _overlap(one: str, other: str) -> bool:
    return one == other or "all" in (one, other)


def _models(config: dict[str, Any]) -> Iterator[str]:
    for name, entry in config["experiments"].items():
        for model in entry["models"]:
            yield from _known(f"experiments.{name}.models", model, config["models"], "model")
    used = {model for entry in config["experiments"].values() for model in entry["models"]}
    used |= {entry["model"] for entry in config["scorers"].values() if "model" in entry}
    used |= {model for entry in config["figures"].values() for model in entry.get("models", [])}
    for name, entry in config["models"].items():
        key = f"models.{name}"
        yield from _known(f"{key}.source", entry["source"], config["sources"], "source")
        terms = entry.get("licence_terms")
        if terms and name in used and name not in config["licences_accepted"]:
            yield (
                f"models.{name}.licence: {entry['licence']} has to be accepted. Read {terms}; if "
                f"you accept, run with --config 'licences_accepted=[{name}]' or add {name} to "
                "licences_accepted"
            )


def _datasets(config: dict[str, Any], root: Path) -> Iterator[str]:
    for name, entry in config["datasets"].items():
        key = f"datasets.{name}"
        if "source" in entry:
            yield from _known(f"{key}.source", entry["source"], config["sources"], "source")
        elif "file" in entry and not (root / entry["file"]).is_file():
            yield f"{key}.file: {entry['file']} does not exist; write the path of a file"
        shares = [size for size in entry.get("splits", {}).values() if size < 1]
        if sum(shares) > 1 + 1e-9:
            yield f"{key}.splits: the shares add up to {sum(shares):g}; at most 1 is there"


def _vectors(config: dict[str, Any]) -> Iterator[str]:
    for name, entry in config["vectors"].items():
        key = f"vectors.{name}"
        if entry["kind"] == "random":
            yield from _known(f"{key}.like", entry["like"], config["vectors"], "vector")
            like = config["vectors"].get(entry["like"], {}).get("kind")
            if like != "pair":
                yield f"{key}.like: {entry['like']!r} is a {like} vector; name a pair"
        if entry["kind"] == "pair" and entry["positive"] == entry["negative"]:
            yield f"{key}: positive and negative are both {entry['positive']!r}; make them differ"
        if entry["kind"] == "mean_difference" and len(entry["positive"]) != len(entry["negative"]):
            yield (
                f"{key}: {len(entry['positive'])} positive and {len(entry['negative'])} negative "
                "prompts; write as many of one as of the other"
            )


def _scorers(config: dict[str, Any]) -> Iterator[str]:
    for name, entry in config["scorers"].items():
        key = f"scorers.{name}"
        needs = KINDS[entry["kind"]]
        if needs == "model":
            yield from _known(f"{key}.model", entry["model"], config["models"], "model")
        if needs == "source":
            yield from _known(f"{key}.source", entry["source"], config["sources"], "source")
        for use in ("fit", "validate"):
            if use in entry:
                place = f"{key}.{use}"
                yield from _split(config, place, entry[use]["dataset"], entry[use]["split"])
        if "validate" in entry:
            check = entry["validate"]
            if check["metric"] not in METRICS[entry["kind"]]:
                there = ", ".join(METRICS[entry["kind"]])
                yield f"{key}.validate.metric: {check['metric']!r} is not one of {there}"
            fit = entry.get("fit", {"dataset": None, "split": ""})
            if check["dataset"] == fit["dataset"] and _overlap(check["split"], fit["split"]):
                yield (
                    f"{key}.validate.split: {check['split']!r} is what the scorer is fitted on; "
                    "name a split that was held out"
                )


def _split(config: dict[str, Any], key: str, dataset: str, split: str) -> Iterator[str]:
    yield from _known(f"{key}.dataset", dataset, config["datasets"], "dataset")
    entry = config["datasets"].get(dataset, {})
    if split != "all" and "splits" in entry:
        yield from _known(f"{key}.split", split, entry["splits"], "split")
    if split != "all" and "texts" in entry and "splits" not in entry:
        yield f"{key}.split: {split!r}, but datasets.{dataset} has no splits; write all"


def _experiment(config: dict, key: str, name: str, entry: dict) -> Iterator[str]:
    prompts = entry["prompts"]
    yield from _split(config, f"{key}.prompts", prompts["dataset"], prompts["split"])
    if entry["measure"] == "logprobs" and entry.get("scorers"):
        yield f"{key}.scorers: log-probabilities have no completions to score; remove the key"
    for scorer in entry.get("scorers", []):
        yield from _known(f"{key}.scorers", scorer, config["scorers"], "scorer")
    for choice, rule in entry.get("choices", {}).items():
        place = f"{key}.choices.{choice}"
        yield from _known(
            f"{place}.experiment", rule["experiment"], config["experiments"], "experiment"
        )
        sweep = config["experiments"][rule["experiment"]]
        if sweep.get("choices"):
            yield f"{place}.experiment: {rule['experiment']} makes choices itself; name a sweep"
        yield from _known(f"{place}.condition", rule["condition"], sweep["conditions"], "condition")
        if not set(entry["models"]) <= set(sweep["models"]):
            missing = ", ".join(sorted(set(entry["models"]) - set(sweep["models"])))
            yield f"{place}.experiment: {rule['experiment']} is not run on {missing}; add it there"
        additions = sweep["conditions"][rule["condition"]].get("additions", [])
        if len(additions) != 1:
            yield f"{place}.condition: {rule['condition']!r} needs exactly one addition to choose"
        for field in ("position", "dimensions"):
            if isinstance(additions[0].get(field), list):
                yield f"{place}.condition: {field} is swept, but only layer and coefficient chosen"
        swept = sweep["prompts"]
        if swept["dataset"] == prompts["dataset"] and _overlap(swept["split"], prompts["split"]):
            yield (
                f"{place}.experiment: {rule['experiment']} uses the same prompts as this "
                "experiment; choose on another split than the one reported"
            )
        if rule.get("cap") and not any(
            condition["method"] == "unsteered" for condition in sweep["conditions"].values()
        ):
            yield f"{place}.cap: {rule['experiment']} has no unsteered condition to compare with"
        for metric in (rule["metric"], *([rule["cap"]["metric"]] if rule.get("cap") else [])):
            yield from _metric(config, place, metric, sweep.get("scorers", []))
    unsteered = [
        c for c, condition in entry["conditions"].items() if condition["method"] == "unsteered"
    ]
    if len(unsteered) > 1:
        yield f"{key}.conditions: {', '.join(unsteered)} are the same unsteered condition; keep one"
    if entry["measure"] == "logprobs" and not unsteered:
        yield f"{key}.conditions: ratios need an unsteered condition; add one"
    for condition, details in entry["conditions"].items():
        needed = {"actadd": "additions", "prompting": "prefix"}.get(details["method"])
        place = f"{key}.conditions.{condition}"
        if needed and needed not in details:
            yield f"{place}: method {details['method']} needs the key {needed!r}; add it"
        for extra in ({"additions", "prefix"} - {needed}) & details.keys():
            yield f"{place}.{extra}: method {details['method']} takes no {extra}; remove it"
        for index, addition in enumerate(details.get("additions", [])):
            place = f"{key}.conditions.{condition}.additions.{index}"
            yield from _addition(config, place, entry, addition)
            positions = addition.get("position", "front")
            late = {"back", "all"} & {*([positions] if isinstance(positions, str) else positions)}
            if entry["measure"] == "logprobs" and (late or addition.get("phase") == "every_step"):
                yield (
                    f"{place}: with measure logprobs, {', '.join(sorted(late)) or 'every_step'} "
                    "leaves no prediction that was not changed directly; write front or middle, "
                    "and phase: prefill"
                )


def _addition(config: dict, key: str, entry: dict, addition: dict) -> Iterator[str]:
    yield from _known(f"{key}.vector", addition["vector"], config["vectors"], "vector")
    if "choice" in addition:
        yield from _known(f"{key}.choice", addition["choice"], entry.get("choices", {}), "choice")
        for field in ("layer", "coefficient"):
            if field in addition:
                yield f"{key}.{field}: the choice {addition['choice']!r} sets it; remove it"
    else:
        for field in ("layer", "coefficient"):
            if field not in addition:
                yield f"{key}: the key {field!r} is missing; write it, or a choice"
        if "factor" in addition:
            yield f"{key}.factor: only a chosen coefficient has a factor; write the coefficient"
    for field in ("layer", "source_layer"):
        layers = addition.get(field, [])
        for layer in layers if isinstance(layers, list) else [layers]:
            for model in entry["models"]:
                depth = config["models"][model]["layers"]
                if layer >= depth:
                    yield (
                        f"{key}.{field}: {layer} is beyond {model}, whose layers are 0 to "
                        f"{depth - 1}"
                    )
    positions = addition.get("position", "front")
    kind = config["vectors"][addition["vector"]]["kind"]
    everywhere = "all" in (positions if isinstance(positions, list) else [positions])
    if everywhere and kind != "mean_difference":
        yield f"{key}.position: all needs a vector of one row, a mean_difference, not a {kind}"
    if kind == "mean_difference" and "position" not in addition:
        yield f"{key}: a mean_difference vector has one row; write position: back or all"


def _figure(config: dict, key: str, entry: dict) -> Iterator[str]:
    for vector in entry.get("vectors", []):
        yield from _known(f"{key}.vectors", vector, config["vectors"], "vector")
    for model in entry.get("models", []):
        yield from _known(f"{key}.models", model, config["models"], "model")
    if "experiment" not in entry:
        return
    yield from _known(f"{key}.experiment", entry["experiment"], config["experiments"], "experiment")
    experiment = config["experiments"][entry["experiment"]]
    wanted = {"sweep": "completions", "conditions": "completions"}.get(entry["kind"], "logprobs")
    if experiment["measure"] != wanted:
        yield (
            f"{key}.kind: {entry['kind']} is drawn from {wanted}, but experiments."
            f"{entry['experiment']} measures {experiment['measure']}"
        )
    for metric in entry.get("metrics", []):
        yield from _metric(config, f"{key}.metrics", metric, experiment.get("scorers", []))
    if "condition" in entry:
        name = entry["condition"]
        yield from _known(f"{key}.condition", name, experiment["conditions"], "condition")
        if "additions" not in experiment["conditions"][name]:
            yield f"{key}.condition: {name!r} adds no vector, so there is nothing to sweep"
