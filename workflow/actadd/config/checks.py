"""Checking a config before anything runs: its form by the schema, its names against each other."""

import itertools
import json
import math
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from actadd.base.errors import UserError, shown, without_secrets
from actadd.base.files import canonical
from actadd.config import files
from actadd.config.licences import terms, unaccepted
from actadd.measure.conditions import at_depth, grid_size
from actadd.results.displays import needs
from actadd.scorers.kinds import metrics, reads

# The largest number that every format of our tables holds.
LARGEST = 2**63 - 1
# Control characters but tab and line ends, and halves of characters.
ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# An entry goes to its jobs as one argument of a command, for which Linux has 131,072 bytes.
MOST_BYTES = 100_000
MOST_CELLS = 100_000

# Words in the name of a query's value by which that value is a secret.
SECRETS = {"token", "key", "apikey", "auth", "password", "passwd", "pwd", "secret", "sig"}
SECRETS |= {"signature", "credential", "credentials", "session", "sas", "jwt"}
SPLIT = re.compile(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])")

# Installed with pip, the schemas lie in the package; in the workflow, beside it.
SCHEMA = next(
    path
    for folder in Path(__file__).resolve().parents
    if (path := folder / "schemas" / "config.schema.yaml").is_file()
)


def checked(config: dict[str, Any], root: Path = Path()) -> dict[str, Any]:
    """The config with defaults filled in, integral numbers as integers, and every name resolved.

    A key set to null counts as missing: so a config file can take away what the one below it says.

    root: the folder that relative paths in the config start from. Raises UserError with at most
    five lines that name the key, the value and the remedy.
    """
    for problem in _unplain(config):
        raise UserError(problem)
    config = _filled(_without_nulls(canonical(config)))
    _settle(config, root)
    for problem in _problems(config, root):
        raise UserError(problem)
    return config


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            # A scorer's parameters: null leaves one out of a request.
            key: item if key == "parameters" else _without_nulls(item)
            for key, item in value.items()
            if item is not None
        }
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _settle(config: dict[str, Any], root: Path) -> None:
    """What one section decides for others: local copies, stand-ins, models to run on, sizes."""
    folder = home(config["data_dir"], "data_dir") if "data_dir" in config else None
    if folder is not None and not _there(root / folder, Path.is_dir):
        raise UserError(
            f"data_dir: {shown(config['data_dir'])} is no folder; name one, or remove it"
        )
    for entry in config["sources"].values():
        local = entry.pop("local", None)
        if folder is not None and local and (root / folder / local).exists():
            sums = {"sha256": entry["sha256"]} if "sha256" in entry else {}
            entry.clear()
            entry |= {"type": "path", "path": str(folder / local), **sums}
    for name, entry in config["datasets"].items():
        other = entry.pop("stand_in", None)
        registry = config["sources"].get(entry.get("source"), {}).get("registry")
        if other and registry == "npm" and shutil.which("npm") is None:
            if other not in config["datasets"]:
                raise UserError(f"datasets.{name}.stand_in: there is no dataset {other!r}")
            entry.clear()
            entry |= {k: v for k, v in config["datasets"][other].items() if k != "stand_in"}
            print(f"npm is not installed: dataset {name} is replaced by {other}", file=sys.stderr)
    runners = _runners(config)
    for section in ("experiments", "lenses", "overheads"):
        for entry in config[section].values():
            entry.setdefault("models", runners)
    for entry in config["vectors"].values():
        if entry["kind"] == "random":
            entry.setdefault("seed", config["seed"])
            # One draw and no key give the same bytes.
            if entry.get("draws") == 1:
                del entry["draws"]
    for addition in _all_additions(config):
        draws = config["vectors"].get(addition["vector"], {}).get("draws")
        if draws is not None:
            addition["draws"] = draws
    norms = (entry for entry in config["figures"].values() if entry["kind"] == "norms")
    for entry in (*norms, *filter(None, [config["comparison"].get("norms")])):
        entry.setdefault("models", runners)
    for name, size in config["budget"].items():
        if name not in config["experiments"]:
            there = ", ".join(sorted(config["experiments"]))
            raise UserError(f"budget.{name}: there is no experiment {name!r}; there are: {there}")
        entry = config["experiments"][name]
        if "prompts" in size:
            entry["prompts"]["limit"] = size["prompts"]
        for key, field in (("samples", "samples"), ("tokens", "max_new_tokens")):
            if key in size:
                entry[field] = size[key]


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


