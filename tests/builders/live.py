"""The server of `actadd serve`, running, and what its page sends."""

import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import requests

from actadd.cli.live.session import Session
from actadd.cli.serve import Server, listening
from actadd.cli.trial_model import TrialModel
from builders import tiny

KEY = "key-of-this-start"
PAIR = {"positive": "Love", "negative": "Hate"}
ASKED = {"prompt": "I went up to my friend", **PAIR, "layer": 1, "strength": 4, "tokens": 8}


class Live:
    """A server of a session; session: what it computes with."""

    def __init__(self, session: Session) -> None:
        self.session = session
        listener = listening(0)
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.listen()
        self.server = Server(session, KEY)
        self.thread = threading.Thread(target=self.server.run, args=([listener],), daemon=True)
        self.thread.start()

    def post(self, where: str, body: dict, *, stream: bool = False, **headers: str | None):
        usual = {"Origin": self.address, "X-Key": KEY, "Content-Type": "application/json"}
        sent = {name: value for name, value in {**usual, **headers}.items() if value is not None}
        return requests.post(
            f"{self.address}/{where}", json.dumps(body), headers=sent, stream=stream, timeout=120
        )

    def refused(self, body: dict, where: str = "inspect") -> str:
        answer = self.post(where, body)
        assert answer.status_code == 400, answer.text
        return answer.json()["message"]

    def events(self, body: dict) -> list[tuple[str, dict]]:
        return list(events(self.post("continue", body, stream=True)))

    def until_idle(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.session.idle:
            assert time.monotonic() < end, "a trial goes on that nobody waits for"
            time.sleep(0.01)


def events(answer):
    """The events of a stream as they come: (kind, value)."""
    assert answer.status_code == 200 and "event-stream" in answer.headers["content-type"]
    kind = ""
    for line in answer.iter_lines(chunk_size=1):
        name, _, text = line.decode().partition(": ")
        if name == "event":
            kind = text
        elif name == "data":
            yield kind, json.loads(text)


@contextmanager
def running(folder: Path, config: dict | None = None, results: Path = Path("results")):
    """A server of a prepared model, with a checked config."""
    model = TrialModel(folder)
    model.load()
    live = Live(Session(model, config, results, "float32"))
    yield live
    live.session.close()
    live.server.should_exit = True
    live.thread.join(30)
    assert not live.thread.is_alive()


def slow_model(folder: Path) -> Path:
    """The tiny model, prepared, with room for thousands of tokens: a trial takes seconds."""
    from actadd.models import preparation

    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    del entry["parameters"]
    model = tiny.make_model(folder / "model", positions=4096)
    preparation.prepare(entry, model, folder / "prepared")
    return folder / "prepared"
