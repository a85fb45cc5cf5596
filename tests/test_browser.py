"""A real browser against the real server: what a newcomer does, what survives, and that nothing asks another host."""

import csv
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from itertools import combinations, zip_longest
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import ROOT, Server, idle, new_context, tab, visit
from conftest import wait_for

from imgrec import queue
from imgrec.charts import percent
from imgrec.data import Item, import_dataset, open_dataset
from imgrec.images import to_png
from imgrec.lessons.quiz import QUESTIONS
from imgrec.runs import list_runs, open_run

pytestmark = pytest.mark.browser
ADDRESSES = (
    "",
    "teach",
    "dataset",
    "collect",
    "bring",
    "label",
    "map",
    "mend",
    "augment",
    "networks",
    "train",
    "runs",
    "evaluate",
    "predict",
    "export",
    "learn_pixels",
    "learn_convolution",
    "learn_pooling",
    "learn_softmax",
    "learn_network",
    "learn_gradient",
    "learn_optimisers",
    "learn_fitting",
    "learn_invariance",
    "learn_transfer",
    "learn_history",
    "learn_trust",
)
SECOND = 1000  # Playwright counts in milliseconds


changes_nothing = pytest.mark.changes_nothing


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The server of all tests that change nothing in its workspace, for one takes seconds to start."""
    server = Server(tmp_path_factory.mktemp("library"))
    yield server
    server.kill()


@pytest.fixture
def server(request, workspace):
    if request.node.get_closest_marker("changes_nothing"):
        yield request.getfixturevalue("library")
        return
    server = Server(workspace)
    yield server
    for run in list_runs():
        if run.alive:
            os.kill(run.state["pid"], signal.SIGKILL)
    server.kill()


@pytest.fixture
def page(browser, server):
    with tab(browser, server) as page:
        yield page


def menu(page, title):
    page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
    idle(page)


def choose(page, label, option):
    """Open a list, again if need be, for it closes when the page moves under it; then click one."""
    wanted = page.get_by_role("option", name=option)

    def chosen():
        if not wanted.is_visible():
            page.get_by_role("combobox", name=label).press("ArrowDown")
            return False
        wanted.click()
        return True

    wait_for(chosen, every=0.3)
    idle(page)


def epoch_shown(page):
    """The epoch that the overall progress bar names, 0 before the first."""
    found = re.search(r"epoch (\d+) of", page.locator(".bars").inner_text())
    return int(found[1]) if found else 0


def points_drawn(page):
    return page.locator(".run circle").count()


def run_in_address(page):
    return parse_qs(urlsplit(page.evaluate("location.href")).query).get("run", [""])[0]


def start_training(page, epochs):
    page.get_by_label("Epochs", exact=True).fill(str(epochs))
    page.get_by_label("Epochs", exact=True).press("Enter")
    idle(page)
    before = {run.name for run in list_runs()}
    page.get_by_role("button", name="Start training").click()
    name = wait_for(lambda: {run.name for run in list_runs()} - before).pop()
    wait_for(lambda: run_in_address(page) == name)
    return open_run(name)


def test_a_newcomer_looks_augments_trains_stops_and_classifies(page, server, browser, tmp_path):
    visit(page, server)
    page.get_by_role("button", name="Start training").wait_for()

    menu(page, "Data set")
    page.get_by_text("1,797", exact=True).wait_for()
    page.get_by_role("img", name="digit-").first.click()
    page.get_by_role("dialog").get_by_text("Label").wait_for()
    page.keyboard.press("Escape")

    menu(page, "Augment")
    page.get_by_text("Flip left to right").click()
    page.get_by_text("flipped", exact=False).first.wait_for()
    page.get_by_role("button", name="Train with this").click()
    page.get_by_text("flip_horizontal=0.5").first.wait_for()

    run = start_training(page, 500)
    wait_for(lambda: epoch_shown(page) >= 2)
    first, drawn = epoch_shown(page), points_drawn(page)
    wait_for(lambda: epoch_shown(page) > first and points_drawn(page) > drawn)

    page.reload()
    wait_for(lambda: run_in_address(page) == run.name)
    shown = wait_for(lambda: epoch_shown(page))
    wait_for(lambda: epoch_shown(page) > shown)
    other = new_context(browser).new_page()
    other.goto(page.evaluate("location.href"))
    other.get_by_text("training", exact=True).wait_for()
    wait_for(lambda: epoch_shown(other) > shown)
    other.context.close()

    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped", exact=True).wait_for(timeout=5 * SECOND)
    assert run.status == "stopped"

    run = start_training(page, 3)
    page.get_by_text("Test accuracy").wait_for()
    assert run.status == "finished"

    page.get_by_text("Classify your own pictures with it").click()
    page.get_by_role("heading", name="What is in this picture?").wait_for()
    page.get_by_text("Files", exact=True).click()
    picture = tmp_path / "five.png"
    picture.write_bytes(to_png(open_dataset("digits").images[5]))
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_text("add up to 1.0000").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="All probabilities as CSV").click()
    row = next(csv.DictReader(Path(download.value.path()).read_text("utf-8").splitlines()))
    shown = {name: float(row[f"p({name})"]) for name in "0123456789"}
    assert sum(shown.values()) == pytest.approx(1, abs=1e-5)
    told = subprocess.run(
        [sys.executable, "-m", "imgrec", "predict", run.name, str(picture), "--top", "10", "--json"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    said = {row["name"]: row["probability"] for row in json.loads(told.stdout)["results"][0]["classes"]}
    assert shown == pytest.approx(said, abs=1e-6)
    rows = page.locator("[data-testid=stHtml] tr")
    best_first = sorted(said, key=said.get, reverse=True)
    wait_for(lambda: rows.locator("th").all_text_contents() == best_first[:5])
    assert rows.first.locator("td").text_content() == percent(said[best_first[0]])


def test_a_killed_worker_is_lost_and_resumes_also_after_a_restart_of_the_server(page, server):
    """Row 2 of the goals: a new browser shows the same run; it never says running when nothing runs."""
    visit(page, server, "train?dataset=digits")
    run = start_training(page, 1000)
    wait_for(lambda: run.status == "training" and len(run.epochs) > 2)
    address = page.evaluate("location.href")
    server.kill()
    reached = len(run.epochs)
    server.start()
    wait_for(lambda: len(run.epochs) > reached)  # the training did not notice
    page.goto(address)
    page.get_by_text("training", exact=True).wait_for()

    os.kill(run.state["pid"], signal.SIGKILL)
    page.get_by_text("lost", exact=True).wait_for(timeout=3 * SECOND)
    page.get_by_text("Resume continues from its last checkpoint").wait_for()
    server.kill()
    server.start()
    page.goto(address)
    page.get_by_text("lost", exact=True).wait_for()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("training", exact=True).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped", exact=True).wait_for(timeout=5 * SECOND)


def test_two_servers_on_one_workspace_and_three_browsers_that_press_start_at_the_same_moment(browser, workspace):
    """Row 13 of the goals: each gets a run of its own, one trains, the others see their place; also when a server dies."""
    servers = [Server(workspace), Server(workspace)]
    pages = [new_context(browser).new_page() for _ in range(3)]
    try:
        for page, server in zip(pages, (*servers, servers[1]), strict=True):
            visit(page, server, "train?dataset=shapes")
            page.get_by_label("Epochs", exact=True).fill("300")
            page.get_by_label("Epochs", exact=True).press("Enter")
            idle(page)
        moment = 1000 * time.time() + 3000
        for page in pages:
            button = page.get_by_role("button", name="Start training")
            button.evaluate("(button, at) => { setTimeout(() => button.click(), at - Date.now()) }", moment)
        wait_for(lambda: len(list_runs()) == 3)
        runs = wait_for(lambda: (live := queue.live_runs()) and len(live) == 3 and live)
        wait_for(lambda: runs[0].status == "training" and all(run.status == "waiting" for run in runs[1:]))
        shown = {wait_for(lambda page=page: run_in_address(page)): page for page in pages}
        assert set(shown) == {run.name for run in runs}
        shown[runs[0].name].get_by_text("training", exact=True).wait_for()
        for number in (2, 3):
            shown[runs[number - 1].name].get_by_text(f"Number {number} in the queue").wait_for()
        servers[0].kill()
        assert [run.status for run in runs] == ["training", "waiting", "waiting"]
        os.kill(runs[0].state["pid"], signal.SIGKILL)
        wait_for(lambda: runs[0].status == "lost", 3)
        wait_for(lambda: runs[1].status == "training")
        visit(pages[1], servers[1], "predict?run=digits-seed-cnn")  # what had finished before opens
        visit(pages[1], servers[1], f"train?run={runs[2].name}")
        pages[1].get_by_text("Number 2 in the queue").wait_for()
    finally:
        for page in pages:
            page.context.close()
        for server in servers:
            server.kill()
        for run in list_runs():
            if run.alive:
                os.kill(run.state["pid"], signal.SIGKILL)


@pytest.mark.parametrize(("width", "scheme", "dataset"), [(1280, "light", "trap"), (400, "dark", "")])
def test_every_page_fits_the_screen_and_asks_no_other_host_whatever_names_say(page, server, width, scheme, dataset):
    """The page fixture fails on any foreign request; class names, file names and an error try to make one."""
    trap = "![x](http://example.com/x.png) <img src='http://example.com/y.png'> $x$ :material/bug_report:"
    pixels = open_dataset("shapes").images
    items = [Item(f"{i}.png", to_png(pixels[i]), (trap, "plain")[i % 2]) for i in range(24)]
    import_dataset(items, "trap", lambda done, total: None)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for address in ADDRESSES:
        visit(page, server, address + f"?dataset={dataset}" * bool(dataset))
        wide = page.evaluate("(m => m.scrollWidth - m.clientWidth)(document.querySelector('[data-testid=stMain]'))")
        assert wide <= 1, f"{address or 'home'} is {wide} px wider than the screen"
    page.goto(f"{server.address}/api/docs")
    page.get_by_text("/predict").wait_for()


def test_a_page_is_drawn_in_each_language_and_the_choice_stays_in_the_address(page, server):
    """Row 25 of the goals: also the run that the browser follows by itself speaks it."""
    visit(page, server, "train?dataset=digits&lang=zh")
    page.get_by_role("heading", name="网络怎样学习？").wait_for()
    page.get_by_role("spinbutton", name="轮数").fill("200")
    page.get_by_role("spinbutton", name="轮数").press("Enter")
    idle(page)
    page.get_by_role("button", name="开始训练").click()
    page.locator(".run strong", has_text="训练中").first.wait_for()
    page.locator(".run svg", has_text="轮").first.wait_for()
    page.get_by_test_id("stSidebar").get_by_text("English").click()
    page.get_by_role("heading", name="How does a network learn?").wait_for()
    page.locator(".run strong", has_text="training").first.wait_for()
    assert parse_qs(urlsplit(page.url).query)["lang"] == ["en"]
    page.get_by_role("button", name="Stop", exact=True).click()


def take_photo(page):
    """Press the camera's button as a person does: when the video runs, and again where nothing was taken, for the video
    begins anew whenever the page around it changes its width."""
    camera, button = (page.get_by_test_id(f"stCameraInput{part}") for part in ("WebcamComponent", "Button"))
    pressed = []

    def taken():
        if camera.count() and button.is_enabled() and page.locator("video").evaluate("video => video.readyState") == 4:
            button.click()
            pressed.append(True)
        return pressed and not camera.count()  # it is away for a moment, too, when the page draws it anew

    camera.wait_for()
    wait_for(taken)


@changes_nothing
def test_words_of_streamlit_itself_are_chinese_too(page, server):
    def written(place):
        return page.locator(place).first.evaluate("e => getComputedStyle(e, '::after').content").strip('"')

    visit(page, server, "predict?run=cifar10-fast&lang=zh")
    assert written("[data-testid=stFileUploaderDropzone] button p") == "上传"
    page.get_by_text("摄像头").first.click()
    take_photo(page)
    page.get_by_text("camera.jpg").wait_for()
    assert written("[data-testid=stCameraInputButton]") == "清除照片"
    page.locator("[data-testid=stCameraInputButton]").click()
    page.locator("[data-testid=stCameraInputWebcamComponent]").wait_for()
    assert written("[data-testid=stCameraInputButton]") == "拍照"


@changes_nothing
def test_a_photo_taken_with_the_camera_is_classified(page, server):
    visit(page, server, "predict?run=digits-seed-cnn")
    page.get_by_text("Camera", exact=True).click()
    take_photo(page)
    page.get_by_text("camera.jpg").wait_for()
    page.get_by_text("add up to 1.0000").wait_for()


DRAWN = """() => [...document.querySelectorAll('[data-testid=stMain] :is(.js-plotly-plot path, img, table, .katex, [data-testid=stMetricValue])')]
    .map((part) => part.getAttribute('d') ?? part.src ?? part.textContent).join()"""


@changes_nothing
def test_every_lesson_is_played_through_with_the_keyboard_and_checks_its_question(page, server):
    """Rows 11 and 23 of the goals: a control changes what is drawn, and the page says which answer is right."""
    lessons = [address for address in ADDRESSES if address.startswith("learn_")]
    visit(page, server, lessons[0])
    for address, after in zip_longest(lessons, lessons[1:]):
        [question] = [question for question in QUESTIONS.values() if question.lesson == address]
        page.locator("[data-testid=stMain]").get_by_role("slider").first.focus()
        before = page.evaluate(DRAWN)
        page.keyboard.press("ArrowRight")
        wait_for(lambda before=before: page.evaluate(DRAWN) != before)
        idle(page)
        answers = page.get_by_role("radiogroup", name=question.words).get_by_role("radio")
        wait_for(lambda answers=answers, question=question: answers.count() == len(question.options))
        answers.nth((question.right + 1) % len(question.options)).press("Space")
        page.get_by_text("Not yet.").wait_for()
        answers.nth(question.right).press("Space")
        page.get_by_text(f"Right. {question.because}").wait_for()
        assert page.get_by_text("Not yet.").count() == 0, address
        page.locator("summary", has_text="For teachers").press("Enter")
        page.get_by_text("Goal", exact=True).wait_for()
        page.locator("summary", has_text="In PyTorch").press("Enter")
        page.get_by_text("import torch").first.wait_for()
        if after:
            page.get_by_test_id("stMain").locator(f"a[href*={after}]").press("Enter")
            page.wait_for_url(f"**/{after}*")
            page.get_by_role(
                "radiogroup", name=next(q.words for q in QUESTIONS.values() if q.lesson == after)
            ).wait_for()
            idle(page)


@changes_nothing
def test_what_an_address_names_stays_chosen_on_the_way_through_links_and_the_menu(page, server):
    """Or a network is judged, or a set corrected, that is another than the one on the page before."""

    def shown(key):
        return parse_qs(urlsplit(page.evaluate("location.href")).query).get(key, [""])[0]

    for key, name, begin, link, then in (
        ("dataset", "shapes", "dataset", "What is wrong with it?", ("Augment", "Train", "Data set")),
        ("run", "cifar10-fast", "evaluate", None, ("Predict", "Take along", "Evaluate")),
    ):
        visit(page, server, f"{begin}?{key}={name}")
        if link:
            page.get_by_role("link", name=link).click()
            page.wait_for_url("**/mend*")
            idle(page)
            wait_for(lambda key=key, name=name: shown(key) == name)
        for title in then:
            menu(page, title)
            page.wait_for_timeout(SECOND / 2)
            idle(page)
            wait_for(lambda key=key, name=name: shown(key) == name, 10)


@changes_nothing
def test_large_type_keeps_every_table_within_its_column(page, server):
    visit(page, server, "learn_gradient")
    page.get_by_text("Large type", exact=True).click()
    text = page.locator("[data-testid=stMain] p").first
    wait_for(lambda: text.evaluate("part => parseFloat(getComputedStyle(part).fontSize)") > 20)  # pixels, instead of 16
    wide = """() => [...document.querySelectorAll('[data-testid=stMain] table')].map((table) =>
        table.getBoundingClientRect().width - table.closest('[data-testid=stColumn]').getBoundingClientRect().width)"""
    wait_for(lambda: [excess for excess in page.evaluate(wide) if excess > 1] == [])
    page.wait_for_timeout(SECOND)  # they measure themselves again
    assert [excess for excess in page.evaluate(wide) if excess > 1] == []


def in_large_type(page, server, lesson, width):
    page.set_viewport_size({"width": width, "height": 720})  # of a projector
    visit(page, server, lesson)
    page.get_by_text("Large type", exact=True).click()
    text = page.locator("[data-testid=stMain] p").first
    wait_for(lambda: text.evaluate("part => parseFloat(getComputedStyle(part).fontSize)") > 20)
    idle(page)


@changes_nothing
@pytest.mark.parametrize("width", [1280, 1024])
def test_a_projector_shows_the_whole_network_to_its_classes(page, server, width):
    in_large_type(page, server, "learn_network?run=shapes-seed-cnn", width)
    box = page.locator(".scroll")
    wait_for(lambda: box.evaluate("box => box.scrollWidth <= box.clientWidth"))
    ends = box.evaluate("box => box.getBoundingClientRect().right")
    assert all(
        cell.bounding_box()["x"] + cell.bounding_box()["width"] <= ends for cell in page.locator(".net .class").all()
    )
    heads = [head.bounding_box() for head in page.locator(".net .head b").all()]
    for one, other in combinations(heads, 2):  # no name of a layer lies on another one
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        assert beside or abs(one["y"] - other["y"]) >= min(one["height"], other["height"])


@changes_nothing
def test_a_projector_shows_a_convolution_before_its_settings_and_a_phone_soon(page, server):
    in_large_type(page, server, "learn_convolution", 1280)
    picture = page.get_by_alt_text("The picture with the window")
    result = page.get_by_role("button", name="The result; tap or point at")

    def end(part, along, size):
        box = part.bounding_box()
        return box[along] + box[size]

    wait_for(lambda: max(end(picture, "y", "height"), end(result, "y", "height")) <= 720)
    page.get_by_text("Large type", exact=True).click()
    page.set_viewport_size({"width": 400, "height": 850})
    wait_for(lambda: max(end(picture, "y", "height"), end(result, "y", "height")) <= 1.5 * 850)
    assert end(result, "x", "width") <= 400


@changes_nothing
@pytest.mark.parametrize("width", [1280, 400])
def test_no_formula_of_a_convolution_is_cut_off(page, server, width):
    if width > 1000:
        in_large_type(page, server, "learn_convolution", width)
    else:
        page.set_viewport_size({"width": width, "height": 850})
        visit(page, server, "learn_convolution")
    for label, steps in (("Stride: pixels per move", 2), ("Such convolutions", 3)):
        for _ in range(steps):
            page.get_by_role("slider", name=label).press("ArrowRight")
            idle(page)
    page.get_by_text("more than the picture has").wait_for()
    formulas = page.locator("[data-testid=stMain] .katex-display")
    wait_for(lambda: formulas.count() == 2)
    assert formulas.evaluate_all("all => all.map((one) => one.scrollWidth - one.clientWidth)") == [0, 0]


@changes_nothing
def test_a_cell_of_a_map_is_clicked_and_followed_back_to_the_pixels(page, server):
    """Row 10 of the goals goes on: from a number of a later layer to one of the layer before, and to the first."""
    visit(page, server, "learn_network?run=shapes-seed-cnn")
    layer = page.get_by_role("slider", name="Layer")
    for _ in range(3):
        layer.press("ArrowRight")
        idle(page)
    page.get_by_text("4. Convolution").wait_for()
    idle(page)
    cell = page.get_by_role("button", name="The map with its cell")
    box = wait_for(cell.bounding_box)  # there is none while it is drawn anew
    cell.click(position={"x": box["width"] * 0.99, "y": box["height"] * 0.01})
    page.get_by_text(re.compile(r"at row 0, column 15")).wait_for()
    cell.press("ArrowDown")
    page.get_by_text(re.compile(r"at row 1, column 15")).wait_for()
    for before in ("3. ReLU", "2. Max pooling", "1. Convolution"):
        page.get_by_role("button", name="Go back to that cell").first.click()
        page.get_by_text(before).wait_for()
        idle(page)
    wait_for(lambda: page.get_by_role("button", name="Go back to that cell").count() == 0)  # these are the pixels


@changes_nothing
def test_a_map_is_chosen_among_all_layers_side_by_side_and_shows_what_feeds_it(page, server):
    visit(page, server, "learn_network?run=shapes-seed-cnn")
    chosen = page.get_by_role("button", name="Convolution 4, Map 3")
    chosen.hover()
    wires = page.locator(".net line.on")
    wait_for(lambda: wires.count() > 4)  # from the maps before it, the thinnest left out
    chosen.click()
    page.get_by_text("Map 3 of this layer").wait_for()
    page.get_by_text("4. Convolution").wait_for()
    assert "chosen" in page.get_by_role("button", name="Convolution 4, Map 3").get_attribute("class")
    wait_for(lambda: page.locator(".net .class").all_inner_texts() == list(open_dataset("shapes").classes))


@changes_nothing
def test_a_window_slides_by_itself_until_it_is_stopped(page, server):
    visit(page, server, "learn_convolution")
    at = re.compile(r"at row (\d+), column (\d+)")

    def place():
        row, column = map(int, at.search(page.get_by_text(at).inner_text()).groups())
        return row * 24 + column

    began = place()
    play = page.get_by_role("button", name="Play")
    play.focus()
    play.press("Enter")
    page.get_by_role("button", name="Pause").wait_for()
    wait_for(lambda: place() > began + 2)
    page.get_by_role("button", name="Pause").click()
    idle(page)
    time.sleep(1)
    stopped = place()
    time.sleep(2)
    assert place() == stopped


def test_who_starts_a_run_may_stop_it_others_may_look_and_the_operator_may_all(browser, tmp_path, monkeypatch):
    """Row 12 of the goals, with the cookies of real browsers."""
    monkeypatch.setenv("IMGREC_OPERATOR", "s3cret")
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path))
    server = Server(tmp_path)
    try:
        mine, other, operator = (new_context(browser).new_page() for _ in range(3))
        visit(mine, server, "train?dataset=shapes")
        mine.get_by_label("Epochs", exact=True).fill("300")
        mine.get_by_label("Epochs", exact=True).press("Enter")
        idle(mine)
        mine.get_by_role("button", name="Start training").click()
        stop = mine.get_by_role("button", name="Stop", exact=True)
        stop.wait_for()
        run = list_runs()[0]
        assert run.owner.name
        visit(other, server, f"train?run={run.name}")
        other.get_by_text(f"Started by {run.owner.name}").wait_for()
        assert other.get_by_role("button", name="Stop", exact=True).count() == 0
        visit(operator, server, f"train?run={run.name}&operator=s3cret")
        operator.get_by_role("button", name="Stop", exact=True).wait_for()
        assert "s3cret" not in operator.url
        mine.reload()
        stop.click()
        wait_for(lambda: run.status == "stopped")
        cookie = next(c for c in mine.context.cookies() if c["name"] == "imgrec_visitor")
        assert cookie["httpOnly"]
        assert cookie["value"] not in "".join(f.read_text("utf-8", "ignore") for f in run.path.glob("*.json"))
    finally:
        server.kill()
        for page in (mine, other, operator):
            page.context.close()


def test_on_plain_http_a_phone_is_led_to_its_own_camera(page, server):
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    visit(page, server, "collect")
    page.get_by_label("Name of the data set").fill("insecure")
    page.get_by_label("Classes, one in each line").fill("oak\nmaple")
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_test_id("stMain").get_by_text("oak · 0", exact=True).click()
    page.get_by_text("Tap Upload below").wait_for()
    page.get_by_test_id("stFileUploaderDropzone").wait_for()
    assert not page.locator("video, .film button").filter(visible=True).count()


def test_the_camera_is_classified_live_and_a_whole_archive_in_the_background(page, server, tmp_path):
    """Row 1 of the goals goes on: pictures come by themselves, or by the hundred, and a reload loses nothing."""
    sent = []  # through Streamlit, where what is clicked meanwhile would be taken for a part of a picture
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    visit(page, server, "predict?run=digits-seed-cnn")
    page.get_by_text("Live", exact=True).click()
    page.locator(".live .bar").nth(4).wait_for()
    idle(page)
    before = len(sent)
    shares = lambda: [float(t.rstrip("%")) for t in page.locator(".live .row span:last-child").all_inner_texts()]  # noqa: E731
    assert 0 < sum(shares()) <= 100.5
    seen = {tuple(shares())}
    wait_for(lambda: seen.add(tuple(shares())) or len(seen) > 2)  # the picture moves, and so do the answers
    assert before
    assert len(sent) == before
    page.get_by_text("Show where it looks").click()
    coloured = "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return d.some((v, i) => i % 4 === 3 && v > 0); }"
    wait_for(lambda: page.locator(".sight canvas").evaluate(coloured))
    archive = tmp_path / "many.zip"
    digits = open_dataset("digits")
    with zipfile.ZipFile(archive, "w") as file:
        for i in range(300):
            file.writestr(f"some/{i:03d}.png", to_png(digits.images[i]))
        file.writestr("some/broken.png", b"no picture")
        file.writestr("film.mov", os.urandom(60 * 2**20))  # what a phone's archive weighs
    page.get_by_text("Many", exact=True).click()
    wait_for(lambda: page.locator(".live").count() == 0)
    page.locator("input[type=file]").set_input_files(archive)
    button = page.get_by_role("button", name="Classify all")
    wait_for(button.is_enabled)
    button.click()
    page.get_by_text("300 pictures classified").wait_for()
    page.reload()
    page.get_by_text("300 pictures classified").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="All probabilities as CSV").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert len(rows) == 301
    right = [row["answer"] == str(digits.labels[i]) for i, row in enumerate(rows[:300])]
    assert sum(right) > 290


def test_two_things_are_shown_trained_and_told_apart_on_one_page(page, server, tmp_path):
    """Teachable Machine's three steps; the work goes on through a reload, and later a third thing joins."""
    shapes, names = open_dataset("shapes"), lambda: page.locator("[class*=st-key-teach] input[type=text]")

    def give(number, label):
        names().last.fill(label) if number > 1 else names().nth(number).fill(label)
        page.keyboard.press("Enter")
        idle(page)
        page.locator(f".st-key-teach_files-{number} button").click()
        files = [tmp_path / f"{label}-{i}.png" for i in range(12)]
        for i, file in enumerate(files):
            file.write_bytes(to_png(shapes.images[shapes.labels == number][i]))
        page.locator("[class*=st-key-teach-][class*=files-new-] input[type=file]").set_input_files(files)
        page.get_by_role("img", name=f"{label}-11.png").wait_for()

    visit(page, server, "teach")
    names().nth(0).fill("camera")
    page.keyboard.press("Enter")
    idle(page)
    page.get_by_role("button", name="Camera").first.click()
    record = page.get_by_role("button", name="Hold to record")
    wait_for(record.is_enabled)
    record.press("Enter", delay=3 * SECOND)
    give(1, "shape")
    page.get_by_role("button", name="Train", exact=True).click()
    first = wait_for(lambda: run_in_address(page))
    page.reload()
    page.get_by_text("pictures right that it never saw").wait_for()
    page.locator(".st-key-teach_way").get_by_text("Camera").click()
    page.locator(".live .bar").nth(1).wait_for()
    assert page.locator(".live .row span").first.inner_text() == "camera"
    page.locator(".st-key-teach_way").get_by_text("A picture").click()
    idle(page)
    page.get_by_role("button", name="Another class").click()
    idle(page)
    give(2, "third")
    page.get_by_role("button", name="Train again").click()
    wait_for(lambda: run_in_address(page) != first)
    wait_for(lambda: list_runs()[0].status == "finished")
    page.locator(".st-key-teach_way").get_by_text("Camera").click()
    page.locator(".live .bar").nth(2).wait_for()
    assert [open_run(run.name).recipe.dataset for run in list_runs()[:2]] == ["camera-shape"] * 2


