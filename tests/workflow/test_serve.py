"""The config that the page of `actadd serve` prints, run by the workflow."""

from pathlib import Path

import pandas as pd
import pytest

from actadd.cli.live.entry import config_files
from actadd.cli.live.request import Asked
from actadd.cli.project import configured
from builders import tiny
from builders.live import ASKED, running

# A typed pair with a control and settings of its own; a vector of the config by a dose, and behind
# a prompt that is too long for a config.
TRIALS = [
    {"control": True, "seed": 7, "samples": 3, "temperature": 1.4, "top_p": 0.9, "tokens": 12},
    {
        "vector": "random",
        "dosed": True,
        "strength": -0.8,
        "position": "back",
        "layer": 2,
        "samples": 2,
        "prompt": 'He said: "no"\n and a\t b\' ' * 12,
        "frequency_penalty": 0.5,
    },
]
MADE = ["results/models/tiny.stream_norms.csv", "results/vectors/tiny/random/vector.safetensors"]


@pytest.mark.workflow
def test_the_workflow_draws_the_tokens_of_the_page(tiny_model, tmp_path, monkeypatch):
    sweep = tiny.CONFIG["experiments"]["sweep"]
    settings = tiny.config(
        dose={"dataset": "prompts"}, experiments={"sweep": sweep}, figures={}, compute={}
    )
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, settings)
    monkeypatch.chdir(space.folder)
    space.run(*MADE)
    asked = [Asked(**{**ASKED, **trial}) for trial in TRIALS]
    files: list[Path] = []
    with running(Path("results/models/tiny"), configured()) as server:
        drawn = [server.events(each.model_dump())[-1] for each in asked]
    for each in asked:
        for name, text in config_files(each, "tiny", configured(files), "float32").items():
            Path(name).write_text(text)
            files += [Path(name)] if name.endswith(".yaml") else []
    tables = ["results/completions/tiny/live.parquet", "results/completions/tiny/live-2.parquet"]
    space.run(*tables, "--configfile", *map(str, files))
    for file, (kind, done) in zip(tables, drawn, strict=True):
        assert kind == "done"
        table = pd.read_parquet(file)
        assert set(table["condition"]) == set(done["token_ids"])
        for name, rows in table.groupby("condition"):
            ids = [list(map(int, row)) for row in rows.sort_values("sample")["token_ids"]]
            assert ids == done["token_ids"][name]
        texts = table[table["condition"] == "steered"].sort_values("sample")["completion"]
        assert texts.tolist() == done["texts"]["steered"]
        assert done["token_ids"]["steered"] != done["token_ids"]["unsteered"]
