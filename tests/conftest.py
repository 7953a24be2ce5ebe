"""Fixtures shared by the tests that run the real workflow."""

import os

# Before torch is imported anywhere: two test processes with two threads each stand in each other's
# way on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

import browser
import tiny


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
def finished(tmp_path_factory, tiny_model) -> tiny.Workspace:
    """A workspace in which everything has been run once. Copy it; never change it."""
    space = tiny.Workspace.create(tmp_path_factory.mktemp("finished") / "space", tiny_model)
    space.run()
    return space


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
