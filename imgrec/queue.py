"""The queue: whose turn it is to train.

It needs no server: every live run leaves a mark in ``runs/.queue``, named by its round, the time it came and what it trains
on, and its worker begins when fewer live marks of its kind come before its own than may train at a time: IMGREC_WORKERS (1)
on each GPU, and as many on the CPU. Rounds keep it fair: whoever has a run in one round gets the next one only in the
following round, behind the first of everybody else. Nothing heavy is imported here, for every waiting worker holds it.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path

from filelock import FileLock, Timeout

from imgrec.home import folder, setting
from imgrec.jobs import LIVE
from imgrec.language import tr
from imgrec.runs import Run, RunError, open_run


def lock() -> FileLock:
    """Held while a place in the queue is given, so that no two are given at once."""
    folder("runs").mkdir(parents=True, exist_ok=True)
    return FileLock(folder("runs") / ".queue.lock", timeout=10)


def join(run: Run) -> None:
    """Give a run its place; hold the `lock` meanwhile."""
    _marks().mkdir(exist_ok=True)
    for mark, other in _marked():
        if other.name == run.name or other.status not in LIVE:
            (_marks() / mark).unlink(missing_ok=True)
    came = [_place(mark)[1] for mark, _ in _marked()]
    (_marks() / _mark(_round(run), max([time.time_ns(), *(moment + 1 for moment in came)]), run)).touch()


def keep_place(run: Run) -> None:
    """See to it that a run has a place: its worker may have come so late that it was taken for lost."""
    with suppress(Timeout), lock():
        if all(other.name != run.name for _, other in _marked()):
            join(run)


def leave(run: Run) -> None:
    """Give a run's place up, if it has one; hold the `lock` meanwhile."""
    for mark, other in _marked():
        if other.name == run.name:
            (_marks() / mark).unlink(missing_ok=True)


def leave_ended(run: Run) -> None:
    """The same for a run that has ended, and was not put back into the queue at once."""
    with suppress(Timeout), lock():
        if run.state.get("phase") != "new":
            leave(run)


def put_first(name: str) -> Run:
    """Let a waiting run come next, before all others that wait. Raises RunError if it does not wait."""
    run = open_run(name)
    with lock():
        device = device_of(run)
        waiting = [(mark, other) for mark, other in _marked(device) if other.status in LIVE][workers(device) :]
        mine = next((mark for mark, other in waiting if other.name == name), None)
        if mine is None:
            raise RunError(tr("Run {name} does not wait in the queue.", name=name))
        number, moment = _place(waiting[0][0])
        os.replace(_marks() / mine, _marks() / _mark(number, moment - 1, run))
    return run


def live_runs() -> list[Run]:
    """The runs in the queue whose worker lives, first come first."""
    return [run for _, run in _marked() if run.status in LIVE]


def before(run: Run) -> list[Run]:
    """The live runs that come before this one on the GPUs, or on the CPU if it learns there; the next first."""
    return [other for other in _before(run) if other.status in LIVE]


def ahead(run: Run) -> int:
    """How many those are."""
    return len(before(run))


def may_begin(run: Run) -> bool:
    """Whether it is this run's turn. Looks at no more runs than it takes to say no, for each that waits asks again and again."""
    most = workers(device_of(run))
    live = (other for other in _before(run) if other.status in LIVE)
    return len(list(islice(live, most))) < most


def expected_wait(run: Run) -> float | None:
    """Seconds until it should be this run's turn, if what waits takes as long as what trains; None if nobody can tell."""
    most, states = workers(device_of(run)), [other.state for other in before(run)]
    left = [state.get("seconds_left") for state in states[:most]]
    if len(left) < most or not all(isinstance(seconds, int | float) for seconds in left):
        return 0.0 if len(left) < most else None
    whole = [seconds / max(1e-3, 1 - state.get("progress", 0)) for seconds, state in zip(left, states, strict=False)]
    for _ in states[most:]:
        heapq.heapreplace(left, min(left) + sum(whole) / len(whole))
    return min(left)


def workers(device: str) -> int:
    """How many runs may train at a time on all GPUs together, or on the CPU."""
    return max(1, int(setting("IMGREC_WORKERS", 1))) * (len(gpus()) if device == "gpu" else 1)


def device_of(run: Run) -> str:
    """What a run waits for: "gpu" or "cpu"; where it cannot be read, it ends at once when its turn has come."""
    with suppress(RunError):
        return "gpu" if gpus() and run.recipe.device != "cpu" else "cpu"
    return "cpu"


def gpus() -> list[str]:
    """The GPUs that trainings may use, by their numbers or names in CUDA_VISIBLE_DEVICES; found without torch."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1")]
    drivers = Path("/proc/driver/nvidia/gpus")
    return [str(number) for number, _ in enumerate(drivers.iterdir())] if drivers.is_dir() else []


def take_gpu(run: Run) -> str | None:
    """The GPU that the fewest of the runs that train use, which this run uses from now on; None if it needs none."""
    if run.recipe.device == "cpu" or not gpus():
        return None
    with lock():
        taken = [other.state.get("gpu") for other in live_runs() if other.name != run.name]
        chosen = min(gpus(), key=taken.count)
        run.update(gpu=chosen)
    return chosen


def _marks() -> Path:
    return folder("runs") / ".queue"


def _mark(number: int, moment: int, run: Run) -> str:
    return f"{number:06d}-{moment:020d}-{device_of(run)}_{run.name}"


def _place(mark: str) -> tuple[int, int]:
    """The round of a mark, and the time it came."""
    return int(mark[:6]), int(mark[7:27])


def _marked(device: str = "") -> Iterator[tuple[str, Run]]:
    """The marks and their runs in order: of all devices or of one."""
    marks = sorted(os.listdir(_marks())) if _marks().is_dir() else []
    for mark in marks:
        place, _, name = mark.partition("_")
        if place.endswith(device):
            yield mark, Run(folder("runs") / name)


def _before(run: Run) -> Iterator[Run]:
    runs = (other for _, other in _marked(device_of(run)))
    return takewhile(lambda other: other.name != run.name, runs)


def _visitor(run: Run) -> str:
    """Who started a run; all that were started without a page are one visitor's."""
    return owner.visitor if (owner := run.owner) else ""


def _round(run: Run) -> int:
    """The round in which a run comes: after its owner's last one, and never before those whose turn it is now."""
    device = device_of(run)
    live = [(_place(mark)[0], other) for mark, other in _marked(device)]
    now = [number for number, _ in live[: workers(device)]]
    mine = [number + 1 for number, other in live if _visitor(other) == _visitor(run)]
    return max([0, *now, *mine])
