"""Worker processes, really started and really killed: what the status says, what is kept, and what goes on."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from conftest import wait_for
from pictures import picture

from imgrec import background, jobs, queue, trainings, worker
from imgrec.data import DatasetError, delete_dataset, list_datasets, open_dataset, uploads
from imgrec.home import check_settings, cores, folder
from imgrec.images import to_png
from imgrec.jobs import LIVE, Owner
from imgrec.models import ModelError
from imgrec.recipe import Recipe, RecipeError
from imgrec.runs import Run, RunError, list_runs, open_run
from imgrec.train import Epoch
from imgrec.weights import WeightsError, load_checkpoint, load_weights

LONG = Recipe(dataset="digits", epochs=500, batch_size=16, device="cpu")


pytestmark = pytest.mark.usefixtures("no_worker_survives")


def running(recipe=LONG):
    run = trainings.start(recipe)
    wait_for(lambda: run.status == "training" and run.epochs)
    return run


def test_a_worker_process_trains_to_the_end_and_is_tested():
    run = trainings.start(Recipe(epochs=2))
    wait_for(lambda: run.status == "finished")
    assert len(run.epochs) == 2
    assert run.read("evaluation.json")["images"] > 300
    assert 0.3 < run.read("evaluation.json")["accuracy"] <= 1
    assert load_weights(run.file("best.safetensors"))[1].classes == tuple("0123456789")
    assert run.read("about.json")["versions"]["torch"] == torch.__version__
    assert queue.live_runs() == []


def test_a_training_that_breaks_down_ends_with_advice_and_its_last_good_weights(monkeypatch):
    """The rate grows a thousandfold after two good epochs: what was kept before that is still whole."""
    from imgrec.train import Training

    rate = Training._rate
    monkeypatch.setattr(Training, "_rate", lambda self: rate(self) if self.epoch < 2 else 1e30)
    run = trainings.enqueue(Recipe(epochs=9, optimiser="sgd", learning_rate=0.05, device="cpu"))
    with pytest.raises(RuntimeError, match=r"stopped being a number in epoch 3\. Lower the learning rate"):
        for _ in worker.work(run):
            pass
    assert run.status == "failed"
    assert "the last good checkpoint is kept" in run.state["error"]
    weights, _ = load_weights(run.file("best.safetensors"))
    assert all(value.isfinite().all() for value in weights.values())
    kept = load_checkpoint(run.file("last.ckpt"))
    assert kept["epoch"] in (1, 2)  # it is kept every two seconds
    assert all(value.isfinite().all() for value in kept["model"].values())


def test_the_state_tells_place_speed_and_time_left_and_moves():
    """Row 4 of the goals: figures for bars within 2 s of each other, and they move."""
    run = running()
    first = run.state
    assert {
        "epoch",
        "step",
        "steps",
        "progress",
        "images_per_second",
        "seconds_left",
        "memory",
        "loss",
        "accuracy",
    } <= first.keys()
    assert first["images_per_second"] > 10
    assert first["memory"] > 10_000_000
    wait_for(lambda: run.state["progress"] > first["progress"], 2)
    assert run.silent_seconds < 2


def test_a_stop_takes_effect_within_two_seconds_and_keeps_the_best():
    run = running()
    asked = time.monotonic()
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped", 2)
    wait_for(lambda: not run.alive, 2)
    assert time.monotonic() - asked < 2
    assert run.usable
    assert load_checkpoint(run.file("last.ckpt"))["epoch"] >= 1


def test_a_paused_run_lets_the_next_one_go_and_goes_on_later():
    run, other = running(), trainings.start(Recipe(epochs=1))
    trainings.stop(run.name, "pause")
    wait_for(lambda: run.status == "paused" and not run.alive)
    wait_for(lambda: other.status == "finished")
    reached = len(run.epochs)
    trainings.resume(run.name)
    wait_for(lambda: run.status == "training" and len(run.epochs) > reached)
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped")


def test_finish_now_tests_the_best_state_so_far_and_stop_still_stops_a_run_that_finishes():
    run = running()
    trainings.stop(run.name, "finish")
    wait_for(lambda: run.status == "finished" and not run.alive)
    assert len(run.epochs) < LONG.epochs
    assert run.read("evaluation.json")["accuracy"] > 0.5
    early = trainings.enqueue(LONG)
    early.ask("finish")  # before there is anything to keep: one epoch is learned first
    for _ in worker.work(early):
        pass
    assert early.status == "finished"
    assert len(early.epochs) == 1
    with pytest.raises(RecipeError, match="choose one of"):
        trainings.stop(run.name, "kill")


def test_the_queue_takes_turns_between_owners_and_never_overtakes_what_is_training():
    """Row 13 of the goals: nobody holds two places ahead of others."""
    ann, ben, cas = (Owner(name, name.title()) for name in ("ann", "ben", "cas"))
    started = [trainings.enqueue(Recipe(epochs=1), owner) for owner in (ann, ann, ann, ben, cas, None, ben)]
    order = [started.index(run) for run in queue.live_runs()]
    assert order == [0, 3, 4, 5, 1, 6, 2]
    assert queue.ahead(started[1]) == 4
    assert [run.name for run in queue.before(started[3])] == [started[0].name]
    for number in order[:4]:
        for _ in worker.work(started[number]):
            pass
    assert queue.may_begin(started[1])
    late = trainings.enqueue(Recipe(epochs=1), Owner("dan", "Dan"))  # its first, but another is at its turn already
    assert [started[1].name, started[6].name, late.name, started[2].name] == [run.name for run in queue.live_runs()]
    assert started[0].owner == ann
    assert started[5].owner is None


def test_what_an_operator_allows_bounds_every_run(monkeypatch):
    monkeypatch.setenv("IMGREC_MAX_EPOCHS", "20")
    with pytest.raises(RecipeError, match="allows 20"):
        trainings.enqueue(Recipe(epochs=21))
    for slip in ("lots", "20 epochs", "nan", "inf", "0,5"):  # must not be no bound
        monkeypatch.setenv("IMGREC_MAX_EPOCHS", slip)
        with pytest.raises(ValueError, match=r"IMGREC_MAX_EPOCHS is .*; give a number"):
            trainings.enqueue(Recipe(epochs=1))
        with pytest.raises(ValueError, match="IMGREC_MAX_EPOCHS"):
            check_settings()
    monkeypatch.setenv("IMGREC_MAX_EPOCHS", " ")
    check_settings()
    monkeypatch.setenv("IMGREC_MAX_MINUTES", "0.002")
    run = trainings.enqueue(LONG)
    for _ in worker.work(run):
        pass
    assert run.status == "finished"
    assert 1 <= len(run.epochs) < LONG.epochs
    assert "allows" in run.state["note"]
    monkeypatch.setenv("IMGREC_MAX_QUEUED", "2")
    waiting = [trainings.enqueue(Recipe(epochs=1)) for _ in range(2)]
    with pytest.raises(RunError, match="2 trainings wait"):
        trainings.enqueue(Recipe(epochs=1))
    for run in waiting:
        for _ in worker.work(run):
            pass
    trainings.enqueue(Recipe(epochs=1))


def test_a_stop_while_the_worker_still_loads_takes_effect_within_two_seconds():
    run = trainings.start(LONG)
    wait_for(lambda: run.alive, every=0.005)
    trainings.stop(run.name)
    wait_for(lambda: run.status == "stopped" and not run.alive, 2.5)


def test_kill_9_shows_as_lost_within_three_seconds_and_resume_goes_on():
    run, other = running(), trainings.start(Recipe(epochs=1))
    os.kill(run.state["pid"], signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: run.status == "lost", 3)
    assert time.monotonic() - killed < 3
    wait_for(lambda: other.status == "finished")  # nothing else breaks: the next in the queue gets its turn
    reached = len(run.epochs)
    trainings.resume(run.name)
    wait_for(lambda: run.status == "training" and len(run.epochs) > reached)
    assert [entry["epoch"] for entry in run.epochs] == list(range(1, len(run.epochs) + 1))


def test_what_was_logged_before_the_first_checkpoint_is_logged_once_when_the_run_goes_on():
    run = trainings.enqueue(Recipe(epochs=2))
    run.append("log.jsonl", {"epoch": 1, "train_loss": 9.0})
    for _ in worker.work(run):
        pass
    assert [entry["epoch"] for entry in run.epochs] == [1, 2]
    assert run.epochs[0]["train_loss"] < 9


def test_one_trains_and_the_next_waits_its_turn():
    first, second = running(), trainings.start(Recipe(epochs=1))
    wait_for(lambda: second.status == "waiting" and second.state.get("ahead") == 1)
    assert [run.name for run in queue.live_runs()] == [first.name, second.name]
    trainings.stop(first.name)
    wait_for(lambda: second.status == "finished")


def test_a_waiting_run_can_be_stopped():
    running()
    second = trainings.start(Recipe(epochs=1))
    wait_for(lambda: second.status == "waiting")
    trainings.stop(second.name)
    wait_for(lambda: second.status == "stopped", 2)


def test_the_worker_outlives_the_process_that_started_it():
    code = "from imgrec import trainings; from imgrec.recipe import Recipe; print(trainings.start(Recipe(epochs=400, batch_size=16)).name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    run = open_run(done.stdout.strip())
    wait_for(lambda: run.status == "training" and run.epochs)


def test_a_training_stands_back_for_the_pages_and_shares_the_cores_with_another(monkeypatch):
    monkeypatch.delenv("IMGREC_NICE")  # set in conftest
    first = trainings.start(LONG)
    process = psutil.Process(wait_for(lambda: first.state.get("pid")))
    assert process.nice() == jobs.LAST > jobs.BEHIND > psutil.Process().nice()
    if sys.platform == "linux":  # where memory runs out, a training is ended and not the pages
        assert int(Path(f"/proc/{process.pid}/oom_score_adj").read_text()) >= 500
    groups = Path(f"/proc/{process.pid}/autogroup")
    assert not groups.exists() or groups.read_text().split()[-1] == str(jobs.LAST)
    monkeypatch.setenv("IMGREC_WORKERS", str(cores()))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    second = trainings.start(LONG)
    other = psutil.Process(wait_for(lambda: second.state.get("pid")))
    assert other.environ()["OMP_NUM_THREADS"] == "1"


def test_each_gpu_trains_one_run_and_a_run_for_the_cpu_takes_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    recipe = dataclasses.replace(LONG, device="auto")
    first, second, third = (trainings.start(recipe) for _ in range(3))
    wait_for(lambda: first.epochs and second.epochs)
    assert {first.state["gpu"], second.state["gpu"]} == {"5", "7"}
    assert third.status == "waiting"
    beside = trainings.start(dataclasses.replace(LONG, epochs=1))
    wait_for(lambda: beside.status == "finished")  # on the CPU, which no run before it uses
    assert third.status == "waiting"
    freed = first.state["gpu"]
    trainings.stop(first.name)
    wait_for(lambda: third.epochs)
    assert third.state["gpu"] == freed
    assert queue.take_gpu(trainings.enqueue(LONG)) is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert queue.take_gpu(trainings.enqueue(recipe)) is None


def test_gpus_and_the_cpu_have_queues_of_their_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    ann, ben = Owner("ann", "Ann"), Owner("ben", "Ben")
    anywhere = dataclasses.replace(LONG, device="auto")
    gpu = [trainings.enqueue(anywhere, owner) for owner in (ann, ann, ann, ann, ben)]
    cpu = [trainings.enqueue(LONG, ann), trainings.enqueue(LONG, ben)]
    assert [queue.ahead(run) for run in gpu] == [0, 1, 3, 4, 2]  # two train, then by rounds
    assert [queue.ahead(run) for run in cpu] == [0, 1]  # what Ann has on the GPUs does not count here
    assert [run.name for run in queue.before(cpu[1])] == [cpu[0].name]
    assert [queue.may_begin(run) for run in gpu + cpu] == [True, True, False, False, False, True, False]
    queue.put_first(gpu[3].name)
    assert [queue.ahead(run) for run in gpu] == [0, 1, 4, 2, 3]
    monkeypatch.setenv("IMGREC_WORKERS", "2")
    assert [queue.may_begin(run) for run in gpu + cpu] == [True, True, False, True, True, True, True]
    cpu[0].file("recipe.json").write_text("nothing")
    with pytest.raises(RunError, match="no readable recipe"):
        list(worker.work(open_run(cpu[0].name)))
    assert queue.ahead(cpu[1]) == 0


def test_the_expected_wait_follows_what_trains(monkeypatch):
    runs = [trainings.enqueue(LONG) for _ in range(4)]
    assert queue.expected_wait(runs[0]) == 0
    assert queue.expected_wait(runs[1]) is None  # the first has not begun
    runs[0].update(seconds_left=30.0, progress=0.75)
    assert queue.expected_wait(runs[1]) == 30
    assert queue.expected_wait(runs[3]) == 30 + 2 * 120
    monkeypatch.setenv("IMGREC_WORKERS", "2")
    assert queue.expected_wait(runs[1]) == 0
    runs[1].update(seconds_left=50.0, progress=0.5)
    assert queue.expected_wait(runs[2]) == 30
    assert queue.expected_wait(runs[3]) == 50
    runs[0].update(seconds_left=None)
    assert queue.expected_wait(runs[3]) is None


def test_two_workers_never_share_a_run():
    run = running()
    with pytest.raises(RunError, match="has a worker already"):
        list(worker.work(run))
    assert run.status == "training"


def test_an_error_in_the_worker_is_written_down():
    run = trainings.enqueue(Recipe(epochs=3))
    broken = run.read("recipe.json") | {"learning_rate": 10, "optimiser": "sgd", "epochs": 30, "momentum": 0.9}
    run.write("recipe.json", broken | {"dataset": "nothing"})
    with pytest.raises(ValueError, match="nothing"):
        list(worker.work(open_run(run.name)))
    assert run.status == "failed"
    assert "nothing" in run.state["error"]
    assert queue.live_runs() == []


def test_a_changed_data_set_is_noticed_at_resume():
    run = running()
    trainings.stop(run.name)
    wait_for(lambda: not run.alive)
    run.write("about.json", run.read("about.json") | {"fingerprint": "another"})
    with pytest.raises(RunError, match="has changed"):
        list(worker.work(jobs_requeue(run)))
    assert run.status == "failed"


def jobs_requeue(run):
    return trainings.requeue(run.name)


def test_only_what_is_live_can_be_stopped_and_only_what_ended_early_resumed(trained):
    with pytest.raises(RunError, match="finished"):
        trainings.stop(trained.name)
    with pytest.raises(RunError, match=f"weights={trained.name}"):
        trainings.resume(trained.name)


@pytest.mark.parametrize(
    ("change", "error"),
    [({"optimiser": "x"}, RecipeError), ({"schedule": "x"}, RecipeError), ({"loss": "x"}, RecipeError), ({"augment": "x=1"}, RecipeError),
     ({"model": "x"}, ModelError), ({"dataset": "x"}, ValueError), ({"weights": "x"}, RunError), ({"weights": "imagenet"}, WeightsError),
     ({"device": "mps"}, RecipeError)],
)  # fmt: skip
def test_what_cannot_begin_is_refused_before_a_run_is_made(change, error):
    with pytest.raises(error):
        trainings.start(Recipe(**change))
    assert list_runs() == []


def test_a_run_starts_from_the_weights_of_another(trained):
    run = trainings.enqueue(Recipe(epochs=1, weights=trained.name, freeze="backbone"))
    for _ in worker.work(run):
        pass
    before, after = (load_weights(r.file("best.safetensors"))[0] for r in (trained, run))
    assert torch.equal(before["features.0.weight"], after["features.0.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])
    (folder("runs") / run.name).rename(folder("runs").parent / run.name)  # leave the shared workspace as it was


def test_whoever_waits_far_back_looks_at_one_run_to_know_that_it_is_not_its_turn(monkeypatch):
    """Forty that looked at all before them, three times a second, left a fifth of its speed to the one that trained."""
    runs = [trainings.enqueue(Recipe(seed=seed)) for seed in range(12)]
    looked, status = [], type(runs[0]).status
    monkeypatch.setattr(type(runs[0]), "status", property(lambda run: looked.append(run.name) or status.fget(run)))
    assert not queue.may_begin(runs[-1])
    assert looked == [runs[0].name]
    assert queue.may_begin(runs[0])
    assert queue.ahead(runs[-1]) == 11


def queued():
    return [run.name for run in queue.live_runs()]


def test_a_run_whose_worker_came_late_gets_a_place_again(monkeypatch):
    late = trainings.enqueue(LONG)
    with monkeypatch.context() as much_later:
        much_later.setattr("imgrec.jobs.START_GRACE", 0)
        other = trainings.enqueue(LONG)  # takes it for lost
    assert queued() == [other.name]
    with closing(worker.work(late)) as begun:
        assert next(begun) == worker.Waiting(1)
        assert queued() == [other.name, late.name]
    assert queued() == [other.name]


def test_a_run_that_is_put_back_while_its_worker_ends_keeps_its_place(monkeypatch):
    first, second = trainings.enqueue(LONG), trainings.enqueue(LONG)
    update = Run.update

    def put_back(run, **changes):
        update(run, **changes)
        if changes.get("phase") == "stopped":
            trainings.requeue(run.name)

    monkeypatch.setattr(Run, "update", put_back)
    with closing(worker.work(second)) as begun:
        next(begun)
    assert queued() == [first.name, second.name]


def test_no_marks_stay_in_the_queue():
    run = trainings.start(Recipe(epochs=1))
    wait_for(lambda: run.status not in LIVE)
    wait_for(lambda: not os.listdir(folder("runs") / ".queue"))


def a_long_import(tmp_path):
    """An upload whose import takes some seconds."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    content = to_png(noise)
    return uploads.bundle([uploads.Loose(f"{i}.png", content, "ab"[i % 2]) for i in range(150)])


