"""The paper's runs, planned."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from builders import tiny


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        shutil.copy2(tiny.ROOT / name, folder / name)
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("workflow", "config"):
        shutil.copytree(tiny.ROOT / name, folder / name, ignore=ignored)
    return folder


def planned(folder: Path, target: str, overlay: str, *settings: str) -> tuple[dict[str, int], str]:
    """(rule -> number of jobs, everything printed) of a dry-run."""
    options = ["--config", *settings] if settings else []
    done = subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", "2", "-n", "--quiet", "rules"),
            *("--configfile", f"config/{overlay}.yaml", *options, "--", target),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-3000:]
    rows = re.findall(r"^(\w+)\s+(\d+)\s*$", printed, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows}, printed


@pytest.mark.workflow
def test_the_paper_can_be_planned_without_a_network(tree, tmp_path):
    terms = "licences_accepted=[opt-6-7b,llama-3-8b,llama-13b]"
    jobs, _ = planned(tree, "paper", "paper", terms)
    print(jobs)
    assert jobs["paper"] == jobs["comparison"] == jobs["scorer_card"] == 1
    assert {"activations_gpt2_xl", "activations_opt_6_7b", "vectors_llama_13b"} <= set(jobs)
    assert "activations_smollm2_135m" not in jobs
    (tmp_path / "essays").mkdir()
    for name in ("chatgpt_wedding_essay_20230423", "chatgpt_shipping_essay_20230423", "prompts"):
        (tmp_path / f"essays/{name}.txt").write_text("")
    assert planned(tree, "paper", "paper", terms, f"data_dir={tmp_path}")[0] == jobs


@pytest.mark.workflow
def test_more_models_can_be_planned(tree):
    jobs, printed = planned(tree, "paper_small", "models_offline")
    assert "left out until their terms are accepted: gemma-3-270m" in printed
    assert jobs["model"] == 2 and "activations_gemma_3_270m" not in jobs
    accepted = "licences_accepted=[gemma-3-270m]"
    more, printed = planned(tree, "paper_small", "models_offline", accepted)
    print(jobs, more)
    assert "left out" not in printed
    assert more["model"] == 3 and more["activations_gemma_3_270m"] == jobs["activations_stories15m"]
