"""`actadd serve`: its streams, whom it answers, and how it ends."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import yaml

from actadd.cli import live
from actadd.cli.live.application import HEADERS
from actadd.cli.live.entry import LONGEST, config_files
from actadd.cli.live.request import Asked
from actadd.cli.try_out import compare
from actadd.config.checks import checked
from actadd.config.files import load
from actadd.pipeline.graph import Graph
from actadd.vectors.vector_files import write_vector
from builders import tiny
from builders.commands import actadd
from builders.jobs import compute
from builders.live import ASKED, PAIR, events, running, slow_model

SCRIPTS = ("page.js", "fields.js", "results.js")


CONFIG = tiny.config(dose={"dataset": "prompts"})


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict:
    """The tiny config, checked."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "tiny-model").mkdir()
    (tiny.write_data(folder) / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return checked(load([folder / "config.yaml"]), folder)


@pytest.fixture(scope="module")
def served(prepared, settings):
    with running(prepared, settings) as server:
        yield server


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    with running(slow_model(tmp_path_factory.mktemp("slow"))) as server:
        yield server


# --- streams ---


def test_a_stream_grows_to_the_completions_of_try(served, prepared):
    asked = {**ASKED, "samples": 3, "control": True, "seed": 5, "temperature": 1.3, "top_p": 0.9}
    told = served.events(asked)
    assert [kind for kind, _ in told][:2] == ["start", "step"] and told[-1][0] == "done"
    done = told[-1][1]
    tried = compare(
        prepared,
        {"kind": "pair", **PAIR},
        ASKED["prompt"],
        layer=1,
        coefficient=4,
        samples=3,
        tokens=8,
        seed=5,
        sampling={"temperature": 1.3, "top_p": 0.9},
    )
    assert done["token_ids"] == tried.token_ids and done["texts"] == tried.texts
    grown: dict[tuple[str, int], str] = {}
    for _, value in told[1:-1]:
        for name, sample, text in value["texts"]:
            grown[name, sample] = grown.get((name, sample), "") + text
    for (name, sample), text in grown.items():
        assert text and tried.texts[name][sample].startswith(text)
    assert len(grown) == 9 and done["drawn"] == sum(
        len(ids) for several in tried.token_ids.values() for ids in several
    )


def test_scorers_that_need_no_model_score_the_completions(served):
    done = served.events({**ASKED, "samples": 2})[-1][1]
    assert set(done["scores"]) == {"unsteered", "steered"}
    assert len(done["scores"]["steered"]["distinct.distinct_1"]) == 2
    assert not any(name.startswith(("fluency", "mood")) for name in done["scores"]["steered"])


def test_coefficient_0_changes_nothing(served):
    ids = served.events({**ASKED, "strength": 0})[-1][1]["token_ids"]
    assert ids["steered"] == ids["unsteered"]


def test_a_second_trial_waits_for_the_first(slow):
    first = slow.post("continue", {**ASKED, "tokens": 200}, stream=True)
    begun = events(first)
    assert next(begun)[0] == "start" and next(begun)[0] == "step"
    kinds = [kind for kind, _ in slow.events(ASKED)]
    assert kinds[:2] == ["waiting", "start"] and kinds[-1] == "done"
    assert list(begun)[-1][0] == "done"


def test_a_closed_page_stops_its_trial(slow):
    """2000 tokens take seconds; the next trial begins at once, and so does one that waited."""
    answer = slow.post("continue", {**ASKED, "tokens": 2000}, stream=True)
    begun = events(answer)
    assert next(begun)[0] == "start"
    waiting = slow.post("continue", {**ASKED, "tokens": 2000}, stream=True)
    assert next(events(waiting))[0] == "waiting"
    next(begun)
    waiting.close()
    answer.close()
    started = time.monotonic()
    slow.until_idle(30)
    stopped = time.monotonic() - started
    whole = slow.events({**ASKED, "tokens": 2000})[-1][1]["seconds"]
    assert stopped < whole / 2


# --- what is added ---


def test_norms_and_lens_are_those_of_the_workflow(served, prepared):
    from actadd.cli.trial_model import TrialModel
    from actadd.vectors.derivation import norms_beside

    answer = served.post("inspect", {**ASKED, "strength": -2}).json()
    model = TrialModel(prepared)
    model.load()
    plan = model.plan({"kind": "pair", **PAIR}, ASKED["prompt"], Asked(**ASKED).settings)
    rows = model.vector(plan)
    norms = norms_beside(rows, model._stream([0, *model.tokens.pieces(_reference())])[1], 1)
    assert [row["ratio"] for row in answer["rows"]] == pytest.approx(2 * norms["ratio"])
    assert answer["rows"][0]["up"] == [] and answer["rows"][0]["norm"] == 0
    turned = served.post("inspect", {**ASKED, "strength": 2}).json()
    assert [row["up"] for row in turned["rows"]] == [row["down"] for row in answer["rows"]]
    logits = model.model.lm_head(model.model.transformer.ln_f(_tensor(-rows[1])))
    biased = model.model.lm_head(model.model.transformer.ln_f(_tensor(rows[1])))
    best = int((logits - biased).argmax())
    assert answer["rows"][1]["up"][0] == model.tokens.token(best)


def _reference() -> str:
    from actadd.vectors.activations import REFERENCE

    return REFERENCE


def _tensor(row):
    import torch

    return torch.from_numpy(row)


# --- mistakes ---


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"vector": "nope"}, "calm, love-hate, random"),
        ({"vector": "random"}, "snakemake --cores all results/vectors/tiny/random/"),
        ({"layer": 3}, "layer: 3 is beyond tiny, whose layers are 0 to 2"),
        ({"prompt": "I"}, "write a longer prompt"),
        ({"prompt": "  "}, "prompt: it is blank"),
        ({"prompt": "word " * 200}, "tokens: .* write a smaller number"),
        ({"tokens": 127}, "tokens: .* write a smaller number"),
        ({"negative": "Love"}, "make them differ"),
        ({"positive": " ", "negative": ""}, "blank"),
        ({"position": "all"}, "position: "),
        ({"dosed": True}, "snakemake --cores all results/models/tiny.stream_norms.csv"),
        ({"strength": None}, "strength: "),
        ({"samples": 0}, "samples: "),
        ({"top_p": 2}, "top_p: "),
        ({"unknown": 1}, "unknown: "),
    ],
)
def test_mistakes_are_named(served, wrong, expected):
    asked = {**ASKED, **wrong}
    message = served.refused(asked)
    assert re.search(expected, message) and not message.startswith("--")
    answer = served.post("continue", asked, stream=True)
    if answer.status_code == 200:
        assert list(events(answer))[-1] == ("error", {"message": message})
    else:
        assert answer.json()["message"] == message


