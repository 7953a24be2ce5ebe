"""The command line: `python -m actadd`."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from actadd import SteeringVectors, save_vectors
from actadd.cli import app, project, terminal
from actadd.cli import trial as trial_text
from actadd.config.files import load
from actadd.engine.tokens import Tokens
from actadd.pipeline.costs import PROGRAM_SECONDS
from actadd.vectors import vector_files
from builders import tiny
from builders.commands import TRIAL, actadd, plan_rows

PROMPT = "I went up to my friend and said"


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A folder with nothing but a config and what it names, and we are in it."""
    tiny.write_data(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny.config()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the whole ---


def test_every_command_has_help_with_an_example():
    printed = actadd("--help")
    for command in ("try", "vectors", "check", "plan", "store"):
        assert command in printed
        help_ = actadd(command, "--help")
        assert f"actadd {command}" in help_.split("Example")[1]


def test_help_and_check_load_neither_torch_nor_pandas():
    code = (
        "import sys; from typer.testing import CliRunner; from actadd.cli import app\n"
        "for arguments in (['--help'], ['try', '--help'], ['plan', '--help'], ['check']):\n"
        "    done = CliRunner().invoke(app, arguments)\n"
        "    assert done.exit_code == 0, done.output\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT / "workflow")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny.ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_module_runs_the_library_of_the_workflow_that_it_is_called_in(tmp_path):
    """An installed library of another version would look for other cells."""
    package = tmp_path / "workflow" / "actadd"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; print('own library', sys.argv[1:])")
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT / "workflow")}
    done = subprocess.run(
        # As the installed script does; `-m` would put this folder's copy first anyway.
        [sys.executable, "-c", "from actadd.cli import main; main()", "check"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "own library ['check']", done.stderr


def test_wrong_usage_is_2():
    actadd("try", "--layer", "1", PROMPT, code=2)
    actadd("try", *TRIAL, "--samples", "0", PROMPT, code=2)
    actadd("nothing", code=2)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (2500, "2.5 kB"), (3.2e9, "3.2 GB")]
)
def test_sizes_are_readable(value, text):
    assert terminal.size(value) == text


# --- why ---


def test_before_anything_is_made_every_job_says_so(configs):
    lines = actadd("why", "fig_ratio").splitlines()
    assert lines[0].split("\t") == ["job", "why", "computes", "about"]
    rows = {
        name: (why, cells) for name, why, cells, _ in (line.split("\t") for line in lines[1:-1])
    }
    assert rows["figure/ratio"] == ("not made yet", "")
    assert rows["logprobs/tiny/ratio"] == ("not made yet", "at most 3 of 3 cells")
    assert lines[-1].startswith(f"{len(rows)} jobs, about ")
    for target in ("results/figures/ratio.png", "figure/ratio"):
        assert "figure/ratio\tnot made yet" in actadd("why", target)


def test_what_is_no_target_has_no_reason(configs):
    assert "did you mean 'fig_ratio'?" in actadd("why", "fig_ratios", code=1)
    assert "no figure 'nope'" in actadd("why", "results/figures/nope.png", code=1)


# --- check ---


def test_check_counts_what_a_config_holds(configs):
    output = actadd("check")
    assert output.startswith("ok: 3 experiments on 1 model with 11 cells, 4 scorers, 2 figures")


def test_check_counts_what_a_config_builds_on_apart(configs):
    base = {section: tiny.CONFIG[section] for section in ("experiments", "figures")}
    (configs / "base.yaml").write_text(yaml.safe_dump(base))
    settings = {key: value for key, value in tiny.config().items() if key not in base}
    settings["experiments"] = {"mine": tiny.CONFIG["experiments"]["ratio"]}
    (configs / "config.yaml").write_text(yaml.safe_dump({**settings, "builds_on": "base.yaml"}))
    first, second = actadd("check").splitlines()
    assert first == "ok: 1 experiment on 1 model with 3 cells, 4 scorers, 0 figures, 0 tables"
    assert "which it builds on: 3 experiments on 1 model with 11 cells, 0 scorers" in second


def test_config_files_are_read_in_the_workflows_order(configs):
    (configs / "base.yaml").write_text("seed: 1\ncompute: {threads: 3}\n")
    (configs / "config.yaml").write_text(
        yaml.safe_dump({**tiny.config(), "builds_on": "base.yaml"})
    )
    (configs / "mine.yaml").write_text(
        "seed: 2\nexperiments: {ratio: null}\nfigures: {ratio: null}\n"
    )
    result = project.configured()
    assert result["seed"] == 0 and result["compute"]["threads"] == 3
    result = project.configured([configs / "mine.yaml"])
    assert result["seed"] == 2 and set(result["experiments"]) == {"sweep", "chosen"}


