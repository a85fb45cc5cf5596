"""What processes carry out besides trainings: imports, downloads and studies. `jobs` launches them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imgrec import arrays
from imgrec.background import bring_folder, dataset_folder, study_folder
from imgrec.data import classes_of, fetch, import_dataset, open_dataset, stamps
from imgrec.data.dataset import DatasetError, Unsorted
from imgrec.data.uploads import discard
from imgrec.jobs import Cancelled, progress_writer, under_way
from imgrec.language import tr
from imgrec.runs import Run
from imgrec.worker import STATE_EVERY, Requests


def work_bring(name: str) -> None:
    """Carry out an import or a download, writing down how far it is and its report. Raises DatasetError.

    Cancelled when the job is asked to stop.
    """
    job = bring_folder(name)
    asked = job.read("job.json")
    source, options = asked.get("source"), asked.get("options", {})
    bring = partial(import_dataset, Path(source), name, **options) if source else partial(fetch, name)
    with suppress(Cancelled), under_way(job, tr("reading") if source else tr("connecting")):
        try:
            progress = progress_writer(job, lambda done, total: _so_far(done, total, bool(source)))
            report = asdict(bring(progress, lambda: job.asked() is not None))
            if not options.get("adding"):  # who adds to a set does not get it
                with suppress(OSError):  # it may have been deleted at once
                    dataset_folder(name).give_to(job.owner)
            job.update(detail=tr("packing the pixels, so that it opens at once"), progress=0.99)
            with suppress(DatasetError):  # there may be no room for that; whoever trains with it is told
                open_dataset(name)
            job.write("report.json", report)
        except Unsorted:
            job.write("job.json", asked | {"again": True})
            raise
        finally:  # before the job is said to be over
            if source and "again" not in job.read("job.json"):
                discard(Path(source))


def work_study(
    kind: str, name: str, progress: Callable[[float], None] | None = None, process: bool = False, **options: str
) -> dict[str, np.ndarray]:
    """Carry out a study of a data set, write down what it found and give it. See `studies` for the kinds.

    ``process``: this process is the study's own and may be ended from within if a stop is not heeded in time. Raises
    DatasetError, RunError and others, and Cancelled when the job is asked to stop.
    """
    from imgrec.studies import STUDIES

    job = study_folder(kind, name, **options)
    job.path.mkdir(parents=True, exist_ok=True)
    with under_way(job, tr("loading")):
        if not process:  # `start_study` did, and who cancels may have been quicker than this process
            job.clear_requests()
        requests, shown = Requests(job, process), 0.0

        def on_progress(share: float, detail: str = "") -> None:
            nonlocal shown
            if progress:
                progress(share)
            if requests.word or job.asked():
                raise Cancelled(tr("The study of {name} was cancelled.", name=name))
            if time.monotonic() - shown > STATE_EVERY:
                shown = time.monotonic()
                job.update(phase="training", progress=share, detail=detail)

        try:
            before = stamps(name, edits=False)
            found = STUDIES[kind](name, on_progress, **options)
            arrays.save(job.file("result.npz"), **found, name=name, stamps=np.array(before, np.int64))
            return found
        finally:
            requests.done.set()


def measure_elsewhere(
    run: Run, name: str, progress: Callable[[float], None] | None = None, called: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """How a run does on the data set ``name``, which it did not learn from; see `elsewhere.summary`. Raises what `work_study`
    does."""
    from imgrec.elsewhere import fitting, judge, own_test, summary
    from imgrec.predict import open_network

    network = open_network(run.name)
    fitting(network, name, classes_of(name), called)  # or it is refused at once
    found = work_study("elsewhere", name, progress, run=run.name)
    there = judge(network, network.dataset(name), found, called)
    return summary(there, own_test(run, network.classes))


def _so_far(done: int, total: int | None, files: bool) -> str:
    if files:
        return tr("{done:,} of {total:,} files", done=done, total=total) if total else tr("{done:,} files", done=done)
    return tr("{done:.0f} of {total:.0f} MB", done=done / 1000000.0, total=(total or 0) / 1000000.0)
