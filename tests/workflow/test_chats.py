"""A chat model through the workflow."""

import json
import shutil

import pandas as pd
import pytest
from safetensors import safe_open
from transformers import AutoTokenizer

from actadd.base.files import read_json
from actadd.engine.tokens import Tokens
from builders import tiny


@pytest.mark.workflow
def test_a_chat_model_through_the_workflow(tiny_model, tmp_path):
    """Its prompts, contrasts of chats and ids, and the stop tokens of its own files."""
    model = shutil.copytree(tiny_model, tmp_path / "model")
    template = "{{ 'U: ' + messages[0].content + '|' + mood }}{{ ' A:' if add_generation_prompt }}"
    (model / "chat_template.jinja").write_text(template)
    (model / "generation_config.json").write_text('{"eos_token_id": [3, 0]}')
    config = tiny.config()
    entry = config["models"]["tiny"]
    del entry["stop"]
    entry |= {"chat_template": True, "chat_variables": {"mood": "glad"}}
    loaded = AutoTokenizer.from_pretrained(model)

    def expected_ids(text):
        return [0, *loaded(f"U: {text}|glad A:").input_ids]

    config["vectors"]["love-hate"] |= {
        "positive": {"chat": "Love"},
        "negative": {"token_ids": expected_ids("Hate")[1:]},
    }
    space = tiny.Workspace.create(tmp_path / "space", model, config)
    space.run("results/completions/tiny/sweep.parquet")
    results = space.folder / "results"
    facts, tokens = read_json(results / "models/tiny/model.json"), Tokens(results / "models/tiny")
    assert facts["stop_ids"] == [0, 3] and facts["chat"]["variables"]["mood"] == "glad"
    assert tokens.encode("We went") == expected_ids("We went")
    file = results / "activations/tiny/love-hate/layer_01.safetensors"
    with safe_open(file, "numpy") as opened:
        ids = json.loads(opened.metadata()["actadd"])["token_ids"]
    assert ids["0.positive"][: len(expected_ids("Love"))] == expected_ids("Love")
    assert ids["0.negative"][: len(expected_ids("Hate"))] == expected_ids("Hate")
    log = space.log("vectors/tiny/love-hate")
    assert "warning: vectors.love-hate: both prompts begin with 'U'" in log
    record = read_json(results / "vectors/tiny/love-hate/provenance.json")
    assert "both prompts begin with" in json.dumps(record)
    drawn = pd.read_parquet(results / "completions/tiny/sweep.parquet")
    steered = drawn[(drawn["method"] == "actadd") & (drawn["coefficient"] == 2)]
    assert set(steered["completion"]) != set(drawn[drawn["method"] == "unsteered"]["completion"])