def test_an_import_job_reports_every_refused_file_and_removes_the_upload():
    pictures = [uploads.Loose(f"{i}.png", picture(i), "ab"[i % 2]) for i in range(20)]
    upload = uploads.bundle([*pictures, uploads.Loose("bad.png", b"text", "a")])
    job = background.start_import(upload, "mine")
    wait_for(lambda: job.status == "finished")
    report = job.read("report.json")
    assert (report["images"], report["classes"]) == (20, 2)
    assert "bad.png" in report["rejected"][0]["file"]
    assert not upload.exists()
    assert len(open_dataset("mine")) == 20


def test_a_cancelled_import_leaves_nothing(tmp_path):
    upload = a_long_import(tmp_path)
    job = background.start_import(upload, "mine")
    wait_for(lambda: "files" in job.state.get("detail", ""))
    with pytest.raises(DatasetError, match="just now"):
        background.start_import(upload, "mine")
    job.ask("stop")
    wait_for(lambda: job.status == "stopped", 5)
    wait_for(lambda: not upload.exists(), 5)
    assert [path.name for path in folder("datasets").iterdir() if not path.name.startswith(".")] == []
    assert not list(folder("datasets").glob(".incoming-*"))


def test_a_set_belongs_to_who_brought_it_and_not_to_who_adds_to_it():
    ann, ben = Owner("a" * 24, "Ann"), Owner("b" * 24, "Ben")
    for owner, kind, adding in ((ann, "a", False), (ben, "b", True)):
        more = [uploads.Loose(f"{i}{kind}.png", picture(i + 50 * adding), (kind, "c")[i % 2]) for i in range(6)]
        job = background.start_import(uploads.bundle(more), "theirs", adding=adding, owner=owner)
        wait_for(lambda job=job: job.status == "finished")
        assert (job.owner, background.dataset_folder("theirs").owner) == (owner, ann)
    assert len(open_dataset("theirs")) == 12
    delete_dataset("theirs")
    assert background.dataset_folder("theirs").owner is None


