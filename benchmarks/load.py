"""Whether a class fits on one server: 50 browser tabs watch a training, then 100 use the pages with nothing training.

``python -m benchmarks.load`` speaks the browser's own WebSocket protocol to a real server on loopback, within minutes.
Every figure has its target beside it. Exit status 1: a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.dashboard import Viewer, Watcher, server, tab
from imgrec import trainings
from imgrec.jobs import LIVE
from imgrec.recipe import Recipe
from imgrec.runs import Run

PAGES = (
    "",
    "train",
    "predict",
    "evaluate",
    "dataset",
    "augment",
    "networks",
    "runs",
    "learn_convolution",
    "learn_softmax",
)
INTERACTION, SLOWER, PER_SESSION, STAYS = 2.0, 0.15, 15.0, 1.0  # targets with a training: seconds, share, MB
ROUNDS = 10
RERUN, READY = 0.4, 3.0  # and without: seconds for a rerun, for a page's first drawing


def percentile(times: list[float], share: int = 95) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[share - 1] if len(times) > 1 else max(times)


def megabytes(pid: int) -> float:
    """What the process has asked for itself. Libraries are left out: others that use them come and go."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024 / 1e6


def speed(run: Run, seconds: float) -> float:
    """Epochs per second of a run over a while."""
    before, began = run.state["progress"], time.monotonic()
    time.sleep(seconds)
    return (run.state["progress"] - before) * run.recipe.epochs / (time.monotonic() - began)


async def aspeed(run: Run, seconds: float) -> float:
    return await asyncio.to_thread(speed, run, seconds)


async def watchers(host: str, pid: int, run: Run, tabs: int, seconds: float) -> dict[str, float]:
    """``tabs`` watch a run, each asking as the page does; now and then one clicks to a page and back.

    They look and rest in turns, ROUNDS times ``seconds``, for the machine's own speed wanders more than what is measured.
    """
    times: dict[str, list[float]] = {"poll": [], "click": []}
    looking, opened, over = asyncio.Event(), asyncio.Semaphore(4), asyncio.Event()

    async def one(number: int) -> None:
        chance, query = random.Random(number), f"run={run.name}"
        async with tab(host) as socket, Watcher(host, run.name, number) as watcher:
            viewer = Viewer(socket)
            async with opened:  # a class does not press Enter in the same millisecond
                await viewer.ask(query=query)
                await viewer.ask("train", query)
            while not over.is_set():
                if not looking.is_set():
                    await looking.wait()
                    await asyncio.sleep(watcher.pace * number / tabs)
                if chance.random() < watcher.pace / 60:  # about one click in a minute
                    times["click"].append(await viewer.ask(chance.choice(PAGES), query))
                    await asyncio.sleep(1)
                    times["click"].append(await viewer.ask("train", query))
                times["poll"].append(await watcher.ask())
                await asyncio.sleep(max(0.0, watcher.pace - times["poll"][-1]))

    before = await asyncio.to_thread(megabytes, pid)
    crowd = [asyncio.create_task(one(number)) for number in range(tabs)]
    await asyncio.sleep(10)  # until all have opened their page
    quiet, watched = [await aspeed(run, seconds)], []
    for _ in range(ROUNDS):
        looking.set()
        watched.append(await aspeed(run, seconds))
        looking.clear()
        quiet.append(await aspeed(run, seconds))
    during = await asyncio.to_thread(megabytes, pid)
    over.set()
    looking.set()
    await asyncio.gather(*crowd)
    print("  epochs per minute, in turns unwatched and watched:", *(f"{60 * v:.0f}" for v in alternate(quiet, watched)))
    slower = [1 - v / ((a + b) / 2) for a, v, b in zip(quiet, watched, quiet[1:], strict=False)]
    return {
        "slower": statistics.median(slower),
        "poll": percentile(times["poll"]),
        "click": percentile(times["click"]),
        "clicks": len(times["click"]),
        "before": before,
        "during": during,
    }