def test_a_dose_of_no_texts_and_a_vector_of_no_config_are_refused(prepared):
    asked = {**ASKED, "dosed": True}
    with running(prepared, {"vectors": {}}) as server:
        assert "write a section dose" in server.refused(asked)
    with running(prepared) as server:
        assert server.refused({**ASKED, "vector": "calm"}).startswith("vector: there is no config")
        assert server.post("about", {}).json()["vectors"] == []
        assert server.events(ASKED)[-1][1]["scores"]["steered"] == {}


def test_a_direction_of_zeros_is_refused(prepared, settings, tmp_path):
    """As of pairs that do not differ where the stream is read."""
    rows = np.random.default_rng(0).normal(size=(1, 32)).astype(np.float32)
    file = tmp_path / "vectors/tiny/random/vector.safetensors"
    file.parent.mkdir(parents=True)
    write_vector(file, {0: 0 * rows, 2: rows})
    with running(prepared, settings, tmp_path) as server:
        asked = {**ASKED, "vector": "random"}
        assert "zero at layer 0" in server.refused({**asked, "layer": 0})
        assert "does not hold layer 1; it holds 0, 2" in server.refused({**asked, "layer": 1})
        assert len(server.post("inspect", {**asked, "layer": 2}).json()["rows"]) == 1


# --- whom it answers ---