def test_a_data_set_is_built_from_files_and_camera_corrected_and_trained_on(page, server, tmp_path):
    """Row 3 of the goals, in the browser: files and webcam into named classes, two labels mended, a training."""
    shapes = open_dataset("shapes")
    for i in range(12):
        (tmp_path / f"{i:02d}.png").write_bytes(to_png(shapes.images[i]))
    (tmp_path / "zz.png").write_text("text")
    visit(page, server, "bring")
    page.get_by_label("Class 1", exact=True).fill("shape")
    page.locator("input[type=file]").first.set_input_files(sorted(tmp_path.iterdir()))
    page.get_by_text("zz.png: this is not a picture").wait_for()
    page.get_by_text("12 pictures").wait_for()
    page.get_by_label("Class 2", exact=True).fill("camera")
    page.get_by_text("Camera", exact=True).nth(1).click()
    record = page.get_by_role("button", name="Hold to record")
    wait_for(record.is_enabled)
    record.press("Enter", delay=2 * SECOND)
    counts = lambda: re.findall(r"\n(\d+) pictures\n", page.get_by_test_id("stMain").inner_text())  # noqa: E731
    shots = int(wait_for(lambda: counts()[1:])[0])  # behind those of the first class
    assert shots > 3
    idle(page)  # a picture that is just being drawn anew takes no click
    page.get_by_role("img", name="camera.jpg").nth(1).click()
    wait_for(lambda: counts()[1:] == [str(shots - 1)])
    pictures = 12 + shots - 1
    page.get_by_label("Name of the data set").fill("mine")
    page.get_by_label("Name of the data set").press("Enter")
    idle(page)
    page.get_by_role("button", name="Import").click()
    page.get_by_text(f"{pictures} accepted, 0 rejected").wait_for()

    page.get_by_role("link", name="Look at mine").click()
    idle(page)
    page.get_by_text("Pick several").click()
    idle(page)
    for name in ("03.png", "09.png"):  # both are stars
        page.get_by_role("img", name=name).click()
        idle(page)
    page.get_by_text("2 picked").wait_for()
    page.get_by_label("Class", exact=True).fill("star")
    page.keyboard.press("Enter")
    idle(page)
    page.get_by_role("button", name="Relabel").click()
    page.get_by_text(f"{pictures} pictures, 3 classes").wait_for()
    assert open_dataset("mine").counts()["star"]

    visit(page, server, "train?dataset=mine")
    run = start_training(page, 2)
    page.get_by_text("Test accuracy").wait_for()
    assert run.read("classes.json")["classes"] == list(open_dataset("mine").classes)


