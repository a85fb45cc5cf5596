"""How the page Data set bears a very large set: the first grid, scrolling, filtering and sorting, in a real browser.

``python -m benchmarks.gallery`` makes a set of a million entries (3 GB), imports it, and opens it in Chromium.
``--pictures N`` makes another number, ``--keep FOLDER`` keeps it for the next time. Exit status 1: a target was missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.dashboard import server
from imgrec.data import Item, import_dataset, open_dataset

FIRST, THEN = 2.0, 1.0  # seconds: until the first grid stands, and for any scroll, filter or order after it
SIZE = 32  # pixels


def pictures(count: int) -> Iterator[Item]:
    """Coloured squares, each with its number in its first pixels, in a hundred classes."""
    drawn = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), np.uint8).repeat(4, 1).repeat(4, 2)
    for number in range(count):
        pixels = drawn[number % 64].copy()
        pixels[0].reshape(-1)[:8] = np.frombuffer(np.int64(number).tobytes(), np.uint8)
        label = f"class {number % 100:02d}"
        yield Item(f"{label}/picture {number:07d}.png", pixels, label)


def own_memory(process: int) -> float:
    """MiB that a process holds for itself: without the mapped files, which the system may take back at any time."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


def browse(host: str, process: int) -> bool:
    """Go through the page, print what each step took, and say whether all of it was quick enough."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        first = page.locator(".view figure button").first
        for name in ("digits", "digits", "million"):  # the first visit of all loads the server's modules
            before, started = own_memory(process), time.perf_counter()
            page.goto(f"http://{host}/dataset?dataset={name}")
            first.wait_for()
            opened = time.perf_counter() - started
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            whole = time.perf_counter() - started
            print(f"  {name}: first grid after {opened:.2f} s; the whole page with its statistics {whole:.2f} s")

        def seconds(act: Callable[[], object]) -> float:
            """Until another picture than before stands in the grid's first place."""
            shown, started = first.get_attribute("title"), time.perf_counter()
            act()
            while first.get_attribute("title") == shown:
                if time.perf_counter() - started > 30:
                    raise RuntimeError("the grid did not change within 30 s")
                time.sleep(0.005)
            return time.perf_counter() - started

        view = page.locator(".view")
        scrolls = [
            seconds(lambda share=share: view.evaluate("(v, share) => { v.scrollTop = v.scrollHeight * share }", share))
            for share in np.random.default_rng(1).permutation(np.linspace(0.05, 0.95, 20)).tolist()
        ]
        page.get_by_text("Filter and sort").click()
        text, order = page.get_by_label("File name contains"), page.get_by_role("combobox", name="Order")
        time.sleep(0.5)

        def ordered(name: str) -> None:
            order.press("ArrowDown")
            page.get_by_role("option", name=name, exact=True).click()

        def named(part: str) -> None:
            text.fill(part)
            text.press("Enter")

        steps = {
            "names with 77": lambda: named("77"),
            "names with class 05": lambda: named("class 05"),
            "all names": lambda: named(""),
            "by class": lambda: ordered("class"),
            "largest class first": lambda: page.get_by_text("Largest first").click(),
            "by file name": lambda: ordered("file name"),
            "test split": lambda: page.get_by_role("button", name="test", exact=True).click(),
        }
        took = {name: seconds(act) for name, act in steps.items()}
        after = own_memory(process)
        browser.close()
    print(f"  scrolling to any place: median {statistics.median(scrolls):.2f} s, slowest {max(scrolls):.2f} s")
    for name, value in took.items():
        print(f"  {name:20} {value:.2f} s")
    print(f"  memory of the server {before:.0f} MiB before, {after:.0f} MiB after")
    return opened < FIRST and max(*scrolls, *took.values()) < THEN


def main() -> int:
    """Make the set if it is not there, then browse it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGREC_HOME"] = str(options.keep or place)
        if not (options.keep and (options.keep / "datasets" / "million").exists()):
            started = time.perf_counter()
            import_dataset(pictures(options.pictures), "million")
            print(f"  {options.pictures:,} pictures imported in {time.perf_counter() - started:.0f} s")
        started = time.perf_counter()
        print(f"  {len(open_dataset('million')):,} pictures opened in {time.perf_counter() - started:.3f} s")
        with server() as (host, process):
            return 0 if browse(host, process) else 1


if __name__ == "__main__":
    sys.exit(main())