@cache
def _schema() -> dict[str, Any]:
    return files.read(SCHEMA)


def _filled(config: Any) -> Any:
    """The config after the schema: valid, with its defaults."""
    import jsonschema

    schema = _schema()
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


# JSON schema's types in words, for messages.
TYPES = {
    "object": "keys with values",
    "array": "a list",
    "string": "a text (type string)",
    "integer": "a whole number (type integer)",
    "number": "a number",
    "boolean": "true or false",
}


def _said(error) -> str:
    """A schema error as one sentence: key, value, what to write instead."""
    key = ".".join(str(part) for part in error.absolute_path) or "the config"
    value, expected, schema = error.instance, error.validator_value, error.schema
    remedy = schema.get("title")
    found = shown(value)
    if schema.get("writeOnly"):
        # A secret may have been written there.
        found = "what is written there"
    elif isinstance(value, dict):
        found = f"having {', '.join(map(str, value)) or 'no key'}"[:200]
    elif error.validator in ("pattern", "enum") and not str(value).isascii():
        # Some letters look like others.
        found = ascii(value)[:80]
    match error.validator:
        case "additionalProperties":
            known = sorted(schema.get("properties", {}))
            unknown = sorted(set(value) - set(known), key=str)
            return f"{key}: unknown key {ascii(unknown[0])[:80]}; known keys are {', '.join(known)}"
        case "required":
            missing = next(name for name in expected if name not in value)
            return f"{key}: the key {missing!r} is missing; add it"
        case "enum":
            allowed = ", ".join(str(item) for item in expected)
            return f"{key}: {found} is not known; write one of {allowed}"
        case "type":
            return f"{key}: {found} has the wrong type; write {_typed(value, expected)}"
        case "uniqueItems":
            return f"{key}: {found} names something twice; write each once"
        case "minItems" | "minLength" | "minProperties" if not value:
            some = {"minItems": "at least one entry", "minProperties": "at least one key"}
            return f"{key}: it is empty; write {some.get(error.validator, 'a text')}"
        case "minItems":
            return f"{key}: {found} has {len(value)} entries; write {expected}"
        case "maxItems" | "maxLength":
            what = "entries" if error.validator == "maxItems" else "characters"
            return (
                f"{key}: {found} has {len(value)} {what}, and at most {expected} fit; shorten it, "
                "or put texts into a dataset's file"
            )
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            side = "below" if "inimum" in error.validator else "above"
            end = error.validator.removeprefix("exclusive").lower()
            also = "at or " if error.validator.startswith("exclusive") else ""
            return f"{key}: {found} is {also}{side} the {end} of {expected}; write another number"
        case "oneOf" if isinstance(value, str) and _number(value) is not None:
            return f"{key}: {found} is a text; write {remedy}: {_number(value)}, without quotes"
        case "pattern" | "oneOf" | "not" | "const" | "anyOf" if remedy:
            return f"{key}: {found} is not allowed; write {remedy}"
    return f"{key}: {found} is not valid; write {remedy or 'what the schema describes'}"


def _typed(value: Any, expected: str) -> str:
    """What to write for a value of another type than `expected`."""
    words = TYPES[expected]
    if expected == "string" and isinstance(value, bool):
        return f"{words}: yes, no, on and off stand for true and false unless they are in quotes"
    if expected == "string" and isinstance(value, (int, float)):
        return f"{words}: put it in quotes"
    if expected in ("integer", "number") and isinstance(value, str):
        number = _number(value)
        return words if number is None else f"{words}: {number}, without quotes"
    if expected == "array" and isinstance(value, (str, int, float)):
        return f"{words}: [{value}]" if len(str(value)) <= 60 else words
    return words


def _number(text: str) -> int | float | None:
    """The number that a text spells, if it does; YAML takes 1e3 for a text."""
    with suppress(ValueError):
        return canonical(float(text))
    return None


