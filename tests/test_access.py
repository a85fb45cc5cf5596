"""With the keyboard, a screen reader, by voice, with colours of one's own: what is drawn is told, and whatever a mouse does goes."""

import re

import pytest
from browsing import Server, idle, tab, visit
from conftest import wait_for

from imgrec.data import Item, import_dataset, open_dataset
from imgrec.images import to_png

pytestmark = pytest.mark.browser
FOCUSED = """() => {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element?.ariaLabel || element?.tagName;
}"""
CONTRAST = """element => {
    const { color, backgroundColor } = getComputedStyle(element);
    const light = (colour) => {
        const parts = colour.match(/\\d+/g).slice(0, 3).map((n) => n / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2] + 0.05;
    };
    const [low, high] = [light(color), light(backgroundColor)].sort((a, b) => a - b);
    return high / low;
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("access"))
    yield server
    server.kill()


@pytest.fixture
def page(browser, server):
    with tab(browser, server) as page:
        yield page


def focused(page):
    return page.evaluate(FOCUSED)


def labels(buttons):
    return buttons.evaluate_all("all => all.map(button => button.ariaLabel)")


def test_a_tab_says_which_page_it_is_and_the_page_which_language_it_speaks(page, server):
    spoken = lambda: page.evaluate("document.documentElement.lang")  # noqa: E731
    visit(page, server)
    wait_for(lambda: page.title() == "Home · imgrec")
    wait_for(lambda: spoken() == "en")
    visit(page, server, "learn_pixels?lang=zh")
    wait_for(lambda: page.title() == "像素 · imgrec")
    wait_for(lambda: spoken() == "zh-CN")
    page.get_by_test_id("stSidebar").get_by_text("English").click()
    wait_for(lambda: page.title() == "Pixels · imgrec")
    wait_for(lambda: spoken() == "en")
    assert not page.locator(".st-key-spoken").bounding_box()


def test_pictures_are_buttons_only_where_a_click_does_something_and_all_have_a_name(page, server):
    visit(page, server, "learn_pixels")
    pictures = page.locator(".grid figure > img")
    wait_for(lambda: pictures.count() == 4)
    assert pictures.last.get_attribute("alt") == "blue alone"
    assert page.locator(".grid button").count() == 0
    visit(page, server, "learn_network?run=shapes-seed-cnn")
    chosen = page.locator(".grid").get_by_role("button", name="Map 3", exact=True)
    chosen.press("Enter")
    page.get_by_text("Map 3 of this layer").wait_for()
    idle(page)
    assert focused(page) == "Map 3"
    assert chosen.get_attribute("aria-pressed") is None  # it is chosen, not switched on and off


def test_the_grid_is_one_stop_of_the_tab_key_and_the_arrow_keys_lead_through_all_of_it(page, server):
    visit(page, server, "dataset?dataset=digits")
    page.locator(".view button").first.wait_for()
    assert page.locator(".view button[tabindex='0']").count() == 1
    every = labels(page.locator(".view button"))
    assert re.fullmatch(r"Enlarge, \d, digit-\d{4}, \w+", every[0])
    columns = page.locator(".grid").first.evaluate(
        "grid => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
    )
    page.locator(".view button").first.focus()
    for key, place in (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert focused(page) == every[place]
    page.keyboard.press("End")
    wait_for(lambda: focused(page) not in (None, "Pictures", *every))  # the last one comes from the server
    assert page.locator(".view figure button").last.evaluate("button => button.getRootNode().activeElement === button")
    page.keyboard.press("Home")
    wait_for(lambda: focused(page) == every[0])
    page.keyboard.press("PageDown")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_text("Label").wait_for()
    page.keyboard.press("Escape")
    wait_for(lambda: str(focused(page)).startswith("Enlarge"))
    page.keyboard.press("Tab")
    assert not page.locator(".view").evaluate("view => view.contains(view.getRootNode().activeElement)")


def test_several_pictures_are_picked_with_buttons_that_say_whether_they_are(page, server, monkeypatch):
    monkeypatch.setenv("IMGREC_HOME", str(server.home))
    shapes = open_dataset("shapes:count=60").images
    import_dataset([Item(f"{i:02d}.png", to_png(shapes[i]), ("cat", "dog")[i % 2]) for i in range(12)], "mine")
    visit(page, server, "dataset?dataset=mine")
    page.get_by_text("Pick several").click()
    picture = page.get_by_role("button", name="Pick, cat, 04.png")
    picture.press("Enter")
    page.get_by_text("1 picked").wait_for()
    wait_for(lambda: picture.get_attribute("aria-pressed") == "true")
    wait_for(lambda: str(focused(page)).startswith("Pick, cat, 04.png"))
    visit(page, server, "teach?dataset=mine")
    page.get_by_role("button", name="Change dog").wait_for()
    page.get_by_role("button", name=re.compile("^Take out picture 6 of 6, .*01.png")).wait_for()


def test_recording_begins_and_ends_with_a_click_for_who_cannot_hold_a_button(page, server):
    visit(page, server, "teach")
    page.get_by_role("button", name="Camera").first.click()
    record = page.locator(".film button")
    wait_for(record.is_enabled)
    assert page.locator("video").get_attribute("aria-label") == "The camera's picture"
    record.evaluate("button => button.click()")
    wait_for(lambda: re.fullmatch("Stop: recording ([4-9]|..)", record.inner_text()))
    record.evaluate("button => button.click()")
    wait_for(lambda: record.inner_text() == "Hold to record")
    shots = page.locator(".grid button")
    wait_for(lambda: shots.count() > 3)
    idle(page)
    before = shots.count()
    record.press("Space", delay=800)
    wait_for(lambda: shots.count() == 8)  # and the click that ends it begins nothing
    assert record.inner_text() == "Hold to record"
    assert before >= 4
    assert labels(shots)[2] == "Take out picture 3 of 8, camera.jpg"
    idle(page)
    was = shots.locator("img").evaluate_all("all => all.map(image => image.src)")
    shots.nth(2).press("Enter")
    wait_for(lambda: shots.locator("img").nth(2).get_attribute("src") == was[3])
    assert focused(page) == "Take out picture 3 of 8, camera.jpg"


def test_the_live_answer_is_said_once_it_lasts_not_at_every_picture(page, server):
    sure, seen = [], []

    def answer(route):
        seen.append("cat" if sure or len(seen) % 2 else "dog")
        route.fulfill(json={"known": True, "classes": [{"name": seen[-1], "probability": 0.5}]})

    page.route("**/seen?*", answer)
    visit(page, server, "predict?run=digits-seed-cnn")
    page.get_by_text("Live", exact=True).click()
    said = page.locator(".live [role=status]")
    wait_for(lambda: page.locator(".live .row").count() and len(seen) > 15)  # more than one and a half seconds
    assert said.inner_text() == ""
    assert said.bounding_box()["width"] <= 1
    sure.append(True)
    wait_for(lambda: said.inner_text() == "cat")


def test_a_cell_that_is_moved_to_is_said_and_one_that_plays_is_not(page, server):
    visit(page, server, "learn_convolution")
    cell, said = page.get_by_role("button", name="The result; tap or point at"), page.locator(".heard")
    cell.press("ArrowDown")
    wait_for(lambda: re.fullmatch(r"Row \d+, column \d+: -?\d\.\d\d", said.inner_text()))
    before = said.inner_text()
    page.get_by_role("button", name="Play", exact=True).press("Enter")
    page.get_by_text(re.compile(r"at row \d+, column \d+")).wait_for()
    page.wait_for_timeout(1500)
    pause = page.get_by_role("button", name="Pause", exact=True)
    assert pause.get_attribute("aria-pressed") is None
    assert said.inner_text() == before
    pause.press("Enter")


def test_the_arrow_keys_lead_through_the_layers_of_a_network(page, server):
    visit(page, server, "learn_network?run=shapes-seed-cnn")
    page.locator(".net button").first.wait_for()
    stop = page.locator(".net button[tabindex='0']")
    assert labels(stop) == labels(page.locator(".net [aria-current=true]")) == ["Convolution 1, Map 0"]
    stop.focus()
    for key, name in (
        ("ArrowRight", "Max pooling 2, Map 0"),
        ("ArrowDown", "Max pooling 2, Map 1"),
        ("ArrowLeft", "Convolution 1, Map 1"),
    ):
        page.keyboard.press(key)
        assert focused(page) == name
    page.keyboard.press("Enter")
    wait_for(lambda: labels(page.locator(".net [aria-current=true]")) == ["Convolution 1, Map 1"])
    idle(page)
    page.keyboard.press("Tab")
    assert focused(page) == "Layer"


def test_the_map_is_walked_with_the_arrow_keys_and_a_class_is_shown_alone_by_a_button(page, server):
    visit(page, server, "map?dataset=digits")
    field, said = page.get_by_role("application"), page.locator(".field [role=status]")
    field.press("ArrowRight")
    first = wait_for(said.inner_text)
    assert re.fullmatch(r"\d: digit-\d{4}", first)
    field.press("ArrowUp")
    assert said.inner_text() != first
    six = page.locator(".legend").get_by_role("button", name="6")
    six.press("Enter")
    assert six.get_attribute("aria-pressed") == "true"
    field.press("ArrowRight")
    assert said.inner_text().startswith("6: ")
    field.press("Enter")
    page.get_by_role("dialog").get_by_text("Label 6").wait_for()
    page.keyboard.press("Escape")
    wait_for(lambda: str(focused(page)).startswith("The map"))


def test_words_stand_out_from_buttons_and_what_is_drawn_keeps_its_colour_and_rests(page, server):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        visit(page, server, "train?dataset=digits")
        start = page.get_by_role("button", name="Start training")
        assert start.evaluate(CONTRAST) >= 4.5, scheme
        start.hover()
        page.wait_for_timeout(500)
        assert start.evaluate(CONTRAST) >= 4.5, scheme
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    visit(page, server, "learn_pixels")
    grey = "cells => new Set(cells.map((cell) => getComputedStyle(cell).backgroundColor)).size"
    wait_for(lambda: page.locator("table.bright td").evaluate_all(grey) > 5)
    visit(page, server, "predict?run=digits-seed-cnn")
    bars = page.locator("table[aria-label=Probabilities] td div div").first
    assert bars.evaluate("bar => getComputedStyle(bar).backgroundColor") == "rgb(0, 114, 178)"
    visit(page, server, "dataset?dataset=digits")
    assert page.locator(".grid button").first.evaluate("button => getComputedStyle(button).transitionDuration") == "0s"
