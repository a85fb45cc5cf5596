"""The run directory: which files a training leaves, how they are written and read, and the one word that says how it stands.

It starts nothing and trains nothing, and works without torch, so that lists and status lights stay quick.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from imgrec import __version__
from imgrec.home import changed_at, folder, write_atomic
from imgrec.language import mark, tr
from imgrec.recipe import FIELDS, Recipe, RecipeError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SETTINGS = list(FIELDS)
METRICS = {  # more figures of a run: the file and the name there
    **{name: ("state.json", name) for name in ("epoch", "best_epoch", "images_per_second")},
    **{
        name: ("evaluation.json", name)
        for name in ("balanced_accuracy", "top5", "calibration_error", "linear_accuracy", "learned_before")
    },
    "test_loss": ("evaluation.json", "loss"),
    "fingerprint": ("about.json", "fingerprint"),  # of the pictures
}
NUMBER = (int, float, type(None))
TEXT = (str, type(None))
KINDS = {  # what fields of a JSON file of a run must be; one of another kind is as if it were not there
    "state.json": dict.fromkeys(("phase", "detail", "note", "error"), TEXT)
    | dict.fromkeys(("created", "updated", "progress", "seconds_left", "epoch", "epochs", "step", "steps", "best_epoch"), NUMBER)
    | dict.fromkeys(("images_per_second", "loss", "best_validation_accuracy", "memory"), NUMBER),
    "evaluation.json": dict.fromkeys(("accuracy", "balanced_accuracy", "majority_accuracy", "images"), (int, float))
    | dict.fromkeys(("top5", "calibration_error", "linear_accuracy", "learned_before", "loss"), NUMBER)
    | dict.fromkeys(("classes", "interval", "confusion"), list),
    "recipe.json": {"dataset": str, "model": str},
    "classes.json": {"classes": list},
    "about.json": {"fingerprint": TEXT},
}  # fmt: skip
WHOLE = {"evaluation.json": {"accuracy", "images", "interval", "majority_accuracy", "balanced_accuracy", "classes"}}
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
REQUESTS = {"stop": "stopped", "pause": "paused", "finish": "stopped"}  # and the status of a worker gone after one
RATE = "learning-rate.json"  # the request for another one
CHECKPOINT = "last.ckpt"
ENDED = ("paused", "finished", "stopped", "failed")
BUNDLED = Path(__file__).parent / "bundled"  # finished runs that come with imgrec; read only
_looking = threading.Lock()  # whether a worker lives
START_GRACE = 30.0  # seconds a new run may take until its worker holds the lock


AWAY, MOST_AWAY = ".away", 20  # where deleted runs lie for a while, and how many
MOST_TAGS, MOST_NOTE = 10, 2000  # tags of a run, characters of its note


@dataclass(frozen=True)
class Owner:
    """Who started a run: a digest that tells visitors apart and gives nothing else away, and a name for people."""

    visitor: str
    name: str = ""


class RunError(ValueError):
    """A run that does not exist, cannot be read, or cannot do what was asked; the message says what to do instead."""


@dataclass(frozen=True)
class Notes:
    """What people say of a run."""

    star: bool = False
    tags: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Run:
    """One training on disk. Cheap to make; every property reads what is there now."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def recipe(self) -> Recipe:
        """What was asked for. Raises RunError if the file is unreadable."""
        try:
            return Recipe.from_json(self.file("recipe.json").read_text("utf-8"))
        except (OSError, RecipeError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error  # without where on the server it lies
            raise RunError(tr("Run {name} has no readable recipe: {error}", name=self.name, error=reason)) from None

    @property
    def title(self) -> str:
        """What was trained on what, such as 'seed-cnn on digits'; the run's name if its recipe is unreadable."""
        try:
            return tr("{model} on {dataset}", model=self.recipe.model.partition(":")[0], dataset=self.recipe.dataset)
        except RunError:
            return self.name

    def file(self, name: str) -> Path:
        return self.path / name

    def read(self, name: str) -> dict[str, Any]:
        """A JSON file of the run as a dict; empty if it is missing or damaged."""
        try:
            with open(f"{self.path}/{name}", "rb", 0) as file:
                written = file.read()
            content = json.loads(written)
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict):
            return {}
        kinds = KINDS.get(name, {})
        sound = {key: value for key, value in content.items() if isinstance(value, kinds.get(key, object))}
        return sound if sound.keys() >= WHOLE.get(name, set()) else {}

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
    def epochs(self) -> list[dict[str, Any]]:
        """The finished epochs, oldest first."""
        return self.lines("log.jsonl")

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

    def take_rate(self) -> float | None:
        """The learning rate that is asked for while it trains, if any; only the first to ask gets it."""
        with suppress(OSError):
            os.replace(self.file(RATE), self.file(taken := f"taken-{RATE}"))
            rate = self.read(taken).get("learning_rate")
            self.file(taken).unlink()
            return rate if isinstance(rate, float) and rate > 0 else None

    def clear_requests(self) -> None:
        for word in (*REQUESTS, RATE):
            self.file(word).unlink(missing_ok=True)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What was changed while it trained, oldest first: ``at`` in epochs, ``learning_rate``."""
        return [entry for entry in self.lines("changes.jsonl") if {"at", "learning_rate"} <= entry.keys()]

    @property
    def owner(self) -> Owner | None:
        """Who started it, if that is known."""
        found = self.read("owner.json")
        return Owner(str(found["visitor"]), str(found.get("name", ""))) if found.get("visitor") else None

    def give_to(self, owner: Owner | None) -> None:
        """Write down whose it is; nobody's if it is not known."""
        if owner:
            self.write("owner.json", dataclasses.asdict(owner))

    @property
    def bundled(self) -> bool:
        """Whether it came with imgrec and is not to be changed."""
        return self.path.parent == BUNDLED

    @property
    def usable(self) -> bool:
        """Whether it holds weights that can classify; that it did is kept until something in its folder changes."""
        try:
            changed = os.stat(self.path).st_mtime_ns
            if _usable.get(self.path) != changed:
                for name in ("best.safetensors", "classes.json"):
                    os.stat(self.file(name))
                _usable[self.path] = changed
        except OSError:
            return False
        return True

    def resumable(self) -> str | None:
        """None if `resume` can go on from a checkpoint, else one sentence why not."""
        status = self.status
        if status in LIVE:
            return tr("Run {name} is {status} already.", name=self.name, status=tr(status))
        if status == "finished":
            return tr("Run {name} is finished; start a new one with weights={name} to train further.", name=self.name)
        return None

    @property
    def classes(self) -> tuple[str, ...]:
        """What its network calls its classes, in the order of its outputs; empty before there is one."""
        return tuple(map(str, self.read("classes.json").get("classes", ())))

    @property
    def notes(self) -> Notes:
        """What people said of it; empty if nothing was, or it cannot be read."""
        kept = self.read("notes.json")
        tags = kept.get("tags") if isinstance(kept.get("tags"), list) else []
        return Notes(bool(kept.get("star")), tuple(map(str, tags[:MOST_TAGS])), str(kept.get("text", ""))[:MOST_NOTE])

    def annotate(self, notes: Notes) -> None:
        """Keep what people say of it, cut to a sensible length. Raises RunError for a run that came with imgrec."""
        if self.bundled:
            raise RunError(tr("Run {name} comes with imgrec and stays as it is.", name=self.name))
        tags = dict.fromkeys(" ".join(tag.split())[:40] for tag in notes.tags)
        tags = [tag for tag in tags if tag][:MOST_TAGS]
        self.write("notes.json", {"star": notes.star, "tags": tags, "text": notes.text.strip()[:MOST_NOTE]})

    def summary(self) -> dict[str, Any]:
        """What lists show, JSON-able: name, status, model, dataset, epochs, accuracies, created."""
        state = self.state
        try:
            recipe = self.recipe
        except RunError as error:
            return {"run": self.name, "status": "failed", "error": str(error)}
        return {
            "run": self.name,
            "status": self.status,
            "model": recipe.model,
            "dataset": recipe.dataset,
            "epoch": state.get("epoch", 0),
            "epochs": recipe.epochs,
            "validation_accuracy": state.get("best_validation_accuracy"),
            "test_accuracy": self.read("evaluation.json").get("accuracy"),
            "created": state.get("created"),
            "bundled": self.bundled,
        }


