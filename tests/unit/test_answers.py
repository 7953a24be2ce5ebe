"""What servers answer, in good and bad days: each over a real local connection."""

import gzip
import json
import re
import time
from email.utils import formatdate
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from actadd.base.errors import CellError, UserError
from actadd.base.files import canonical, read_json, write_json
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.pipeline.graph import Graph
from actadd.scorers import scores
from actadd.scorers.remote.llm_judge import _read, llm_judge, verdict
from actadd.scorers.remote.perspective import perspective
from actadd.scorers.server import Unreadable
from builders import tiny
from builders.judge import KEY, prompt_of, reply_of


def table(*completions):
    return pd.DataFrame({"prompt": "We said", "completion": list(completions)})


def yes(judge, *completions) -> list[float]:
    return llm_judge.score(table(*completions), judge, None)["yes"].tolist()


# --- what a reply says ----------------------------------------------------------------------------

SAYS_YES = [
    "Yes",
    "yes.",
    "YES!!!",
    "**Yes**",
    "_Yes_",
    "`yes`",
    "> Yes",
    "1. Yes",
    "“Yes”",
    "Yes。",
    "\uff39\uff25\uff33",  # full width
    "\u2705 Yes",
    "Sure! Yes",
    "Yes, because there is no sadness in it.",
    "Yes, without doubt, and no word says otherwise",
    "Answer: yes.",
    "**Answer:** Yes",
    "The answer is **yes**.",
    "The answer to the question is yes.",
    "The text isn't bad, so yes.",
    "I don't doubt it, yes",
    "Yes it is wrong to say so",
    "Final verdict - YES",
    "<answer>yes</answer>",
    "\\boxed{Yes}",
    "$\\boxed{\\text{yes}}$",
    "No sign of it at first; but my answer is yes.",
    "The text is cheerful.\n\nYes",
    "It is cheerful, so yes.",
    "I would say yes",
    "You asked for yes or no. Yes.",
    "<think>Hm, no.</think>yes",
    "<think>\nIs it?\nNo.\n</think>\n\n**Yes**",
    "The template has opened it, no.</think>Yes",
    "<think></think>Yes",
    "<THINKING>no</THINKING> Yes",
    "[THINK]no[/THINK]yes",
    "\u25c1think\u25b7no\u25c1/think\u25b7yes",
    "<|channel|>analysis<|message|>no<|end|><|start|>assistant<|channel|>final<|message|>Yes",
    "<think>one</think><think>no</think>Yes",
    '{"answer": "yes"}',
    '{"Answer": "Yes."}',
    '{"answer": true}',
    '{"reasoning": "No, not at first.", "verdict": "yes"}',
    '{"answer": {"value": "yes"}}',
    '["yes"]',
    '"Yes"',
    "{'answer': 'yes'}",
    '```json\n{"answer": "yes"}\n```',
    "```\nyes\n```",
    '<think>{"answer": "no"}</think>{"answer": "yes"}',
]
SAYS_NOTHING = [
    "",
    "   ",
    "Maybe",
    "Yes and no",
    "yes/no",
    "Yes or no?",
    "Answer: yes or no",
    "Answer yes and no.",
    "No, wait. Yes.",
    "Yes\nNo",
    "The answer is not yes",
    "No doubt this is happy",
    "Not sure",
    "None",
    "Yesterday",
    "nobody",
    "<think>I think yes",
    "<think>So it is yes.\n\nYes",
    "<|channel|>analysis<|message|>yes",
    "null",
    '{"answer": null}',
    '{"yes": 0.9, "no": 0.1}',
    '{"first": "yes", "second": "no"}',
    "I cannot help with that.",
    "The answer cannot be yes",
    "I won't answer yes",
    "I can't say yes",
    "It's hard to say no",
    'The answer "yes" would be wrong.',
]


@pytest.mark.parametrize("text", SAYS_YES)
def test_what_says_yes(text):
    assert verdict(text) == 1
    swapped = {"yes": "no", "no": "yes", "true": "false"}
    words = re.compile(r"(?<![^\W_])(?:yes|no|true)(?![^\W_])", re.IGNORECASE)
    other = words.sub(lambda word: swapped[word[0].lower()], text)
    if other != text:
        assert verdict(other) == 0