def _known(key: str, value: str, section: dict, what: str) -> Iterator[str]:
    if value not in section:
        there = ", ".join(sorted(section)) or "none"
        yield f"{key}: there is no {what} {value!r}; there are: {there}"


def _problems(config: dict[str, Any], root: Path) -> Iterator[str]:
    """Sentences for everything that the schema cannot see, in the config's order."""
    yield from _sizes(config)
    yield from _sources(config, root)
    yield from _models(config)
    yield from _datasets(config, root)
    yield from _vectors(config)
    yield from _scorers(config)
    for name, entry in config["experiments"].items():
        yield from _experiment(config, f"experiments.{name}", name, entry)
    for name, entry in config["lenses"].items():
        for vector in entry["vectors"]:
            yield from _known(f"lenses.{name}.vectors", vector, config["vectors"], "vector")
            draws = config["vectors"][vector].get("draws", 1)
            if draws > 1:
                yield (
                    f"lenses.{name}.vectors: {vector!r} has {draws} draws, and a lens reads one "
                    "vector; name another, or one with draws: 1"
                )
    for name, entry in config["overheads"].items():
        yield from _overhead(config, f"overheads.{name}", entry)
    for name, entry in config["vectors"].items():
        if entry["kind"] == "file":
            yield from _given_vector(config, f"vectors.{name}", name, root)
    for section in ("figures", "tables"):
        for name, entry in config[section].items():
            yield from _display(config, f"{section}.{name}", section, entry)
    yield from _comparison(config, root)


def _unplain(config: Any) -> Iterator[str]:
    """What neither JSON nor a file name, a command line or a chart can hold, wherever it stands.

    Values that are shared, as YAML's aliases are, are looked at once, but counted each time.
    """
    counted: dict[int, int] = {}

    def looked_at(value: Any, key: str) -> Iterator[str]:
        if isinstance(value, str):
            yield from _odd_text(value, key)
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{key}: {value} is not a number to calculate with; write a finite one"
        elif isinstance(value, (int, float)):
            if abs(value) > LARGEST:
                near = float(max(min(value, 1e300), -1e300))
                yield f"{key}: {near:g} is too large; at most {LARGEST} fits"
        elif not isinstance(value, (dict, list, tuple, type(None))):
            kind = type(value).__name__
            yield f"{key}: {shown(str(value))} is read as a {kind}; put it in quotes"
        elif value is not None:
            yield from inside(value, key)

    def inside(value: dict | list | tuple, key: str) -> Iterator[str]:
        if id(value) in counted:
            if not counted[id(value)]:
                yield f"{key}: it holds itself; write it out"
            return
        counted[id(value)] = 0
        size = 1
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            place = f"{key}.{name}" if key else str(name)
            if isinstance(value, dict):
                yield from _odd_text(str(name), place)
            yield from looked_at(item, place)
            size += counted.get(id(item), 1)
        counted[id(value)] = size

    yield from looked_at(config, "")
    if counted.get(id(config), 0) > files.MOST_VALUES:
        yield f"the config: {counted[id(config)]:.3g} values are more than can be meant; shorten it"


def _odd_text(text: str, key: str) -> Iterator[str]:
    odd = ODD.search(text)
    if odd:
        key = ODD.sub("?", key)
        yield (
            f"{key}: the character U+{ord(odd[0]):04X} in {shown(text)} can be neither written nor "
            "shown; take it out"
        )


def _metric(config: dict[str, Any], key: str, metric: str, scorers: list[str]) -> Iterator[str]:
    """A metric is scorer.column; the scorer must be used and have that column."""
    scorer, _, column = metric.partition(".")
    if scorer not in scorers:
        yield (
            f"{key}: {metric!r} is not scored there; write scorer.metric with one of "
            f"{', '.join(scorers) or 'none'}, or add the scorer"
        )
    columns = metrics(config["scorers"][scorer])
    if column not in columns:
        there = ", ".join(f"{scorer}.{name}" for name in columns)
        yield f"{key}: there is no metric {metric!r}; write one of {there}"


def _overlap(one: str, other: str) -> bool:
    return one == other or "all" in (one, other)


