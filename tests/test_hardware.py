"""A training makes room for other programs, and has all cores where there are none."""

import json
import os
import subprocess
import sys

import pytest
from conftest import unavailable

from imgrec import hardware
from imgrec.home import cores

BUSY = "while True: pass"
LEARN = """
import json, os, time
from imgrec import hardware, jobs, worker
from imgrec.hardware import SharedCores
from imgrec.recipe import Recipe
import torch

counts, look = [], SharedCores.look
SharedCores.look = lambda self: (look(self), counts.append(torch.get_num_threads()))[0]
run, end = jobs.enqueue(Recipe(epochs=1000, batch_size=32, device="cpu", precision="float32")), time.monotonic() + {seconds}
for event in worker.work(run):
    if counts[-1] < hardware.THREADS or time.monotonic() > end:
        break
print(json.dumps([hardware.THREADS, counts[-1], torch.get_num_threads()]))
"""


class Machine:
    """A clock and cores that others hold for a while."""

    def __init__(self, monkeypatch, threads=8):
        self.now = self.lost = 0.0
        self.asked = []
        monkeypatch.setattr(hardware, "THREADS", threads)
        monkeypatch.setattr(hardware.torch, "set_num_threads", self.asked.append)

    def compute(self, shared, seconds, held):
        for _ in range(round(seconds * 10)):
            self.now, self.lost = self.now + 0.1, self.lost + 0.1 * held
            shared.look()


def test_threads_give_way_step_by_step_and_come_back(monkeypatch):
    machine = Machine(monkeypatch)
    with hardware.SharedCores(lambda: machine.now, lambda: machine.lost) as shared:
        machine.compute(shared, 100, 0.3)
        assert (machine.asked, shared.count) == ([], 8)
        machine.compute(shared, 1.0, 1.0)  # a short while says nothing
        machine.compute(shared, 5, 0.0)
        assert machine.asked == []
        machine.compute(shared, 2.2, 1.0)
        assert machine.asked == [4]
        machine.compute(shared, 20, 1.0)
        assert machine.asked == [4, 2, 1]
        machine.compute(shared, 60, 0.0)
        assert machine.asked == [4, 2, 1, 2, 4, 8]
    assert machine.asked[-1] == 8


def test_trials_become_rarer_while_others_stay(monkeypatch):
    machine = Machine(monkeypatch, threads=2)
    with hardware.SharedCores(lambda: machine.now, lambda: machine.lost) as shared:
        for _ in range(6000):
            machine.compute(shared, 0.1, 1.0 if shared.count == 2 else 0.0)  # one alone finds a core
        assert set(machine.asked) == {1, 2}
        assert 4 <= machine.asked.count(2) <= 10  # in ten minutes
    assert machine.asked[-1] == 2


def test_who_has_one_thread_keeps_it(monkeypatch):
    machine = Machine(monkeypatch, threads=1)
    machine.compute(hardware.SharedCores(lambda: machine.now, lambda: machine.lost), 60, 1.0)
    assert machine.asked == []


def test_beside_busy_programs_a_training_takes_fewer_threads(workspace):
    if cores() < 2 or not os.path.exists("/proc/self/schedstat"):
        unavailable("it takes two cores and a system that tells who waits for them")
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores())]
    try:
        more = {"OMP_NUM_THREADS": str(cores())}
        done = subprocess.run(
            [sys.executable, "-c", LEARN.replace("{seconds}", "60")],
            capture_output=True, text=True, env=os.environ | more,
        )  # fmt: skip
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert done.returncode == 0, done.stderr
    all_of_them, used, after = json.loads(done.stdout.splitlines()[-1])
    assert all_of_them > used
    assert after == all_of_them  # the evaluation behind it has them again


@pytest.mark.parametrize("missing", [True, False])
def test_seconds_without_a_core_only_grow_and_are_none_where_the_system_does_not_tell(missing, monkeypatch):
    if missing:
        monkeypatch.setattr(hardware.glob, "iglob", lambda pattern: iter(["/nowhere/schedstat"]))
        assert hardware.seconds_without_a_core() == 0
    else:
        first = hardware.seconds_without_a_core()
        assert 0 <= first <= hardware.seconds_without_a_core()