@pytest.mark.parametrize("text", SAYS_NOTHING)
def test_what_says_neither(text):
    assert verdict(text) is None


LONG = ["answer ", "<think>", "\n", "no ", "_", "[", "answer is ", "```"]


@pytest.mark.parametrize("part", LONG)
def test_a_long_answer_is_read_in_a_moment(part):
    start = time.monotonic()
    verdict(part * 20_000)
    assert time.monotonic() - start < 5


CALL = {"type": "function", "function": {"name": "judge", "arguments": '{"answer": "yes"}'}}
STRUCTURED = [
    reply_of([{"type": "text", "text": "Yes"}]),
    reply_of(["Y", "es"]),
    reply_of([{"type": "thinking", "thinking": [{"type": "text", "text": "no"}]}, {"text": "Yes"}]),
    reply_of([{"type": "reasoning", "text": "no"}, {"type": "output_text", "text": "Yes"}]),
    reply_of(None, tool_calls=[CALL]),
    reply_of("", function_call={"arguments": {"answer": True}}),
    reply_of("Yes", reasoning_content="No, it is not."),
    reply_of("Yes", reasoning="no", tool_calls=None, refusal=None),
    reply_of({"answer": "yes"}),
    reply_of("Yes, because", finish="length"),
    {"id": "1", "usage": {}, **reply_of("Yes")},
]


@pytest.mark.parametrize("reply", STRUCTURED)
def test_replies_in_parts_calls_and_beside_their_thoughts(server, judge, reply):
    server.respond = lambda body: reply
    assert yes(judge, "glad") == [1]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (reply_of("Maybe"), "neither yes nor no: 'Maybe'"),
        (reply_of(None), "neither yes nor no"),
        (reply_of([]), "neither yes nor no"),
        (reply_of(None, reasoning_content="yes"), "neither yes nor no"),
        (
            reply_of("<think>so yes", finish="length"),
            r"write a larger scorers\.judge\.max_tokens",
        ),
        (reply_of("It seems", finish="MAX_TOKENS"), r"write a larger scorers\.judge\.max_tokens"),
        (reply_of(None, "length", reasoning_content="I"), r"larger scorers\.judge\.max_tokens"),
        (reply_of(None, refusal="I cannot"), "refused by the server: I cannot"),
        (reply_of("Yes", finish="content_filter"), "refused by the server"),
        (reply_of("", finish="content_filter"), "refused by the server"),
        ({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}, "refused by the server"),
        ((400, {"error": {"code": "content_filter"}}), "refused by the server: 400"),
    ],
)
def test_a_cell_without_any_answer_fails_and_says_why(server, judge, reply, reason):
    server.respond = lambda body: reply
    with pytest.raises(CellError, match=rf"scorers\.judge: 2 of 2 texts .*{reason}"):
        yes(judge, "glad", "", "sad")


def test_a_cell_of_empty_completions_asks_nothing(server, judge):
    assert np.isnan(yes(judge, "", " ")).all() and server.bodies == []


def test_half_of_a_character_in_a_reply_is_kept_as_a_question_mark(server, judge):
    server.respond = lambda body: json.dumps(reply_of("Yes \ud83d")).encode()
    assert yes(judge, "glad") == yes(judge, "glad") == [1] and len(server.bodies) == 1


def test_a_larger_number_of_tokens_is_named_by_the_key_that_sets_it(server, judge):
    """And what the message says helps."""
    long = "<think>" + "so " * 50 + "</think>yes"

    def respond(body):
        words = re.findall(r"\S+\s*", long)[: body["max_completion_tokens"]]
        return reply_of("".join(words), "length" if len(words) < 51 else "stop")

    server.respond = respond
    judge["parameters"] = {"max_tokens": None, "max_completion_tokens": 5}
    with pytest.raises(CellError, match=r"larger scorers\.judge\.parameters\.max_completion_tok"):
        yes(judge, "glad")
    judge["parameters"]["max_completion_tokens"] = 500
    assert yes(judge, "glad") == [1]


