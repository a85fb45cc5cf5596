"""Starting trainings, imports and studies in worker processes, and asking them to stop; the `queue` says whose turn it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from filelock import FileLock

from imgrec import arrays, queue
from imgrec.data import Cancelled, DatasetError, check_free, open_dataset, stamps
from imgrec.data.uploads import discard
from imgrec.home import changed_at, cores, folder, home, in_words, no_room, setting
from imgrec.language import current, tr
from imgrec.recipe import Recipe, RecipeError, one_of
from imgrec.runs import LIVE, RATE, REQUESTS, Notes, Owner, Run, RunError, create_run, newest, open_run

if TYPE_CHECKING:
    from imgrec.weights import Start

# niceness: trainings come after imports and studies, and these after the pages; IMGREC_NICE bounds it
LAST, BEHIND = 15, 8
STUDY_SECONDS = 30 * 24 * 3600  # how long what a study found stays


def start(recipe: Recipe, owner: Owner | None = None) -> Run:
    """Check the recipe, queue a run and launch its worker process, which outlives this one. Raises what `enqueue` raises."""
    return start_all([recipe], owner)[0]


def start_all(recipes: Sequence[Recipe], owner: Owner | None = None, notes: Sequence[Notes] = ()) -> list[Run]:
    """Like `start` for several, each with its notes if any are given; where one cannot begin, none does."""
    runs = _queued(recipes, owner, notes)
    for run in runs:
        launch(run, "work", run.name)
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
    launch(run, "work", run.name)
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
    return run


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


def bring_folder(name: str) -> Run:
    """Where it is written down how data set ``name`` is brought in: a folder like a run's."""
    return Run(folder("datasets") / ".jobs" / name)


def bring_jobs() -> list[Run]:
    """The imports and downloads that were started, the latest first; each with state, status and `ask` like a run."""
    place = folder("datasets") / ".jobs"
    names = os.listdir(place) if place.is_dir() else []
    found = [job for job in map(bring_folder, names) if job.file("state.json").exists()]
    return sorted(found, key=lambda job: -job.state.get("created", 0.0))


def forget_bring(name: str) -> None:
    """Forget how an import or a download went; what it brought stays. Does nothing while it is under way."""
    job = bring_folder(name)
    with _bring_lock():
        if not job.under_way:
            if (source := job.read("job.json").get("source")) and job.status != "finished":
                discard(Path(source))
            shutil.rmtree(job.path, ignore_errors=True)


def dataset_folder(name: str) -> Run:
    """Where a stored set lies; who brought it is its ``owner`` as who started it is a run's."""
    return Run(folder("datasets") / name)


def start_fetch(name: str, owner: Owner | None = None) -> Run:
    """Download and import a catalogue data set in a process of its own. Does nothing if it is under way already."""
    with _bring_lock():
        job = bring_folder(name)
        return job if job.under_way else _bring(name, None, owner)


def start_import(
    source: Path | str, name: str, unlabelled: bool = False, adding: bool = False, owner: Owner | None = None
) -> Run:
    """Import a folder, archive or table as data set ``name``, perhaps somebody's, in a process of its own. Raises
    DatasetError.

    What `uploads` kept is removed once it has been read, or if the import is refused. The options are those of
    `import_dataset`.
    """
    try:
        with _bring_lock():
            name = name if adding else check_free(name)
            if bring_folder(name).under_way:
                raise DatasetError(
                    tr("A data set {name!r} is being imported just now; choose another name.", name=name)
                )
            return _bring(name, source, owner, unlabelled=unlabelled, adding=adding)
    except Exception:
        if all(job.read("job.json").get("source") != str(source) for job in bring_jobs()):  # it may be read, or kept
            discard(Path(source))
        raise


def study_job(kind: str, name: str, **options: str) -> Run | None:
    """The last study of that kind of a data set, with state, status and `ask` like a run's; None if there was none."""
    job = study_folder(kind, name, **options)
    return job if job.file("state.json").exists() else None


def study_folder(kind: str, name: str, **options: str) -> Run:
    """Where a study is written down: a folder like a run's."""
    digest = hashlib.sha256(json.dumps([kind, name, options], sort_keys=True).encode()).hexdigest()[:8]
    return Run(folder("datasets") / ".studies" / f"{kind}-{re.sub('[^0-9A-Za-z]+', '-', name)[:60]}-{digest}")