def test_the_page_lets_nothing_else_in(served):
    for path in ("", "look.css", "page.css", *SCRIPTS):
        answer = requests.get(f"{served.address}/{path}", timeout=30)
        assert answer.status_code == 200 and answer.text
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert not re.search(r"https?://(?!127)", answer.text), "an external resource"
        assert "style=" not in answer.text or path.endswith(".js")
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert requests.get(f"{served.address}/docs", timeout=30).status_code == 404
    assert requests.get(f"{served.address}/inspect", timeout=30).status_code == 405


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example"])
def test_another_name_of_this_machine_is_refused(served, host):
    """DNS rebinding: a page of evil.example asks evil.example, which leads here."""
    host = host.format(port=served.address.rpartition(":")[2])
    answer = requests.get(served.address, headers={"Host": host}, timeout=30)
    assert answer.status_code == 400 and "<html" not in answer.text
    for where in ("about", "inspect", "continue"):
        answer = served.post(where, ASKED, Host=host, Origin=f"http://{host}")
        assert answer.status_code == 400 and "layers" not in answer.text
    assert served.session.idle


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": None},
        {"Origin": "http://127.0.0.1:1"},
        {"X-Key": "another"},
        {"X-Key": None},
        {"Content-Type": "text/plain"},
    ],
    ids=lambda headers: "-".join(map(str, *headers.items())),
)
def test_a_post_of_another_page_is_refused(served, headers):
    for where in ("about", "inspect", "continue"):
        answer = served.post(where, ASKED, **headers)
        assert answer.status_code in (403, 415) and "layers" not in answer.text
    assert served.session.idle


def test_a_forwarded_port_is_this_machine_too(served):
    """ssh -L 9000:127.0.0.1:8501: the browser asks localhost:9000."""
    headers = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert served.post("about", {}, **headers).json()["layers"] == tiny.LAYERS


def test_a_request_that_is_too_long_is_refused(served):
    assert served.post("inspect", {**ASKED, "prompt": "a" * 1_100_000}).status_code == 413


# --- as a config ---

