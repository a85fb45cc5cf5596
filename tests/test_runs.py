"""The run directory tells the truth: files are whole, and the status is what really is."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imgrec import run_table, runs
from imgrec.home import folder
from imgrec.jobs import STATUSES
from imgrec.recipe import Recipe
from imgrec.run_table import rows
from imgrec.runs import (
    MOST_AWAY,
    Notes,
    Run,
    RunError,
    create_run,
    delete_run,
    list_runs,
    open_run,
    restore_run,
    usable_runs,
)

ROOT = Path(__file__).parent.parent
HOLD = (
    "import sys; from imgrec.runs import open_run; lock = open_run(sys.argv[1]).lock.acquire(); print('held'); input()"
)


@pytest.fixture
def holder():
    """Call it with a run: another process holds the run's lock until it is killed."""
    processes = []

    def start(run):
        command = [sys.executable, "-uc", HOLD, run.name]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        processes.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_new_run_is_new_then_lost_when_no_worker_came(monkeypatch):
    run = create_run(Recipe())
    assert run.status == "new"
    monkeypatch.setattr("imgrec.jobs.START_GRACE", 0)
    assert run.status == "lost"


@pytest.mark.parametrize("phase", ["waiting", "training"])
def test_a_live_phase_holds_only_while_somebody_holds_the_lock(phase, holder):
    run = create_run(Recipe())
    run.update(phase=phase)
    assert run.status == "lost"
    process = holder(run)
    assert run.status == phase
    process.kill()
    process.wait()
    assert run.status == "lost"


@pytest.mark.parametrize("phase", ["paused", "finished", "stopped", "failed"])
def test_an_ended_phase_stays_whatever_the_lock_says(phase):
    run = create_run(Recipe())
    run.update(phase=phase)
    assert run.status == phase


def test_a_worker_that_died_after_a_stop_is_stopped_not_lost():
    run = create_run(Recipe())
    run.update(phase="training")
    run.ask("stop")
    assert run.status == "stopped"


def test_a_run_that_is_to_finish_before_its_worker_came_is_still_new(monkeypatch):
    run = create_run(Recipe())
    run.ask("finish")
    assert run.status == "new"
    run.ask("stop")
    assert run.status == "stopped"
    run.file("stop").unlink()
    monkeypatch.setattr("imgrec.jobs.START_GRACE", 0)  # it did not come
    assert run.status == "stopped"


def test_every_status_has_its_sentence():
    assert all(text.endswith(".") for text in STATUSES.values())


def test_a_line_without_its_newline_is_not_there_yet():
    run = create_run(Recipe())
    run.append("log.jsonl", {"epoch": 1})
    with run.file("log.jsonl").open("a") as stream:
        stream.write('{"epoch": 2')
    assert run.epochs == [{"epoch": 1}]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe\x00", b"[1]", b"null"])
def test_a_damaged_state_file_breaks_nothing(damage):
    run = create_run(Recipe())
    run.file("state.json").write_bytes(damage)
    assert run.state == {}
    assert run.status == "lost"
    assert run.summary()["run"] == run.name