@changes_nothing
def test_a_grid_scrolls_to_its_end_and_back_and_a_picture_opens_from_the_middle(page, server):
    visit(page, server, "dataset?dataset=digits")
    page.get_by_text("Filter and sort").click()
    choose(page, "Order", "file name")
    first, view = page.locator(".view figure button").first, page.locator(".view")
    wait_for(lambda: first.get_attribute("title").startswith("digit-0000,"))
    view.evaluate("view => { view.scrollTop = view.scrollHeight }")
    page.locator('.view button[title^="digit-1796,"]').wait_for()
    view.evaluate("view => { view.scrollTop = view.scrollHeight / 2 }")
    page.locator('.view button[title^="digit-0900,"]').click()
    page.get_by_role("dialog").get_by_text("digit-0900").wait_for()
    page.keyboard.press("Escape")
    view.evaluate("view => { view.scrollTop = 0 }")
    page.locator('.view button[title^="digit-0000,"]').wait_for()


@pytest.fixture
def phone(browser, server):
    context = new_context(browser, viewport={"width": 400, "height": 850}, has_touch=True, is_mobile=True)
    yield context.new_page()
    context.close()


@changes_nothing
@pytest.mark.parametrize(("lesson", "result"), [("augment", ".st-key-pinned_augment"), ("learn_gradient", ".st-key-pinned_gradient")])  # fmt: skip
def test_on_a_phone_what_the_controls_change_is_seen_beside_them(phone, server, lesson, result):
    visit(phone, server, lesson)
    shown, control = phone.locator(result), phone.get_by_test_id("stMain").get_by_test_id("stWidgetLabel").first
    wait_for(lambda: control.bounding_box()["y"] < shown.bounding_box()["y"] < 850)


