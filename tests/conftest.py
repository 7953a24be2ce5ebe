"""Fixtures shared by the tests that run the real workflow."""

import os

# Before torch is imported anywhere: two test processes with two threads each stand in each other's
# way on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import runpy
import shutil
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from builders import browser, tiny
from builders.jobs import arguments_of
from builders.judge import KEY, Server


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return tiny.make_model(tmp_path_factory.mktemp("model") / "tiny-model")


@pytest.fixture(scope="session")
def prepared(tiny_model, tmp_path_factory) -> Path:
    """The tiny model as the workflow makes it ready. Read it; never change it."""
    from actadd.models import preparation

    entry = {**tiny.CONFIG["models"]["tiny"], "name": "tiny", "chat_template": False}
    folder = tmp_path_factory.mktemp("prepared") / "tiny"
    preparation.prepare(entry, tiny_model, folder)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, tiny_model, worker_id) -> tiny.Workspace:
    """A workspace in which everything has been run once. Copy it; never change it.

    Processes of pytest-xdist share one run, and each has a copy.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    mark = folder.with_suffix(".done")
    with FileLock(f"{folder}.lock"):
        if not mark.exists():
            # What a process whose run failed left.
            shutil.rmtree(folder, ignore_errors=True)
            tiny.Workspace.create(folder, tiny_model).run()
            mark.touch()
        return tiny.Workspace(folder).copy(base / "space")


@pytest.fixture
def space(finished, tmp_path) -> tiny.Workspace:
    """A finished workspace to do with as one likes."""
    return finished.copy(tmp_path / "space")


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as started:
        yield started


@pytest.fixture
def opened(chromium):
    """Opens pages in Chromium: (path, fragment, **options of the tab) -> the tab."""
    with browser.opening(chromium) as show:
        yield show


@pytest.fixture
def reading(opened):
    """Opens pages as `opened` does, and waits until their completions are there."""

    from builders import explorer

    def show(page, fragment: str = "", **options):
        tab = opened(page, fragment, **options)
        tab.locator(explorer.READY).wait_for(state="attached")
        return tab

    return show


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draws figures of made-up rows, see builders.figures.drawing."""
    from builders import figures

    with figures.drawing(tmp_path, monkeypatch) as draw:
        yield draw


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("ACTADD_RETRY_SECONDS", "0")
    monkeypatch.setenv("JUDGE_KEY", KEY)
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


@pytest.fixture
def judge(server, tmp_path):
    return {
        "kind": "llm_judge",
        "name": "judge",
        "url": f"http://127.0.0.1:{server.http.server_port}/v1",
        "model": "m",
        "key_env": "JUDGE_KEY",
        "question": "Is this happy? {completion}",
        "answers": str(tmp_path / "answers"),
    }


@pytest.fixture
def serve():
    """Starts servers, and stops them at the end."""
    servers = []

    def start(handler) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def run_program(space, monkeypatch, capsys):
    """Runs a program again in this process; returns what it said, or "" if it ended well."""

    def again(program: str, *parts: str) -> str:
        arguments = arguments_of(space, program, *parts)
        monkeypatch.chdir(space.folder)
        monkeypatch.setattr(sys, "argv", [f"{program}.py", *arguments])
        try:
            runpy.run_module(f"programs.{program}", run_name="__main__")
        except SystemExit as ended:
            output = str(ended.code)
            assert output.startswith("error: ") and len(output.splitlines()) <= 5
            return output
        finally:
            capsys.readouterr()
        return ""

    return again


@pytest.fixture(scope="module")
def tiny_gpt2(tiny_model):
    """The tiny model as transformers loads it."""
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(tiny_model).eval()
