"""Things go wrong while a training runs, and really do: what is killed, full, read-only, damaged, changed or late."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import small_disk, unavailable, wait_for
from pictures import picture
from safetensors.torch import load_file
from streamlit.testing.v1 import AppTest

from imgrec import queue, trainings, worker
from imgrec.__main__ import main
from imgrec.data import Edit, Item, delete_dataset, edit, import_dataset, open_dataset
from imgrec.home import folder, in_words
from imgrec.jobs import LIVE
from imgrec.predict import Predictor
from imgrec.recipe import Recipe, RecipeError
from imgrec.run_table import rows
from imgrec.runs import BUNDLED, CHECKPOINT, RATE, Run, RunError, create_run, list_runs, open_run
from imgrec.train import Epoch
from imgrec.weights import WeightsError, earlier, latest_checkpoint

ROOT = Path(__file__).parent.parent
SHORT = Recipe(dataset="digits", epochs=8, batch_size=32, augment="rotate=10", device="cpu", precision="float32")
LONG = Recipe(dataset="digits", epochs=500, batch_size=16, device="cpu", precision="float32")


pytestmark = pytest.mark.usefixtures("no_worker_survives")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A workspace of 12 MB."""
    monkeypatch.setenv("IMGREC_HOME", str(tmp_path / "small"))
    with small_disk(tmp_path / "small", 12 * 2**20) as mounted:
        if not mounted:
            unavailable("only root may mount a small disk")
        yield tmp_path / "small"


@pytest.fixture(autouse=True)
def veteran(request, workspace):
    """A run that had finished before anything went wrong: whatever a test does, it opens."""
    if "small" in request.fixturenames:
        request.getfixturevalue("small")
    run = Run(folder("runs") / "2026-01-01_0000_seed-cnn_digits")
    shutil.copytree(BUNDLED / "digits-seed-cnn", run.path)
    yield run
    assert opens(run)


def opens(run):
    """Whether it is in the table as finished, and its network still tells digits apart."""
    [row] = [row for row in rows() if row["run"] == run.name]
    digits, model = open_dataset("digits"), Predictor.open(run, "cpu")
    where = digits.indices("test")[:50]
    right = (model.probabilities(digits.images[where]).argmax(1) == digits.labels[where]).mean()
    return row["status"] == run.status == "finished" and len(run.epochs) == 15 and right > 0.9


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights that SHORT ends with, and its losses."""
    before = os.environ.get("IMGREC_HOME")
    os.environ["IMGREC_HOME"] = str(tmp_path_factory.mktemp("whole"))
    try:
        return ending(finish(trainings.enqueue(SHORT)))
    finally:
        os.environ.pop("IMGREC_HOME") if before is None else os.environ.update(IMGREC_HOME=before)


def finish(run):
    for _ in worker.work(run):
        pass
    return run


def ending(run):
    """What it kept of its best epoch, to the bit, and of its last, and every loss on the way."""
    assert run.status == "finished", run.state
    assert not list(run.path.glob("*.ckpt"))  # most of what a run takes, and nobody goes on from there
    best, last = (
        load_file(path) for path in (run.file("best.safetensors"), max(run.file("snapshots").glob("*.safetensors")))
    )
    kept = {f"best {name}": value for name, value in best.items()} | {
        f"last {name}": value for name, value in last.items()
    }
    return kept, [(row["train_loss"], row["validation_loss"]) for row in run.epochs]


def same(one, other):
    return all(torch.equal(one[0][name], other[0][name]) for name in one[0]) and one[1] == other[1]


def running(recipe=LONG, epochs=1):
    run = trainings.start(recipe)
    wait_for(lambda: run.status == "training" and len(run.epochs) >= epochs)
    return run


def kill(run):
    os.kill(run.state["pid"], signal.SIGKILL)
    wait_for(lambda: run.status == "lost", 3)


def test_killed_at_random_steps_a_run_ends_like_one_that_never_was(uninterrupted):
    chance, run = random.Random(time.time_ns()), trainings.start(SHORT)
    for _ in range(2):
        wait_for(lambda: run.status in ("training", "finished"))
        time.sleep(chance.random())
        if run.status == "training":
            with suppress(ProcessLookupError):
                os.kill(run.state["pid"], signal.SIGKILL)
        wait_for(lambda: run.status in ("lost", "finished"), 3)
        if run.status == "lost":
            trainings.resume(run.name)
    wait_for(lambda: run.status == "finished" and not run.alive)
    assert same(ending(run), uninterrupted)


KILLER = """
import os, signal, sys
from imgrec import jobs, trainings, weights, worker
from imgrec.home import replaced
from imgrec.runs import open_run