def test_a_killed_import_is_lost_and_no_half_set_appears(tmp_path):
    job = background.start_import(a_long_import(tmp_path), "mine")
    wait_for(lambda: "files" in job.state.get("detail", ""))
    os.kill(job.state["pid"], signal.SIGKILL)
    wait_for(lambda: job.status == "lost", 3)
    assert [row.name for row in list_datasets() if row.kind == "imported"] == []
    background.start_import(a_long_import(tmp_path), "mine").ask("stop")  # the name is free again


def test_an_import_of_nothing_usable_fails_in_words(tmp_path):
    job = background.start_import(uploads.bundle([uploads.Loose("x.png", b"text", "a")]), "mine")
    wait_for(lambda: job.status == "failed")
    assert "two classes" in job.state["error"]


def small_upload(kind="a"):
    return uploads.bundle([uploads.Loose(f"{i}.png", picture(i), (kind, "b")[i % 2]) for i in range(4)])


def test_a_refused_import_leaves_no_upload_but_that_of_another_stays(monkeypatch):
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    for name in ("digits", "no/name"):
        with pytest.raises(DatasetError):
            background.start_import(upload := small_upload(), name)
        assert not upload.exists()
    first, second = small_upload(), small_upload()
    job = background.start_import(first, "mine")
    for source in (first, second):
        with pytest.raises(DatasetError, match="just now"):
            background.start_import(source, "mine")
    assert first.exists()  # it is being read
    assert not second.exists()
    job.update(phase="failed")
    job.write("job.json", {**job.read("job.json"), "again": True})
    with monkeypatch.context() as full:
        full.setattr(background, "no_room", lambda: "full")
        with pytest.raises(DatasetError, match="full"):
            background.start_import(first, "mine", unlabelled=True)
    assert first.exists()  # for a third try
    background.start_import(first, "mine", unlabelled=True).update(phase="failed")
    assert first.exists()
    background.start_import(third := small_upload(), "mine")
    assert third.exists()
    assert not first.exists()  # nobody asks for what was replaced any more