def _sizes(config: dict[str, Any]) -> Iterator[str]:
    for section, entries in config.items():
        whole = section == "comparison" or not isinstance(entries, dict)
        for name, entry in [("", entries)] if whole else entries.items():
            # As a job's spec, which is ASCII.
            size = len(shlex.quote(json.dumps(entry, separators=(",", ":"))))
            if size > MOST_BYTES:
                yield (
                    f"{section}{'.' * bool(name)}{name}: it is {size:,} bytes, more than "
                    f"{MOST_BYTES:,} that a command can take; put texts into a dataset's file"
                )


def home(path: str, key: str) -> Path:
    """A path with ~ and ~name spelled out; raises UserError if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{key}: {path!r}: there is no such home; write the whole path") from None


def _sources(config: dict[str, Any], root: Path) -> Iterator[str]:
    for name, entry in config["sources"].items():
        key = f"sources.{name}"
        if "url" in entry:
            yield from _address(f"{key}.url", entry["url"])
        if "path" in entry:
            results, given = (root / "results").resolve(), home(entry["path"], f"{key}.path")
            path = (root / given).resolve()
            if path in (results, *results.parents) or results in path.parents:
                yield (
                    f"{key}.path: {entry['path']!r} and the results would lie in one another; "
                    "name a folder with nothing but the source"
                )
        for place, members in _members(entry):
            yield from _colliding(f"{key}.{place}", members)


def _members(entry: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """(where it stands, files that are written) of a source that unpacks archives."""
    if "members" in entry:
        yield "members", list(entry["members"])
    if "parts" in entry:
        # One name in several parts is one file, published in pieces.
        yield "parts", sorted({file for part in entry["parts"] for file in part["members"]})


def _colliding(key: str, files: list[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for file in files:
        other = seen.setdefault(file.lower(), file)
        if other != file:
            yield f"{key}: {other!r} and {file!r} are one file on some disks; rename one"
    for file in files:
        for folder in Path(file.lower()).parents:
            if str(folder) in seen:
                other = seen[str(folder)]
                yield f"{key}: {other!r} is a file and the folder of {file!r}; rename it"


def _address(key: str, address: str) -> Iterator[str]:
    """An address goes into records and logs, so it must not hold what only its user may know."""
    parts = urlsplit(address)
    words = {word.lower() for name, _ in parse_qsl(parts.query) for word in SPLIT.split(name)}
    if "@" in parts.netloc or words & SECRETS:
        yield (
            f"{key}: {without_secrets(address)} holds a password or key, which would be written "
            "into records and logs; fetch the file yourself and use type: path"
        )
    if not parts.hostname:
        yield f"{key}: {without_secrets(address)!r} names no host; write a whole address"


def _models(config: dict[str, Any]) -> Iterator[str]:
    for model in config["run_on"]:
        yield from _known("run_on", model, config["models"], "model")
    for section in ("experiments", "lenses", "overheads"):
        for name, entry in config[section].items():
            if not entry["models"] and not entry.get("shapes"):
                yield f"{section}.{name}: the key 'models' is missing; write it, or run_on for all"
            for model in entry["models"]:
                yield from _known(f"{section}.{name}.models", model, config["models"], "model")
    sections = ("experiments", "lenses", "overheads", "figures")
    running = [entry for section in sections for entry in config[section].values()]
    running += filter(None, [config["comparison"].get("norms")])
    used = {model for entry in running for model in entry.get("models", [])}
    judges = (entry for entry in config["scorers"].values() if reads(entry["kind"]) == "model")
    used |= {entry["model"] for entry in judges}
    for name, entry in config["models"].items():
        key = f"models.{name}"
        yield from _known(f"{key}.source", entry["source"], config["sources"], "source")
        yield from _placed(key, entry, config["compute"]["device"])
        with suppress(KeyError):
            try:
                date.fromisoformat(entry["chat_date"])
            except ValueError as error:
                yield f"{key}.chat_date: {entry['chat_date']!r}: {error}; write a day that there is"
    if missing := unaccepted(config, used):
        yield f"licences_accepted: not accepted yet: {terms(config, missing)}"


def _placed(key: str, entry: dict[str, Any], device: str) -> Iterator[str]:
    """Whether a model's parts are put where its job has devices."""
    there = entry["gpus"] if device == "cuda" else 0
    mapped = entry.get("device_map", {})
    for module, place in mapped.items() if isinstance(mapped, dict) else ():
        if isinstance(place, int) and place >= there:
            yield f"{key}.device_map.{module}: {place} is the number of a GPU, but " + (
                f"a job takes {there}, counted from 0; write {key}.gpus: {place + 1}"
                if there
                else "compute.device is cpu; write cpu or disk"
            )
        if entry.get("quantization") and place in {"disk", *(["cpu"] if there else [])}:
            yield (
                f"{key}.device_map.{module}: {place} does not go with quantization; write "
                f"{'a number of a GPU' if there else 'cpu'}"
            )
    if entry.get("quantization") and entry["dtype"] == "float64":
        yield f"{key}.dtype: float64 cannot be had with quantization; write float16"