@changes_nothing
@pytest.mark.parametrize(("lesson", "row"), [("learn_pooling", ".st-key-pool_stages"), ("learn_trust", ".st-key-nudge")])  # fmt: skip
def test_on_a_phone_three_pictures_of_a_lesson_are_side_by_side(phone, server, lesson, row):
    visit(phone, server, lesson)
    pictures = phone.locator(row).locator("img")
    wait_for(lambda: pictures.count() == 3)
    left, middle, right = (picture.bounding_box() for picture in pictures.all())
    assert left["x"] < middle["x"] < right["x"] < 400
    assert abs(left["y"] - right["y"]) < 40


@changes_nothing
def test_on_a_phone_a_whole_network_is_seen_side_by_side(phone, server):
    visit(phone, server, "learn_network")
    frame = phone.locator(".scroll")
    phone.locator(".net.narrow").wait_for()
    wait_for(lambda: frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth"))


@changes_nothing
def test_two_fingers_enlarge_the_map_and_pick_nothing(phone, server):
    visit(phone, server, "map?dataset=digits")
    field = phone.locator(".field > canvas")
    field.scroll_into_view_if_needed()
    box, touch = field.bounding_box(), phone.context.new_cdp_session(phone)
    before = field.evaluate("canvas => canvas.toDataURL()")
    for kind, apart in (
        ("touchStart", 20),
        *(("touchMove", apart) for apart in range(30, 100, 10)),
        ("touchEnd", None),
    ):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        fingers = [] if apart is None else [{"x": x + side * apart, "y": y, "id": side + 1} for side in (-1, 1)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
    wait_for(lambda: field.evaluate("canvas => canvas.toDataURL()") != before)
    idle(phone)
    assert not phone.get_by_text("picked:").count()


def test_after_a_start_on_a_phone_stop_is_in_sight(phone, server):
    visit(phone, server, "train?dataset=digits")
    start_training(phone, 500)
    stop = phone.get_by_role("button", name="Stop")
    wait_for(lambda: 60 <= stop.bounding_box()["y"] < 800)
    phone.locator(".run circle").first.wait_for()
    assert 60 <= stop.bounding_box()["y"] < 800
    stop.tap()


@changes_nothing
def test_a_finger_and_the_arrow_keys_find_the_numbers_of_the_confusion_matrix(phone, server):
    visit(phone, server, "evaluate?run=digits-seed-cnn")
    hit = phone.get_by_role("button", name="1 recognised: 36")
    hit.tap()
    phone.get_by_text("36 pictures, each with").wait_for()
    hit.focus()
    phone.keyboard.press("ArrowDown")
    phone.get_by_role("button", name="2 taken for 1: 1").and_(phone.locator(":focus")).press("Enter")
    phone.locator("[aria-current]").and_(phone.get_by_role("button", name="2 taken for 1: 1")).wait_for()


@changes_nothing
def test_a_click_on_a_number_of_the_confusion_matrix_opens_its_pictures_and_why(page, server):
    """Row 7 of the goals: exactly the pictures counted there, with probabilities and heat maps."""
    visit(page, server, "evaluate?run=digits-seed-cnn")
    page.get_by_text("Least certain hits").wait_for()
    matrix = open_run("digits-seed-cnn").read("evaluation.json")["confusion"]
    cells = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if count]
    shown = next(j for i, j in cells if i != j)  # the page opens with one of the commonest mistakes
    truth, answer = next((i, j) for i, j in cells if j not in (i, shown))
    page.get_by_role("button", name=f"{truth} taken for {answer}: {matrix[truth][answer]}").click()
    grid = page.locator(".view").first
    wait_for(
        lambda: grid.locator("figure").count() == matrix[truth][answer] and f"{truth} → {answer}" in grid.inner_text()
    )
    grid.locator("button").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"What mattered for {answer}").wait_for()
    dialog.get_by_text(f"Label {truth} · Answer {answer}").wait_for()
    wait_for(lambda: dialog.locator("img").count() == 2)


