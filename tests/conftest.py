"""What the tests share: a workspace of their own, and small trained runs made once."""

import os
import time

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(autouse=True)
def workspace(tmp_path_factory, monkeypatch):
    """Every test gets an empty IMGREC_HOME; nothing touches the real one."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("IMGREC_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def full_workspace(tmp_path_factory):
    """A workspace with a finished run on digits, trained once through the product itself."""
    from imgrec import jobs, worker
    from imgrec.recipe import Recipe

    home = tmp_path_factory.mktemp("full")
    before = os.environ.get("IMGREC_HOME")
    os.environ["IMGREC_HOME"] = str(home)
    try:
        run = jobs.enqueue(Recipe(epochs=3))
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
    """The predictor of that run."""
    from imgrec.predict import predictor

    return predictor(trained.name)


@pytest.fixture
def digits():
    from imgrec.data import open_dataset

    return open_dataset("digits")


def wait_for(condition, seconds=30.0, every=0.05):
    """Wait until ``condition()`` is true and return it; fail when it is not in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {condition}")
