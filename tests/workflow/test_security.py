"""Secrets in a run."""

import json
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import pytest
import yaml

from builders import tiny
from builders.secrets import CANARIES, assert_no_secret


class Judge(BaseHTTPRequestHandler):
    """Says yes to whoever has the key; refuses the first one, quoting the key."""

    refuse: ClassVar[int] = 1
    keys: ClassVar[set] = set()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers.get("Authorization")
        Judge.keys.add(key)
        status, body = 200, {"choices": [{"message": {"content": "Yes"}}]}
        if Judge.refuse:
            Judge.refuse -= 1
            status, body = 403, {"error": f"{key} is not allowed"}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.mark.workflow
def test_a_run_with_secrets_writes_none_of_them(space, serve, monkeypatch):
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    settings = tiny.config()
    settings["scorers"]["judge"] = {
        "kind": "llm_judge",
        "url": serve(Judge),
        "model": "m",
        "key_env": "JUDGE_KEY",
        "question": "Is {completion} a text?",
    }
    settings["experiments"]["sweep"]["scorers"] = ["judge"]
    settings["figures"]["sweep"]["metrics"] = ["judge.yes"]
    settings["experiments"]["chosen"]["choices"]["best"]["metric"] = "judge.yes"
    space.configure(settings)
    Judge.refuse, Judge.keys = 1, set()
    target = "results/figures/sweep.png"
    printed = space.run("--printshellcmds", "--verbose", target, fails=True)
    assert "***" in "".join(path.read_text() for path in space.folder.rglob("judge*.log"))
    printed += space.run("--printshellcmds", "--verbose", target)
    assert Judge.keys == {f"Bearer {CANARIES['JUDGE_KEY']}"}
    assert (space.folder / target).exists() and (space.folder / ".snakemake").exists()
    assert_no_secret(space.folder, printed)


@pytest.mark.workflow
def test_a_password_in_an_address_is_not_repeated(space):
    settings = tiny.config()
    address = "https://me:canary-of-the-index@host/x"
    settings["sources"]["new"] = {"type": "url", "url": address}
    (space.folder / "config.yaml").unlink()
    outside = space.folder.parent / "config.yaml"
    outside.write_text(yaml.safe_dump(settings))
    printed = space.run("-n", "--configfile", str(outside), fails=True)
    assert "sources.new.url: https://***@host/x holds a password" in printed
    assert_no_secret(space.folder, printed)