def test_what_is_enclosed_on_the_map_is_labelled_and_a_network_labels_the_rest(page, server):
    digits = open_dataset("digits")
    items = [
        Item(f"{i:03d}.png", to_png(digits.images[i]), str(digits.labels[i]), "unlabelled" if i >= 60 else None)
        for i in range(160)
    ]
    import_dataset(items, "mine")
    visit(page, server, "map?dataset=mine")
    field = page.locator(".field > canvas")
    field.wait_for()
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    for x, y in corners:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    page.get_by_text("160 picked:").wait_for()
    idle(page)
    choose(page, "Split", "train")
    page.get_by_role("button", name="Move").click()
    wait_for(lambda: len(open_dataset("mine").indices("train")) == 60)

    page.get_by_role("link", name="Label").first.click()
    page.get_by_role("heading", name="What are these pictures?").wait_for()
    visit(page, server, "label?dataset=mine&run=digits-seed-cnn")
    page.get_by_role("button", name="Propose labels").click()
    page.get_by_role("button", name=re.compile(r"Accept \d+ of 100")).click()
    wait_for(lambda: len(open_dataset("mine").unlabelled) < 20)
    page.get_by_role("button", name="labelled as proposed").click()
    wait_for(lambda: len(open_dataset("mine").unlabelled) == 100)