def _files(entry: dict[str, Any]) -> set[str]:
    return {*entry.get("files", []), *([entry["file"]] if "file" in entry else [])}


def _there(path: Path, test: Callable[[Path], bool]) -> bool:
    """Whether a path passes a test; a name that no disk takes does not."""
    try:
        return test(path)
    except OSError:
        return False


def _own_file(key: str, file: str, root: Path) -> Iterator[str]:
    """A file of the user's beside the config."""
    if not _there(root / file, Path.is_file):
        encoding = sys.getfilesystemencoding()
        spelled = file.isascii() or encoding.startswith("utf")
        other = "" if spelled else f", or run with PYTHONUTF8=1: names are read in {encoding} here"
        yield f"{key}: {shown(file)} does not exist; write the path of a file{other}"
    elif not (root / file).resolve().is_relative_to(root.resolve()):
        yield (
            f"{key}: {file!r} is a link out of this folder; copy the file, or name it as a source "
            "with type: path"
        )


def _datasets(config: dict[str, Any], root: Path) -> Iterator[str]:
    for name, entry in config["datasets"].items():
        key = f"datasets.{name}"
        if "source" in entry:
            yield from _known(f"{key}.source", entry["source"], config["sources"], "source")
        elif "file" in entry:
            yield from _own_file(f"{key}.file", entry["file"], root)
        if "punkt" in entry:
            yield from _known(f"{key}.punkt", entry["punkt"], config["sources"], "source")
            if not entry["sentences"]:
                yield f"{key}.punkt: it only cuts sentences; write sentences: true, or remove it"
        shares = [size for size in entry.get("splits", {}).values() if size < 1]
        if sum(shares) > 1 + 1e-9:
            yield f"{key}.splits: the shares add up to {sum(shares):g}; at most 1 is there"
        for file in sorted(set(entry.get("group_names", {})) - _files(entry)):
            there = ", ".join(sorted(_files(entry))) or "none"
            yield f"{key}.group_names: {file!r} is not among its files; they are: {there}"
        if "splits" in entry and "split" in entry.get("columns", {}):
            yield f"{key}: splits and columns.split both say the splits; write one of them"
        if ("templates" in entry) != (entry.get("format") == "triples"):
            yield f"{key}: format triples and templates need each other; write both or neither"
        if "groups" in entry and "frequency" in entry:
            yield f"{key}: groups and frequency both name the groups; write one of them"
        ranges = sorted((*ends, group) for group, ends in entry.get("groups", {}).items())
        for low, high, group in ranges:
            if low > high:
                yield f"{key}.groups.{group}: {low:g} is above {high:g}; write the lower end first"
        for (_, high, group), (low, _, above) in itertools.pairwise(ranges):
            if low <= high:
                yield f"{key}.groups: {group!r} and {above!r} overlap at {low:g}; move their ends"


