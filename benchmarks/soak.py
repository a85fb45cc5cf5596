"""Nothing is left behind: many short runs in a row, started and stopped, paused, killed and resumed at random.

``python -m benchmarks.soak`` counts the processes, file handles, locks and queue marks before and after a hundred runs.
Exit status 1: something stayed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress

import psutil

from imgrec import trainings
from imgrec.home import home
from imgrec.jobs import LIVE
from imgrec.recipe import Recipe
from imgrec.runs import Run

WAYS = ("left alone", "stop", "pause", "finish", "kill", "resume")


def held() -> dict[str, int]:
    """What this program and its workers hold, after the last of them had time to end."""
    time.sleep(5)
    me = psutil.Process()
    children = [child for child in me.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    workers = [
        p
        for p in psutil.process_iter(["cmdline"])
        if "imgrec" in (p.info["cmdline"] or []) and str(os.getpid()) != str(p.pid)
    ]
    marks = home() / "runs" / ".queue"
    return {
        "processes": len(children),
        "workers anywhere": len([p for p in workers if p.info["cmdline"][1:3] == ["-m", "imgrec"]]),
        "zombies": len(me.children(recursive=True)) - len(children),
        "file handles": me.num_fds() if os.name != "nt" else me.num_handles(),
        "threads": me.num_threads(),
        "queue marks": len(list(marks.iterdir())) if marks.is_dir() else 0,
        "locked runs": sum(run.alive for run in runs()),
        "half files": sum(len(list(run.path.rglob("*.tmp"))) for run in runs() if run.status != "lost"),
        "reserves": sum(run.file("reserve").exists() for run in runs() if run.status != "lost"),
    }


def runs() -> list[Run]:
    return [Run(path) for path in (home() / "runs").glob("[0-9]*")]


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("a run did not come to its end in a minute")
        time.sleep(0.05)


def one(way: str, chance: random.Random) -> str:
    """Start a run, do that to it at a random moment, and see how it ends."""
    run = trainings.start(
        Recipe(dataset="digits", epochs=3 if way == "left alone" else 40, batch_size=128, device="cpu")
    )
    if way != "left alone":
        time.sleep(chance.uniform(0, 5))
        if way in ("kill", "resume") and run.alive:
            with suppress(ProcessLookupError, KeyError):
                os.kill(run.state["pid"], signal.SIGKILL)
        elif run.status in LIVE:
            trainings.stop(run.name, "stop" if way in ("kill", "resume") else way)
        until(lambda: run.status not in LIVE)
        if way == "resume" and run.resumable() is None:
            trainings.resume(run.name)
            time.sleep(chance.uniform(0, 3))
            if run.status in LIVE:
                trainings.stop(run.name)
    until(lambda: run.status not in LIVE and not run.alive)
    return run.status


def soak(count: int, seed: int) -> bool:
    """Whether everything is given back after so many runs."""
    chance, ends = random.Random(seed), Counter()
    one("left alone", chance)  # what is loaded once is not counted
    before = held()
    for number in range(count):
        way = chance.choice(WAYS)
        ends[f"{way}: {one(way, chance)}"] += 1
        print(f"\r{number + 1} of {count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    one("left alone", chance)  # the mark of a run that was killed lies there until the next one comes
    after = held()
    for what, times in sorted(ends.items()):
        print(f"  {what:<24} {times}")
    kept = True
    for what, number in before.items():
        kept &= after[what] <= number
        print(f"  {what:<24} {number} before, {after[what]} after")
    return kept


def main() -> int:
    """Run the benchmark in a workspace of its own and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGREC_HOME"] = place
        return 0 if soak(options.runs, options.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