def create_run(recipe: Recipe, owner: Owner | None = None) -> Run:
    """A fresh run directory with its recipe, status 'new', perhaps somebody's. Its name tells time, model and data set."""
    words = [
        datetime.now().strftime("%Y-%m-%d_%H%M%S"),
        recipe.model.partition(":")[0],
        re.sub(r"[^\w.]+", "-", recipe.dataset)[:60].strip("-"),
    ]
    stem = "_".join(words)
    for attempt in range(1, 10_000):
        path = folder("runs") / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    run, now = Run(path), time.time()
    try:
        write_atomic(run.file("recipe.json"), recipe.to_json())
        run.give_to(owner)
        run.write("state.json", {"phase": "new", "created": now, "updated": now, "epochs": recipe.epochs})
    except OSError:
        shutil.rmtree(path, ignore_errors=True)  # a full disk leaves no half run
        raise
    return run


def open_run(name: str) -> Run:
    """The run of that name. Raises RunError, also for names that would leave the runs folder."""
    if name and not name.startswith(".") and Path(name).name == name:
        for place in (folder("runs"), BUNDLED):
            if os.path.isdir(place / name):
                return Run(place / name)
    names = [os.path.basename(path) for path in _paths(bundled=True)]
    near = [other for other in names if len(name) > 2 and other.startswith(name)] or difflib.get_close_matches(
        name, names, 1, 0.8
    )
    if near:
        raise RunError(tr("There is no run named {name!r}; did you mean {near}?", name=name, near=near[0]))
    raise RunError(tr("There is no run named {name!r}; `python -m imgrec runs` lists them all.", name=name))


