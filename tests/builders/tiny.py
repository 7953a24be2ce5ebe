"""A tiny random model with a tokenizer, and a config that runs the whole workflow on it."""

import copy
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LAYERS = 3

CONFIG = {
    "seed": 0,
    "compute": {"batch_rows": 4},
    "sources": {"tiny": {"type": "path", "path": "tiny-model"}},
    "models": {
        "tiny": {
            "source": "tiny",
            "format": "transformers",
            "layers": LAYERS,
            "parameters": 55_072,
            "bos": "<|endoftext|>",
            "stop": ["<|endoftext|>"],
            "pad": " ",
            "licence": "MIT",
        }
    },
    "datasets": {
        "prompts": {
            "title": "test prompts",
            "texts": [
                "I went up to my friend and said",
                "The weather was cold and",
                "She opened the door because",
                "We took the train and",
            ],
            "splits": {"development": 2, "held-out": 2},
        },
        "texts": {"title": "test texts", "file": "texts.csv"},
        "labelled": {
            "title": "labelled texts",
            "file": "labelled.csv",
            "splits": {"held-out": 0.5, "fit": 0.5},
        },
    },
    "vectors": {
        "love-hate": {"kind": "pair", "positive": "Love", "negative": "Hate"},
        "calm": {"kind": "pair", "positive": "Calm", "negative": "Anger"},
        "random": {"kind": "random", "like": "love-hate"},
    },
    "scorers": {
        "words": {"kind": "words", "words": ["the", "and"]},
        "distinct": {"kind": "distinct"},
        "fluency": {"kind": "perplexity", "model": "tiny"},
        "mood": {
            "kind": "classifier",
            "fit": {"dataset": "labelled", "split": "fit"},
            "threshold": 0,
            "validate": {
                "dataset": "labelled",
                "split": "held-out",
                "metric": "probability",
                "threshold": 0,
                "cut": 0.5,
            },
        },
    },
    "experiments": {
        "sweep": {
            "title": "sweep",
            "measure": "completions",
            "models": ["tiny"],
            "prompts": {"dataset": "prompts", "split": "development"},
            "samples": 2,
            "max_new_tokens": 5,
            "conditions": {
                "unsteered": {"method": "unsteered"},
                "actadd": {
                    "method": "actadd",
                    "additions": [{"vector": "love-hate", "layer": [0, 1], "coefficient": [1, 2]}],
                },
            },
            "scorers": ["distinct"],
        },
        "chosen": {
            "title": "chosen",
            "measure": "completions",
            "models": ["tiny"],
            "prompts": {"dataset": "prompts", "split": "held-out"},
            "samples": 2,
            "max_new_tokens": 5,
            "choices": {
                "best": {
                    "experiment": "sweep",
                    "condition": "actadd",
                    "metric": "distinct.distinct_1",
                }
            },
            "conditions": {
                "unsteered": {"method": "unsteered"},
                "actadd": {
                    "method": "actadd",
                    "additions": [{"vector": "love-hate", "choice": "best"}],
                },
                "random": {
                    "method": "actadd",
                    "additions": [{"vector": "random", "choice": "best"}],
                },
            },
            "shards": 2,
            "scorers": ["words"],
        },
        "ratio": {
            "title": "ratio",
            "measure": "logprobs",
            "models": ["tiny"],
            "prompts": {"dataset": "texts"},
            "conditions": {
                "unsteered": {"method": "unsteered"},
                "actadd": {
                    "method": "actadd",
                    "additions": [{"vector": "calm", "layer": 1, "coefficient": [1, 2]}],
                },
            },
        },
    },
    "figures": {
        "sweep": {
            "kind": "sweep",
            "title": "Sweep",
            "experiment": "sweep",
            "metrics": ["distinct.distinct_1"],
        },
        "ratio": {"kind": "perplexity_ratio", "title": "Ratio", "experiment": "ratio"},
    },
}

TEXTS = """text,group
The wedding was held in the old church and the guests were happy,a
They danced until the morning and then the bride went home,a
The ship left the port with its cargo and sailed to the north,b
The crane lifted the heavy container from the deck of the vessel,b
"""


# Folders of results that tell of runs: what a job was asked, how long it took, what it said.
BESIDE = {"logs", "jobs", "benchmarks", "failures", "store"}
LABELS = (("good", 1), ("bad", -1))


# Folders of results whose jobs come before the cells of any experiment.
BEFORE_CELLS = ("sources", "sources.lock.json", "models", "datasets", "activations", "vectors")


def config(**changes) -> dict:
    """The tiny config with whole sections replaced."""
    return {**copy.deepcopy(CONFIG), **changes}


