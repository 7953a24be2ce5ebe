"""Which cells an edit recomputes: those whose numbers it can change, and no other."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from transformers import LlamaForCausalLM

from builders import tiny
from builders.checkpoints import llama_model, write_gguf

pytestmark = pytest.mark.workflow

SCRIPT = tiny.ROOT / "tests" / "tools" / "cell_keys.py"
HALVES = "text,split\nThe ship left the port,used\nThey danced until the morning,used\n"
NEW_SCORER = '''
"""The length of a completion."""

import pandas as pd

from actadd.scorers.kinds import Job, Options, scorer


@scorer(Options, metrics={"length": False})
def letters(table: pd.DataFrame, options: Options, job: Job) -> pd.DataFrame:
    """Letters of the completion."""
    return pd.DataFrame({"length": table["completion"].str.len()}, dtype="float64")
'''
NEW_READER = '''
"""Texts between lines of dashes."""

from actadd.data.content import File
from actadd.data.readers.kinds import TextOptions, reader


@reader(suffixes=(".dashes",))
def dashes(file: File, options: TextOptions):
    """The texts of a file, which lines of dashes divide."""
    import pandas as pd

    return pd.DataFrame({"text": file.text().split("---")})
'''


def settings() -> dict:
    """The tiny config with every measure, norm matching, a judge, and a second model from GGUF."""
    config = tiny.config(figures={})
    config["sources"]["grain"] = {"type": "path", "path": "gguf-model"}
    config["models"]["grain"] = {
        "source": "grain",
        "format": "gguf",
        "layers": 2,
        "parameters": 23_000,
        "bos": "<|endoftext|>",
        "stop": ["<|im_end|>"],
        "pad": "a",
        "licence": "MIT",
    }
    config["datasets"]["halves"] = {
        "title": "texts in two splits",
        "file": "halves.csv",
        "columns": {"text": "text", "split": "split"},
    }
    config["scorers"]["judge"] = {
        "kind": "llm_judge",
        "url": "https://judge.example/v1/chat/completions",
        "model": "judge",
        "question": "Is this polite? {completion}",
    }

    def steered(**addition) -> dict:
        return {
            "method": "actadd",
            "additions": [{"vector": "love-hate", "layer": 1, "coefficient": 2, **addition}],
        }

    prompts = {"dataset": "halves", "split": "used"}
    config["experiments"] |= {
        "moved": {
            "title": "moved",
            "measure": "divergence",
            "models": ["tiny"],
            "prompts": prompts,
            "conditions": {"unsteered": {"method": "unsteered"}, "actadd": steered()},
        },
        "norms": {
            "title": "norms",
            "measure": "logprobs",
            "models": ["tiny", "grain"],
            "prompts": prompts,
            "conditions": {
                "unsteered": {"method": "unsteered"},
                "matched": steered(source_layer=0, match_norm=True),
                "plain": steered(source_layer=0),
            },
        },
    }
    return config


@pytest.fixture(scope="module")
def edited(finished, tmp_path_factory) -> tiny.Workspace:
    """A finished workspace to edit within `editing`."""
    space = finished.copy(tmp_path_factory.mktemp("edits") / "space")
    torch.manual_seed(0)
    gguf = pytest.importorskip("gguf")
    write_gguf(gguf, LlamaForCausalLM(llama_model(3 + 256 + 1)), space.folder / "gguf-model")
    (space.folder / "halves.csv").write_text(HALVES)
    space.configure(settings())
    space.run()
    return space


def keys(space: tiny.Workspace) -> dict[str, list[str]]:
    """The keys of cells and scores by the workspace's own library, see tools/cell_keys.py."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=space.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def before(edited) -> dict[str, list[str]]:
    return keys(edited)


def computed(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, int]:
    """How many cells have another key, of those experiments and scorers that have some."""
    assert before.keys() == after.keys()
    counts = {name: sum(key not in before[name] for key in after[name]) for name in sorted(before)}
    return {name: count for name, count in counts.items() if count}


Edit = tuple[str, str | None, str]


