"""Checking a config before anything runs: its form, and its names against each other."""

import math
import re
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from actadd.base.errors import UserError, quote
from actadd.base.files import canonical
from actadd.base.kinds import Rule, load_installed, load_plugin
from actadd.config import files, methods
from actadd.config.declaration import Config
from actadd.config.kinds import bare, inside, kind_names, options
from actadd.config.licences import terms, unaccepted
from actadd.config.lists import spelled_out
from actadd.config.messages import Lines, explained, located
from actadd.config.models import forget_models, models, plain
from actadd.config.sections import (
    comparison,
    datasets,
    displays,
    dose,
    experiments,
    gates,
    language_models,
    method_comparisons,
    readings,
    scorers,
    sources,
    vectors,
)
from actadd.config.sections.rules import Problem, known, listed
from actadd.config.sections.sources import expanded
from actadd.results.displays import needs
from actadd.vectors.kinds import VECTOR_KINDS

# The largest number that every format of our tables holds.
LARGEST = 2**63 - 1
# Control characters but tab and line ends, and halves of characters.
ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
NOUNS = {"lenses": "lens"}


def checked(config: dict[str, Any], root: Path = Path()) -> dict[str, Any]:
    """The config with defaults filled in, integral numbers as integers, and every name resolved.

    A key set to null counts as missing: so a config file can take away what the one below it says.

    config: as `files.load` returns it, or any mapping. root: the folder that relative paths in the
    config start from. Raises UserError with at most five lines that name the key, the value and the
    remedy, and the file and line of a config that was loaded.
    """
    lines: Lines = getattr(config, "lines", {})
    named: set[str] = getattr(config, "named", set())
    for key, sentence in _unplain(config):
        raise located(key, sentence, lines)
    config, lines = spelled_out(_without_nulls(canonical(config)), root, lines)
    for key, sentence in _unplain(config):
        raise located(key, sentence, lines)
    _load_plugins(config, root, lines)
    config = _of_the_form(config, lines)
    if base := config.get(files.BUILDS_ON):
        sentence = f"{quote(base)} was not read; read the config with actadd.config.files.load"
        raise located(files.BUILDS_ON, sentence, lines)
    if config["method_comparisons"]:
        config = _with_comparisons(config, lines)
    references = partial(
        _references, lines={key: at for key, at in lines.items() if at[0] in named}
    )
    for check in (references, apply_overrides, _problems):
        for key, sentence in check(config, root):
            raise located(methods.source_of(key, config), sentence, lines)
    for name, entry in config["method_comparisons"].items():
        entry["lacks"] = methods.lacks(config, name)
    return config


def _of_the_form(config: dict[str, Any], lines: Lines) -> dict[str, Any]:
    """The config with defaults filled in. Raises UserError for what its declaration refuses."""
    try:
        valid = models(kind_names(config)).of(Config).model_validate(config)
    except ValidationError as error:
        raise explained(error, Config, lines) from None
    return dict(canonical(plain(valid)))


def _with_comparisons(config: dict[str, Any], lines: Lines) -> dict[str, Any]:
    """The config with the experiments and vectors that its comparisons of methods stand for."""
    for check in (_comparison_references, method_comparisons.problems, methods.written_out):
        for key, sentence in check(config):
            raise located(key, sentence, lines)
    return _of_the_form(config, lines)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            # A scorer's parameters: null leaves one out of a request.
            key: item if key == "parameters" else _without_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _load_plugins(config: dict[str, Any], root: Path, lines: Lines) -> None:
    """Add the kinds of installed packages and of the Python files that the config names.

    Before entries of them are read.
    """
    load_installed()
    paths = [name for name in listed(config.get("plugins", [])) if isinstance(name, str)]
    for name in paths:
        if not files.holds(root / name, Path.is_file):
            sentence = f"{quote(name)} does not exist; write the path of a Python file"
            raise located("plugins", sentence, lines)
        try:
            load_plugin((root / name).resolve())
        except UserError as error:
            raise located("plugins", str(error).removeprefix("plugins: "), lines) from None
    if paths:
        forget_models()


def _comparison_references(config: dict[str, Any]) -> Iterator[Problem]:
    yield from _references(config, section="method_comparisons")


def _references(
    config: dict[str, Any],
    root: Path = Path(),
    section: str | None = None,
    lines: Lines = MappingProxyType({}),
) -> Iterator[Problem]:
    """Names of entries of other sections that do not exist.

    section: the only one to look at. lines: of the keys of the user's own files.
    """

    def walk(key: str, hint: Any, rule: Rule | None, value: Any) -> Iterator[Problem]:
        _, mark = bare(hint)
        mark = mark if isinstance(mark, Rule) else rule
        if mark and mark.section:
            noun = NOUNS.get(mark.section, mark.section.removesuffix("s"))
            names = config[mark.section]
            if value not in names:
                first = [name for name in names if f"{mark.section}.{name}" in lines]
                yield from known(key, value, names, noun, first)
        for name, item, item_rule, each in inside(hint, value):
            # A name in a list has the key of the list.
            inner = key if isinstance(name, int) and isinstance(each, str) else f"{key}.{name}"
            yield from walk(inner.removeprefix("."), item, item_rule, each)

    for name, hint, rule, value in inside(Config, config):
        if section in (None, name):
            yield from walk(str(name), hint, rule, value)


