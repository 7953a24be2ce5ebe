"""Mistakes in the config and in the data, as a run reports them."""

import pytest
import yaml

from builders import tiny
from builders.configs import BOMB, changed


def tiny_with(path: str, value) -> str:
    return yaml.safe_dump(changed(path, value, tiny.CONFIG))


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: [1\n", "config.yaml, line 2, column 1: not valid YAML"),
        ("just a sentence\n", "config.yaml, line 1: a config is a mapping"),
        (yaml.safe_dump(tiny.CONFIG) + "seed: 1\n", "seed: the key is also on line"),
        ("a: !!python/object/apply:os.system ['touch made']\n", "a: !!python/object/apply"),
        ("__use_yte__: true\na: ?__import__('os').system('touch made')\n", "__use_yte__ would run"),
        (BOMB, "its aliases (*name)"),
        ("title: \xff\n".encode("latin-1"), "the byte 0xff is not UTF-8"),
        (tiny_with("experiments.sweep.models", ["large"]), "experiments.sweep.models"),
        (tiny_with("sources.tiny.path", "."), "sources.tiny.path: '.' and the results"),
        (tiny_with("datasets.texts.file", "../x.csv"), "datasets.texts.file: '../x.csv'"),
        (tiny_with("vectors.love-hate.positive", 1), "vectors.love-hate.positive: 1"),
        (tiny_with("models.tiny.layers", 10**9), "models.tiny.layers: 1000000000"),
    ],
    ids=range(12),
)
def test_snakemake_says_it_in_a_few_lines(folder, text, words):
    file = folder.folder / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    printed = folder.run("-n", fails=True)
    assert words in printed and "Traceback" not in printed
    assert "Snakefile" not in printed, "the mistake is in the config"
    assert len([line for line in printed.splitlines() if line.strip()]) <= 9
    assert not (folder.folder / "made").exists() and not (folder.folder / "results").exists()


@pytest.mark.workflow
def test_a_config_file_of_the_command_line_is_refused_too(folder):
    folder.configure(tiny.config())
    (folder.folder / "over.yaml").write_text("seed: 1\nseed: 2\n")
    printed = folder.run("-n", "--configfile", "over.yaml", fails=True)
    assert "over.yaml, line 2: seed: the key is also on line 1" in printed
    printed = folder.run("-n", "--config", "seed=2024-01-01", fails=True)
    assert "seed: '2024-01-01'" in printed and "Traceback" not in printed


@pytest.mark.workflow
def test_a_folder_without_a_config_is_refused(folder):
    (folder.folder / "config.yaml").unlink(missing_ok=True)
    printed = folder.run("-n", fails=True)
    assert f"{folder.folder / 'config.yaml'} does not exist" in printed
    assert "--configfile FILE" in printed and "Traceback" not in printed


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("section", "change", "target", "log", "words"),
    [
        (
            "datasets",
            {"prompts": {"title": "short", "texts": ["Go", "I went up to my friend"]}},
            "completions/tiny/sweep.parquet",
            "completions/tiny/sweep",
            "prompt 'Go' (texts.0): the vector has",
        ),
        (
            "datasets",
            {"prompts": {"title": "special", "file": "mine.csv"}},
            "completions/tiny/sweep.parquet",
            "completions/tiny/sweep",
            "(mine.csv:3): 'I went to <|endoftext|> my friend' holds '<|endoftext|>'",
        ),
        (
            "vectors",
            {"love-hate": {"positive": "to <|endoftext|>"}},
            "vectors/tiny/love-hate/vector.safetensors",
            "activations/tiny/love-hate",
            "vectors.love-hate: prompt 'to <|endoftext|>'",
        ),
        ("models", {"tiny": {"layers": 4}}, "models/tiny", "model/tiny", "models.tiny.layers: 4"),
        ("models", {"tiny": {"bos": "<s>"}}, "models/tiny", "model/tiny", "models.tiny.bos: '<s>'"),
        (
            "sources",
            {"tiny": {"path": "nowhere"}},
            "sources/tiny",
            "fetch/tiny",
            "sources.tiny.path: nowhere",
        ),
    ],
)
def test_what_only_a_job_can_see(space, section, change, target, log, words):
    settings = tiny.config()
    for name, values in change.items():
        if section == "datasets":
            settings[section][name] = values
        else:
            settings[section][name] |= values
    del settings["experiments"]["chosen"]
    settings["experiments"]["sweep"]["prompts"] = {"dataset": "prompts"}
    space.configure(settings)
    rows = ["text", "The weather was cold and", "I went to <|endoftext|> my friend"]
    (space.folder / "mine.csv").write_text("\n".join(rows))
    space.run("--", f"results/{target}", fails=True)
    message = space.log(log)
    assert words in message and "Traceback" not in message
    assert len(message.splitlines()) <= 5


@pytest.mark.workflow
def test_an_experiment_may_be_called_none(tmp_path, tiny_model):
    settings = tiny.config()
    del settings["experiments"]["chosen"], settings["figures"]["sweep"]
    settings["experiments"]["none"] = settings["experiments"].pop("sweep")
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, settings)
    assert space.planned("--", "results/completions/tiny/none.parquet")["completions"] == 1


@pytest.fixture(scope="module")
def folder(tiny_model, tmp_path_factory) -> tiny.Workspace:
    """The workflow with a config that each test writes; nothing is run in it."""
    return tiny.Workspace.create(tmp_path_factory.mktemp("refusing") / "space", tiny_model)