def make_model(folder: Path, positions: int = 128) -> Path:
    """A random three-layer GPT-2 with a byte-level tokenizer trained on a few sentences.

    positions: tokens of a text that it reads.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel

    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXTS, str(CONFIG)], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=tokenizer.get_vocab_size(),
            n_embd=32,
            n_layer=LAYERS,
            n_head=4,
            n_positions=positions,
            bos_token_id=0,
            eos_token_id=0,
            initializer_range=0.3,
        )
    )
    model.save_pretrained(folder)
    return folder


def none_failed(table):
    """The table with the column that says why a cell failed."""
    return table if "failed" in table else table.assign(failed=None).astype({"failed": "string"})


def written(sources: dict[str, list[dict]], folder: Path) -> list[Path]:
    """Made-up rows as files (relative path -> rows), Parquet or CSV by their suffix, in order.

    In Parquet tables of cells, none has failed unless the rows say so.
    """
    import pandas as pd

    paths = [folder / name for name in sources]
    for path, rows in zip(paths, sources.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            table = pd.DataFrame(rows)
            of_cells = {"condition", "method"} & set(table)
            (none_failed(table) if of_cells else table).to_parquet(path)
        else:
            pd.DataFrame(rows).to_csv(path, index=False)
    return paths


def write_data(folder: Path) -> Path:
    """The files that the config's datasets name; returns their folder."""
    (folder / "texts.csv").write_text(TEXTS)
    rows = [f"a {word} day {n},{sign}" for n in range(20) for word, sign in LABELS]
    (folder / "labelled.csv").write_text("\n".join(["text,label", *rows]))
    return folder


class Workspace:
    """A copy of the workflow with a config of its own, and a way to run it."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, model: Path, settings: dict | None = None) -> "Workspace":
        folder.mkdir(parents=True)
        for name in ("Snakefile", "environment.yml"):
            shutil.copy2(ROOT / name, folder / name)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("workflow", "profiles"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        shutil.copytree(model, folder / "tiny-model")
        write_data(folder)
        space = cls(folder)
        space.configure(settings or config())
        return space

    def copy(self, folder: Path) -> "Workspace":
        """The same tree elsewhere, with its times and Snakemake's records."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(folder)

    def copy_before_cells(self, folder: Path, settings: dict) -> "Workspace":
        """The same tree elsewhere with another config and, of the results, models to vectors."""
        space = self.copy(folder)
        for path in (space.folder / "results").iterdir():
            if path.name not in BEFORE_CELLS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        space.configure(settings)
        return space

    def configure(self, settings: dict) -> None:
        text = yaml.safe_dump(settings, sort_keys=False)
        (self.folder / "config.yaml").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]

    def environment(self) -> dict[str, str]:
        # Jobs must find this interpreter as `python`, whether or not its environment is active.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        imports = self.folder / "imports"
        imports.mkdir(exist_ok=True)
        return {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT / "tests" / "tools" / "record_imports"),
            "RECORD_IMPORTS": str(imports),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "ACTADD_RETRY_SECONDS": "0",
        }

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Runs snakemake and returns what it printed; fails the test if its exit code surprises."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        printed = done.stdout + done.stderr
        if bool(done.returncode) != fails:
            logs = "\n".join(
                f"--- {path}\n{path.read_text()[-2000:]}"
                for path in sorted(self.folder.glob("results/logs/**/*.log"))
                if path.stat().st_size and "Error" in path.read_text()
            )
            raise AssertionError(f"exit code {done.returncode}\n{printed[-6000:]}\n{logs}")
        return printed

    def planned(self, *arguments: str) -> dict[str, int]:
        """Rule -> number of jobs that a run would do; empty if there is nothing to be done.

        In place of the rule `cells`, what its jobs measure.
        """
        printed = self.run("-n", *arguments)
        rows = re.findall(r"^(\w+)\s+(\d+)\s*$", printed, flags=re.MULTILINE)
        # A target is no job of its own, and neither is what looks for failed cells at its end.
        others = ("total", "all", "default", "complete")
        jobs = Counter({rule: int(count) for rule, count in rows if rule not in others})
        if jobs.pop("cells", 0):
            jobs.update(re.findall(r"Measure (\w+) of ", printed))
        return dict(jobs)

    def log(self, name: str) -> str:
        return (self.folder / "results" / "logs" / f"{name}.log").read_text()

    def outputs(self) -> dict[str, bytes]:
        """Every result but what only tells of runs and the cell store, by relative path."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted((self.folder / "results").rglob("*"))
            if path.is_file()
            and not BESIDE & set(path.parts)
            and path.name != ".snakemake_timestamp"
        }


def actadd(space: Workspace, *arguments: str, code: int = 0) -> str:
    """What the command line prints in a workspace; fails the test at another exit code."""
    command = [sys.executable, "-m", "actadd", *arguments]
    environment = {**space.environment(), "PYTHONPATH": "workflow"}
    done = subprocess.run(
        command, cwd=space.folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def typed(space: Workspace, command: str) -> None:
    """Runs a command of the shell that a message names, in a workspace."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=space.folder,
        env=space.environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def fake_program(folder: Path, name: str, script: str) -> Path:
    """A program of this name that goes before others on PATH; returns its folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    (folder / name).chmod(0o755)
    return folder
