"""A real browser for the tests of pages."""

import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# A page asks for nothing but itself.
OWN = ("file://", "data:", "blob:")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@contextmanager
def started():
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opening(browser, expected: str = "", own: tuple[str, ...] = OWN):
    """A function that opens files or addresses; at the end, no page asked for more or complained.

    expected: the beginning of what pages may say. own: beginnings of what they may ask for.
    """
    tabs, output = [], []

    def show(path, fragment: str = "", **options):
        tab = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        tab.set_default_timeout(60_000)
        tab.on("console", lambda message: output.append(message.text))
        tab.on("pageerror", lambda error: output.append(str(error)))
        tab.on("request", lambda asked: output.append(asked.url[:200]))
        address = path if str(path).startswith("http:") else f"file://{path}"
        tab.goto(f"{address}{fragment}")
        tabs.append(tab)
        return tab

    yield show
    for tab in tabs:
        tab.close()
    allowed = (*own, expected) if expected else own
    assert [text for text in output if not text.startswith(allowed)] == []