def apply_overrides(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    """Apply data_dir, stand_in, run_on, seed and budget to the entries that they affect."""
    yield from _local_copies(config, root)
    for name, entry in config["datasets"].items():
        other = entry.pop("stand_in", None)
        registry = config["sources"].get(entry.get("source"), {}).get("registry")
        if other and registry == "npm" and shutil.which("npm") is None:
            entry.clear()
            entry |= {k: v for k, v in config["datasets"][other].items() if k != "stand_in"}
            print(f"npm is not installed: dataset {name} is replaced by {other}", file=sys.stderr)
    runners = _runners(config)
    for section in ("experiments", "lenses", "pair_checks", "overheads"):
        for entry in config[section].values():
            entry.setdefault("models", runners)
    displays = [
        entry for s in ("figures", "tables") for entry in config[s].values() if _models(s, entry)
    ]
    for entry in (*displays, *filter(None, [config["comparison"].get("norms")])):
        entry.setdefault("models", runners)
    for entry in config["vectors"].values():
        kind = VECTOR_KINDS[entry["kind"]]
        if "seed" in options(kind.options) and (kind.control or "count" in entry):
            entry.setdefault("seed", config["seed"])
        # One draw and no key give the same bytes.
        if entry.get("draws") == 1:
            del entry["draws"]
    for addition in _all_additions(config):
        draws = config["vectors"][addition["vector"]].get("draws")
        if draws is not None:
            addition["draws"] = draws
    for name, size in config["budget"].items():
        yield from known(f"budget.{name}", name, config["experiments"], "experiment")
        entry = config["experiments"][name]
        if "prompts" in size:
            entry["prompts"]["limit"] = size["prompts"]
        for key, field in (("samples", "samples"), ("tokens", "max_new_tokens")):
            if key in size:
                entry[field] = size[key]


def _local_copies(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    folder = None
    if "data_dir" in config:
        folder = expanded(config["data_dir"])
        if folder is None:
            yield (
                "data_dir",
                f"{config['data_dir']!r}: this home folder does not exist; write an absolute path",
            )
        elif not files.holds(root / folder, Path.is_dir):
            yield "data_dir", f"{quote(config['data_dir'])} is not a folder; name one, or remove it"
    for entry in config["sources"].values():
        local = entry.pop("local", None)
        if folder is not None and local and (root / folder / local).exists():
            sums = {"sha256": entry["sha256"]} if "sha256" in entry else {}
            entry.clear()
            entry |= {"type": "path", "path": str(folder / local), **sums}


def _models(section: str, entry: dict[str, Any]) -> bool:
    """Whether a figure or table is of models that it names itself."""
    declaration: Any = needs.kind_of(section, entry).options
    return "models" in options(declaration)


def _all_additions(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for experiment in config["experiments"].values():
        for condition in experiment["conditions"].values():
            yield from condition.get("additions", [])


def _runners(config: dict[str, Any]) -> list[str]:
    """run_on, but for models whose terms nobody has accepted; says which and how to."""
    left_out = unaccepted(config, config["run_on"])
    if left_out:
        message = f"run_on: left out until their terms are accepted: {terms(config, left_out)}"
        print(message, file=sys.stderr)
    return [name for name in config["run_on"] if name not in left_out]


def _problems(config: dict[str, Any], root: Path) -> Iterator[Problem]:
    """Everything that the form of the sections does not say."""
    yield from sources.problems(config, root)
    yield from language_models.problems(config)
    yield from datasets.problems(config, root)
    yield from vectors.problems(config, root)
    yield from scorers.problems(config)
    yield from experiments.problems(config)
    yield from dose.problems(config)
    yield from gates.problems(config)
    yield from readings.problems(config)
    yield from vectors.file_problems(config, root)
    yield from displays.problems(config)
    yield from comparison.problems(config, root)


def _unplain(config: Any) -> Iterator[Problem]:
    """What neither JSON nor a file name, a command line or a chart can hold, wherever it stands.

    Values that are shared, as YAML's aliases are, are looked at once, but counted each time.
    """
    counted: dict[int, int] = {}

    def value_problems(value: Any, key: str) -> Iterator[Problem]:
        if isinstance(value, str):
            yield from _odd_text(value, key)
        elif isinstance(value, float) and not math.isfinite(value):
            yield key, f"{value} is not finite; write a finite number"
        elif isinstance(value, (int, float)):
            if abs(value) > LARGEST:
                near = float(max(min(value, 1e300), -1e300))
                yield key, f"{near:g} is too large; the maximum is {LARGEST}"
        elif not isinstance(value, (dict, list, tuple, type(None))):
            kind = type(value).__name__
            yield key, f"{quote(str(value))} is read as a {kind}; put it in quotes"
        elif value is not None:
            yield from inner_problems(value, key)

    def inner_problems(value: Any, key: str) -> Iterator[Problem]:
        if id(value) in counted:
            if not counted[id(value)]:
                yield key, "it contains itself; write it without the alias"
            return
        counted[id(value)] = 0
        size = 1
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            inner = f"{key}.{name}" if key else str(name)
            if isinstance(value, dict):
                yield from _odd_text(str(name), inner)
            yield from value_problems(item, inner)
            size += counted.get(id(item), 1)
        counted[id(value)] = size

    yield from value_problems(config, "")
    if counted.get(id(config), 0) > files.MOST_VALUES:
        size = counted[id(config)]
        yield (
            "the config",
            f"it has {size:.3g} values, and at most {files.MOST_VALUES:,} are allowed; shorten it",
        )


def _odd_text(text: str, key: str) -> Iterator[Problem]:
    if odd := ODD.search(text):
        yield (
            ODD.sub("?", key),
            f"the character U+{ord(odd[0]):04X} in {quote(text)} cannot be displayed; remove it",
        )
