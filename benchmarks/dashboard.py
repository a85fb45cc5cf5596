"""How fast the dashboard answers while a training runs: page clicks of one viewer, then many viewers who watch the run.

``python -m benchmarks.dashboard`` speaks the browser's own WebSocket protocol to a real server with torch loaded.
``--compare`` measures both settings of Streamlit's garbage collection side by side. ``--lessons`` measures another thing:
how long after a key moves a control of a lesson all that it changes is drawn in Chromium, with nothing else running.
Exit status 1: a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

from imgrec import trainings
from imgrec.jobs import LIVE
from imgrec.recipe import Recipe
from pages.live_run import PATH

ROOT = Path(__file__).parent.parent
CLICK, POLL = 0.3, 0.5  # seconds: what a click, and a poll of the live view, may take in the median
ROUNDS = 6  # of clicks on every page
WATCH = """() => {
  const drawn = () => [...document.querySelectorAll(
    '[data-testid=stMain] :is(.js-plotly-plot path, img, table, .katex, [data-testid=stMetricValue])')]
    .map((part) => part.getAttribute('d') ?? part.src ?? part.textContent).join();
  const idle = () => document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning';
  window.took = null;
  let moved = false; // to look at the whole page in every frame would cost a tenth of the time that is measured
  const observer = new MutationObserver(() => { moved = true; });
  observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  document.addEventListener('keydown', () => {
    const started = performance.now();
    let seen = drawn(), changed = 0;
    const look = () => {
      const now = performance.now();
      if (moved) {
        const current = drawn();
        if (current !== seen) [seen, changed] = [current, now];
        moved = false;
      }
      if (changed && idle() && now - changed > 400) {
        window.took = changed - started;
        observer.disconnect();
      } else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }, { once: true, capture: true });
}"""  # milliseconds from the key to the last change on the screen, in window.took


class Viewer:
    """One browser tab: asks for a page and waits until the server has drawn it."""

    def __init__(self, socket) -> None:
        self.socket = socket
        self.addresses: dict[str, str] = {}  # address → the hash the server knows the page by

    async def ask(self, address: str = "", query: str = "") -> float:
        """Seconds from the request to the end of the script. Raises RuntimeError if it drew an exception."""
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.page_script_hash = self.addresses.get(address, "")
        started = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while not self._finished(ForwardMsg.FromString(await self.socket.recv())):
            pass
        return time.perf_counter() - started

    def _finished(self, message: ForwardMsg) -> bool:
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            raise RuntimeError(f"the page shows an exception: {message.delta.new_element.exception.message}")
        if kind == "navigation":
            self.addresses = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
        return kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY


class Watcher:
    """What the page of a run does once a second in a browser: ask for what has changed, over one connection."""

    def __init__(self, host: str, run: str, number: int) -> None:
        self.host, self.path = host, f"/{PATH.format(name=run)}?lang=en&me={number}"
        self.pace = 1.0

    async def __aenter__(self) -> Watcher:
        self.reader, self.writer = await asyncio.open_connection(*self.host.split(":"))
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def ask(self) -> float:
        """Seconds to the end of the answer. Raises RuntimeError if it is none of a live run."""
        if self.reader.at_eof():  # the server closes connections on which nothing was asked for some seconds
            await self.__aenter__()
        started = time.perf_counter()
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\nAccept-Encoding: gzip\r\n\r\n"
        self.writer.write(request.encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        body = await self.reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r")[0]))
        took = time.perf_counter() - started
        content = json.loads(gzip.decompress(body))
        if b" 200 " not in head.partition(b"\r\n")[0] or not content["live"]:
            raise RuntimeError(f"{self.path} is not the state of a live run")
        self.pace = content["pace"]
        return took

    async def watch(self, seconds: float, delay: float) -> list[float]:
        """Ask at the pace that the server sets; seconds that each answer took."""
        await asyncio.sleep(delay)
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            times.append(await self.ask())
            await asyncio.sleep(max(0.0, self.pace - times[-1]))
        return times


@contextmanager
def server(collect: bool = False, **settings: str) -> Iterator[tuple[str, int]]:
    """The dashboard: host with a free port, and process id. ``collect``: with Streamlit's garbage collection after every
    run of a script; ``settings``: more of its environment."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless=true", f"--server.port={port}", f"--runner.postScriptGC={str(collect).lower()}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **settings},
    )
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError("the server ended by itself")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def training() -> Iterator[str]:
    """A long training, started as the page starts it; the name of its run."""
    run = trainings.start(Recipe(dataset="shapes", epochs=1000))
    try:
        while not run.epochs:
            if run.status not in LIVE:
                raise RuntimeError(f"the training is {run.status}: {run.state.get('error')}")
            time.sleep(0.2)
        yield run.name
    finally:
        trainings.stop(run.name)
        while run.status in LIVE:
            time.sleep(0.1)


