"""Imports, downloads and studies of data sets, begun in processes of their own; `tasks` carries them out."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
from filelock import FileLock

from imgrec import arrays, jobs
from imgrec.data import DatasetError, check_free, stamps
from imgrec.data.uploads import discard
from imgrec.home import changed_at, folder, no_room, setting
from imgrec.jobs import Job, Owner
from imgrec.language import tr

STUDY_SECONDS = 30 * 24 * 3600  # how long what a study found stays


def bring_folder(name: str) -> Job:
    """Where it is written down how data set ``name`` is brought in."""
    return Job(folder("datasets") / ".jobs" / name)


def bring_jobs() -> list[Job]:
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


def dataset_folder(name: str) -> Job:
    """Where a stored set lies; who brought it is its ``owner`` as who started it is a run's."""
    return Job(folder("datasets") / name)


def start_fetch(name: str, owner: Owner | None = None) -> Job:
    """Download and import a catalogue data set in a process of its own. Does nothing if it is under way already."""
    with _bring_lock():
        job = bring_folder(name)
        return job if job.under_way else _bring(name, None, owner)


def start_import(
    source: Path | str, name: str, unlabelled: bool = False, adding: bool = False, owner: Owner | None = None
) -> Job:
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


def study_job(kind: str, name: str, **options: str) -> Job | None:
    """The last study of that kind of a data set; None if there was none."""
    job = study_folder(kind, name, **options)
    return job if job.file("state.json").exists() else None


def study_folder(kind: str, name: str, **options: str) -> Job:
    """Where a study is written down."""
    digest = hashlib.sha256(json.dumps([kind, name, options], sort_keys=True).encode()).hexdigest()[:8]
    return Job(folder("datasets") / ".studies" / f"{kind}-{re.sub('[^0-9A-Za-z]+', '-', name)[:60]}-{digest}")


def start_study(kind: str, name: str, **options: str) -> Job:
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
    jobs.launch(job, "study", kind, name, json.dumps(options))
    return job


def _sweep_studies(place: Path) -> int:
    """How many are under way; what ended long ago is removed, for most of it is of sets that have changed or are gone."""
    live = 0
    for study in map(Job, place.iterdir() if place.is_dir() else ()):
        if study.under_way:
            live += 1
        elif time.time() - changed_at(study.path) > STUDY_SECONDS:
            shutil.rmtree(study.path, ignore_errors=True)
    return live


def study_result(job: Job | None) -> dict[str, np.ndarray]:
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


def _bring(name: str, source: Path | str | None, owner: Owner | None, **options: bool) -> Job:
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
    jobs.launch(job, "bring", name)
    return job