def test_a_damaged_recipe_is_an_error_that_names_the_run_and_lists_still_work():
    run = create_run(Recipe())
    run.file("recipe.json").write_text('{"epochs": 0}')
    with pytest.raises(RunError, match=run.name):
        _ = Run(run.path).recipe
    assert [r.summary()["status"] for r in list_runs()] == ["failed"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", ".queue", "nothing", "a\0b", "x" * 300])
def test_a_name_that_is_no_run_is_refused(name):
    create_run(Recipe())
    with pytest.raises(RunError):
        open_run(name)


def test_runs_of_one_minute_get_different_names_and_the_newest_is_first():
    runs = [create_run(Recipe()) for _ in range(12)]
    assert len({run.name for run in runs}) == 12
    assert [run.name for run in list_runs()][:2] == [runs[-1].name, runs[-2].name]


def test_a_data_set_with_options_becomes_a_plain_folder_name():
    assert create_run(Recipe(dataset="shapes:size=64,difficulty=hard")).name.endswith("shapes-size-64-difficulty-hard")


def test_a_reader_never_sees_half_a_state():
    run = create_run(Recipe())
    done = threading.Event()

    def write_again_and_again():
        while not done.is_set():
            Run(run.path).write("state.json", {"phase": "training", "text": "x" * 100_000})

    writer = threading.Thread(target=write_again_and_again)
    writer.start()
    try:
        for _ in range(300):
            assert "phase" in json.loads(run.file("state.json").read_text())
    finally:
        done.set()
        writer.join()


def test_only_a_run_that_is_not_live_can_be_deleted(holder):
    run = create_run(Recipe())
    run.update(phase="training")
    process = holder(run)
    with pytest.raises(RunError, match="stop it first"):
        delete_run(run)
    process.kill()
    process.wait()
    delete_run(run)
    assert not run.path.exists()


def test_only_a_run_with_weights_is_usable(trained, workspace, monkeypatch):
    assert trained.name in [run.name for run in usable_runs()]
    monkeypatch.setenv("IMGREC_HOME", str(workspace))
    create = create_run(Recipe())
    assert create.name not in [run.name for run in usable_runs()]
    for name in ("classes.json", "best.safetensors"):
        shutil.copy(trained.file(name), create.file(name))
        assert create.usable == (name == "best.safetensors")
    time.sleep(0.02)  # the clock of the disk goes in steps
    create.file("best.safetensors").unlink()
    assert not create.usable


def test_a_run_of_a_network_of_ones_own_has_a_name_that_every_system_takes():
    run = create_run(Recipe(model="custom:conv 8 kernel=3,max 2", dataset="shapes:size=64"))
    assert set(":,= ") & set(run.name) == set()
    assert run.title == "custom on shapes:size=64"
    assert open_run(run.name).recipe.model == "custom:conv 8 kernel=3,max 2"


def test_a_deleted_run_comes_back_whole_unless_its_name_is_taken():
    run = create_run(Recipe())
    run.update(phase="finished")
    delete_run(run)
    assert run.name not in [other.name for other in list_runs()]
    assert restore_run(run.name).status == "finished"
    delete_run(run)
    run.path.mkdir()
    with pytest.raises(RunError, match="There is a run named"):
        restore_run(run.name)
    with pytest.raises(RunError, match="gone for good"):
        restore_run("../" + run.name + "x")


def test_only_the_last_deleted_runs_are_kept():
    runs = [create_run(Recipe()) for _ in range(MOST_AWAY + 3)]
    away = runs[0].path.parent / ".away"
    for number, run in enumerate(runs):
        run.update(phase="stopped")
        delete_run(run)
        os.utime(away / run.name, (time.time() - 1000 + number,) * 2)
    assert len(list(away.iterdir())) == MOST_AWAY
    with pytest.raises(RunError, match="gone for good"):
        restore_run(runs[0].name)
    restore_run(runs[-1].name)


def forget():
    """What a server that is started anew does not know."""
    run_table._rows.clear()


def test_what_the_table_says_of_runs_that_ended_is_kept_for_the_next_server(monkeypatch):
    ended = [create_run(Recipe()) for _ in range(run_table.WORTH + 1)]
    for run in ended:
        run.update(phase="stopped")
    live, read = create_run(Recipe()), []
    before = rows(bundled=False)
    forget()
    whole = run_table._row
    monkeypatch.setattr(run_table, "_row", lambda run: read.append(run.name) or whole(run))
    assert rows(bundled=False) == before
    assert read == [live.name]
    ended[3].annotate(Notes(True))
    delete_run(ended[5])
    forget()
    after = {row["run"]: row for row in rows(bundled=False)}
    assert read == [live.name, live.name, ended[3].name]
    assert after[ended[3].name]["star"]
    assert ended[5].name not in after


@pytest.mark.parametrize(
    "damage", [b"", b"[1]", b'{"form": 3, "rows": [[1, {}]]}', b"\xff", b'{"form": [], "rows": 7}']
)
def test_a_damaged_list_of_rows_is_read_anew_from_the_runs(damage):
    for _ in range(3):
        create_run(Recipe()).update(phase="stopped")
    before = rows(bundled=False)
    (folder("runs") / run_table.ROWS).write_bytes(damage)
    forget()
    assert rows(bundled=False) == before


def test_notes_are_kept_cut_and_shown_in_the_table():
    run = create_run(Recipe(learning_rate=0.01))
    run.update(phase="stopped")
    assert rows(bundled=False)[0]["star"] is False
    run.annotate(Notes(True, ("class 7b", " class  7b ", "", "x" * 100), "  a word " + "y" * 5000))
    [row] = rows(bundled=False)
    assert (row["star"], row["tags"]) == (True, ["class 7b", "x" * 40])
    assert row["note"].startswith("a word y")
    assert len(row["note"]) <= 2000
    assert (row["learning_rate"], row["status"]) == (0.01, "stopped")
    run.write("notes.json", {"tags": 3, "text": None})
    assert run.notes.tags == ()
    with pytest.raises(RunError, match="comes with imgrec"):
        list_runs(bundled=True)[-1].annotate(Notes(True))


def test_many_who_look_at_a_lost_run_at_once_all_find_it_lost():
    run = runs.create_run(Recipe())
    run.update(phase="training")
    with run.lock:
        pass  # its worker is dead; the file of its lock stays
    found = set()

    def look():
        for _ in range(300):
            found.add(run.status)

    lookers = [threading.Thread(target=look) for _ in range(6)]
    for each in lookers:
        each.start()
    for each in lookers:
        each.join()
    assert found == {"lost"}