# --- what a server refuses ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        (400, {"error": {"code": "content_filter", "message": "The response was filtered"}}),
        (400, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        (400, {"error": {"code": "data_inspection_failed"}}),
        (400, {"error": {"message": "Content Exists Risk"}}),
        (403, {"error": {"message": "flagged for violence", "metadata": {}}}),
        (400, {"error": {"message": "maximum context length is 10 tokens"}}),
        (413, b"too large"),
        (422, {"detail": "this text is not for me"}),
        (451, b""),
        reply_of(None, finish="content_filter"),
        reply_of(None, refusal="I am sorry"),
        {"error": {"code": 400, "message": "no such text, please"}},
    ],
)
def test_one_refused_text_of_ten_is_a_gap_that_is_counted(server, judge, capsys, refusal):
    server.respond = lambda body: refusal if "bad" in prompt_of(body) else reply_of("No")
    texts = [f"text {n}" for n in range(9)] + ["a bad one"]
    result = llm_judge.score(table(*texts), judge, None)
    assert result["yes"].tolist()[:9] == [0] * 9 and np.isnan(result["yes"][9])
    assert result.attrs["gaps"] == {"refused by the server": 1}
    line = "scorers.judge: 1 of 10 texts have no answer: 1 refused by the server: "
    assert line in capsys.readouterr().out
    # It is kept, so that a rerun asks nothing and counts the same.
    count = len(server.bodies)
    again = llm_judge.score(table(*texts), judge, None)
    assert again.equals(result) and again.attrs == result.attrs and len(server.bodies) == count
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "refusal", "parameters"),
    [
        (
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            {"max_tokens": None, "max_completion_tokens": 64},
        ),
        (400, "'temperature' does not support 0 with this model", {"temperature": None}),
        (422, [{"loc": ["body", "temperature"], "msg": "Extra inputs"}], {"temperature": None}),
    ],
)
def test_a_refused_parameter_is_named_with_the_key_that_helps(
    server, judge, status, refusal, parameters
):
    def respond(body):
        missing = [name for name, value in parameters.items() if (value is None) == (name in body)]
        return (status, {"error": {"message": refusal}}) if missing else reply_of("Yes")

    server.respond = respond
    with pytest.raises(UserError, match=r"scorers\.judge\.url: .* answered 4") as caught:
        yes(judge, "glad")
    assert not isinstance(caught.value, CellError) and str(caught.value).count("\n") < 5
    remedy = re.search(r"scorers\.judge\.parameters: (\{.*?\});", str(caught.value))[1]
    judge["parameters"] = yaml.safe_load(remedy)
    assert judge["parameters"] == parameters
    assert yes(judge, "glad") == [1]
    assert all(server.bodies[-1].get(name) == value for name, value in parameters.items())


def test_parameters_of_a_config_reach_the_server(server, judge):
    """A null that leaves a parameter out is not lost on the way."""
    config = load([tiny.ROOT / "config.yaml"])
    entry = {key: value for key, value in judge.items() if key not in ("name", "answers")}
    more = {"temperature": None, "max_tokens": None, "max_completion_tokens": 64}
    more["chat_template_kwargs"] = {"enable_thinking": False}
    config["scorers"]["judge"] = {**entry, "parameters": more, "timeout": 9}
    spec = Graph(checked(config, tiny.ROOT), tiny.ROOT).scorer_entry("judge")
    spec = json.loads(json.dumps(canonical(spec)))
    assert yes({**spec, "answers": judge["answers"]}, "glad") == [1]
    body = server.bodies[-1]
    assert body.keys() == {"model", "messages", "max_completion_tokens", "chat_template_kwargs"}
    for name in ("messages", "model", "stream"):
        config["scorers"]["judge"]["parameters"] = {name: 1}
        with pytest.raises(UserError, match=r"scorers\.judge\.parameters: "):
            checked(config, tiny.ROOT)


