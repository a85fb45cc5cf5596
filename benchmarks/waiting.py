"""What forty trainings that wait for their turn cost the one whose turn it is.

``python -m benchmarks.waiting`` trains the seed CNN on digits in a workspace of its own, alone and before a queue in turns,
and compares how many pictures per second it learns from. Exit status 1: it loses more than LOSS.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time

LOSS = 0.2  # share of its speed that a training may lose to those that wait
SETTLED, SECONDS = 5.0, 15.0  # until a queue stands, and what is measured


def pictures(run) -> float:
    """How many pictures a run has learned from, as it says itself."""
    return run.state["progress"] * run.recipe.epochs * run.read("about.json")["images"]


def measured(run) -> float:
    """Pictures per second over the next SECONDS."""
    before, began = pictures(run), time.perf_counter()
    time.sleep(SECONDS)
    return (pictures(run) - before) / (time.perf_counter() - began)


def main() -> int:
    """Take turns, print medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiting", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGREC_HOME"] = home
        return 0 if compare(options) else 1


def compare(options: argparse.Namespace) -> bool:
    from imgrec import queue, trainings
    from imgrec.recipe import Recipe

    run, rates = trainings.start(Recipe(epochs=1000)), {"alone": [], "before a queue": []}
    try:
        for _ in range(options.rounds):
            for name in rates:
                count = options.waiting if name != "alone" else 0
                others = trainings.start_all([Recipe(seed=seed) for seed in range(count)])
                while not all(each.alive for each in (run, *others)) or run.status != "training":
                    time.sleep(0.1)
                time.sleep(SETTLED)
                rates[name].append(measured(run))
                for each in reversed(others):
                    trainings.stop(each.name)
                while any(each.alive for each in others):
                    time.sleep(0.1)
    finally:
        for each in reversed(queue.live_runs()):
            trainings.stop(each.name)
        while any(each.alive for each in queue.live_runs()):
            time.sleep(0.1)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        print(f"  {name:15} {middle[name]:8,.0f} pictures/s  (from {min(values):,.0f} to {max(values):,.0f})")
    ratio = middle["before a queue"] / middle["alone"]
    print(f"  before a queue of {options.waiting} ÷ alone  {ratio:.2f}   (target: {1 - LOSS})")
    return ratio >= 1 - LOSS


if __name__ == "__main__":
    sys.exit(main())