def tab(host: str):
    """A connection as a browser opens it."""
    return connect(f"ws://{host}/_stcore/stream", subprotocols=["streamlit"], max_size=None)


async def clicks(host: str, run: str) -> dict[str, list[float]]:
    """One viewer goes through all pages, again and again: address → seconds of each click."""
    async with tab(host) as socket:
        viewer = Viewer(socket)
        await viewer.ask()
        took: dict[str, list[float]] = {address: [] for address in viewer.addresses}
        for address in took:
            await viewer.ask(address, f"run={run}")  # the first visit to a page loads its modules
        for _ in range(ROUNDS):
            for address, times in took.items():
                times.append(await viewer.ask(address))
    return took


async def crowd(host: str, run: str, viewers: int, seconds: float) -> list[list[float]]:
    """Many viewers watch a run at once: the seconds of every poll of each."""

    async def one(number: int) -> list[float]:
        async with tab(host) as socket, Watcher(host, run, number) as watcher:
            await Viewer(socket).ask(query=f"run={run}")
            return await watcher.watch(seconds, number / viewers)

    return await asyncio.gather(*(one(number) for number in range(viewers)))


def spread(times: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    return (
        f"median {statistics.median(times) * 1000:5.0f} ms, 95 % {statistics.quantiles(times, n=20)[-1] * 1000:5.0f} ms"
    )


def measure(collect: bool, viewers: int, seconds: float) -> bool:
    """Print all figures for one setting; whether both targets were met."""
    print(f"\ngarbage collection after every rerun: {'on' if collect else 'off, as delivered'}")
    with server(collect) as (host, _), training() as run:
        took = asyncio.run(clicks(host, run))
        for address, times in took.items():
            print(f"  click on /{address:<18} {spread(times)}")
        every = [time for times in took.values() for time in times]
        print(f"  click on any page        {spread(every)}   (target: median < {CLICK * 1000:.0f} ms)")
        polls = asyncio.run(crowd(host, run, viewers, seconds))
    slowest = max(statistics.median(times) for times in polls)
    print(f"  {viewers} viewers watch a run: {spread([time for times in polls for time in times])}")
    print(f"  the slowest viewer       median {slowest * 1000:5.0f} ms   (target: < {POLL * 1000:.0f} ms)")
    return statistics.median(every) < CLICK and slowest < POLL


def lessons() -> bool:
    """Print what each lesson took to answer a key, and say whether the median of all met the target."""
    from playwright.sync_api import sync_playwright

    from imgrec.lessons.quiz import QUESTIONS

    every = []
    with server() as (host, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for lesson in (asked.lesson for asked in QUESTIONS.values()):
            page.goto(f"http://{host}/{lesson}")
            control = page.locator("[data-testid=stMain]").get_by_role("slider").first
            control.wait_for(timeout=60_000)
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=60_000)
            page.wait_for_timeout(1500)
            times = []
            for number in range(2 * ROUNDS + 2):
                page.evaluate(WATCH)
                control.press(("ArrowRight", "ArrowLeft")[number % 2])
                page.wait_for_function("window.took !== null", timeout=60_000)
                times.append(page.evaluate("window.took") / 1000)
            print(f"  {lesson:<18} {spread(times[2:])}; the first time {times[0] * 1000:5.0f} ms")
            every += times[2:]  # then what it takes to compute is kept for a training or a landscape
        browser.close()
    print(f"  all lessons        {spread(every)}   (target: median < {CLICK * 1000:.0f} ms)")
    return statistics.median(every) < CLICK


def main() -> int:
    """Run the benchmark in a workspace of its own and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--compare", action="store_true", help="also with garbage collection after every rerun")
    parser.add_argument("--lessons", action="store_true", help="only the lessons, in a browser, while nothing trains")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGREC_HOME"] = home
        if options.lessons:
            return 0 if lessons() else 1
        met = measure(False, options.viewers, options.seconds)
        if options.compare:
            measure(True, options.viewers, options.seconds)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