# --- bad days -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        (500, b"oops"),
        (503, {"error": "busy"}),
        (529, {"error": {"type": "overloaded_error"}}),
        (408, b""),
        (429, {"error": {"message": "Rate limit reached"}}, {"Retry-After": "0"}),
        (429, b"", {"Retry-After": "0.01"}),
        (429, b"", {"Retry-After": formatdate(time.time() - 60, usegmt=True)}),
        (429, b"", {"Retry-After": "soon"}),
        (403, {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}),
        {"error": {"code": 502, "message": "the provider is down"}},
        {"error": {"code": "429", "message": "slow down"}},
        (200, b"[" * 100_000 + b"]" * 100_000),
        (200, b"<html><title>Under repair</title></html>"),
        (200, b""),
        (200, b'{"choices": [{"mess'),
        (200, b"not gzip", {"Content-Encoding": "gzip"}),
        None,
    ],
)
def test_what_may_pass_is_asked_again(server, judge, failure):
    server.once(failure)
    assert yes(judge, "glad") == [1] and len(server.bodies) == 2


def test_a_compressed_reply_is_read(server, judge):
    packed = gzip.compress(json.dumps(reply_of("Yes")).encode())
    server.once((200, packed, {"Content-Encoding": "gzip"}))
    assert yes(judge, "glad") == [1]


@pytest.mark.parametrize(
    "busy",
    [
        (429, b"", {"Retry-After": "1"}),
        (503, b"", {"Retry-After": "1"}),
        (429, {"error": {"message": "Please try again in 900ms. Visit us"}}),
        (429, {"error": {"message": "please retry after 1 second"}}),
    ],
)
def test_a_busy_server_is_given_the_pause_that_it_asks_for(server, judge, busy):
    server.once(busy)
    start = time.monotonic()
    assert yes(judge, "glad") == [1]
    assert 0.8 < time.monotonic() - start < 10


def test_a_pause_may_be_a_date(server, judge):
    server.once((429, b"", {"Retry-After": formatdate(time.time() + 2, usegmt=True)}))
    start = time.monotonic()
    assert yes(judge, "glad") == [1]
    assert 0.5 < time.monotonic() - start < 10


def test_a_pause_of_hours_stops_at_once(server, judge):
    server.once((429, b"", {"Retry-After": "7200"}))
    with pytest.raises(UserError, match=r"scorers\.judge\.url: .*pause of 7200 s.*run again"):
        yes(judge, "glad")
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((200, b"<html><title>Log in</title></html>"), "6 times: 200 with invalid JSON: .*Log"),
        ({"choices": []}, "not of the form that this kind of scorer reads"),
        ([], "not of the form"),
        ({"object": "list"}, "not of the form"),
        ({"choices": [{"text": "Yes"}]}, "not of the form"),
        (
            (301, b"", {"Location": "https://other/v1?key=abc"}),
            r"301: it has moved to .*key=\*\*\*",
        ),
        ((401, {"error": f"Incorrect key {KEY}"}), r"answered 401: .*key \*\*\*.*the key"),
        ((404, {"error": "no model m"}), "answered 404: .*no model m.*model's name"),
        ((429, {"error": {"code": "insufficient_quota"}}), "answered 429: .*insufficient_quota"),
        (None, "failed 6 times"),
    ],
)
def test_what_does_not_pass_is_reported_truly(server, judge, reply, message):
    server.respond = lambda body: reply
    with pytest.raises(UserError, match=message) as caught:
        yes(judge, "glad")
    assert not isinstance(caught.value, CellError)
    assert KEY not in str(caught.value) and "scorers.judge.url" in str(caught.value)
    assert not list(Path(judge["answers"]).rglob("*.json"))


def test_a_slow_server_is_waited_for_as_long_as_the_config_says(server, judge):
    def slow(body):
        time.sleep(0.5)
        return reply_of("Yes")

    server.respond = slow
    assert yes({**judge, "timeout": 30}, "glad") == [1]
    with pytest.raises(UserError, match=r"failed 6 times: .*timed out"):
        yes({**judge, "timeout": 0.05}, "sad")


