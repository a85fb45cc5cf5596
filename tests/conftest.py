"""What the tests share: a workspace of their own, and small trained runs made once."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]

PATIENCE = 120.0  # seconds to wait for what must come; only what was promised sooner is given less

os.environ["IMGREC_NICE"] = "0"  # or workers would stand back for other tests, and get a thirtieth of a core
if "PYTEST_XDIST_WORKER" in os.environ:  # threads that share a core wait for each other, up to sixty times as long
    os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_modifyitems(items):
    """The two longest files first, or at the end one of two workers would wait for the other's."""
    first = ("test_browser", "test_models")
    items.sort(key=lambda item: first.index(item.path.stem) if item.path.stem in first else len(first))


@pytest.fixture(autouse=True)
def workspace(tmp_path_factory, monkeypatch):
    """Every test gets an empty IMGREC_HOME; nothing touches the real one."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("IMGREC_HOME", str(home))
    monkeypatch.setattr("imgrec.jobs.START_GRACE", 10 * PATIENCE)  # tests queue runs for which no worker comes
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # AppTest puts its page there for good
    return home


@pytest.fixture
def no_worker_survives():
    """What a test leaves running is killed after it."""
    from imgrec.runs import list_runs

    yield
    for run in list_runs():
        if run.alive:
            os.kill(run.state["pid"], signal.SIGKILL)
            wait_for(lambda run=run: not run.alive)


@pytest.fixture(scope="session")
def full_workspace(tmp_path_factory):
    """A workspace with a finished run on digits, trained once through the product itself."""
    from imgrec import trainings, worker
    from imgrec.recipe import Recipe

    home = tmp_path_factory.mktemp("full")
    before = os.environ.get("IMGREC_HOME")
    os.environ["IMGREC_HOME"] = str(home)
    try:
        run = trainings.enqueue(Recipe(epochs=3))
        for _ in worker.work(run):
            pass
    finally:
        os.environ.pop("IMGREC_HOME") if before is None else os.environ.update(IMGREC_HOME=before)
    return home, run.name


@pytest.fixture
def trained(full_workspace, monkeypatch):
    """The finished run on digits; the test must not change it."""
    from imgrec.runs import open_run

    home, name = full_workspace
    monkeypatch.setenv("IMGREC_HOME", str(home))
    return open_run(name)


@pytest.fixture
def model(trained):
    """The predictor of that run, on the CPU, where every machine gives the same numbers."""
    from imgrec.predict import Predictor

    return Predictor.open(trained, "cpu")


@pytest.fixture
def digits():
    from imgrec.data import open_dataset

    return open_dataset("digits")


def unavailable(reason: str) -> None:
    """Skip a test for want of something; where nothing may be skipped, as in CI, it fails."""
    pytest.fail(reason) if os.environ.get("IMGREC_TESTS") == "all" else pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    """An installed Chrome, Chromium or Edge, or Playwright's own."""
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        try:
            browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        except Error as error:
            first = str(error).splitlines()[0]
            unavailable(f"no browser: install Chromium or run `playwright install chromium` ({first})")
        yield browser
        browser.close()


def wait_for(condition, seconds=PATIENCE, every=0.05):
    """Wait until ``condition()`` is true and return it; fail when it is not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {condition}")


@contextmanager
def small_disk(place, size):
    """``place`` on a file system of ``size`` bytes; False if only root may do that."""
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    mounted = bool(shutil.which("mount")) and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def own_copy(trained, workspace, monkeypatch):
    """A full workspace that a test may change."""
    shutil.copytree(trained.path, workspace / "runs" / trained.name)
    monkeypatch.setenv("IMGREC_HOME", str(workspace))
    return trained.name