def _vectors(config: dict[str, Any]) -> Iterator[str]:
    for name, entry in config["vectors"].items():
        key = f"vectors.{name}"
        if entry["kind"] == "random":
            yield from _known(f"{key}.like", entry["like"], config["vectors"], "vector")
            like = config["vectors"].get(entry["like"], {}).get("kind")
            if like != "pair":
                yield f"{key}.like: {entry['like']!r} is a {like} vector; name a pair"
        if entry["kind"] == "pair" and entry["positive"] == entry["negative"]:
            both = shown(entry["positive"])
            yield f"{key}: positive and negative are both {both}; make them differ"
        sides = [entry.get(side) for side in ("positive", "negative")]
        blank = [isinstance(side, str) and not side.strip() for side in sides]
        if entry["kind"] == "pair" and all(blank):
            yield f"{key}: positive and negative are both blank; write a text for one of them"
        if entry["kind"] == "mean_difference" and len(entry["positive"]) != len(entry["negative"]):
            yield (
                f"{key}: {len(entry['positive'])} positive and {len(entry['negative'])} negative "
                "prompts; write as many of one as of the other"
            )


def _given_vector(config: dict[str, Any], key: str, name: str, root: Path) -> Iterator[str]:
    """A vector that is read from a file has the layers at which it is used, and rows to align."""
    # Only here, since it takes a moment.
    from actadd.vectors.file_formats import load_vectors

    entry = config["vectors"][name]
    if not (root / entry["file"]).is_file():
        yield f"{key}.file: {entry['file']} does not exist; write the path of a file"
    try:
        given = load_vectors(root / entry["file"], entry.get("format"))
    except UserError as error:
        yield f"{key}.file: {error}"
    for place, model, addition in _additions_of(config, name):
        used = [addition.get(field, []) for field in ("layer", "source_layer")]
        if "choice" in addition:
            used.append(_chosen_layers(config, place.split(".")[1], model, addition))
        for layer in sorted({layer for part in used for layer in _listed(part)}):
            if layer not in given.rows:
                there = ", ".join(map(str, given.layers))
                yield (
                    f"{place}: on {model} it is layer {layer}, and {entry['file']} holds layer "
                    f"{there}, counted by block inputs; write one of these"
                )
        positions = _listed(addition.get("position", []))
        if "all" in positions and given.positions > 1:
            yield f"{place}.position: all needs one row, {entry['file']} has {given.positions}"
        if not positions and given.positions == 1:
            yield f"{place}: {entry['file']} holds one row; write position: back or all"
    for lens, reading in config["lenses"].items():
        for model in reading["models"] if name in reading["vectors"] else []:
            depth = config["models"][model]["layers"]
            if not given.rows.keys() >= set(range(depth)):
                yield (
                    f"lenses.{lens}.vectors: a lens reads all {depth} layers of {model}, but "
                    f"{entry['file']} does not hold them all; remove {name!r}"
                )


def _chosen_layers(config: dict, experiment: str, model: str, addition: dict) -> list[int]:
    """Layers of which a choice may set one, for an addition that does not name its own."""
    rule = config["experiments"][experiment]["choices"][addition["choice"]]
    sweep = config["experiments"][rule["experiment"]]["conditions"]
    placed = at_depth(sweep, config["models"][model]["layers"])
    [swept] = placed[rule["condition"]]["additions"]
    taken = "source_layer" if "source_layer" in swept else "layer"
    fields = set() if "source_layer" in addition else {taken}
    fields |= {"layer"} if addition.get("match_norm") else set()
    return [layer for field in fields for layer in _listed(swept[field])]