def test_of_two_imports_of_one_name_at_once_one_is_told_in_words(monkeypatch):
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    monkeypatch.setattr(background, "no_room", lambda: time.sleep(0.2))  # between the look and the folder
    found, sources = [], [small_upload() for _ in range(4)]

    def one(source):
        try:
            found.append(background.start_import(source, "twice"))
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=one, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [error for error in found if isinstance(error, Exception)]
    assert len(refused) == 3
    assert all(isinstance(error, DatasetError) and "just now" in str(error) for error in refused)
    assert [source for source in sources if source.exists()] == [
        Path(background.bring_folder("twice").read("job.json")["source"])
    ]


def test_what_is_resumed_counts_as_waiting_too(monkeypatch):
    runs = [trainings.enqueue(Recipe(epochs=1)) for _ in range(4)]
    for run in runs:
        run.update(phase="paused")
        queue.leave(run)
    monkeypatch.setenv("IMGREC_MAX_QUEUED", "3")
    for run in runs[:3]:
        trainings.requeue(run.name)
    with pytest.raises(RunError, match="3 trainings wait"):
        trainings.requeue(runs[3].name)
    assert runs[3].status == "paused"
    with pytest.raises(RunError, match="already"):
        trainings.requeue(runs[0].name)
    monkeypatch.setenv("IMGREC_MAX_QUEUED", "4")
    monkeypatch.setattr(trainings, "no_room", lambda: "full")
    with pytest.raises(RunError, match="full"):
        trainings.requeue(runs[3].name)


