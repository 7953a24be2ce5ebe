"""A judge on a server in a run."""

import pandas as pd
import pytest

from actadd.base.files import read_json
from builders import tiny
from builders.judge import KEY, prompt_of, reply_of


@pytest.mark.workflow
def test_a_judge_in_a_run(server, judge, tmp_path, tiny_model, monkeypatch):
    """Its parameters, nulls too, reach the server; a gap stands in the record; the key nowhere.

    Without its key the run ends before anything is computed.
    """
    settings = tiny.config()
    parameters = {"max_tokens": None, "max_completion_tokens": 9, "temperature": None}
    entry = {key: value for key, value in judge.items() if key not in ("name", "answers")}
    entry |= {"question": "{prompt}|{completion}", "parameters": parameters}
    settings["scorers"]["judge"] = entry
    settings["experiments"]["sweep"]["scorers"] += ["judge"]
    space = tiny.Workspace.create(tmp_path / "space", tiny_model, settings)
    first = []

    def respond(body):
        prompt = prompt_of(body).split("|")[0]
        first.append(prompt)
        refused = (400, {"error": {"code": "content_filter"}})
        return refused if prompt == first[0] else reply_of("No")

    server.respond = respond
    target = "results/scores/tiny/sweep/judge.parquet"
    monkeypatch.delenv("JUDGE_KEY")
    printed = space.run("--", target, fails=True)
    assert "scorers.judge.key_env: the environment variable JUDGE_KEY holds no key" in printed
    assert {path.name for path in (space.folder / "results").iterdir()} == {"jobs"}
    # Others need none.
    space.run("--", "results/datasets/texts.parquet")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    space.run("--", target)
    assert space.planned("--", target) == {}
    body = server.bodies[-1]
    assert body.keys() == {"model", "messages", "max_completion_tokens"}
    table = pd.read_parquet(space.folder / target)
    refused = table.groupby("prompt_id")["yes"].apply(lambda values: values.isna().all())
    assert sorted(refused) == [False, True] and (table["yes"].dropna() == 0).all()
    record = read_json(space.folder / target.replace(".parquet", ".provenance.json"))
    cells = table.groupby("cell").ngroups
    assert list(record["facts"]["gaps"].values()) == [{"refused by the server": 2}] * cells
    assert "2 of 4 texts have no answer: 2 refused by the server" in space.log(
        "scores/tiny/sweep/judge"
    )
    for path in (space.folder / "results").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()
