"""Starting trainings in worker processes, and asking them to stop; the `queue` says whose turn it is."""

from __future__ import annotations

import dataclasses
import math
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from imgrec import jobs, queue
from imgrec.data import DatasetError, open_dataset
from imgrec.home import cores, no_room, setting
from imgrec.jobs import LIVE, REQUESTS, Owner
from imgrec.language import tr
from imgrec.recipe import Recipe, RecipeError, one_of
from imgrec.runs import RATE, Notes, Run, RunError, create_run, newest, open_run

if TYPE_CHECKING:
    from imgrec.weights import Start

HANGS = 10.0  # seconds after which a worker that was asked to stop does not hear it any more


def start(recipe: Recipe, owner: Owner | None = None) -> Run:
    """Check the recipe, queue a run and launch its worker process, which outlives this one. Raises what `enqueue` raises."""
    return start_all([recipe], owner)[0]


def start_all(recipes: Sequence[Recipe], owner: Owner | None = None, notes: Sequence[Notes] = ()) -> list[Run]:
    """Like `start` for several, each with its notes if any are given; where one cannot begin, none does."""
    runs = _queued(recipes, owner, notes)
    for run in runs:
        _launch(run)
    return runs


def enqueue(recipe: Recipe, owner: Owner | None = None, notes: Notes | None = None) -> Run:
    """Check the recipe and make a run, perhaps somebody's, that waits in the queue; somebody must `work` on it.

    Raises RunError when IMGREC_MAX_QUEUED (100) runs wait already, or the workspace may not grow, see `home.no_room`.
    """
    return _queued([recipe], owner, [notes] if notes else ())[0]


def _queued(recipes: Sequence[Recipe], owner: Owner | None, notes: Sequence[Notes]) -> list[Run]:
    for recipe in recipes:
        check(recipe)
    if reason := no_room():
        raise RunError(reason)
    runs = []
    with queue.lock():
        _check_places(len(recipes), owner)
        try:
            for recipe, said in zip_longest(recipes, notes):
                runs.append(create_run(recipe, owner))
                if said:
                    runs[-1].annotate(said)
                queue.join(runs[-1])
        except OSError:  # the disk is full: none is left that nobody will work on
            for run in runs:
                queue.leave(run)
                shutil.rmtree(run.path, ignore_errors=True)
            raise
    return runs


def _check_places(more: int, owner: Owner | None) -> None:
    """Raise RunError where so many more runs may not wait; hold the lock of the queue meanwhile.

    Where one visitor holds most of a full queue, another who has nothing in it still gets a place; not where many do, or
    it would have no end.
    """
    live = queue.live_runs()
    if len(live) + more <= (most := setting("IMGREC_MAX_QUEUED", 100)):
        return
    held = Counter(other.visitor for other in (run.owner for run in live) if other)
    if owner and more == 1 and not held[owner.visitor] and 2 * max(held.values(), default=0) > len(live):
        return
    raise RunError(
        tr("{waiting} trainings wait already, and {most:.0f} may; start others when some have ended.", waiting=len(live), most=most)
    )  # fmt: skip


def check(recipe: Recipe) -> None:
    """Raise RecipeError, ModelError, WeightsError or DatasetError if a training with this recipe could not begin.

    IMGREC_MAX_EPOCHS bounds its epochs.
    """
    import torch

    from imgrec import augment, hardware, models, shelves
    from imgrec.weights import WeightsError, fits

    if recipe.epochs > (most := setting("IMGREC_MAX_EPOCHS", math.inf)):
        raise RecipeError(
            tr("epochs is {epochs}; the operator of this server allows {most:.0f}.", epochs=recipe.epochs, most=most)
        )
    hardware.pick(recipe.device)
    augment.parse(recipe.augment)
    for name, shelf in (("optimiser", shelves.OPTIMISERS), ("loss", shelves.LOSSES), ("schedule", shelves.SCHEDULES)):
        one_of(name, getattr(recipe, name), shelf)
    models.card(recipe.model)
    dataset = open_dataset(recipe.dataset, recipe.image_size, recipe.resize)
    if not len(dataset.indices("train")):
        raise DatasetError(tr("{name} has no training pictures; import some or change its splits.", name=dataset.name))
    with torch.device("meta"):
        model = models.build(recipe.model, len(dataset.classes), dataset.channels, dataset.image_size)
    start = starting_weights(recipe, fetch=False)
    if start and len(start.mean) != dataset.channels and not fits(model, start.weights):
        kinds = {1: tr("grey"), 3: tr("colour")}
        raise WeightsError(
            tr(
                "{weights} learned from {theirs} pictures, and those of {dataset} are {ours}; start with weights=none, or with a "
                "run that knows such pictures.",
                weights=recipe.weights, theirs=kinds[len(start.mean)], dataset=dataset.name, ours=kinds[dataset.channels],
            )
        )  # fmt: skip


