"""What a browser is told outside of a page: how far a run is, at no more cost for fifty than for one; what its camera sees."""

import asyncio
import base64
import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import numpy as np
import pytest
from starlette.requests import Request

from imgrec import queue
from imgrec.data import open_dataset
from imgrec.explain import explain
from imgrec.images import to_png
from imgrec.jobs import Owner
from imgrec.predict import open_network
from imgrec.recipe import Recipe
from imgrec.runs import create_run
from imgrec.serving import Batcher
from imgrec.weights import Passport, Preprocess, save_weights
from pages import camera, live, live_run


@pytest.fixture
def running(monkeypatch):
    """A run in the middle of its training, of which nobody holds the lock but the test."""
    run = create_run(Recipe(epochs=4, dataset="digits"), Owner("a" * 24, "Amber Fox"))
    for epoch in (1, 2):
        run.append("log.jsonl", {"epoch": epoch, "train_loss": 1 / epoch, "validation_loss": 2 / epoch,
                                 "train_accuracy": 0.5, "validation_accuracy": 0.5})  # fmt: skip
    run.update(phase="training", epoch=2, epochs=4, step=3, steps=12, progress=0.55, seconds_left=50, loss=0.25)
    with run.lock.acquire():
        monkeypatch.setattr("imgrec.runs.Run.alive", property(lambda run: run.file("lock").exists()))
        yield run