def _listed(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _additions_of(config: dict[str, Any], vector: str) -> Iterator[tuple[str, str, dict]]:
    """(where it stands, model, addition with its layers there) of a vector's additions."""
    for experiment, entry in config["experiments"].items():
        for model in entry["models"]:
            placed = at_depth(entry["conditions"], config["models"][model]["layers"])
            for condition, details in placed.items():
                for index, addition in enumerate(details.get("additions", [])):
                    if addition["vector"] == vector:
                        key = f"experiments.{experiment}.conditions.{condition}.additions.{index}"
                        yield key, model, addition


def _scorers(config: dict[str, Any]) -> Iterator[str]:
    for name, entry in config["scorers"].items():
        key = f"scorers.{name}"
        needs = reads(entry["kind"])
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
            if check["metric"] not in metrics(entry):
                there = ", ".join(metrics(entry))
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
    cells = config["budget"].get(name, {}).get("cells")
    for model in entry["models"]:
        count = grid_size(at_depth(entry["conditions"], config["models"][model]["layers"]))
        if count > (cells or MOST_CELLS):
            where = f"budget.{name}.cells" if cells else f"{key}.conditions"
            yield (
                f"{where}: the grid has {count} cells on {model}, more than {cells or MOST_CELLS}; "
                "sweep fewer values"
            )
    if "watch" in entry and entry["measure"] != "divergence":
        yield f"{key}.watch: only measure divergence follows tokens; remove the key"
    if entry["measure"] != "logprobs":
        for place, part in ((f"{key}.prompts.targets", prompts), (f"{key}.mask", entry)):
            if place.rpartition(".")[2] in part:
                yield f"{place}: only measure logprobs scores given tokens; remove the key"
    yield from _split(config, f"{key}.prompts", prompts["dataset"], prompts["split"])
    if entry["measure"] != "completions" and entry.get("scorers"):
        yield f"{key}.scorers: {entry['measure']} has no completions to score; remove the key"
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
        yield from _condition(f"{key}.conditions.{condition}", entry, details)
        draws = sorted({a["draws"] for a in details.get("additions", []) if "draws" in a})
        if len(draws) > 1:
            yield (
                f"{key}.conditions.{condition}.additions: their random vectors have "
                f"{' and '.join(map(str, draws))} draws; give them as many draws each"
            )
        drawn = [{**entry["sampling"], **own} for own in _listed(details.get("sampling", {}))]
        if any(drawn.count(own) > 1 for own in drawn):
            yield (
                f"{key}.conditions.{condition}.sampling: with the experiment's own settings two of "
                "them are the same; write each once"
            )
        for index, addition in enumerate(details.get("additions", [])):
            place = f"{key}.conditions.{condition}.additions.{index}"
            yield from _addition(config, place, entry, addition)
            positions = addition.get("position", "front")
            late = {"back", "all"} & {*([positions] if isinstance(positions, str) else positions)}
            given = entry["measure"] != "completions"
            if given and (late or addition.get("phase") == "every_step"):
                yield (
                    f"{place}: with measure {entry['measure']}, "
                    f"{', '.join(sorted(late)) or 'every_step'} leaves no prediction that was not "
                    "changed directly; write front or middle, and phase: prefill"
                )


# method -> keys that it needs, and keys that it may have beside those of every condition.
METHOD_KEYS = {
    "unsteered": (set(), {"prefix"}),
    "prompting": ({"prefix"}, set()),
    "preadd": ({"prefix", "strength"}, set()),
    "actadd": ({"additions"}, {"prefix"}),
}


def _condition(key: str, entry: dict, details: dict) -> Iterator[str]:
    method = details["method"]
    needed, allowed = METHOD_KEYS[method]
    for missing in sorted(needed - details.keys()):
        yield f"{key}: method {method} needs the key {missing!r}; add it"
    special = {"additions", "prefix", "strength"}
    for extra in sorted((special - needed - allowed) & details.keys()):
        yield f"{key}.{extra}: method {method} takes no {extra}; remove it"
    if entry["measure"] == "completions":
        if "prefix" in details and method in ("unsteered", "actadd"):
            yield f"{key}.prefix: for completions that is method prompting; write that instead"
        return
    for extra in sorted({"sampling", "seed", "group"} & details.keys()):
        yield f"{key}.{extra}: {entry['measure']} draws nothing, so it has no {extra}; remove it"
    if method == "preadd":
        yield f"{key}.method: preadd is a way of drawing completions; remove it"


def _addition(config: dict, key: str, entry: dict, addition: dict) -> Iterator[str]:
    yield from _known(f"{key}.vector", addition["vector"], config["vectors"], "vector")
    for depth, layer in (("depth", "layer"), ("source_depth", "source_layer")):
        if depth in addition and layer in addition:
            yield f"{key}: {depth} and {layer} say the same; keep one"
    if "choice" in addition:
        yield from _known(f"{key}.choice", addition["choice"], entry.get("choices", {}), "choice")
        for field in ("layer", "depth", "coefficient"):
            if field in addition:
                yield f"{key}.{field}: the choice {addition['choice']!r} sets it; remove it"
    else:
        for field in ("layer", "coefficient"):
            if field not in addition and not (field == "layer" and "depth" in addition):
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
    if everywhere and kind not in ("mean_difference", "file"):
        yield f"{key}.position: all needs a vector of one row, a mean_difference, not a {kind}"
    if kind == "mean_difference" and "position" not in addition:
        yield f"{key}: a mean_difference vector has one row; write position: back or all"


def _overhead(config: dict, key: str, entry: dict) -> Iterator[str]:
    depths = {name: config["models"][name]["layers"] for name in entry["models"]}
    for name, shape in entry["shapes"].items():
        if name in depths:
            yield f"{key}.shapes: {name!r} is also a model that is timed here; rename the shape"
        if shape["d_model"] % shape["heads"]:
            yield (
                f"{key}.shapes.{name}.heads: {shape['heads']} does not divide d_model, which is "
                f"{shape['d_model']}; write a number that does"
            )
        depths[name] = shape["layers"]
    for name, depth in depths.items():
        if entry["layer"] != "middle" and entry["layer"] >= depth:
            yield f"{key}.layer: {entry['layer']} is beyond {name}, which has 0 to {depth - 1}"


def _display(config: dict, key: str, section: str, entry: dict) -> Iterator[str]:
    """A figure or a table."""
    for field in ("vectors", "models"):
        for name in entry.get(field, []):
            yield from _known(f"{key}.{field}", name, config[field], field[:-1])
    if "relative_to" in entry:
        yield from _known(f"{key}.relative_to", entry["relative_to"], config["vectors"], "vector")
    for field, place in (("lens", "lenses"), ("overhead", "overheads")):
        if field in entry:
            yield from _known(f"{key}.{field}", entry[field], config[place], field)
    if "experiment" not in entry:
        return
    yield from _known(f"{key}.experiment", entry["experiment"], config["experiments"], "experiment")
    experiment = config["experiments"][entry["experiment"]]
    if experiment["measure"] == "completions":
        for metric in entry.get("metrics", []):
            metric = metric.partition("@")[0]
            yield from _metric(config, f"{key}.metrics", metric, experiment.get("scorers", []))
    yield from needs.problems(section, key, entry, config)


def _comparison(config: dict, root: Path) -> Iterator[str]:
    entry = config["comparison"]
    wanted = entry["comparisons"] or entry["claims"]
    kinds = [needs.kind_of(s, d) for s in ("figures", "tables") for d in config[s].values()]
    if any("comparison" in kind.reads for kind in kinds) and not wanted:
        yield "comparison: a figure or table shows it, but it compares nothing; add comparisons"
    if entry["comparisons"] and "published" not in entry:
        yield "comparison: the key 'published' is missing; write the file of published numbers"
    if "published" in entry:
        yield from _own_file("comparison.published", entry["published"], root)
    if "norms" in entry and "norms" in config["experiments"]:
        yield "experiments.norms: comparison.norms goes by this name; call the experiment otherwise"
    for vector in entry.get("norms", {}).get("vectors", []):
        yield from _known("comparison.norms.vectors", vector, config["vectors"], "vector")
    if "norms" in entry:
        reference = entry["norms"]["relative_to"]
        yield from _known("comparison.norms.relative_to", reference, config["vectors"], "vector")
    for name, claim in entry["claims"].items():
        test = next(iter(claim["test"])) if isinstance(claim["test"], dict) else claim["test"]
        fields = {"increasing": ("ours", "x"), "decreasing": ("ours", "x"), "ordered": ()}
        for field in fields.get(test, ("ours",)):
            if field not in claim:
                yield f"comparison.claims.{name}: the test {test} needs the key {field!r}; add it"
    for section in ("comparisons", "claims"):
        for name, item in entry[section].items():
            for selector in needs.selectors(item):
                key = f"comparison.{section}.{name}.ours.experiment"
                known = {**config["experiments"], **({"norms": 0} if "norms" in entry else {})}
                yield from _known(key, selector["experiment"], known, "experiment")