moment, after = sys.argv[2], int(sys.argv[3])
real, calls = {"write": weights.write_atomic, "move": os.replace}, {"write": 0, "move": 0}

def end(): os.kill(os.getpid(), signal.SIGKILL)

def write(path, content):
    calls["write"] += "ckpt" in path.name
    if moment == "half written" and calls["write"] > after and "ckpt" in path.name:
        with replaced(path) as file:
            file.write(content[: len(content) // 2])
            file.flush()
            end()
    real["write"](path, content)

def move(source, target):
    moved = "ckpt" in str(target) and not str(source).endswith(".tmp")
    calls["move"] += moved
    if moment == "between" and moved and calls["move"] > 2 * after and "earlier" not in str(target):
        end()
    real["move"](source, target)

weights.write_atomic, os.replace = write, move
worker.CHECKPOINT_EVERY = 0.01
for _ in worker.work(open_run(sys.argv[1])):
    pass
"""


@pytest.mark.parametrize(("moment", "after"), [("half written", 0), ("half written", 3), ("between", 2)])
def test_killed_while_a_checkpoint_is_written_the_one_before_serves(moment, after, uninterrupted):
    run = trainings.enqueue(SHORT)
    done = subprocess.run([sys.executable, "-c", KILLER, run.name, moment, str(after)], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert run.status == "lost"
    assert bool(list(run.path.glob(".*.tmp"))) == (moment == "half written")
    kept, _ = latest_checkpoint(run.file(CHECKPOINT))
    assert (kept is not None) == (after > 0)
    assert same(ending(finish(trainings.requeue(run.name))), uninterrupted)
    assert not list(run.path.glob(".*.tmp"))


def test_a_checkpoint_from_the_last_step_of_an_epoch_leaves_that_epoch_to_be_logged_once():
    """Killed between the two, the run logged the epoch a second time when it went on."""
    run = trainings.enqueue(SHORT)
    for epoch in (1, 2):
        run.append("log.jsonl", {"epoch": epoch})
        run.append("steps.jsonl", {"at": epoch})
    at = SimpleNamespace(run=run, training=SimpleNamespace(epoch=1, step=12, steps=12))
    worker._Diary._trim_log(at)
    assert [row["epoch"] for row in run.epochs] == [1]
    assert [row["at"] for row in run.lines("steps.jsonl")] == [1, 2]


@pytest.mark.parametrize("damage", ["truncated", "a bit", "emptied"])
def test_behind_a_damaged_checkpoint_lies_the_one_before(damage, uninterrupted):
    run = trainings.enqueue(SHORT)
    for event in worker.work(run):
        if getattr(event, "best", None) is not None and event.epoch == 4:
            run.ask("stop")
            time.sleep(0.3)
    assert run.status == "stopped"
    path = run.file(CHECKPOINT)
    content = path.read_bytes()
    bit = content[:5000] + bytes([content[5000] ^ 1]) + content[5001:]
    path.write_bytes({"truncated": content[: len(content) // 2], "a bit": bit, "emptied": b""}[damage])
    assert same(ending(finish(trainings.requeue(run.name))), uninterrupted)
    assert "went on from the checkpoint before" in run.state["note"]
    for name in (path, earlier(path)):
        name.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"last\.ckpt: the checkpoint cannot be read"):
        latest_checkpoint(path)


def test_a_frozen_worker_is_ended_by_the_command_that_stops_it(monkeypatch, capsys):
    monkeypatch.setattr(trainings, "HANGS", 0.5)
    run = running()
    os.kill(run.state["pid"], signal.SIGSTOP)
    assert main(["stop", run.name]) == 0
    assert capsys.readouterr().out == f"{run.name}: stopped\n"
    assert not run.alive
    reached = len(run.epochs)
    trainings.resume(run.name)
    wait_for(lambda: len(run.epochs) > reached)
    assert main(["stop", run.name, "--how", "pause", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": run.name, "status": "paused"}


def test_damaged_log_and_state_files_break_no_list_and_no_resume():
    run = running()
    names = ["log.jsonl", "steps.jsonl", "state.json", "about.json", "classes.json"]
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped" and not run.alive)
    run.append("steps.jsonl", {"at": 0.5, "loss": 2.3, "accuracy": 0.1})  # a fast machine writes epochs only
    for name in names:
        content = run.file(name).read_bytes()
        run.file(name).write_bytes(content[: len(content) * 2 // 3] + b"\xff\x00{")
        assert run.summary()["run"] == run.name
    assert run.status == "stopped"  # by the request, for its state says nothing any more
    trainings.resume(run.name)
    wait_for(lambda: run.status == "training")
    trainings.stop(run.name, "finish")
    wait_for(lambda: run.status == "finished")


def fill(place):
    with suppress(OSError), open(place / "filler", "ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_on_a_full_disk_a_run_fails_in_one_sentence_and_goes_on_when_there_is_room(small, veteran):
    run = running()
    fill(small)
    wait_for(lambda: run.status == "failed" and not run.alive, 3)
    assert run.state["error"] == "The disk is full; make some room and try again."
    fill(small)
    assert opens(veteran)
    before = [other.name for other in list_runs()]
    with pytest.raises(OSError, match="No space left") as caught:
        trainings.start(SHORT)
    assert "disk is full" in in_words(caught.value)
    assert [other.name for other in list_runs()] == before
    (small / "filler").unlink()
    reached = len(run.epochs)
    trainings.resume(run.name)
    wait_for(lambda: len(run.epochs) > reached)
    assert [row["epoch"] for row in run.epochs] == list(range(1, len(run.epochs) + 1))
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped")


def test_a_read_only_workspace_can_be_looked_at_and_says_why_nothing_begins(small, veteran):
    finished, lost = finish(trainings.enqueue(Recipe(epochs=1))), trainings.enqueue(SHORT)
    lost.update(phase="training")
    with lost.lock:
        pass
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    try:
        assert finished.status == "finished"
        assert opens(veteran)
        assert open_run(lost.name).status == "lost"
        for page in ("home", "train", "runs", "predict", "evaluate", "dataset"):
            test = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
            test.query_params["run"] = finished.name
            assert not test.run().exception
        test = AppTest.from_file(str(ROOT / "pages" / "train.py"), default_timeout=60).run()
        test.button(key="start").click().run()
        assert not test.exception
        assert "read\\-only; nothing can be kept there" in test.error[0].value
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)


def a_set(name="pets"):
    import_dataset([Item(f"{i}.png", picture(i), ("cat", "dog")[i % 2]) for i in range(60)], name)
    return name


def test_pictures_changed_while_it_learns_do_not_disturb_it_and_resume_says_so():
    run = running(Recipe(dataset=a_set(), epochs=1000, device="cpu", precision="float32"))
    edit("pets", Edit("relabel", (0, 2, 4), "dog"))
    reached = len(run.epochs)
    wait_for(lambda: len(run.epochs) > reached + 3)
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped" and not run.alive)
    trainings.resume(run.name)
    wait_for(lambda: run.status == "failed")
    assert "has changed since" in run.state["error"]
    assert run.usable


def test_pictures_deleted_while_it_learns_do_not_disturb_it_and_resume_says_so():
    run = running(Recipe(dataset=a_set(), epochs=1000, device="cpu", precision="float32"))
    delete_dataset("pets")
    reached = len(run.epochs)
    wait_for(lambda: len(run.epochs) > reached + 3)
    trainings.stop(run.name, "finish")
    wait_for(lambda: run.status == "finished")
    other = running(Recipe(dataset=a_set("more"), epochs=1000, device="cpu", precision="float32"))
    kill(other)
    delete_dataset("more")
    trainings.resume(other.name)
    wait_for(lambda: other.status == "failed")
    assert "more" in other.state["error"]


def test_a_clock_set_back_confuses_neither_the_status_nor_the_queue(monkeypatch, veteran):
    """What was written down before lies in the future then."""
    now = time.time
    first = running()
    monkeypatch.setattr(time, "time", lambda: now() - 86400)
    monkeypatch.setattr(time, "time_ns", lambda: int((now() - 86400) * 1e9))
    assert first.status == "training"
    assert first.silent_seconds == 0
    second = trainings.enqueue(SHORT)
    assert second.status == "new"
    assert [run.name for run in queue.live_runs()] == [
        first.name,
        second.name,
    ]  # it came later, whatever the clock says
    assert not queue.may_begin(second)
    kill(first)
    assert queue.may_begin(second)
    assert same_names(list_runs(), [first, second, veteran])


def test_a_clock_set_back_while_it_learns_changes_nothing(monkeypatch, uninterrupted):
    now, run = time.time, trainings.enqueue(SHORT)
    for event in worker.work(run):
        if isinstance(event, Epoch) and event.epoch == 2:
            monkeypatch.setattr(time, "time", lambda: now() - 86400)
            assert run.status == "training"
        if isinstance(event, Epoch) and event.epoch == 4:
            assert run.state["updated"] < now() - 80000
            assert run.silent_seconds < 60
            assert 0 <= run.state["seconds_left"] < 600
    assert same(ending(run), uninterrupted)


def same_names(runs, expected):
    return {run.name for run in runs} == {run.name for run in expected}


STARTER = """
import sys, time
from imgrec import jobs, trainings
from imgrec.recipe import Recipe
import torch, imgrec.models
time.sleep(max(0, float(sys.argv[1]) - time.time()))
print(*(trainings.start(Recipe(epochs=1, device="cpu")).name for _ in range(2)))
"""


def test_two_apps_on_one_workspace_start_at_the_same_moment_and_train_one_after_the_other():
    moment = str(time.time() + 4)
    apps = [
        subprocess.Popen([sys.executable, "-c", STARTER, moment], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    names = [name for app in apps for name in app.communicate()[0].split()]
    assert len(set(names)) == 4
    runs, most = [open_run(name) for name in names], 0

    def over():
        nonlocal most
        most = max(most, sum(run.state.get("phase") == "training" and run.alive for run in runs))
        return all(run.status == "finished" for run in runs)

    wait_for(over)
    assert most == 1
    wait_for(lambda: not os.listdir(folder("runs") / ".queue"))


def test_what_starts_at_the_same_moment_gets_a_place_of_its_own(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    runs = [trainings.enqueue(SHORT) for _ in range(5)]
    assert [run.name for run in queue.live_runs()] == [run.name for run in runs]
    assert [queue.ahead(run) for run in runs] == [0, 1, 2, 3, 4]


def test_the_operator_lets_a_waiting_run_come_next():
    runs = [trainings.enqueue(SHORT) for _ in range(4)]
    queue.put_first(runs[3].name)
    queue.put_first(runs[2].name)
    assert [runs.index(run) for run in queue.live_runs()] == [0, 2, 3, 1]
    for name in (runs[0].name, create_run(SHORT).name):
        with pytest.raises(RunError, match="does not wait"):
            queue.put_first(name)


def test_the_learning_rate_is_changed_while_it_learns_and_a_resume_keeps_it():
    run = running(dataclasses.replace(LONG, schedule="constant"))
    trainings.set_learning_rate(run.name, 0.0125)
    wait_for(lambda: run.changes)
    [change] = run.changes
    assert change["learning_rate"] == 0.0125
    reached = len(run.epochs)
    wait_for(lambda: len(run.epochs) > reached + 1)
    assert run.epochs[-1]["learning_rate"] == 0.0125
    kill(run)
    trainings.resume(run.name)
    reached = len(run.epochs)
    wait_for(lambda: run.status == "training" and len(run.epochs) > reached)
    assert run.epochs[-1]["learning_rate"] == 0.0125
    assert run.changes == [change]
    assert not run.file(RATE).exists()
    for wrong in (-1.0, float("nan"), 0.0):
        with pytest.raises(RecipeError, match="learning_rate"):
            trainings.set_learning_rate(run.name, wrong)
    trainings.stop(run.name)
    wait_for(lambda: run.status not in LIVE)
    with pytest.raises(RunError, match="only a live run"):
        trainings.set_learning_rate(run.name, 0.1)