def resume(name: str) -> Run:
    """Put a run that ended early back into the queue and launch a worker that goes on from its checkpoint."""
    run = requeue(name)
    _launch(run)
    return run


def requeue(name: str) -> Run:
    """Like `enqueue`, for a run that ended early. Raises RunError if it cannot go on, or too many wait."""
    run = open_run(name)
    if reason := no_room():
        raise RunError(reason)
    with queue.lock():
        if reason := run.resumable():
            raise RunError(reason)
        _check_places(1, run.owner)
        run.clear_requests()
        run.update(phase="new", error=None, note=None, gpu=None)
        queue.join(run)
    return run


def stop(name: str, how: str = "stop") -> Run:
    """Ask a run to stop after its current step. Raises RunError if it is not live.

    ``how``: "stop" or "pause", after which it can go on, or "finish", which tests and keeps its best state so far.
    """
    one_of("how", how, REQUESTS)
    run = open_run(name)
    if run.status not in LIVE:
        raise RunError(tr("Run {name} is {status}; only a live run can be stopped.", name=name, status=run.status))
    run.ask(how)
    if how != "finish":
        later = threading.Timer(HANGS, _end, (run,))
        later.daemon = True
        later.start()
    return run


def see_out(run: Run) -> None:
    """Wait here until a run that was asked to stop or pause has done so, or been ended from outside."""
    if not _gone(run):
        _end(run)
        _gone(run)


def _gone(run: Run) -> bool:
    """Whether no worker is left after waiting for so long."""
    end = time.monotonic() + HANGS
    while run.alive and time.monotonic() < end:
        time.sleep(0.1)
    return not run.alive


def _end(run: Run) -> None:
    """End a worker that did not stop when it was asked to, from outside: one that is frozen, or stuck where not even the
    thread runs that should have ended it. The run can go on from its last checkpoint, and the next in the queue begin."""
    process = run.state.get("pid")
    if run.asked() in ("stop", "pause") and run.alive and isinstance(process, int):
        with suppress(psutil.Error):
            worker = psutil.Process(process)
            if run.name in worker.cmdline():  # no other that has its number by now
                worker.kill()


def set_learning_rate(name: str, rate: float) -> Run:
    """Ask a live run to learn at another rate from its next step on. Raises RunError, and RecipeError for a rate that no
    recipe may have."""
    run = open_run(name)
    dataclasses.replace(run.recipe, learning_rate=float(rate))
    if run.status not in LIVE:
        raise RunError(
            tr("Run {name} is {status}; only a live run can learn at another rate.", name=name, status=run.status)
        )
    run.write(RATE, {"learning_rate": float(rate)})
    return run


def recipe_from(values: dict[str, Any], preset: str = "standard") -> Recipe:
    """`Recipe.from_values`, where ``weights`` may be ``last``, the newest run that has some, and those of a run bring its
    network, and the pictures as that takes them, with them, unless others are given. Raises RecipeError and RunError."""
    values = dict(values)
    if values.get("weights") == "last":
        values["weights"] = newest(usable=True).name
    with suppress(RunError):
        before = open_run(str(values.get("weights", "")))
        taken = {name: getattr(before.recipe, name) for name in ("model", "image_size", "resize")}
        if values.get("dataset", Recipe().dataset) != before.recipe.dataset:  # whose own size is perhaps another
            taken["image_size"] = (before.read("classes.json").get("preprocess") or taken).get(
                "size", taken["image_size"]
            )
        values = taken | values
    return Recipe.from_values(values, preset)


def starting_weights(recipe: Recipe, fetch: bool = True) -> Start | None:
    """What a recipe starts from, or None for random weights. Raises RunError, WeightsError, ModelError.

    Without ``fetch`` nothing is downloaded: ImageNet weights are None then, too.
    """
    from imgrec.weights import Start, WeightsError

    if recipe.weights == "none":
        return None
    if recipe.weights == "imagenet":
        from imgrec.models import card

        if not card(recipe.model).pretrained:
            raise WeightsError(
                tr(
                    "{title} has no ImageNet weights; use weights=none, a run or a file.",
                    title=card(recipe.model).title,
                )
            )
        return Start.imagenet(recipe.model) if fetch else None
    path = Path(recipe.weights).expanduser()
    if path.suffix in (".safetensors", ".pth", ".pt"):
        return Start.from_file(path, recipe.model)
    return Start.from_file(open_run(recipe.weights).file("best.safetensors"), recipe.model, recipe.weights)


def _launch(run: Run) -> None:
    """Begin the worker of a run.

    Trainings that go on at the same time share the cores. Threads of different processes that take turns on one core would
    wait for each other at the end of every small step: a lesson that takes a second took 44 beside a training, and two
    trainings together did a third of what one does alone.
    """
    workers = queue.workers(queue.device_of(run))
    threads = max(1, cores() // workers) if workers > 1 else 0
    jobs.launch(run, "work", run.name, nice=jobs.LAST, threads=threads)