def alternate(quiet: list[float], watched: list[float]) -> list[float]:
    return [value for pair in itertools.zip_longest(quiet, watched) for value in pair if value is not None]


async def readers(host: str, tabs: int, seconds: float) -> dict[str, float]:
    """``tabs`` go through the pages with nothing training: first drawings, then reruns of what is open, one in 5 s each."""
    first: list[float] = []
    again: list[float] = []

    async def one(number: int) -> None:
        chance, query = random.Random(number), "dataset=digits"
        await asyncio.sleep(chance.random() * 20)
        async with tab(host) as socket:
            viewer = Viewer(socket)
            await viewer.ask(query=query)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                page = chance.choice(PAGES)
                first.append(await viewer.ask(page, query))
                for _ in range(2):
                    await asyncio.sleep(chance.uniform(3, 7))
                    again.append(await viewer.ask(page, query))
                await asyncio.sleep(chance.uniform(3, 7))

    await asyncio.gather(*(one(number) for number in range(tabs)))
    return {"first": percentile(first), "again": percentile(again), "reruns": len(again)}


async def warm(host: str) -> None:
    """Open every page once: its modules are loaded, and what is computed once is computed."""
    async with tab(host) as socket:
        viewer = Viewer(socket)
        await viewer.ask(query="dataset=digits")
        for page in PAGES:
            await viewer.ask(page, "dataset=digits")


def line(what: str, value: float, target: float, unit: str) -> bool:
    met = value < target
    print(f"  {what:<58} {value:8.2f} {unit:<3} (target: < {target:g}{'' if met else ', missed'})")
    return met


def still_training(run: Run) -> None:
    if run.status not in LIVE:
        raise RuntimeError(f"the training is {run.status}: {run.state.get('error')}")


def with_training(tabs: int, seconds: float) -> bool:
    print(f"{tabs} tabs watch a run that trains")
    with server() as (host, pid):
        asyncio.run(warm(host))
        run = trainings.start(Recipe(dataset="shapes", epochs=1000))
        try:
            while len(run.epochs) < 2:
                still_training(run)
                time.sleep(0.2)
            found = asyncio.run(watchers(host, pid, run, tabs, seconds))
            still_training(run)
        finally:
            if run.status in LIVE:
                trainings.stop(run.name)
        time.sleep(190)  # after two minutes Streamlit forgets who left; once a minute the server tidies up
        after = megabytes(pid)
    each = (found["during"] - found["before"]) / tabs
    print(f"  memory: {found['before']:.0f} MB, {found['during']:.0f} MB with all, {after:.0f} MB when they had left")
    return all(
        (
            line(f"95th percentile of {found['clicks']} clicks to a page", found["click"], INTERACTION, "s"),
            line("95th percentile of the polls", found["poll"], INTERACTION, "s"),
            line("the training is slower by", found["slower"], SLOWER, ""),
            line("memory of a session", each, PER_SESSION, "MB"),
            line("what stays of it when they have left", (after - found["before"]) / tabs, STAYS, "MB"),
        )
    )


def without_training(tabs: int, seconds: float) -> bool:
    print(f"{tabs} tabs, nothing trains")
    with server() as (host, _):
        asyncio.run(warm(host))
        found = asyncio.run(readers(host, tabs, 4 * seconds))
    return all(
        (
            line(f"95th percentile of {found['reruns']} reruns of an open page", found["again"], RERUN, "s"),
            line("95th percentile until a page is drawn for the first time", found["first"], READY, "s"),
        )
    )


def main() -> int:
    """Run the benchmark in a workspace of its own and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--watchers", type=int, default=50, help="tabs that watch a training; 0 leaves that out")
    parser.add_argument("--readers", type=int, default=100, help="tabs with nothing training; 0 leaves that out")
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGREC_HOME"] = home
        asked = ((with_training, options.watchers), (without_training, options.readers))
        met = [measure(tabs, options.seconds) for measure, tabs in asked if tabs]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