NAMES = (
    "<b class=trap>bold</b>", "**stars** [link](http://example.com)", "it's \"quoted\"", "😀 smile", "שלום עולם", "猫和狗",
    "$x^2$ :red[a] `code`", "a &lt; b & c",
)  # fmt: skip


def test_class_names_show_as_text_everywhere_in_charts_as_well(page, server):
    pixels = open_dataset("digits").images
    items = [Item(f"{i:03d}.png", to_png(pixels[i]), NAMES[i % len(NAMES)]) for i in range(160)]
    import_dataset(items, "names")
    known = set(open_dataset("names").classes)
    assert known == set(NAMES)
    train = [sys.executable, "-m", "imgrec", "train", "--dataset", "names", "--epochs", "1"]
    subprocess.run(
        train, cwd=ROOT, check=True, capture_output=True, env={**os.environ, "IMGREC_HOME": str(server.home)}
    )
    run = list_runs()[0].name

    def shown(selector: str) -> set[str]:
        return {" ".join(text.split()) for text in page.locator(selector).all_text_contents()}

    def cut(most: int) -> set[str]:
        return {name if len(name) <= most else name[: most - 1] + "…" for name in NAMES}

    for address in ("dataset", "mend", "map", "label", "augment"):
        visit(page, server, f"{address}?dataset=names")
        assert not page.locator(".trap, a[href*=example], .katex").count(), address
        if address == "dataset":
            wait_for(lambda: shown(".view figcaption") == {name[:24].strip() for name in NAMES})
            wait_for(lambda: cut(24) <= shown(".xaxislayer-above text"))
        if address == "map":
            wait_for(lambda: shown(".legend span") == known)
    for address, names in (("train", ".yaxislayer-above text"), ("predict", "[data-testid=stMain] tr th")):
        visit(page, server, f"{address}?run={run}")
        page.locator(names).first.wait_for()
        assert not page.locator(".trap, a[href*=example], .katex").count(), address
        wait_for(lambda names=names: len(shown(names) & (cut(18) | cut(40))) >= 5)


