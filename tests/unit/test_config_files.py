"""Files of a config, the lines of its mistakes, plugins, and the schema for editors."""

import copy
import dataclasses
import re
import typing

import jsonschema
import pytest
import yaml

from actadd.base.errors import UserError
from actadd.config import schema
from actadd.config.checks import checked
from actadd.config.declaration import Config
from actadd.config.files import load
from actadd.config.kinds import Family, bare, options
from actadd.config.models import forget_models
from builders import plugins, tiny
from builders.configs import DELETE, changed


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A config in whose folder the datasets' files are."""
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tiny.config()


# --- what a config builds on ---


def write(folder, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


def test_a_file_overrides_its_base(tmp_path):
    (tmp_path / "low").mkdir()
    write(tmp_path / "low", base="seed: 1\ncompute: {threads: 2, device: cpu}\n")
    write(tmp_path / "low", middle="builds_on: base.yaml\nseed: 2\n")
    write(tmp_path, top="builds_on: [low/base.yaml, low/middle.yaml]\ncompute: {threads: 3}\n")
    config = load([tmp_path / "top.yaml"])
    assert config == {"seed": 2, "compute": {"threads": 3, "device": "cpu"}}
    assert config.lines["seed"] == (str(tmp_path / "low/middle.yaml"), 2)
    assert config.lines["compute.threads"] == (str(tmp_path / "top.yaml"), 2)
    assert config.lines["compute.device"] == (str(tmp_path / "low/base.yaml"), 2)


def test_a_file_that_others_build_on_counts_once(tmp_path):
    write(tmp_path, a="seed: 1\n", b="builds_on: a.yaml\nseed: 2\n", c="builds_on: a.yaml\nx: 1\n")
    assert load([tmp_path / "b.yaml", tmp_path / "c.yaml"]) == {"seed": 2, "x": 1}


def test_values_of_the_command_line_override_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, a="seed: 1\nx: 1\n", b="x: 2\n")
    config = load(["a.yaml"], {"seed": 3, "builds_on": "b.yaml"})
    assert config == {"seed": 3, "x": 2} and "seed" not in config.lines
    assert load([], {"builds_on": ["a.yaml", "b.yaml"]}) == {"seed": 1, "x": 2}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("none.yaml", ["none.yaml", "cannot be read", "name a config file"]),
        ("a.yaml", ["a.yaml", "builds_on", "itself", "remove"]),
        ("b.yaml", ["b.yaml", "builds_on", "itself", "a.yaml -> "]),
        ("3", ["a.yaml", "builds_on", "3", "path"]),
        ("[3]", ["a.yaml", "builds_on", "[3]", "path"]),
    ],
)
def test_what_a_file_cannot_build_on(tmp_path, value, words):
    write(tmp_path, a=f"builds_on: {value}\nseed: 1\n", b="builds_on: a.yaml\n")
    with pytest.raises(UserError) as caught:
        load([tmp_path / "a.yaml"])
    assert all(word in str(caught.value) for word in words), caught.value


def test_what_was_not_read_is_not_passed_over(settings):
    settings["builds_on"] = "other.yaml"
    with pytest.raises(UserError, match=r"builds_on: 'other\.yaml' was not read"):
        checked(settings)


# --- where it stands, and what was meant ---


@pytest.mark.parametrize(
    ("path", "value", "line", "words"),
    [
        ("models.tiny.layers", "x", "    layers: x", ["models.tiny.layers", "'x'"]),
        ("models.tiny.layer", 3, "    layer: 3", ["unknown key 'layer' (did you mean 'layers'?)"]),
        ("models.tiny.bos", DELETE, "  tiny:", ["models.tiny: the key 'bos' is missing"]),
        (
            "vectors.random.like",
            "calmer",
            "    like: calmer",
            ["did you mean 'calm'?", "love-hate"],
        ),
        ("vectors.calm.kind", "pear", "    kind: pear", ["did you mean 'pair'?"]),
        ("scorers.words.words", ["the", "A"], "    - A", ["scorers.words.words.1", "'A'"]),
        (
            "figures.sweep.x",
            "layers",
            "    x: layers",
            ["figures.sweep.x", "did you mean 'layer'?"],
        ),
    ],
)
def test_a_message_says_the_line_and_the_nearest_name(settings, tmp_path, path, value, line, words):
    text = yaml.safe_dump(changed(path, value, settings), sort_keys=False)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        checked(load(["mine.yaml"]))
    [number] = re.findall(r"^mine\.yaml, line (\d+): ", str(caught.value))
    assert text.splitlines()[int(number) - 1] == line
    assert all(word in str(caught.value) for word in words), caught.value


