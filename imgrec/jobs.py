"""Jobs: work in a process of its own that outlives the page and the server which began it, and the folder that tells of it.

Trainings, imports, studies and the classifying of folders are jobs. Works without torch, so that lists and status lights
stay quick.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil
from filelock import FileLock, Timeout

from imgrec.home import home, in_words, setting, write_atomic
from imgrec.language import current, mark

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NUMBER = (int, float, type(None))
TEXT = (str, type(None))
STATE = (  # the fields of state.json
    dict.fromkeys(("phase", "detail", "note", "error"), TEXT)
    | dict.fromkeys(("created", "updated", "progress", "seconds_left", "epoch", "epochs", "step", "steps", "best_epoch"), NUMBER)
    | dict.fromkeys(("images_per_second", "loss", "best_validation_accuracy", "memory"), NUMBER)
)  # fmt: skip
STATUSES = {
    "new": mark("Its worker is being started."),
    "waiting": mark("It waits for its turn or is loading."),
    "training": mark("It is learning now."),
    "paused": mark("It can go on where it was."),
    "finished": mark("It has been tested and can classify pictures."),
    "stopped": mark("Somebody stopped it; its best state so far is kept, and it can go on."),
    "failed": mark("It ended with an error, which is shown with it."),
    "lost": mark(
        "Its worker vanished without a word (killed, or the computer went off). Resume continues from its "
        "last checkpoint."
    ),
}
LIVE = ("new", "waiting", "training")
ENDED = ("paused", "finished", "stopped", "failed")
REQUESTS = {"stop": "stopped", "pause": "paused", "finish": "stopped"}  # and the status of a worker gone after one
START_GRACE = 30.0  # seconds a new job may take until its worker holds the lock
_looking = threading.Lock()  # whether a worker lives
# niceness: trainings come after imports and studies, and these after the pages; IMGREC_NICE bounds it
LAST, BEHIND = 15, 8
# glibc then asks for memory in pages of 2 MiB, where Linux has some for who asks; a training is 2 % faster
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


@dataclass(frozen=True)
class Owner:
    """Who started a job: a digest that tells visitors apart and gives nothing else away, and a name for people."""

    visitor: str
    name: str = ""


class Cancelled(ValueError):
    """A job was asked to stop, and nothing half done is left of it."""


@dataclass(frozen=True)
class Job:
    """The folder of one job. Cheap to make; every property reads what is there now."""

    path: Path
    KINDS: ClassVar[dict[str, dict[str, type | tuple[type, ...]]]] = {
        "state.json": STATE
    }  # file → field → what it must be
    WHOLE: ClassVar[dict[str, set[str]]] = {}  # file → the fields without which it is as if it were not there

    @property
    def name(self) -> str:
        return self.path.name

    def file(self, name: str) -> Path:
        return self.path / name

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the job as a dict; empty if it is missing or damaged."""
        try:
            with open(f"{self.path}/{name}", "rb", 0) as file:
                written = file.read()
            content = json.loads(written)
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict):
            return {}
        kinds = self.KINDS.get(name, {})
        sound = {key: value for key, value in content.items() if isinstance(value, kinds.get(key, object))}
        return sound if sound.keys() >= self.WHOLE.get(name, set()) else {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Replace a JSON file in one step: a reader sees the old or the new, never half."""
        write_atomic(self.file(name), json.dumps(content, ensure_ascii=False))

    def update(self, **changes: Any) -> None:
        """Change fields of state.json."""
        self.write("state.json", {**self.state, **changes, "updated": time.time()})

    @property
    def state(self) -> dict[str, Any]:
        """The last word of the worker: phase, epoch, epochs, step, steps, loss, images_per_second, seconds_left, …"""
        return self.read("state.json")

    def append(self, name: str, entry: dict[str, Any]) -> None:
        """Add one line to a JSON-lines file; a reader ignores it until its newline is there."""
        with self.file(name).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """All whole lines of a JSON-lines file; damaged ones are left out."""
        try:
            text = self.file(name).read_text("utf-8", errors="replace")
        except OSError:
            return []
        entries = []
        for line in text.splitlines(keepends=True):
            try:
                entry = json.loads(line) if line.endswith("\n") else None
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                entries.append(entry)
        return entries

    @property
    def lock(self) -> FileLock:
        """The lock a worker holds while it lives; the system frees it when the worker dies in whatever way."""
        return FileLock(self.file("lock"))

    @property
    def alive(self) -> bool:
        """Whether a worker holds the lock now."""
        if not self.file("lock").exists():
            return False
        try:
            if fcntl:  # shared, or two that look at once would take each other for the worker
                with open(self.file("lock"), "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
            with _looking, self.lock.acquire(timeout=0):
                return False
        except (BlockingIOError, Timeout):
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            return error.errno != errno.EROFS  # nobody works where nothing can be written

    @property
    def status(self) -> str:
        """One word of STATUSES, from the last phase and the lock; never from a process number or a log text."""
        state = self.state
        phase = state.get("phase")
        if phase in ENDED:
            return phase
        if self.alive:
            return phase if phase in LIVE else "waiting"
        phase = self.state.get("phase")  # it may have ended between the two looks
        if phase in ENDED:
            return phase
        young, request = phase == "new" and abs(time.time() - state.get("updated", 0)) < START_GRACE, self.asked()
        if young and request in (None, "finish"):  # its worker is on its way, and will learn an epoch at least
            return "new"
        return REQUESTS[request] if request else "lost"

    @property
    def under_way(self) -> bool:
        """Whether somebody works at it or will in a moment; not, if it was never begun."""
        return self.file("state.json").exists() and self.status in LIVE

    @property
    def silent_seconds(self) -> float:
        """How long a live worker has said nothing."""
        return max(0.0, time.time() - self.state.get("updated", time.time()))

    def ask(self, word: str) -> None:
        """Leave a request that the worker reads after its current step: stop, pause, or finish, which tests the best state."""
        self.file(word).touch()

    def asked(self) -> str | None:
        """The request that is waiting, if any."""
        return next((word for word in REQUESTS if self.file(word).exists()), None)

    def clear_requests(self) -> None:
        for word in REQUESTS:
            self.file(word).unlink(missing_ok=True)

    @property
    def owner(self) -> Owner | None:
        """Who started it, if that is known."""
        found = self.read("owner.json")
        return Owner(str(found["visitor"]), str(found.get("name", ""))) if found.get("visitor") else None

    def give_to(self, owner: Owner | None) -> None:
        """Write down whose it is; nobody's if it is not known."""
        if owner:
            self.write("owner.json", dataclasses.asdict(owner))


def launch(job: Job, *command: str, nice: int = BEHIND, threads: int = 0) -> None:
    """Begin a command of ours in a process that outlives this one; what it prints goes to the folder's worker.log.

    ``threads``: how many it may use, 0 for as many as there are cores.
    """
    share = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    own_session = (
        {"creationflags": 0x8} if os.name == "nt" else {"start_new_session": True}
    )  # Ctrl-C stays with the server
    with job.file("worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "imgrec", *command],
            cwd=Path(__file__).parent.parent,
            env={
                **ENVIRONMENT,
                **share,
                **os.environ,
                "IMGREC_HOME": str(home().resolve()),
                "IMGREC_LANGUAGE": current(),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **own_session,
        )
    threading.Thread(target=process.wait, daemon=True, name="until it ends").start()  # or it would stay as a zombie
    _stand_back(process.pid, min(nice, int(setting("IMGREC_NICE", LAST))))


def _stand_back(process: int, nice: int) -> None:
    """Let pages, which people wait for, go before a process where both want a core, or the last memory; alone it has all."""
    with suppress(OSError, ValueError):  # Linux ends whose score is highest; a training goes on from its checkpoint
        own = int(Path("/proc/self/oom_score_adj").read_text())
        Path(f"/proc/{process}/oom_score_adj").write_text(str(min(1000, max(500, own + 100))))
    if nice <= 0:
        return
    with suppress(psutil.Error, OSError):
        psutil.Process(process).nice(nice if os.name == "posix" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
    with suppress(OSError):  # Linux may weigh whole sessions, each of which has a number of its own
        Path(f"/proc/{process}/autogroup").write_text(str(nice))


@contextmanager
def under_way(job: Job, detail: str) -> Iterator[None]:
    """Hold the lock of an import, a study or the like, and write down how the block ends: finished, stopped if it raises
    Cancelled, or failed."""
    with job.lock.acquire(timeout=5):
        job.update(phase="waiting", pid=os.getpid(), detail=detail, progress=0.0, error=None)
        try:
            yield
            job.update(phase="finished", detail="", progress=1.0)
        except Cancelled:
            job.update(phase="stopped", detail="")
            raise
        except Exception as error:
            job.update(phase="failed", detail="", error=in_words(error))
            raise


def progress_writer(
    job: Job, words: Callable[[int, int | None], str], every: float = 0.2
) -> Callable[[int, int | None], None]:
    """A function (done, of how many if known) that writes down how far a job is, at most once in ``every`` seconds."""
    written = 0.0

    def write(done: int, total: int | None) -> None:
        nonlocal written
        if time.monotonic() - written > every:
            written = time.monotonic()
            job.update(progress=done / total if total else 0.0, detail=words(done, total))

    return write