def test_the_projects_configs_merge_as_snakemake_merges_them():
    from snakemake.utils import update_config

    studies = yaml.safe_load((tiny.ROOT / "config/laboratory.yaml").read_text())["builds_on"]
    bases = ("config/paper_small.yaml", *(f"config/{name}" for name in studies))
    names = (*bases, "config.yaml", "config/models_offline.yaml")
    theirs: dict = {}
    for name in names:
        update_config(theirs, yaml.safe_load((tiny.ROOT / name).read_text()))
    del theirs["builds_on"]
    assert load([tiny.ROOT / name for name in names[len(bases) :]]) == theirs


def test_a_mistake_is_reported_without_a_traceback(configs):
    settings = tiny.config()
    settings["experiments"]["ratio"]["prompts"]["dataset"] = "textz"
    (configs / "config.yaml").write_text(yaml.safe_dump(settings))
    output = actadd("check", code=1)
    assert re.match(
        r"error: config\.yaml, line \d+: experiments\.ratio\.prompts\.dataset: there is no dataset "
        r"'textz' \(did you mean 'texts'\?\)",
        output,
    )
    assert len(output.splitlines()) <= 5
    (configs / "broken.yaml").write_text("a: [1\n")
    assert "broken.yaml" in actadd("check", "broken.yaml", code=1)
    assert "missing.yaml" in actadd("check", "missing.yaml", code=1)


def test_outside_a_workflow_it_is_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in ("check", "plan"):
        assert "config.yaml does not exist here" in actadd(command, code=1)


# --- try ---


def trial(model, *arguments: str) -> dict[str, list[str]]:
    """unsteered and steered texts, in the order of their samples."""
    printed = actadd("try", "--model", str(model), *TRIAL, "--no-control", *arguments, PROMPT)
    return records(printed)


def records(printed: str) -> dict[str, list[str]]:
    """Condition -> its texts. A line that begins with a tab goes on with the record above it."""
    result: dict[str, list[str]] = {}
    for line in printed.replace("\n\t", "\0").split("\n"):
        name, _, text = line.partition("\t")
        if text:
            result.setdefault(name.split()[0], []).append(text.replace("\0", "\n"))
    return result


def test_coefficient_0_changes_nothing_and_another_does(prepared):
    same = trial(prepared, "--coefficient", "0", "--tokens", "8")
    assert same["steered"] == same["unsteered"] and len(same["steered"]) == 2
    other = trial(prepared, "--coefficient", "4", "--tokens", "8")
    assert other["unsteered"] == same["unsteered"]
    assert all(a != b for a, b in zip(other["steered"], same["steered"], strict=True))
    assert trial(prepared, "--coefficient", "4", "--tokens", "8") == other
    assert trial(prepared, "--coefficient", "4", "--tokens", "8", "--seed", "1") != other


def test_on_a_terminal_completions_are_side_by_side(prepared, monkeypatch):
    monkeypatch.setattr("actadd.cli.trial.on_terminal", lambda: True)
    printed = actadd("try", "--model", str(prepared), *TRIAL, "--tokens", "4", PROMPT)
    heads = ("unsteered", " steered", "random")
    assert any(all(head in line for head in heads) for line in printed.splitlines())
    assert "in norms of the residual stream" in printed


def test_a_vector_of_the_config_is_its_pair(configs, prepared):
    shutil.copytree(prepared, configs / "results/models/tiny")
    # A third of the tiny model's three blocks, as TRIAL says it.
    common = ("--coefficient", "4", "--tokens", "8", "--samples", "2")
    by_name = ("try", "--model", "tiny", "--vector", "love-hate", *common, PROMPT)
    by_hand = records(actadd("try", "--model", "tiny", *TRIAL, *common, PROMPT))
    assert records(actadd(*by_name)) == by_hand
    assert len({tuple(texts) for texts in by_hand.values()}) == 3, "random is a third condition"
    output = actadd("try", "--model", "tiny", "--vector", "random", *common, PROMPT, code=1)
    assert "snakemake --cores all results/vectors/tiny/random/" in output
    output = actadd("try", "--vector", "nope", *common, PROMPT, code=1)
    assert "--vector" in output and "calm, love-hate, random" in output
    both = ("--positive", "Love", "--vector", "love-hate")
    assert "--vector" in actadd("try", *both, *common, PROMPT, code=2)