@changes_nothing
def test_another_host_name_is_refused_and_every_answer_carries_the_policy(server):
    """Against DNS rebinding, where a stranger's page makes its own name point to this machine."""
    for path in ("/", "/api/models", "/_stcore/health"):
        with urllib.request.urlopen(server.address + path) as answer:
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        rebound = urllib.request.Request(server.address + path, headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(rebound)


@changes_nothing
def test_every_page_finds_its_server_at_the_first_try_also_below_another_address(page, server, browser, workspace):
    """Streamlit looks below the page's own address first, and loses 0.15 s before it looks where the server is."""
    below = Server(workspace, start=False)
    below.start("--server.baseUrlPath=lab/one")
    try:
        for root in (server.address, f"{below.address}/lab/one"):
            context = new_context(browser)
            fresh, asked = context.new_page(), []
            fresh.on("request", lambda request, asked=asked: asked.append(request.url))
            fresh.goto(f"{root}/networks?network=resnet18")
            fresh.get_by_role("heading", level=1).wait_for()
            assert [url for url in asked if "_stcore/health" in url] == [f"{root}/_stcore/health"]
            assert fresh.request.get(f"{root}/api/health").json()["status"] == "ok"
            fresh.get_by_role("link", name="Runs").click()
            fresh.wait_for_url(f"{root}/runs")
            context.close()
    finally:
        below.kill()


@changes_nothing
def test_scripts_come_packed_to_who_can_unpack_them_and_nothing_else_comes_that_way(server):
    """A class that opens a lesson at once fetches a third of what Streamlit would send."""
    with urllib.request.urlopen(server.address) as answer:
        script = re.search(r"static/js/index\.[^\"']+\.js", answer.read().decode())[0]

    def get(path, **headers):
        with urllib.request.urlopen(urllib.request.Request(f"{server.address}/{path}", headers=headers)) as answer:
            return answer.read(), answer.headers

    plain, said = get(script)
    assert "content-encoding" not in said
    packed, now = get(script, **{"Accept-Encoding": "gzip, br"})
    assert now["content-encoding"] == "gzip"
    assert now["cache-control"] == said["cache-control"]
    assert now["content-type"].startswith("text/javascript")  # Streamlit says what the system calls it
    assert "default-src 'self'" in now["content-security-policy"]
    assert gzip.decompress(packed) == plain
    assert len(packed) < 0.45 * len(plain)
    assert get(script, **{"Accept-Encoding": "gzip", "Range": "bytes=0-9"})[0] == plain[:10]
    for path in ("static/js/../../../config.py", "static/%2e%2e/%2e%2e/config.py", "static/js/none.js"):
        try:
            found, _ = get(path)
        except urllib.error.HTTPError as error:
            found = error.read()
        assert b"import " not in found  # but a refusal, or the page that Streamlit has for every address


@changes_nothing
def test_a_download_without_internet_ends_in_one_sentence_that_says_what_to_do(page, server):
    visit(page, server, "dataset")
    page.get_by_text("Download more data sets").click()
    page.get_by_role("button", name="Download").first.click()
    page.get_by_text("python -m imgrec import").first.wait_for()
    time.sleep(1.5)
    idle(page)


@changes_nothing
def test_a_lesson_is_found_as_it_was_left_by_the_menu_by_back_and_in_large_type_by_a_reload(page, server):
    visit(page, server, "learn_pooling")
    page.get_by_role("radio", name="mean (average)").click()
    page.get_by_text("Large type", exact=True).click()
    idle(page)
    menu = page.locator("[data-testid=stSidebarNav]")
    menu.get_by_role("link", name="Softmax").click()
    page.get_by_role("heading", name="From scores to classes").wait_for()
    temperature = page.get_by_role("slider", name="Temperature")
    for _ in range(3):
        temperature.press("ArrowRight")
    idle(page)
    left = temperature.input_value()
    assert left != "1"
    menu.get_by_role("link", name="Pooling").click()
    mean = page.get_by_role("radio", name="mean (average)")
    mean.wait_for()
    wait_for(mean.is_checked)
    page.go_back()
    temperature.wait_for()
    wait_for(lambda: temperature.input_value() == left)
    page.reload()
    wait_for(lambda: page.evaluate("parseFloat(getComputedStyle(document.documentElement).fontSize)") > 20)