def start_study(kind: str, name: str, **options: str) -> Run:
    """Begin a study of a data set in a process of its own, see `studies`. Does nothing if it is under way already.

    Raises DatasetError when IMGREC_MAX_STUDIES (8) are under way, each of which holds a process and its memory.
    """
    job = study_folder(kind, name, **options)
    if job.under_way:
        return job
    if _sweep_studies(job.path.parent) >= (most := setting("IMGREC_MAX_STUDIES", 8)):
        raise DatasetError(
            tr(
                "{most:.0f} studies of data sets are under way, and no more may be; begin when one has ended.",
                most=most,
            )
        )
    job.path.mkdir(parents=True, exist_ok=True)
    job.clear_requests()
    job.write("state.json", {"phase": "new", "created": time.time(), "updated": time.time()})
    launch(job, "study", kind, name, json.dumps(options))
    return job


def _sweep_studies(place: Path) -> int:
    """How many are under way; what ended long ago is removed, for most of it is of sets that have changed or are gone."""
    live = 0
    for study in map(Run, place.iterdir() if place.is_dir() else ()):
        if study.under_way:
            live += 1
        elif time.time() - changed_at(study.path) > STUDY_SECONDS:
            shutil.rmtree(study.path, ignore_errors=True)
    return live


def study_result(job: Run | None) -> dict[str, np.ndarray]:
    """What a finished study found, as it was named there; empty if it is not finished, cannot be read, or the data set
    has other pictures by now."""
    if job is None or job.status != "finished":
        return {}
    found = arrays.load(job.file("result.npz"))
    if not {"name", "stamps"} <= found.keys():
        return {}
    name, then = str(found.pop("name")), found.pop("stamps").tolist()
    return found if then == list(stamps(name, edits=False)) else {}


def _bring_lock() -> FileLock:
    """Held while an import or a download is begun, so that no two of one name are."""
    folder("datasets").mkdir(parents=True, exist_ok=True)
    return FileLock(folder("datasets") / ".jobs.lock", timeout=10)


def _bring(name: str, source: Path | str | None, owner: Owner | None, **options: bool) -> Run:
    if reason := no_room():
        raise DatasetError(reason)
    job = bring_folder(name)
    kept = job.read("job.json").get("source")  # what failed may have kept it for a second try, perhaps this one
    if kept and kept != str(source):
        discard(Path(kept))
    shutil.rmtree(job.path, ignore_errors=True)
    job.path.mkdir(parents=True)
    job.give_to(owner)
    job.write("job.json", {"source": source and str(source), "options": options})
    job.write("state.json", {"phase": "new", "created": time.time(), "updated": time.time()})
    launch(job, "bring", name)
    return job


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


def launch(run: Run, *command: str) -> None:
    """Begin a command of ours in a process that outlives this one; what it prints goes to the folder's worker.log.

    Trainings that go on at the same time share the cores. Threads of different processes that take turns on one core would
    wait for each other at the end of every small step: a lesson that takes a second took 44 beside a training, and two
    trainings together did a third of what one does alone.
    """
    workers = queue.workers(queue.device_of(run)) if command[0] == "work" else 1
    share = {"OMP_NUM_THREADS": str(max(1, cores() // workers))} if workers > 1 else {}
    own_session = (
        {"creationflags": 0x8} if os.name == "nt" else {"start_new_session": True}
    )  # Ctrl-C stays with the server
    with run.file("worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "imgrec", *command],
            cwd=Path(__file__).parent.parent,
            env={**share, **os.environ, "IMGREC_HOME": str(home().resolve()), "IMGREC_LANGUAGE": current()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **own_session,
        )
    threading.Thread(target=process.wait, daemon=True, name="until it ends").start()  # or it would stay as a zombie
    _stand_back(process.pid, min(LAST if command[0] == "work" else BEHIND, int(setting("IMGREC_NICE", LAST))))


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
def under_way(job: Run, detail: str) -> Iterator[None]:
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


def teller(job: Run, words: Callable[[int, int | None], str], every: float = 0.2) -> Callable[[int, int | None], None]:
    """A function (done, of how many if known) that writes down how far a job is, at most once in ``every`` seconds."""
    told = 0.0

    def tell(done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told > every:
            told = time.monotonic()
            job.update(progress=done / total if total else 0.0, detail=words(done, total))

    return tell