def test_a_vector_file_of_another_kind_is_added(configs, prepared):
    shutil.copytree(prepared, configs / "results/models/tiny")
    rows = np.random.default_rng(0).normal(size=(2, 3, 32)).astype(np.float32)
    file = configs / "results/vectors/tiny/random/vector.safetensors"
    file.parent.mkdir(parents=True)
    vector_files.write_vector(file, {1: rows})
    printed = actadd(
        "try", "--model", "tiny", "--vector", "random", "--layer", "1", "--tokens", "8", PROMPT
    )
    texts = records(printed)
    assert texts["steered"] != texts["unsteered"] and "(row 2)" in printed


def test_scorers_without_a_model_score_a_trial(configs, prepared):
    printed = actadd("try", "--model", str(prepared), *TRIAL, "--tokens", "8", PROMPT)
    assert re.search(r"^steered 2 .*distinct\.distinct_1=[01]\.\d\d", printed, re.MULTILINE)
    assert re.search(r"^mean distinct\.distinct_1: unsteered .*, steered .*, random", printed, re.M)
    assert "fluency" not in printed and "mood" not in printed


def test_line_breaks_stay_in_the_record_of_their_completion(capsys):
    texts = {"unsteered": ["one\ntwo"], "steered": ["three\n\nfour"]}
    trial_text.show(trial_text.Trial("Say:", 1, texts, [], []))
    printed = capsys.readouterr().out
    assert printed == "unsteered 1\tSay:one\n\ttwo\nsteered 1\tSay:three\n\t\n\tfour\n"
    assert records(printed) == {name: [f"Say:{text}"] for name, [text] in texts.items()}


def test_a_hugging_face_folder_needs_no_preparing(tiny_model, prepared):
    assert trial(tiny_model, "--tokens", "6") == trial(prepared, "--tokens", "6")


def test_a_vector_that_dwarfs_the_stream_is_warned_of(prepared, monkeypatch):
    monkeypatch.setattr("actadd.vectors.derivation.DWARFS", 0.1)
    printed = actadd("try", "--model", str(prepared), *TRIAL, "--tokens", "2", PROMPT)
    assert "warning: at position 1 the vector is up to" in printed and "(layer 1)" in printed