@contextmanager
def editing(space: tiny.Workspace, *edits: Edit):
    """The workspace with edits: (file, old text, new text); without an old text a file is added."""
    originals: dict[Path, str | None] = {}
    for file, old, new in edits:
        path = space.folder / file
        text = path.read_text() if path.exists() else None
        originals.setdefault(path, text)
        if old is None:
            assert text is None
            path.write_text(new)
        else:
            assert text is not None and old in text, f"{file} has no {old!r}"
            path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        for path, text in originals.items():
            if text is None:
                path.unlink()
            else:
                path.write_text(text)


LIBRARY = "workflow/actadd"
# What changes no number -> edit.
NEUTRAL: dict[str, Edit] = {
    "comment in errors": (f"{LIBRARY}/base/errors.py", "import io\n", "# A comment.\nimport io\n"),
    "docstring in steering": (
        f"{LIBRARY}/engine/steering.py",
        '"""`actadd.steer` without verification; yields what it has done so far."""',
        '"""`actadd.steer` of a model that is not verified."""',
    ),
    "message in errors": (f"{LIBRARY}/base/errors.py", "else text[:77]", "else text[:76]"),
    "message of an error": (
        f"{LIBRARY}/engine/additions.py",
        "write a torch.Tensor [positions, d_model]",
        "write a tensor",
    ),
    "remedy of a full disk": (f"{LIBRARY}/base/files.py", "free some space there", "free space"),
    "new dataset reader": (f"{LIBRARY}/data/readers/dashes.py", None, NEW_READER),
    "separators of CSV": (f"{LIBRARY}/data/readers/csv.py", '"|", ",")', '"|", ",", "^")'),
    "new scorer": (f"{LIBRARY}/scorers/text/letters.py", None, NEW_SCORER),
    "a figure's code": (
        f"{LIBRARY}/results/figures/sweeps/sweep.py",
        "\n@figure(",
        "\nFORMAT = 1\n\n\n@figure(",
    ),
    "progress bar": (f"{LIBRARY}/base/progress.py", "EVERY = 10.0", "EVERY = 5.0"),
    "what a checkpoint's folder is linked of": (
        f"{LIBRARY}/models/preparation.py",
        'LINKED = (".json", ',
        'LINKED = (".json", ".md", ',
    ),
    "what the store prints": (f"{LIBRARY}/store/cells.py", "is damaged; it is", "is damaged, so"),
}


def everything(before: dict[str, list[str]]) -> dict[str, int]:
    """All cells of experiments; of scores those by a model, which reads as experiments do."""
    return {
        name: len(set(all_keys))
        for name, all_keys in before.items()
        if " of " not in name or name.startswith("fluency of ")
    }


def steered_cells(before: dict[str, list[str]]) -> dict[str, int]:
    """The cells with additions: all but one unsteered cell of some experiments."""
    experiments = settings()["experiments"]
    return {
        name: count - ("unsteered" in experiments[name.partition(" on ")[0]]["conditions"])
        for name, count in everything(before).items()
        if " of " not in name
    }


def of(*prefixes: str) -> Callable[[dict[str, list[str]]], dict[str, int]]:
    """All cells of the experiments or scorers whose names begin so."""
    return lambda before: {
        name: len(all_keys) for name, all_keys in before.items() if name.startswith(prefixes)
    }