def lineage(run: Run) -> Iterator[Run]:
    """The run, the one whose weights it began with, and so on."""
    seen: set[str] = set()
    while run.name not in seen:
        yield run
        seen.add(run.name)
        try:
            run = open_run(run.recipe.weights)
        except RunError:  # it began with none, with those of a file, or with a run that was deleted
            return


def newest(usable: bool = False) -> Run:
    """The run that was begun last, or of those with weights. Raises RunError where there is none."""
    found = next((run for run in list_runs() if run.usable or not usable), None)
    if found is None:
        raise RunError(tr("There is no run yet; `python -m imgrec train` makes one."))
    return found


def list_runs(bundled: bool = False) -> list[Run]:
    """All runs, newest first; with ``bundled`` followed by those that come with imgrec."""
    return [Run(_path(path)) for path in _paths(bundled)]


def _paths(bundled: bool) -> list[str]:
    """The folders of `list_runs`."""
    place = folder("runs")
    found = [f"{place}/{name}" for name in _by_age(tuple(_folders(place)))]
    return found + [f"{BUNDLED}/{name}" for name in sorted(_folders(BUNDLED))] * bundled


_path = lru_cache(20_000)(Path)  # ten thousand are made for a list of all runs, and making one takes 15 µs
_usable: dict[Path, int] = {}  # a run's folder → when it had changed last when it was usable


def usable_runs() -> list[Run]:
    """The runs whose weights can classify, newest first, then those that come with imgrec."""
    return [run for run in list_runs(bundled=True) if run.usable]


def delete_run(run: Run) -> None:
    """Put a run away; `restore_run` brings it back until MOST_AWAY later ones were put away or a week has gone.

    Raises RunError while it is live, or if it came with imgrec.
    """
    if run.bundled:
        raise RunError(tr("Run {name} comes with imgrec and stays.", name=run.name))
    if run.status in LIVE:
        raise RunError(tr("Run {name} is {status}; stop it first.", name=run.name, status=run.status))
    away = folder("runs") / AWAY
    away.mkdir(exist_ok=True)
    os.utime(run.path)  # from now on the week counts
    shutil.rmtree(away / run.name, ignore_errors=True)  # one that had its name before
    os.rename(run.path, away / run.name)
    for number, old in enumerate(sorted(away.iterdir(), key=changed_at, reverse=True)):
        if number >= MOST_AWAY or time.time() - changed_at(old) > 7 * 86400:
            shutil.rmtree(old, ignore_errors=True)


def restore_run(name: str) -> Run:
    """Bring back a run that was put away. Raises RunError if it is gone, or another has taken its name."""
    away, back = folder("runs") / AWAY / Path(name).name, folder("runs") / Path(name).name
    if not away.is_dir():
        raise RunError(tr("Run {name!r} cannot be brought back; it is gone for good.", name=name))
    if back.exists():
        raise RunError(tr("There is a run named {name!r} by now; delete that first.", name=name))
    os.rename(away, back)
    return Run(back)


