"""The page of `actadd serve` in a real browser, with its server."""

import re

import pytest
import yaml

from actadd.config.checks import checked
from actadd.config.files import load
from builders import tiny
from builders.browser import needs_chromium, opening
from builders.live import KEY, running, slow_model

REFUSED = "Failed to load resource: the server responded with a status of 400"
PHONE = {"width": 390, "height": 844}
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (folder / "tiny-model").mkdir()
    (tiny.write_data(folder) / "config.yaml").write_text(yaml.safe_dump(tiny.config()))
    settings = checked(load([folder / "config.yaml"]), folder)
    with running(slow_model(folder / "slow"), settings) as server:
        yield server


@pytest.fixture
def page(chromium, server):
    """Opens the page, which asks its server alone; the browser complains of mistakes only."""
    with opening(chromium, REFUSED, (server.address, "data:")) as show:

        def opened(**options):
            tab = show(server.address, f"/#{KEY}", **options)
            tab.locator("#rows li").first.wait_for()
            return tab

        yield opened


def text(tab, condition: str) -> str:
    return tab.locator(f".side.{condition} .text span:not(.asked)").first.inner_text()


def until_drawn(tab) -> None:
    tab.locator("#progress", has_text="a second").wait_for()


def test_a_prompt_is_steered_by_the_keyboard(page, server):
    tab = page()
    assert "tiny: 3 layers" in tab.locator("#about").inner_text()
    assert KEY not in tab.url
    tab.get_by_label("Prompt", exact=True).fill("I went up to my friend")
    tab.get_by_label("Prompt", exact=True).press("Control+Enter")
    until_drawn(tab)
    unsteered, steered = text(tab, "unsteered"), text(tab, "steered")
    asked = {"prompt": "I went up to my friend", "positive": "Love", "negative": "Hate"}
    done = server.events({**asked, "layer": 1, "strength": 4, "tokens": 40})[-1][1]
    for name, shown in (("unsteered", unsteered), ("steered", steered)):
        assert squeezed(shown) == squeezed(done["texts"][name][0])
    assert "distinct.distinct_1" in tab.locator(".side.steered .scores").inner_text()
    slider = tab.get_by_label("Layer")
    slider.focus()
    slider.press("ArrowRight")
    assert tab.locator("#layer-value").inner_text() == "2 (0 to 2)"
    tab.locator("#size", has_text="At layer 2").wait_for()
    tab.locator("pre", has_text="layer: 2").wait_for()


def squeezed(shown: str) -> str:
    return re.sub(r"\s+", " ", shown).strip()


def test_a_vector_of_the_config_hides_the_pair(page):
    tab = page()
    tab.get_by_label("Vector", exact=True).select_option("calm")
    assert not tab.locator("#positive").is_visible()
    tab.locator("pre", has_text="vector: calm").wait_for()
    tab.get_by_label("Random vector").check()
    tab.locator("pre", has_text="kind: random").wait_for()
    until_drawn(tab)
    assert tab.locator(".side.random").count() == 1
    assert tab.locator("#vector optgroup").last.get_attribute("label").endswith("not derived yet")


def test_a_mistake_is_said_and_goes_away(page):
    tab = page()
    tab.get_by_label("Negative prompt").fill("Love")
    trouble = tab.get_by_role("alert")
    trouble.filter(has_text="make them differ").wait_for()
    tab.get_by_label("Negative prompt").fill("Hate")
    trouble.wait_for(state="hidden")


def test_stop_and_a_closed_page_end_the_trial(page, server):
    tab = page()
    tab.locator("summary").click()
    tab.get_by_label("Tokens").fill("2000")
    for end in (lambda: tab.get_by_role("button", name="Stop").click(), tab.close):
        tab.get_by_role("button", name="Steer").click()
        tab.locator(".side.steered .text span:not(.asked)", has_text=re.compile(".")).wait_for()
        assert not server.session.idle
        end()
        server.until_idle(30)


def test_without_the_key_the_page_says_where_to_find_it(chromium, server):
    expected = "Failed to load resource"
    tab = chromium.new_page()
    output = []
    tab.on("console", lambda message: output.append(message.text))
    tab.goto(server.address)
    tab.get_by_role("alert").filter(has_text="address that actadd serve printed").wait_for()
    assert all(line.startswith(expected) for line in output)
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_cut_off(page, scheme):
    tab = page(viewport=PHONE, color_scheme=scheme)
    tab.get_by_role("button", name="Steer").click()
    until_drawn(tab)
    assert tab.locator("html").evaluate("page => page.scrollWidth") == PHONE["width"]
    for field in tab.locator("input, select, textarea").all():
        named = "field => field.labels.length > 0 || field.hasAttribute('aria-labelledby')"
        assert field.evaluate(named), field.get_attribute("id")