def asked(name, query="", **headers):
    fields = [(key.encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "path_params": {"name": name}, "query_string": query.encode(), "headers": fields}
    with ThreadPoolExecutor(1) as thread:  # Playwright keeps an event loop running in this one
        return thread.submit(asyncio.run, live_run.feed(Request(scope))).result()


def seen(body, sign="", come=None, **query):
    """Status and content of the answer to a picture from the camera."""
    asked = {"of": "digits-seed-cnn", "views": "one", "temperature": 1, "top": 3, "where": 0, "lang": "en"} | query
    asked = urlencode(asked)
    parts = [
        {"type": "http.request", "body": body[:1000], "more_body": True},
        {"type": "http.request", "body": body[1000:]},
    ]

    async def receive():
        return parts.pop(0)

    query = f"{asked}&sign={sign or live._signed(asked)}".encode()
    scope = {
        "type": "http",
        "scheme": "http",
        "server": ("x", 80),
        "path": "/seen",
        "query_string": query,
        "headers": [],
    }
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(asyncio.run, live.look(Request(scope, come or receive))).result()
    return answer.status_code, json.loads(answer.body or "{}")


def content(name, query=""):
    answer = asked(name, query)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return json.loads(answer.body)


def test_it_tells_bars_figures_and_the_points_of_the_curves(running):
    told = content(running.name)
    assert told["live"] is True
    assert told["title"] == ["training", "seed-cnn on digits", running.name]
    assert told["bars"] == [
        [0.55, "Training: epoch 3 of 4, 55%, 50 s left"],
        [0.25, "This epoch: step 3 of 12"],
    ]
    assert ["Loss", "0.2500"] in [figure[:2] for figure in told["figures"]]
    loss, accuracy = told["curves"]
    assert [trace["y"] for trace in loss["data"]] == [[1.0, 0.5], [2.0, 1.0]]
    assert accuracy["layout"]["yaxis"]["tickformat"] == ".0%"
    assert loss["words"] == "loss by epoch, training and validation"


def test_it_speaks_the_language_of_who_asks_also_one_after_the_other(running):
    assert content(running.name, "lang=zh_CN")["title"][0] == "训练中"
    assert content(running.name, "lang=en")["title"][0] == "training"
    assert content(running.name, "lang=../../etc")["title"][0] == "training"


def test_packed_it_is_the_same(running):
    answer = asked(running.name, **{"accept-encoding": "gzip, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.body)) == content(running.name)


@pytest.mark.parametrize("name", ["none", "..", "../runs", "a/b", ".", ""])
def test_a_name_that_is_no_run_is_404_and_leads_nowhere(running, name):
    answer = asked(name)
    assert answer.status_code == 404
    assert "error" in json.loads(answer.body)


def test_what_has_ended_is_live_no_more(running):
    running.update(phase="finished", epoch=4, progress=1.0)
    told = content(running.name)
    assert told["live"] is False
    assert told["bars"][1] == [1.0, "This epoch: step 12 of 12"]


def test_fifty_who_ask_at_once_cost_one_look_at_the_run(running, monkeypatch):
    looks, told = [], live_run.told
    monkeypatch.setattr(live_run, "told", lambda run, me: looks.append(run) or told(run, me))
    monkeypatch.setattr(live_run, "_now", lambda: 7)
    for number in range(50):
        content(running.name, f"me={number}")
    assert len(looks) == 1
    monkeypatch.setattr(live_run, "_now", lambda: 8)
    content(running.name)
    assert len(looks) == 2


def test_where_many_look_each_is_asked_to_look_less_often(running, monkeypatch):
    monkeypatch.setattr(live_run, "_looked", {})
    assert content(running.name, "me=0")["pace"] == 1
    monkeypatch.setattr(live_run, "_looked", {str(n): time.monotonic() - n / 100 for n in range(live_run.MANY + 1)})
    monkeypatch.setattr(live_run, "_now", lambda: 1)
    assert content(running.name, "me=0")["pace"] == 2
    monkeypatch.setattr(live_run, "_looked", {str(n): time.monotonic() - 6 for n in range(50)})  # they have gone
    monkeypatch.setattr(live_run, "_now", lambda: 2)
    assert content(running.name, "me=0")["pace"] == 1


def test_what_is_told_is_never_older_than_half_a_second(running):
    assert live_run._now() == int(2 * time.monotonic())


def told_anew(name):
    """What is said without waiting half a second for the next look."""
    live_run._kept.clear()
    return content(name)["said"][0][2]


def test_who_waits_reads_whose_runs_come_first_and_which_are_their_own(running):
    mine = create_run(Recipe(epochs=4, dataset="digits"), Owner("b" * 24, "Blue Owl"))
    mine.update(phase="waiting", ahead=1)
    mine.file("lock").touch()
    for run in (running, mine):
        queue.join(run)
    assert "Before it: Amber Fox (training)" in content(mine.name, "me=" + "b" * 24)["said"][0][2]
    assert "Before it: yours (training)" in content(mine.name, "me=" + "a" * 24)["said"][0][2]
    assert "Number 2 in the queue." in content(mine.name)["said"][0][2]
    assert "It should begin in about 50 s." in content(mine.name)["said"][0][2]
    running.update(seconds_left=None)  # it is still loading
    assert "can be told once the first of them trains" in told_anew(mine.name)


def test_a_picture_of_the_camera_is_answered_as_the_network_would():
    digits, network = open_dataset("digits"), open_network("digits-seed-cnn")
    picture = to_png(digits.images[7])
    [expected] = network.classify([("", picture)])
    status, told = seen(picture)
    assert (status, told["known"]) == (200, expected.known)
    assert told["classes"] == expected.top(network.classes, 3)
    assert seen(picture, temperature=5, top=1)[1]["classes"] == expected.at_temperature(5).top(network.classes, 1)
    [mirrored] = network.looking("shifted").classify([("", picture)])
    assert seen(picture, views="shifted")[1]["classes"] == mirrored.top(network.classes, 3)


def test_what_the_camera_sees_is_named_in_the_language_of_who_looks():
    shape = to_png(open_dataset("shapes").images[0])
    english, chinese = (seen(shape, of="shapes-seed-cnn", lang=lang)[1]["classes"] for lang in ("en", "zh_CN"))
    assert [row["probability"] for row in english] == [row["probability"] for row in chinese]
    assert english[0]["name"].isascii()
    assert not chinese[0]["name"].isascii()


@pytest.mark.parametrize("name", ["none", "../runs", ",".join("abcdefg"), "a\0b"])
def test_a_run_that_has_gone_is_named(name):
    status, told = seen(to_png(open_dataset("digits").images[0]), of=name)
    assert status == 404
    assert told["error"]


def test_only_what_this_dashboard_has_signed_is_answered(monkeypatch):
    picture = to_png(open_dataset("digits").images[0])
    assert seen(picture, sign="0" * 64)[0] == 403
    assert seen(picture, sign="ü")[0] == 403
    assert seen(picture, sign=live._signed("of=cifar10-fast"))[0] == 403
    assert seen(picture)[0] == 200


def test_what_is_no_picture_or_too_much_or_cut_off_is_told_so(monkeypatch):
    assert seen(b"no picture at all" * 100)[1]["error"]
    assert seen(b"x" * (camera.MOST_BYTES + 1))[0] == 413

    async def left():
        return {"type": "http.disconnect"}

    async def waits():
        await asyncio.sleep(5)

    monkeypatch.setattr(live, "SLOWEST", 0.05)
    for come in (left, waits):
        assert seen(b"", come=come)[0] == 408


def test_where_too_many_wait_the_camera_is_asked_to_come_back(monkeypatch):
    full = Batcher(most=1)
    monkeypatch.setattr(live, "_batcher", lambda: full)
    with full.room(1):
        assert seen(to_png(open_dataset("digits").images[0])) == (503, {})
    assert seen(to_png(open_dataset("digits").images[0]))[0] == 200
    monkeypatch.setattr(live, "PLACES", 0)
    assert seen(to_png(open_dataset("digits").images[0])) == (503, {})


def test_on_demand_it_is_told_where_the_network_looks():
    shape, network = to_png(open_dataset("shapes").images[0]), open_network("shapes-seed-cnn")
    [result] = network.classify([("", shape)])
    found = explain(network, result.seen)
    assert "heat" not in seen(shape, of="shapes-seed-cnn")[1]
    heat = seen(shape, of="shapes-seed-cnn", where=1)[1]["heat"]
    values = np.frombuffer(base64.b64decode(heat["values"]), np.uint8).reshape(heat["side"], heat["side"])
    assert heat["side"] == len(found.heat) == 32
    assert np.abs(values / 255 - found.heat).max() < 0.01
    assert heat["reliable"] == found.reliable


def test_a_network_without_maps_says_so_instead(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path))
    run = create_run(Recipe(dataset="digits", model="softmax-regression"))
    passport = Passport("softmax-regression", tuple("0123456789"), Preprocess(8, 1, "crop", (0.5,), (0.5,)))
    save_weights(run.file("best.safetensors"), passport.build().state_dict(), passport)
    run.write("classes.json", passport.to_dict())
    run.update(phase="finished")
    answer = seen(to_png(open_dataset("digits").images[0]), of=run.name, where=1)[1]
    assert len(answer["classes"]) == 3
    assert "has none" in answer["heat"]["error"]