def test_the_line_is_that_of_the_file_that_writes_it_last(settings, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "over.yaml").write_text("# mine\nmodels:\n  tiny: {layers: 0}\n")
    with pytest.raises(UserError, match=r"^over\.yaml, line 3: models\.tiny\.layers: 0 "):
        checked(load(["config.yaml", "over.yaml"]))
    with pytest.raises(UserError, match=r"^models\.tiny\.layers: 0 "):
        checked(load(["config.yaml"], {"models": {"tiny": {"layers": 0}}}))


# --- plugins ---

PLUGIN = '''
from dataclasses import dataclass

from actadd.scorers.kinds import Options, option, scorer


@dataclass(frozen=True, kw_only=True)
class Letters(Options):
    letter: str = option("Letter that is counted.", "e", min_length=1, max_length=1)


@scorer(Letters, metrics={"count": False}, name="NAME")
def letters(table, options, job):
    """How often a letter stands in a completion."""
    return table[["completion"]].rename(columns={"completion": "count"}).map(
        lambda text: float(text.count(options.letter))
    )
'''


@pytest.fixture
def kinds():
    """Kinds as they are without the plugins of a test."""
    with plugins.loaded():
        yield
    forget_models()


def with_plugin(settings, tmp_path, text: str, name: str = "mine.py") -> dict:
    (tmp_path / name).write_text(text)
    return {**settings, "plugins": [name]}


def test_a_plugin_s_kind_is_a_kind(settings, tmp_path, kinds):
    settings["scorers"]["vowels"] = {"kind": "letters_of"}
    with pytest.raises(UserError, match=r"scorers\.vowels\.kind: 'letters_of' is not known"):
        checked(copy.deepcopy(settings))
    settings = with_plugin(settings, tmp_path, PLUGIN.replace("NAME", "letters_of"))
    settings["experiments"]["sweep"]["scorers"] = ["distinct", "vowels"]
    settings["figures"]["sweep"]["metrics"] = ["vowels.count"]
    assert checked(copy.deepcopy(settings))["scorers"]["vowels"] == {
        "kind": "letters_of",
        "letter": "e",
    }
    settings["scorers"]["vowels"]["letter"] = "ee"
    with pytest.raises(UserError, match=r"scorers\.vowels\.letter: 'ee'"):
        checked(copy.deepcopy(settings))
    settings["figures"]["sweep"]["metrics"] = ["vowels.counts"]
    settings["scorers"]["vowels"]["letter"] = "a"
    with pytest.raises(UserError, match=r"there is no metric 'vowels\.counts'.*vowels\.count"):
        checked(settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_this_name\n", ["cannot be imported", "nothing_of_this_name"]),
        ("def x(:\n", ["cannot be imported"]),
        ("x = 1\n", ["declares no kind"]),
        (PLUGIN.replace("NAME", "vader"), ["'vader'", "rename it"]),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(settings, tmp_path, kinds, text, words):
    with pytest.raises(UserError) as caught:
        checked(with_plugin(settings, tmp_path, text))
    message = str(caught.value)
    assert all(word in message for word in ("plugins", "mine", *words)), message
    assert len(message.splitlines()) <= 5


@pytest.mark.parametrize("value", ["none.py", ["none.py"], 3, [3]])
def test_a_plugin_that_is_not_a_file_is_named(settings, value):
    settings["plugins"] = value
    with pytest.raises(UserError, match=r"^plugins(\.0)?: .*(none\.py|3)"):
        checked(settings)


# --- the schema for editors ---


def test_the_schema_is_in_step_with_the_declarations():
    assert schema.SCHEMA.read_text(encoding="utf-8") == schema.text(), (
        "run python -m actadd.config.schema in workflow/"
    )


def test_the_schema_takes_the_projects_configs_and_refuses_mistakes():
    validator = jsonschema.Draft202012Validator(schema.json_schema())
    for name in ("config.yaml", "config/paper_small.yaml"):
        written = yaml.safe_load((tiny.ROOT / name).read_text(encoding="utf-8"))
        errors = [e for e in validator.iter_errors(written) if e.validator != "required"]
        assert errors == []
    for path, value in (("seed", "x"), ("models.tiny.layer", 3), ("vectors.calm.kind", "pear")):
        assert not validator.is_valid(changed(path, value, tiny.CONFIG))
    assert validator.is_valid(tiny.CONFIG)


def test_every_key_has_a_description():
    def keys(hint, path: str):
        plain, mark = bare(hint)
        if isinstance(mark, Family):
            for kind in mark.kinds:
                yield from keys(mark.declaration(kind), f"{path}({kind})")
        elif dataclasses.is_dataclass(plain):
            for name, option in options(plain).items():
                yield f"{path}.{name}", option.description
                yield from keys(option.hint, f"{path}.{name}")
        for argument in typing.get_args(plain):
            yield from keys(argument, path)

    described = dict(keys(Config, ""))
    assert len(described) > 250
    assert [key for key, text in described.items() if not text.endswith((".", ")"))] == []