# What changes numbers -> edit, and the cells that it concerns.
CHANGING: dict[str, tuple[Edit, Callable[[dict[str, list[str]]], dict[str, int]]]] = {
    "sampler": (
        (f"{LIBRARY}/engine/decoding/sampler.py", "mass - probabilities > top_p", "mass > top_p"),
        of("sweep on", "chosen on"),
    ),
    "cache of keys and values": (
        (f"{LIBRARY}/engine/decoding/kv_cache.py", "self.seen = ids.shape[1]", "self.seen = 0"),
        of("sweep on", "chosen on"),
    ),
    "steering": (
        (f"{LIBRARY}/engine/steering.py", "@contextmanager\ndef steer(", "def steer("),
        everything,
    ),
    "an operation": (
        (
            f"{LIBRARY}/engine/operations/add.py",
            "return options.coefficient * vectors",
            "return 2 * options.coefficient * vectors",
        ),
        steered_cells,
    ),
    "loading of a model": (
        (f"{LIBRARY}/models/loading.py", "use_safetensors=True,", "use_safetensors=False,"),
        everything,
    ),
    "norm matching": (
        (
            f"{LIBRARY}/measure/steering.py",
            "np.float32(np.exp(np.mean(",
            "np.float32(np.exp(np.median(",
        ),
        lambda before: {"norms on tiny": 1, "norms on grain": 1},
    ),
    "divergence": (
        (f"{LIBRARY}/measure/measures/divergence.py", "KEPT = 20", "KEPT = 10"),
        of("moved on"),
    ),
    "a scorer's function": (
        (f"{LIBRARY}/scorers/text/words.py", "_composed(text.lower())", "_composed(text)"),
        of("words of"),
    ),
    "a judge's question": (
        ("config.yaml", "Is this polite? ", "Is this rude? "),
        of("judge of"),
    ),
    "a judge's reading of answers": (
        (f"{LIBRARY}/scorers/remote/llm_judge.py", '"content_filter", ', ""),
        of("judge of"),
    ),
}


def test_the_keys_are_those_of_the_tables(edited, before):
    for name in before:
        if " of " not in name:
            experiment, _, model = name.partition(" on ")
            measure = settings()["experiments"][experiment]["measure"]
            table = edited.folder / f"results/{measure}/{model}/{experiment}.parquet"
            cells = pd.read_parquet(table, columns=["cell"])["cell"]
            assert set(cells) == {key[:16] for key in before[name]}
    stored = {path.stem for path in edited.folder.glob("results/store/*/*.parquet")}
    assert set(before["distinct of sweep on tiny"]) <= stored


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_changes_no_number_computes_no_cell(edited, before, name):
    with editing(edited, NEUTRAL[name]):
        assert computed(before, keys(edited)) == {}


@pytest.mark.parametrize("name", CHANGING)
def test_what_changes_numbers_computes_the_cells_concerned(edited, before, name):
    edit, concerned = CHANGING[name]
    expected = concerned(before)
    assert expected
    with editing(edited, edit):
        assert computed(before, keys(edited)) == expected


def test_all_that_changes_no_number_at_once_in_the_workflow(edited, tmp_path):
    """Each job whose code is another runs, and finds all of its cells."""
    space = edited.copy(tmp_path / "space")
    for log in space.folder.glob("results/logs/**/*.log"):
        log.unlink()
    note = yaml.safe_dump(settings(), sort_keys=False).replace(
        "kind: words", "kind: words\n    note: a note"
    )
    (space.folder / "config.yaml").write_text(note)
    (space.folder / "halves.csv").write_text(HALVES + "It rained,unused\n")
    with editing(space, *NEUTRAL.values()):
        space.run()
        logs = [path.read_text() for path in space.folder.glob("results/logs/**/*.log")]
        counts = [int(n) for log in logs for n in re.findall(r"cells: (\d+) computed", log)]
        assert counts and set(counts) == {0}
        assert space.planned() == {}


def test_another_reading_of_gguf_computes_its_models_cells(edited, tmp_path):
    """Of a model that was prepared to the same weights, none."""
    space = edited.copy(tmp_path / "space")
    tables = [f"results/logprobs/{model}/norms.parquet" for model in ("tiny", "grain")]
    (space.folder / "results/logs/logprobs/tiny/norms.log").unlink()
    edit = (
        f"{LIBRARY}/models/preparation.py",
        "load_state_dict(loaded.state_dict(), ",
        "load_state_dict({name: 2 * value for name, value in loaded.state_dict().items()}, ",
    )
    with editing(space, edit):
        space.run("--", *tables)
    assert "cells: 3 computed, 0 reused" in space.log("logprobs/grain/norms")
    assert "cells: 0 computed, 3 reused" in space.log("logprobs/tiny/norms")