_rows: dict[str, tuple[int, dict[str, Any]]] = {}  # folder → when it changed, what `rows` says of a run that has ended
ROWS, WORTH = ".rows.json", 50  # where those are kept for the next server, and how many new ones make that worth while


def rows(bundled: bool = True) -> list[dict[str, Any]]:
    """All runs as rows of a table, newest first: what `Run.summary` tells, the star, tags and note, its owner's name, all
    METRICS, then every setting.

    What has ended is read once and then only when something in its folder has changed: ten thousand take a moment.
    """
    if not _rows:
        _rows.update(_kept_rows())
    found, fresh = [], 0
    for path in _paths(bundled):
        try:
            changed = os.stat(path).st_mtime_ns
        except OSError:
            continue
        known, row = _rows.get(path, (None, {}))
        if known != changed:
            row = _row(Run(Path(path)))
            if row["status"] in ENDED:
                _rows[path] = changed, row
                fresh += 1
        found.append(row)
    if fresh > WORTH:
        _keep_rows({row["run"] for row in found})
    return found


def learned_from(dataset: str) -> list[str]:
    """The names of the runs that need a data set to go on or to be tested."""
    return [row["run"] for row in rows(bundled=False) if row.get("dataset") == dataset]


def matching(rows: Iterable[dict[str, Any]], words: str, spoken: Callable[[str], str] = str) -> list[dict[str, Any]]:
    """The rows in which each of the words, with spaces between, stands somewhere, capitals or not; ``spoken`` gives what
    an owner is called."""
    wanted = words.lower().split()
    return [
        row
        for row in rows
        if all(word in f"{' '.join(map(str, row.values()))} {spoken(row['owner'])}".lower() for word in wanted)
    ]


def _form() -> list[str]:
    """What a kept row must have been made of, or it is read anew."""
    return [__version__, "owner", *METRICS, *SETTINGS]


def _kept_rows() -> dict[str, tuple[int, dict[str, Any]]]:
    """What an earlier server kept of `rows`; empty if there is nothing of use."""
    place = folder("runs")
    try:
        kept = json.loads((place / ROWS).read_bytes())
        return {f"{place}/{row['run']}": (changed, row) for changed, row in kept["rows"] if kept["form"] == _form()}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _keep_rows(there: set[str]) -> None:
    """Keep what is known of the runs in this workspace, and forget those that are gone."""
    place = str(folder("runs"))
    for path in [path for path in _rows if os.path.dirname(path) == place and os.path.basename(path) not in there]:
        del _rows[path]
    known = [pair for path, pair in _rows.items() if os.path.dirname(path) == place]
    with suppress(OSError):  # it only saves time
        write_atomic(folder("runs") / ROWS, json.dumps({"form": _form(), "rows": known}))


def _row(run: Run) -> dict[str, Any]:
    """One row of `rows`, read with as few looks at the disk as it takes; a damaged recipe leaves its settings out."""
    state, settings, notes = run.state, run.read("recipe.json"), run.notes
    phase = state.get("phase")
    files = {"state.json": state} | {name: run.read(name) for name in ("evaluation.json", "about.json")}
    return {
        "star": notes.star,
        "run": run.name,
        "status": phase if phase in ENDED else run.status,
        "validation_accuracy": state.get("best_validation_accuracy"),
        "test_accuracy": files["evaluation.json"].get("accuracy"),
        "created": state.get("created"),
        "bundled": run.bundled,
        "tags": list(notes.tags),
        "note": notes.text,
        "owner": owner.name if (owner := run.owner) else "",
        **{name: files[file].get(key) for name, (file, key) in METRICS.items()},
        **{name: settings[name] for name in SETTINGS if name in settings},
    }


def _folders(place: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(place) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return []


@lru_cache(4)
def _by_age(names: tuple[str, ...]) -> list[str]:
    """Newest first; kept, for ten thousand are asked for by every click."""
    return sorted(names, key=_age_key, reverse=True)


def _age_key(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() and stem.count("_") >= 3 else (name, 1)
