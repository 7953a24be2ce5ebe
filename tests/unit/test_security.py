"""Nothing that is fetched or configured runs code, and no secret is written down."""

import json
import pickle
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from actadd.base.errors import UserError, without_secrets
from actadd.base.files import read_json
from actadd.data.sources.fetch import fetch
from actadd.models import encoders, preparation
from actadd.scorers.models.classifier import classifier
from actadd.scorers.models.hub_classifier import hub_classifier
from builders import tiny
from builders.secrets import CANARIES, assert_no_secret

ENTRY = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
TABLE = pd.DataFrame({"prompt": ["a"], "completion": ["b"]})
COMPUTE = {"device": "cpu", "threads": 1}


# --- weights and code that come with them --------------------------------------------------------


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def bomb(tmp_path):
    """A pickle that works, and the file that it would make."""
    mark = tmp_path / "made"
    content = pickle.dumps({"weight": Bomb(mark)})
    pickle.loads(content)
    assert mark.exists()
    mark.unlink()
    return content, mark


def test_a_pickled_model_is_refused_and_not_read(tiny_model, tmp_path, bomb):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb[0])
    with pytest.raises(UserError, match="weights in pickle form"):
        preparation.prepare(ENTRY, folder, tmp_path / "out")
    assert not bomb[1].exists()


def test_a_pickled_hub_classifier_needs_the_users_word(tiny_model, tmp_path, bomb):
    from tokenizers import Tokenizer
    from transformers import BertConfig, PreTrainedTokenizerFast

    folder = tmp_path / "classifier"
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, architectures=["x"]
    ).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(bomb[0])
    spec = {"name": "hub", "source": "s", "label": "x", "compute": COMPUTE}
    with pytest.raises(UserError, match=r"scorers\.hub: .*allow_pickle: true"):
        hub_classifier.score(TABLE, spec, folder)
    assert not bomb[1].exists()
    # Even then torch reads tensors only.
    with pytest.raises(Exception, match=r"weights_only|Unsupported|unpickl"):
        hub_classifier.score(TABLE, {**spec, "allow_pickle": True}, folder)
    assert not bomb[1].exists()


def test_a_pickled_sentence_encoder_is_refused_and_not_read(tiny_model, tmp_path, bomb):
    from transformers import BertConfig

    folder = tmp_path / "encoder"
    BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(folder)
    shutil.copy(tiny_model / "tokenizer.json", folder)
    (folder / "pytorch_model.bin").write_bytes(bomb[0])
    with pytest.raises(UserError, match="has no safetensors weights"):
        encoders.embed(["a"], folder, "cpu")
    assert not bomb[1].exists()


def test_a_fitted_classifier_is_never_unpickled(tmp_path, bomb):
    for name in ("classifier.safetensors", "classifier.pkl", "vocabulary.json"):
        (tmp_path / name).write_bytes(bomb[0])
    with pytest.raises(UserError, match=r"classifier\.safetensors cannot be read"):
        classifier.score(
            TABLE,
            {"name": "mood", "fit": {"dataset": "d", "split": "fit"}, "threshold": 0},
            tmp_path,
        )
    assert not bomb[1].exists()


def test_code_that_comes_with_a_model_is_not_run(tiny_model, tmp_path, monkeypatch):
    """A checkpoint that names classes of its own, as many on the hub do."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    mark = tmp_path / "made"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    settings = read_json(folder / "config.json") | {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}})
    )
    for tokenizer in ("tokenizer.json", None):
        if tokenizer is None:
            (folder / "tokenizer.json").unlink()
        with pytest.raises(UserError, match=r"models\.tiny: .*trust_remote_code: true"):
            preparation.prepare(ENTRY, folder, tmp_path / "out")
        assert not mark.exists() and not (tmp_path / "out").exists()


# --- what is fetched ----------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """A hub with one repository of one file, which can change behind its commit's back."""

    content: ClassVar[bytes] = b"some data"
    tokens: ClassVar[set] = set()
    COMMIT = "a" * 40

    def do_GET(self):
        Hub.tokens.add(self.headers.get("Authorization"))
        if self.path.startswith("/api/"):
            files = [{"rfilename": "data.txt"}]
            if "/tree/" in self.path:
                body: object = [
                    {"type": "file", "path": "data.txt", "size": len(Hub.content), "oid": "b" * 40}
                ]
            else:
                body = {"id": "me/data", "sha": Hub.COMMIT, "siblings": files, "private": False}
            self.answer(json.dumps(body).encode(), "application/json")
        else:
            self.answer(Hub.content, "text/plain")

    do_HEAD = do_GET

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "ETag": '"' + str(hash(body)) + '"',
            "X-Repo-Commit": Hub.COMMIT,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


FETCH = """
import sys
from pathlib import Path
from actadd.base.errors import UserError
from actadd.data.sources.fetch import fetch
try:
    fetch("x", {"type": "hub", "repository": "me/data"}, Path(sys.argv[1]), Path("lock.json"))
except UserError as error:
    sys.exit(f"error: {error}")
"""


def test_an_unpinned_repository_is_pinned_at_first_use_and_must_stay_so(serve, tmp_path):
    """In processes of their own: the client reads its settings when it is imported."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tiny.ROOT / "workflow"),
        "HF_ENDPOINT": serve(Hub),
        "HF_TOKEN": CANARIES["HF_TOKEN"],
        "HF_HUB_DISABLE_XET": "1",
        "ACTADD_RETRY_SECONDS": "0",
    }

    def run(target: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", FETCH, target]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )

    Hub.content, Hub.tokens = b"some data", set()
    first = run("one")
    assert first.returncode == 0 and "first use" in first.stdout, first.stdout + first.stderr
    assert (tmp_path / "one/data.txt").read_bytes() == Hub.content
    assert read_json(tmp_path / "lock.json")["x"]["revision"] == Hub.COMMIT
    assert run("two").returncode == 0
    Hub.content = b"other data"
    third = run("three")
    assert third.returncode == 1 and "differs from lock.json in sha256" in third.stderr
    assert not (tmp_path / "three").exists()
    assert f"Bearer {CANARIES['HF_TOKEN']}" in Hub.tokens
    assert_no_secret(tmp_path, first.stdout + first.stderr + third.stdout + third.stderr)


def test_the_password_of_an_index_is_not_in_the_message(tmp_path, monkeypatch, capsys, serve):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(503)

        def log_message(self, *arguments):
            pass

    host = serve(Refusing).removeprefix("http://")
    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:canary-of-the-index@{host}/simple")
    part = {"name": "a", "version": "1", "file": "a-1.whl", "sha256": "0" * 64, "members": {}}
    with pytest.raises(UserError, match="failed 4 times") as caught:
        fetch("x", {"type": "package", "parts": [part]}, tmp_path / "x", tmp_path / "lock.json")
    assert_no_secret(tmp_path, str(caught.value) + "".join(capsys.readouterr()))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("for url: https://me:pw@host/x: 404", "for url: https://***@host/x: 404"),
        ("https://host/x?a=1&token=pw", "https://host/x?a=***&token=***"),
        ("'https://pw@host/x'", "'https://***@host/x'"),
        ("me@host, a=b", "me@host, a=b"),
    ],
)
def test_addresses_are_shown_without_secrets(text, cleaned):
    assert without_secrets(text) == cleaned


# --- a whole run --------------------------------------------------------------------------------