def test_what_cannot_be_tried_is_reported_before_a_model_is_loaded(prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = actadd("try", *TRIAL, PROMPT, code=1)
    assert "neither a prepared model nor a Hugging Face folder" in output
    assert "in the workflow's folder" in output
    model = ("--model", str(prepared))
    assert "layers are 0 to 2" in actadd("try", *model, *TRIAL, "--layer", "3", PROMPT, code=1)
    assert "write a longer prompt" in actadd("try", *model, *TRIAL, "I", code=1)
    assert "--tokens" in actadd("try", *model, *TRIAL, "--tokens", "999", PROMPT, code=1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text("{}")
    assert "no tokenizer.json" in actadd("try", "--model", "empty", *TRIAL, PROMPT, code=1)


def test_a_missing_model_is_named_with_the_command_that_prepares_it(configs):
    output = actadd("try", "--model", "tiny", *TRIAL, PROMPT, code=1)
    assert output.endswith("this makes tiny ready: snakemake --cores all results/models/tiny\n")
    output = actadd("try", "--model", "nope", *TRIAL, PROMPT, code=1)
    assert "models of the config: tiny; docs/how-to/model.md" in output
    assert "snakemake" not in output


@pytest.mark.parametrize(
    "wrong",
    [
        ("--coefficient", "nan"),
        ("--coefficient", "inf"),
        ("--frequency-penalty", "inf"),
        ("--threads", "99999999999"),
        ("--positive", "half \udcff a character"),
    ],
)
def test_invalid_options_are_usage_errors(prepared, wrong):
    arguments = ("--model", str(prepared), *TRIAL, *wrong, PROMPT)
    assert f"Invalid value for '{wrong[0]}'" in actadd("try", *arguments, code=2)


def folder_of(tiny_model, folder: Path, **files) -> Path:
    """The tiny model with some JSON files changed (name, its dot as __) or a template."""
    shutil.copytree(tiny_model, folder)
    for name, changes in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(changes, str):
            path.write_text(changes)
        else:
            kept = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps({**kept, **changes}))
    return folder


def test_stop_tokens_of_all_the_models_files(tiny_model, tmp_path, monkeypatch):
    """A list in generation_config.json too; the tiny model's likeliest tokens are made its ends."""
    folder = folder_of(
        tiny_model,
        tmp_path / "m",
        config__json={"eos_token_id": [3, 4]},
        generation_config__json={"eos_token_id": [7, 0]},
    )
    asked = []
    monkeypatch.setattr(
        "actadd.engine.decoding.generation.generate",
        lambda *_, stop_ids, **__: asked.append(stop_ids) or 1 / 0,
    )
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(
            app, ["try", "--model", str(folder), *TRIAL, PROMPT], catch_exceptions=False
        )
    assert asked == [[0, 3, 4, 7]]


def test_a_folder_that_names_no_bos(tiny_model, tmp_path):
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    nameless = {"bos_token_id": None, "eos_token_id": 0}
    folder = folder_of(
        tiny_model,
        tmp_path / "one",
        config__json=nameless,
        generation_config__json=nameless,
        tokenizer_config__json=settings,
    )
    arguments = ("try", "--model", str(folder), *TRIAL, "--tokens", "4", PROMPT)
    output = actadd(*arguments)
    assert "no BOS token" in output and "<|endoftext|>" in output
    assert trial(folder, "--tokens", "4") == trial(tiny_model, "--tokens", "4")
    several = folder_of(
        tiny_model,
        tmp_path / "several",
        config__json={**nameless, "eos_token_id": [0, 5]},
        tokenizer_config__json=settings,
    )
    output = actadd("try", "--model", str(several), *TRIAL, PROMPT, code=1)
    assert "no BOS token (bos_token_id)" in output and "--bos" in output
    bos = ("--bos", "<|endoftext|>", "--tokens", "4")
    assert trial(several, *bos) == trial(tiny_model, "--tokens", "4")
    # One that is prepared has a BOS.
    none = folder_of(
        tiny_model,
        tmp_path / "none",
        config__json={"bos_token_id": 0, "eos_token_id": None},
        generation_config__json={"eos_token_id": None},
        tokenizer_config__json=settings,
    )
    assert "names no token that ends a text" in actadd(
        "try", "--model", str(none), *TRIAL, "--tokens", "2", PROMPT
    )


def test_chats_and_token_ids_can_be_tried(tiny_model, prepared, tmp_path):
    template = "{{ 'U: ' + messages[0].content + '|' }}{{ 'A:' if add_generation_prompt }}"
    folder = folder_of(tiny_model, tmp_path / "chat", chat_template__jinja=template)
    asked = ("--tokens", "6", "--coefficient", "3", "--samples", "2", "--layer", "1")

    def tried(model, prompt, positive, negative, *more):
        contrast = ("--positive", positive, "--negative", negative, "--no-control")
        arguments = (*contrast, *asked, *more)
        printed = actadd("try", "--model", str(model), *arguments, prompt)
        return [text for texts in records(printed).values() for text in texts]

    tokens = Tokens(prepared)
    wrapped = {text: f"U: {text}|A:" for text in (PROMPT, "Love", "Hate")}
    contrast = (wrapped["Love"], wrapped["Hate"])
    by_hand = tried(prepared, PROMPT, *contrast)
    assert tried(folder, PROMPT, "Love", "Hate", "--chat", "contrast") == by_hand
    ids = [str(tokens.prompt(text)) for text in contrast]
    assert tried(folder, PROMPT, *ids, "--token-ids", "contrast") == by_hand
    assert tried(folder, PROMPT, "Love", "Hate") != by_hand, "a contrast is raw text by itself"
    both = tried(folder, PROMPT, "Love", "Hate", "--chat", "both")
    assert all(line.startswith(wrapped[PROMPT]) for line in both)
    prompt = " ".join(map(str, tokens.prompt(wrapped[PROMPT])))
    mixed = tried(folder, prompt, "Love", "Hate", "--chat", "contrast", "--token-ids", "prompt")
    assert [line[: len(wrapped[PROMPT])] for line in mixed] == [wrapped[PROMPT]] * 4
    for wrong, output in (
        (("--chat", "both", "--token-ids", "prompt"), "a prompt is one of them"),
        (("--token-ids", "prompt"), "--token-ids: '"),
    ):
        assert output in actadd("try", "--model", str(folder), *TRIAL, *wrong, PROMPT, code=1)
    far = ("--token-ids", "prompt", "9" * 30)
    assert "not a token id" in actadd("try", "--model", str(folder), *TRIAL, *far, code=1)
    several = ("--positive", "Love", "--negative", "Hate", "--layer", "1", "--position", "all")
    output = actadd("try", "--model", str(prepared), *several, PROMPT, code=1)
    assert "--position: " in output and "position: front" in output and "longer" not in output
    special = ("--positive", "a<|endoftext|>", "--negative", "b", "--layer", "1", PROMPT)
    output = actadd("try", "--model", str(prepared), *special, code=1)
    assert "--chat or --token-ids" in output
    no_template = ("--model", str(prepared), *TRIAL, "--chat", "contrast", PROMPT)
    assert "it carries no chat template" in actadd("try", *no_template, code=1)


def test_a_word_that_acts_late_is_warned_of(prepared):
    arguments = (
        "--positive",
        "The love",
        "--negative",
        "The hate",
        "--layer",
        "1",
        "--tokens",
        "2",
    )
    printed = actadd("try", "--model", str(prepared), *arguments, PROMPT)
    assert (
        "warning: both prompts begin with 'The'" in printed and "what differs acts from" in printed
    )


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_that_is_cut_off_is_reported(tiny_model, tmp_path, file):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / file).write_bytes((folder / file).read_bytes()[:100])
    output = actadd("try", "--model", str(folder), *TRIAL, PROMPT, code=1)
    assert "cannot be read" in output and "get it anew" in output


