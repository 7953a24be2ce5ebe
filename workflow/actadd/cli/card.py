"""`actadd card`: the reliability cards of a vector, from the results on disk."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from actadd.base.errors import UserError, quote
from actadd.base.kinds import build
from actadd.base.names import some, unknown
from actadd.cli.plan import made_by
from actadd.pipeline.graph import Graph, target_of
from actadd.results.displays import needs
from actadd.results.reliability.card import Card
from actadd.results.reliability.gather import cards
from actadd.results.reliability.options import ReliabilityOptions

# An entry of the config, as its section and name.
Entry = tuple[str, str]


def cards_of(
    graph: Graph, vector: str, model: str | None = None, experiment: str | None = None
) -> list[Card]:
    """The cards of a vector: of each setting, on each model, in each experiment that has some.

    Raises UserError if the config has no such vector, experiment or model with cards, or if results
    are missing or were made from another config.
    """
    names = chosen(graph.config, vector, model, experiment)
    return [
        card
        for name in names
        for card in _cards(graph, name)
        if vector in card.vector.split("+") and model in (None, card.model)
    ]


def chosen(
    config: Mapping[str, Any], vector: str, model: str | None, experiment: str | None
) -> list[Entry]:
    """The entries of the config that have the cards asked for, one for each experiment."""
    entries = dict(_entries(config))
    if not entries:
        raise UserError(
            "tables: none is of kind reliability; write one, such as reliability: { kind: "
            "reliability, title: Reliability, experiment: NAME, metric: scorer.metric }"
        )
    if experiment is not None:
        _known("--experiment", "experiment with cards", experiment, entries)
        entries = {experiment: entries[experiment]}
    controls = needs.controls(config)
    vectors = {name: needs.vectors_of(_entry(config, at), config) for name, at in entries.items()}
    having = {name: at for name, at in entries.items() if vector in vectors[name]}
    every = {each for names in vectors.values() for each in names} - set(controls)
    if vector not in config["vectors"]:
        _known("VECTOR", "vector with cards", vector, every)
    if vector in controls:
        raise UserError(
            f"VECTOR: {quote(vector)} is a control; its numbers are in the cards of the vector "
            "that it is compared with; name that vector"
        )
    if not having:
        raise UserError(
            f"VECTOR: no experiment with cards adds {quote(vector)}; write a table of kind "
            f"reliability on an experiment that adds it. Vectors with cards: {some(every)}"
        )
    models = {
        each for at in having.values() for each in needs.models_of(_entry(config, at), config)
    }
    if model is not None:
        _known("--model", "model with cards of it", model, models)
    return list(having.values())


def _entries(config: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    """(experiment, entry) of each entry with cards; a table goes before a figure."""
    for section in ("figures", "tables"):
        for name, entry in config[section].items():
            if issubclass(needs.kind_of(section, entry).options, ReliabilityOptions):
                yield entry["experiment"], (section, name)


def _entry(config: Mapping[str, Any], at: Entry) -> Mapping[str, Any]:
    section, name = at
    entry: Mapping[str, Any] = config[section][name]
    return entry


def _known(key: str, noun: str, name: str, names: Any) -> None:
    if name not in names:
        raise UserError(f"{key}: {unknown(noun, name, names)}")


def _cards(graph: Graph, at: Entry) -> list[Card]:
    """The cards of an entry, read from what its job reads."""
    section, name = at
    job = graph.display(section, name)
    files: dict[str, Any] = {"readings": []}
    for need, inputs in job.inputs.items():
        for file in inputs:
            path = Path(file.path)
            assert file.job is not None
            if not path.exists() or not made_by(path, file.job):
                state = "was made from another config or code" if path.exists() else "is missing"
                raise UserError(
                    f"{path} {state}; make it with snakemake --cores all {target_of(section, name)}"
                )
            if columns := needs.NAMES.get(need):
                key = tuple(file.job.names[each] for each in columns.strip("{}").split(","))
                files.setdefault(need, {})[key] = path
            else:
                files[need].append(path)
    options = build(ReliabilityOptions, _entry(graph.config, at))
    return cards(options, needs.sources_of(section, job.settings, files))
