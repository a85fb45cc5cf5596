"""How long one photo takes from the upload to its bars in a real browser, and a thousand photos on the command line.

``python -m benchmarks.predicting``: ResNet-18 at 224 px with random weights. Exit status 1: a target was missed.
"""

from __future__ import annotations

import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.dashboard import ROOT, server
from benchmarks.serving import bare, made_run
from imgrec.predict import predictor
from imgrec.runs import Run

SHOWN, NETWORK, OF_NETWORK = 0.5, 0.1, 0.8  # seconds to the bars, and in the network; share of the network's rate
PHOTOS, UPLOADS = 1000, 12
SIZES = ((224, 224), (640, 480), (1600, 1200))


def photo(seed: int, width: int = 1600, height: int = 1200) -> bytes:
    """A JPEG about as large and as detailed as one from a phone, made smaller for the web."""
    draws = np.random.default_rng(seed)
    small = Image.fromarray(draws.integers(0, 256, (60, 80, 3), np.uint8))
    file = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def uploads(host: str, run: str, files: list[Path]) -> list[float]:
    """Seconds from choosing each file to seeing its bars."""
    took = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page()
        page.goto(f"http://{host}/predict?run={run}")
        page.get_by_text("Drop pictures here").or_(page.get_by_text("Files", exact=True)).first.wait_for()
        page.get_by_text("Files", exact=True).click()
        page.locator("input[type=file]").wait_for(state="attached")
        for path in files:
            seen = page.evaluate(WATCH, path.name)
            assert seen is None
            page.locator("input[type=file]").set_input_files(path)
            page.wait_for_function("window.imgrecShown")
            took.append(page.evaluate("window.imgrecShown - window.imgrecChosen") / 1000)
            page.get_by_label("Remove").or_(page.locator("[data-testid=stFileUploaderDeleteBtn] button")).first.click()
            page.wait_for_function("!document.querySelector('[data-testid=stHtml] th')")
        browser.close()
    return took


# From the change of the upload box to the bars in the card that is headed by the file's name.
WATCH = """(name) => {
  window.imgrecShown = null;
  document.querySelector('input[type=file]').addEventListener('change', () => { window.imgrecChosen = performance.now(); },
    { capture: true, once: true });
  const look = () => {
    if (document.querySelector('[data-testid=stHtml] th') && document.body.innerText.includes(name))
      window.imgrecShown = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
  return null;
}"""


def command_line(run: Run, width: int, height: int, seen: np.ndarray) -> tuple[float, float]:
    """Photos per second by the command, from its start to its end, and by the network alone, pictures in memory."""
    with tempfile.TemporaryDirectory() as place:
        made = [photo(number, width, height) for number in range(50)]
        for number in range(PHOTOS):
            (Path(place) / f"photo-{number:04d}.jpg").write_bytes(made[number % len(made)])
        alone = [bare(run, seen, 64, 5.0)]
        began = time.perf_counter()
        command = [sys.executable, "-m", "imgrec", "predict", run.name, place, "--csv", str(Path(place) / "out.csv")]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = time.perf_counter() - began
        alone.append(bare(run, seen, 64, 5.0))
        return PHOTOS / took, statistics.mean(alone)


def main() -> int:
    missed = []
    with tempfile.TemporaryDirectory() as home:
        os.environ["IMGREC_HOME"] = home
        run, place = made_run("resnet18", 224), Path(home) / "photos"
        place.mkdir()
        for number in range(UPLOADS + 2):
            (place / f"photo-{number:04d}.jpg").write_bytes(photo(number))
        files = sorted(place.iterdir())
        network = predictor(run.name)
        seen = np.stack([answer.seen for answer in network.classify((path.name, path) for path in files)])
        ones = []
        for number in range(20):
            began = time.perf_counter()
            network.logits(seen[number % len(seen)][None])
            ones.append(time.perf_counter() - began)
        with server() as (host, _):
            took = uploads(host, run.name, files)[2:]
        shown, one = statistics.median(took), statistics.median(ones)
        print(
            f"one photo, from the upload to the bars: median {shown * 1e3:.0f} ms (worst {max(took) * 1e3:.0f}), of which "
            f"the network {one * 1e3:.0f} ms"
        )
        missed += [f"{shown:.2f} s to the bars"] * (shown > SHOWN) + [f"{one:.2f} s in the network"] * (one > NETWORK)
        for width, height in SIZES:
            rate, alone = command_line(run, width, height, seen)
            print(
                f"{PHOTOS:,} photos of {width} × {height} on the command line: {rate:.0f}/s with starting and decoding, "
                f"{rate / alone:.2f} of the network alone ({alone:.0f}/s)"
            )
            missed += [f"{rate / alone:.2f} of the network"] * (rate < OF_NETWORK * alone)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