CASES = {
    "pair": {},
    "control": {"control": True, "seed": 7, "samples": 2},
    "named": {"vector": "calm", "control": True, "strength": -0.5},
    "dose": {"dosed": True, "strength": 0.5, "position": "back"},
    "quotes": {"prompt": "no: \"yes\" 'x' # {a}\n\t- b\r\n\u2028 été 👰 12:30 ", "positive": "no"},
    "long": {"prompt": "a long story " * 60},
    "sampling": {"temperature": 0, "top_p": 1e-05, "frequency_penalty": -1, "tokens": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_the_config_is_valid_and_says_what_was_asked(case, tmp_path, settings):
    asked = Asked(**{**ASKED, **CASES[case]})
    config = read(asked, tmp_path, settings)
    entry = config["experiments"]["live"]
    [prompt] = config["datasets"]["live"].get("texts", [asked.prompt])
    assert prompt == asked.prompt and entry["samples"] == asked.samples
    assert entry["sampling"] == vars(asked.sampling)
    [addition] = entry["conditions"]["steered"]["additions"]
    assert addition["layer"] == 1 and addition["position"] == asked.position
    assert addition["dose" if asked.dosed else "coefficient"] == asked.strength
    assert ("random" in entry["conditions"]) == asked.control
    assert sorted(entry["scorers"]) == ["distinct", "words"]


def read(asked: Asked, folder: Path, settings: dict, name: str = "live") -> dict:
    """The config of the page on top of the tiny one, checked."""
    (folder / "tiny-model").mkdir(exist_ok=True)
    (tiny.write_data(folder) / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    files = config_files(asked, "tiny", settings, "float32")
    assert (len(files) == 2) == (len(asked.prompt) > LONGEST)
    for file, text in files.items():
        (folder / file).write_bytes(text.encode())
    return checked(load([folder / "config.yaml", folder / f"{name}.yaml"]), folder)


def test_a_second_config_stands_beside_the_first(tmp_path, settings):
    first = read(Asked(**ASKED), tmp_path, settings)
    second = read(Asked(**ASKED, control=True), tmp_path, first, "live-2")
    assert {"live-2", "live-2-random"} <= second["vectors"].keys()


def test_a_dtype_that_is_not_the_configs_is_in_it(settings):
    text = config_files(Asked(**ASKED), "tiny", settings, "bfloat16")["live.yaml"]
    assert yaml.safe_load(text)["models"] == {"tiny": {"dtype": "bfloat16"}}
    text = config_files(Asked(**ASKED), "other", None, "float32")["live.yaml"]
    assert "no model other" in text


# A typed pair with a control and settings of its own; a vector of the config by a dose.
TRIALS = [
    {"control": True, "seed": 7, "samples": 3, "temperature": 1.4, "top_p": 0.9, "tokens": 12},
    {
        "vector": "random",
        "dosed": True,
        "strength": -0.8,
        "position": "back",
        "layer": 2,
        "samples": 2,
        "prompt": 'He said: "no"\n and a\t b\' ' * 2,
        "frequency_penalty": 0.5,
    },
]


def test_the_workflow_draws_the_tokens_of_the_page(prepared, settings, tmp_path, monkeypatch):
    """Its programs compute the cells of the page's configs, from the texts on."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(prepared, "results/models/tiny")
    graph = Graph(settings, tmp_path)
    compute(graph.job("stream_norms", model="tiny"))
    compute(graph.job("vectors", model="tiny", vector="random"))
    asked = [Asked(**{**ASKED, **trial}) for trial in TRIALS]
    with running(Path("results/models/tiny"), settings) as server:
        drawn = [server.events(each.model_dump())[-1] for each in asked]
    for each, (kind, done) in zip(asked, drawn, strict=True):
        graph = Graph(read(each, tmp_path, settings), tmp_path)
        job = graph.job("cells", measure="completions", model="tiny", experiment="live")
        compute(job)
        [file] = job.outputs["table"]
        table = pd.read_parquet(file)
        assert kind == "done" and set(table["condition"]) == set(done["token_ids"])
        for name, rows in table.groupby("condition"):
            ids = [list(map(int, row)) for row in rows.sort_values("sample")["token_ids"]]
            assert ids == done["token_ids"][name]
        texts = table[table["condition"] == "steered"].sort_values("sample")["completion"]
        assert texts.tolist() == done["texts"]["steered"]
        assert done["token_ids"]["steered"] != done["token_ids"]["unsteered"]


# --- from start to end ---


def test_ctrl_c_ends_it_while_it_draws(tmp_path):
    folder = slow_model(tmp_path)
    options = ("--model", str(folder), "--port", "0", "--no-browser")
    process = subprocess.Popen(
        [sys.executable, "-m", "actadd", "serve", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tiny.ROOT / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    address, key = re.search(r"(http://127\.0\.0\.1:\d+)/#(\S+)$", line).groups()
    headers = {"Origin": address, "X-Key": key, "Content-Type": "application/json"}
    body = Asked(**{**ASKED, "tokens": 2000}).model_dump_json()
    answer = requests.post(f"{address}/continue", body, headers=headers, stream=True, timeout=60)
    begun = events(answer)
    assert [next(begun)[0], next(begun)[0]] == ["start", "step"]
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and time.monotonic() - started < 10
    assert (
        errors.strip().endswith("stopped") and "Traceback" not in errors and "Error" not in errors
    )


def test_it_listens_on_this_machine_alone(served):
    port = int(served.address.rpartition(":")[2])
    with socket.socket() as other:
        assert other.connect_ex((socket.gethostbyname(socket.gethostname()), port)) or (
            socket.gethostbyname(socket.gethostname()).startswith("127.")
        )


def test_what_cannot_be_served_is_reported_before_a_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"--port: {port}" in actadd("serve", "--port", port, code=1)
    printed = actadd("serve", "--model", "nope", "--port", "0", code=1)
    assert "neither a prepared model nor a Hugging Face folder" in printed


def test_the_scripts_are_linted_and_formatted():
    folder = Path(live.__file__).parent
    for command in (["lint"], ["format", "--line-width=100", "--indent-style=space"]):
        biome = Path(sys.executable).with_name("biome")
        done = subprocess.run([biome, *command, *SCRIPTS], cwd=folder, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
