"""Trainings on disk: what a run directory tells, and the list of all of them.

It starts nothing and trains nothing, and works without torch, so that lists stay quick. `jobs` knows what a run shares with
other work in the background.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

from imgrec.home import changed_at, folder, write_atomic
from imgrec.jobs import LIVE, NUMBER, TEXT, Job, Owner
from imgrec.language import tr
from imgrec.recipe import Recipe, RecipeError

RATE = "learning-rate.json"  # the request for another one
CHECKPOINT = "last.ckpt"
LEARNED = "learned.npz"  # which pictures it learned from, see `elsewhere.remember`
BUNDLED = Path(__file__).parent / "bundled"  # finished runs that come with imgrec; read only
AWAY, MOST_AWAY = ".away", 20  # where deleted runs lie for a while, and how many
MOST_TAGS, MOST_NOTE = 10, 2000  # tags of a run, characters of its note


class RunError(ValueError):
    """A run that does not exist, cannot be read, or cannot do what was asked; the message says what to do instead."""


@dataclass(frozen=True)
class Notes:
    """What people say of a run."""

    star: bool = False
    tags: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Run(Job):
    """One training on disk."""

    KINDS: ClassVar = Job.KINDS | {
        "evaluation.json": dict.fromkeys(("accuracy", "balanced_accuracy", "majority_accuracy", "images"), (int, float))
        | dict.fromkeys(("top5", "calibration_error", "linear_accuracy", "learned_before", "loss"), NUMBER)
        | dict.fromkeys(("classes", "interval", "confusion"), list),
        "recipe.json": {"dataset": str, "model": str},
        "classes.json": {"classes": list},
        "about.json": {"fingerprint": TEXT},
    }  # fmt: skip
    WHOLE: ClassVar = {
        "evaluation.json": {"accuracy", "images", "interval", "majority_accuracy", "balanced_accuracy", "classes"}
    }

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

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """The finished epochs, oldest first."""
        return self.lines("log.jsonl")

    def take_rate(self) -> float | None:
        """The learning rate that is asked for while it trains, if any; only the first to ask gets it."""
        with suppress(OSError):
            os.replace(self.file(RATE), self.file(taken := f"taken-{RATE}"))
            rate = self.read(taken).get("learning_rate")
            self.file(taken).unlink()
            return rate if isinstance(rate, float) and rate > 0 else None

    def clear_requests(self) -> None:
        super().clear_requests()
        self.file(RATE).unlink(missing_ok=True)

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What was changed while it trained, oldest first: ``at`` in epochs, ``learning_rate``."""
        return [entry for entry in self.lines("changes.jsonl") if {"at", "learning_rate"} <= entry.keys()]

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
    names = [os.path.basename(path) for path in paths(bundled=True)]
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
    return [Run(_path(path)) for path in paths(bundled)]


def paths(bundled: bool) -> list[str]:
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