# --- vectors ---


@pytest.mark.parametrize("content", ["", "layer,position,ratio\n", "layer,position\n1,2\n"])
def test_norms_that_are_damaged_are_named(tmp_path, content):
    file = tmp_path / "vectors/tiny/calm/norms.csv"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    output = actadd("vectors", "--results", str(tmp_path), code=1)
    assert "norms.csv is damaged: delete it" in output.replace("\n", "")


def test_a_file_that_cannot_be_written_is_reported(tmp_path):
    save_vectors(tmp_path / "a.safetensors", SteeringVectors({2: np.ones((1, 4), np.float32)}))
    (tmp_path / "folder.safetensors").mkdir()
    for path in ("folder.safetensors", "a.safetensors/b.safetensors"):
        target = str(tmp_path / path)
        output = actadd("import", str(tmp_path / "a.safetensors"), "-o", target, code=1)
        assert output.startswith(f"error: {tmp_path}") and "or name another" in output


def test_no_vectors_is_reported(tmp_path):
    assert "there are no vectors" in actadd("vectors", "--results", str(tmp_path), code=1)


# --- plan ---


def test_before_anything_is_made_a_plan_gives_limits(configs):
    rows = plan_rows()
    assert rows["sweep"]["in store"] == "?" and rows["sweep"]["to compute"] == "<= 5"
    # 5 conditions on 2 prompts with 2 samples of 5 tokens, and what is read.
    assert 100 < int(rows["sweep"]["tokens"].removeprefix("~ ")) < 200
    assert rows["ratio"]["time"] == f"~ {PROGRAM_SECONDS} s"
    printed = actadd("plan")
    assert "results/models/tiny is not made yet: chosen on tiny, ratio on tiny" in printed
    assert "11 cells, at most 11 to compute; about 15 s of one job's time, and about" in printed
    assert re.search(r"for \d+ other jobs, such as vectors and figures", printed)
    assert (
        "time by rough rates, as no job like it has run here: chosen on tiny, ratio on tiny"
        in printed
    )


# --- store ---


def test_dry_run_alone_is_a_mistake(configs):
    assert "write both" in actadd("store", "--dry-run", code=1)


# --- make clean ---


def test_the_command_is_in_the_environment_that_make_makes(tmp_path):
    """Wherever it is called, and whatever characters its folder has."""
    checkout = tmp_path / "a checkout"
    (checkout / ".venv/bin").mkdir(parents=True)
    shutil.copy2(tiny.ROOT / "Makefile", checkout)
    for name in ("requirements.txt", "requirements.lock"):
        (checkout / name).touch()
    (checkout / "workflow").symlink_to(tiny.ROOT / "workflow")
    # The environment itself, as `make env` would install it.
    python = checkout / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (checkout / ".venv/.installed").touch()
    subprocess.run(["make", "env"], cwd=checkout, check=True, capture_output=True)
    command = [str(checkout / ".venv/bin/actadd"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "verify" in done.stdout, done.stderr


def test_make_clean_says_what_goes_before_it_goes(tmp_path):
    shutil.copy2(tiny.ROOT / "Makefile", tmp_path)
    for name in ("README.md", "sources/kept", "store/ab/cell", "figures/a.png"):
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 50_000)
    # As make's own child, as in `make test`, it would say where it goes.
    command = ["make", "--no-print-directory", "clean"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    output, *listed = done.stdout.splitlines()
    assert output.startswith("removing")
    sizes = {path: size for size, path in (line.split() for line in listed)}
    assert set(sizes) == {"results/store", "results/figures"}
    assert all(size.endswith("K") for size in sizes.values())
    left = {path.name for path in (tmp_path / "results").iterdir()}
    assert left == {"README.md", "sources"}
