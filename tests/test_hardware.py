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
from imgrec import hardware, trainings, worker
from imgrec.hardware import SharedCores
from imgrec.recipe import Recipe
import torch

counts, look = [], SharedCores.look
SharedCores.look = lambda self: (look(self), counts.append(torch.get_num_threads()))[0]
run, end = trainings.enqueue(Recipe(epochs=1000, batch_size=32, device="cpu", precision="float32")), time.monotonic() + {seconds}
for event in worker.work(run):
    if counts[-1] < hardware.THREADS or time.monotonic() > end:
        break
print(json.dumps([hardware.THREADS, counts[-1], torch.get_num_threads()]))
"""


class Machine:
    """A clock, and eight cores of which others may hold some: who asks for more than are left is slow and waits."""

    def __init__(self, monkeypatch, threads=8):
        self.now = self.lost = 0.0
        self.asked = []
        monkeypatch.setattr(hardware, "THREADS", threads)
        monkeypatch.setattr(hardware.torch, "set_num_threads", self.asked.append)

    def compute(self, shared, seconds, held, slowed=20):
        end = self.now + seconds
        while self.now < end:
            missing = max(0, shared.count + held - 8)
            took = 0.1 / shared.count * (slowed if missing else 1)
            self.now, self.lost = self.now + took, self.lost + took * missing
            shared.look()


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def test_a_training_that_is_alone_keeps_all_threads_and_is_not_disturbed_by_a_moment(machine):
    with hardware.SharedCores(lambda: machine.now, lambda: machine.lost) as shared:
        machine.compute(shared, 100, 0.3)
        machine.compute(shared, 1.0, 1.0)
        machine.compute(shared, 100, 0.0)
    assert machine.asked == []


def test_threads_give_way_while_others_hold_cores_and_come_back(machine):
    with hardware.SharedCores(lambda: machine.now, lambda: machine.lost) as shared:
        machine.compute(shared, 3, 1.0)
        assert machine.asked == [4]
        machine.compute(shared, 600, 6.0)
        assert shared.count == 2
        assert 5 <= machine.asked.count(4) <= 15  # all but the first were trials, ever rarer
        machine.compute(shared, 120, 0.0)
        assert (shared.count, machine.asked[-2:]) == (8, [4, 8])
    assert machine.asked[-1] == 8


def test_all_threads_stay_where_fewer_are_no_faster(machine):
    with hardware.SharedCores(lambda: machine.now, lambda: machine.lost) as shared:
        machine.compute(shared, 300, 1.0, slowed=1.5)  # a server that many watch, say
        assert shared.count == 8
        assert set(machine.asked) == {4, 8}


def test_who_has_one_thread_keeps_it(monkeypatch):
    machine = Machine(monkeypatch, threads=1)
    machine.compute(hardware.SharedCores(lambda: machine.now, lambda: machine.lost), 60, 8.0)
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