def test_a_visitor_who_fills_the_queue_shuts_nobody_out(monkeypatch):
    monkeypatch.setenv("IMGREC_MAX_QUEUED", "3")
    ann, others = Owner("a" * 24, "Ann"), [Owner(letter * 24, letter) for letter in "bcdef"]
    for _ in range(3):
        trainings.enqueue(Recipe(epochs=1), ann)
    with pytest.raises(RunError, match="3 trainings wait"):
        trainings.enqueue(Recipe(epochs=1), ann)
    for ben in others[:2]:
        trainings.enqueue(Recipe(epochs=1), ben)
        with pytest.raises(RunError, match="trainings wait"):
            trainings.enqueue(Recipe(epochs=1), ben)
    trainings.enqueue(Recipe(epochs=1), others[2])
    with pytest.raises(RunError, match="6 trainings wait"):  # or whoever invents visitors could go on for ever
        trainings.enqueue(Recipe(epochs=1), others[3])


def test_no_more_studies_at_a_time_than_the_operator_allows(monkeypatch):
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    monkeypatch.setenv("IMGREC_MAX_STUDIES", "2")
    first, _ = (background.start_study("odd", name) for name in ("one", "two"))
    with pytest.raises(DatasetError, match="2 studies"):
        background.start_study("odd", "three")
    assert background.start_study("odd", "two").under_way  # it is already
    first.update(phase="finished")
    background.start_study("odd", "three")


def test_a_study_that_ended_long_ago_is_removed_when_another_begins(monkeypatch):
    monkeypatch.setattr(jobs, "launch", lambda *_, **__: None)
    old, live, young = (background.start_study("odd", name) for name in ("old", "live", "young"))
    for job in (old, young):
        job.update(phase="finished")
    for job in (old, live):
        os.utime(job.path, (0, 0))
    background.start_study("odd", "digits")
    assert [job.path.exists() for job in (old, live, young)] == [False, True, True]


def test_the_minutes_that_an_operator_allows_are_of_a_training_not_of_a_worker(monkeypatch):
    run = trainings.enqueue(LONG)
    for event in worker.work(run):
        if isinstance(event, Epoch) and event.epoch == 2:
            run.ask("pause")
    assert run.status == "paused"
    assert 0 < run.state["learned_seconds"] < 60
    monkeypatch.setenv("IMGREC_MAX_MINUTES", "10")
    run.update(learned_seconds=601.0)
    again = trainings.requeue(run.name)
    for _ in worker.work(again):
        pass
    assert again.status == "finished"
    assert len(again.epochs) < LONG.epochs
    assert again.state["learned_seconds"] > 601
