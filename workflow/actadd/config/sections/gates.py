"""Gates of additions whose threshold a rule chooses: what must hold of the rule."""

from collections.abc import Iterator
from typing import Any

from actadd.config.sections import datasets
from actadd.config.sections.rules import Problem


def problems(config: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in config["experiments"].items():
        for condition, details in entry["conditions"].items():
            for index, addition in enumerate(details.get("additions", [])):
                rule = addition.get("gate", {}).get("threshold")
                if isinstance(rule, dict):
                    key = f"experiments.{name}.conditions.{condition}.additions.{index}"
                    yield from _rule(config, f"{key}.gate.threshold", rule)


def _rule(config: dict[str, Any], key: str, rule: dict[str, Any]) -> Iterator[Problem]:
    dataset = rule["dataset"]
    for field in ("split", "report"):
        for _, sentence in datasets.split(config, key, dataset, rule[field]):
            yield f"{key}.{field}", sentence
    if datasets.overlap(rule["split"], rule["report"]):
        yield (
            f"{key}.report",
            f"the threshold is chosen on {rule['split']!r}, which has the same texts; write "
            "another split",
        )
    if both := sorted(set(rule["positive"]) & set(rule.get("negative", []))):
        yield f"{key}.negative", f"{both[0]!r} is also positive; write it on one side"
