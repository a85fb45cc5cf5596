"""What tests with a real browser share: the real server, and pages that have been drawn to their end."""

import json
import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

from conftest import PATIENCE, wait_for

ROOT = Path(__file__).parent.parent


class Server:
    """``streamlit run app.py`` on a free port, checked to be ours; it can be killed and started again."""

    def __init__(self, home: Path, start: bool = True) -> None:
        self.home = home
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        if start:
            self.start()

    def start(self, *more: str) -> None:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
        self.process = subprocess.Popen(
            [*command, "--server.port", str(self.port), *more],
            cwd=ROOT,
            env={**os.environ, "IMGREC_HOME": str(self.home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(f"{self.address}/api/health", timeout=2) as answer:
                return json.load(answer)["status"] == "ok"
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def new_context(browser, **options):
    """A browser's memory of its own, as patient as the tests are elsewhere."""
    context = browser.new_context(**options)
    context.set_default_timeout(1000 * PATIENCE)
    return context


@contextmanager
def tab(browser, server):
    """A tab that fails the test when it asks another host or breaks the content security policy."""
    context = new_context(browser, viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    asked, refused = [], []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    page.on("console", lambda message: refused.append(message.text) if "Security Policy" in message.text else None)
    yield page
    context.close()
    own = (server.address + "/", f"ws://127.0.0.1:{server.port}/", "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []
    assert refused == []


def visit(page, server, address=""):
    page.goto(f"{server.address}/{address}")
    page.get_by_role("heading", level=1).wait_for()
    idle(page)


def idle(page):
    """Wait until the page's script has run to its end."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    assert page.locator("[data-testid=stException]").count() == 0, page.locator(
        "[data-testid=stException]"
    ).inner_text()