def test_a_login_of_netrc_does_not_take_the_keys_place(server, judge, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert yes(judge, "glad") == [1] and server.keys == [f"Bearer {KEY}"]


def test_the_key_is_written_nowhere(server, judge, tmp_path, capsys):
    """Also where the server repeats it in a refusal or an answer."""
    refusal = 400, {"error": f"content_filter {KEY}"}
    server.respond = lambda body: refusal if "bad" in prompt_of(body) else reply_of(f"Yes {KEY}")
    assert yes(judge, "glad") == [1]
    with pytest.raises(CellError) as caught:
        yes(judge, "bad")
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 2 and not any(KEY in text for text in written)
    assert KEY not in capsys.readouterr().out and KEY not in str(caught.value)


# --- what is kept ---------------------------------------------------------------------------------


def test_answers_that_were_kept_before_are_read(server, judge):
    """Their names must not change: the digest of the address and of the request as it was sent."""
    judge["url"] = "http://localhost:8000/v1/chat/completions"
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Is this happy? glad"}],
        "temperature": 0,
        "max_tokens": 5,
    }
    name = "f2e869ed018fa1e4463118b6ecb23abdf5dd51175a16be3c4ed64cc56a96eb28"
    write_json(
        Path(judge["answers"]) / name[:2] / f"{name}.json", {"answer": "**No**", "body": body}
    )
    assert yes(judge, "glad") == [0] and server.bodies == []


@pytest.mark.parametrize("content", ["{", "[]", '{"body": {}}', "null"])
def test_a_damaged_answer_is_asked_for_again(server, judge, content):
    assert yes(judge, "glad") == [1]
    [file] = Path(judge["answers"]).rglob("*.json")
    file.write_text(content)
    assert yes(judge, "glad") == [1] and len(server.bodies) == 2
    assert read_json(file)["answer"] == "Yes"


def test_gaps_are_recorded_and_a_cell_without_answers_fails_alone(server, judge, tmp_path):
    rows = [("c", "x", text) for text in ("glad", "bad one", "sad", "fine")]
    rows += [("d", "y", text) for text in ("bad too", "bad three", "bad", "")]
    frame = pd.DataFrame(rows, columns=["cell", "condition", "completion"])
    frame = frame.assign(prompt_id=0, sample=range(len(rows)), prompt="We said")
    tiny.none_failed(frame).to_parquet(tmp_path / "completions.parquet")
    server.respond = lambda body: reply_of(None if "bad" in prompt_of(body) else "Yes")

    def scored() -> dict:
        return scores.score_completions(
            {"scorer": judge},
            completions=tmp_path / "completions.parquet",
            inputs=None,
            store=tmp_path / "store",
            output=tmp_path / "scores.parquet",
        )

    # Also of cells that are found in the store.
    for facts in (scored(), scored()):
        assert facts["gaps"] == {"x c": {"neither yes nor no": 1}}
        assert facts["failed"].keys() == {"y d"} and "3 of 3 texts" in facts["failed"]["y d"]
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert table["yes"].isna().tolist() == [False, True, False, False] + [True] * 4
    assert table["failed"].isna().tolist() == [True] * 4 + [False] * 4


def test_perspective_fails_a_cell_without_any_score(server, judge):
    toxic = {**judge, "kind": "perspective", "cut": 0.5}
    details = [{"errorType": "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"}]
    server.respond = lambda body: (400, {"error": {"details": details}})
    with pytest.raises(CellError, match=r"scorers\.judge: 2 of 2 texts .*LANGUAGE_NOT_SUPPORTED"):
        perspective.score(table("un", "deux"), toxic, None)
    score = {"summaryScore": {"value": float("nan")}}
    for scores_of in ({}, {"TOXICITY": score}):
        server.respond = lambda body, scores=scores_of: {"attributeScores": scores}
        with pytest.raises(UserError, match="not of the form"):
            perspective.score(table("trois"), toxic, None)


def test_a_missing_reply_is_unreadable():
    for reply in (None, 3, "Yes", [], {}, {"choices": [None]}, {"choices": [{"message": None}]}):
        with pytest.raises(Unreadable):
            _read(reply)
