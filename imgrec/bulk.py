"""A whole folder or archive of pictures classified into one CSV, in a process of its own or from the command line.

Each job lies in ``answers/`` under an unguessable name, which is the only way to it: its job.json, state.json, answers.csv,
summary.json and, for looking at, pictures.npz with the first pictures. Old ones are swept.
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from imgrec import arrays, jobs
from imgrec.data import DatasetError
from imgrec.data.layouts import is_picture
from imgrec.data.sources import ARCHIVES, Refused, Source, open_source
from imgrec.data.uploads import discard
from imgrec.home import changed_at, folder, replaced
from imgrec.images import ImageError, safe_name
from imgrec.jobs import LIVE, Cancelled, Job
from imgrec.language import tr
from imgrec.spreadsheet import Sheet

if TYPE_CHECKING:
    from imgrec.predict import Classified

KEPT, KEPT_SECONDS = 50, 7 * 24 * 3600  # how many jobs stay, and how long
SHOWN, SIDE = 400, 64  # pictures that are kept for looking at, and their size in pixels

OnProgress = Callable[[int, int | None], None]  # (pictures done, of how many if that is known)


def start(names: str, source: Path, views: str = "", temperature: float = 1.0) -> Job:
    """Classify all pictures of a folder or an archive with a run, or several with commas between, in a process of its own.

    What `uploads` kept is removed afterwards, or if the job is refused. Raises DatasetError when too many jobs are under way.
    """
    try:
        job = _begin({"names": names, "source": str(source), "views": views, "temperature": temperature})
    except Exception:
        discard(source)
        raise
    jobs.launch(job, "classify", job.name)
    return job


def _begin(asked: dict) -> Job:
    place = folder("answers")
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    if sum(job.status in LIVE for job in map(Job, place.iterdir())) >= 4:
        raise DatasetError(tr("Four folders or archives are being classified already; wait until one is done."))
    job = Job(place / secrets.token_hex(12))
    job.path.mkdir()
    job.write("job.json", asked)
    job.write("state.json", {"phase": "new", "created": time.time(), "updated": time.time()})
    return job


def find(name: str) -> Job | None:
    """The job of that name, or None; names that lead elsewhere are no names."""
    if not (name.isalnum() and name.isascii()):
        return None
    job = Job(folder("answers") / name)
    return job if os.path.exists(job.file("job.json")) else None  # Path.exists raises where a name is too long


def work(name: str) -> None:
    """Carry a job out and write down how far it is. Its messages go to worker.log; raises what went wrong."""
    job = find(name)
    asked, write = job.read("job.json"), jobs.progress_writer(job, _so_far)

    def on_progress(done: int, total: int | None) -> None:
        if job.asked():
            raise Cancelled
        write(done, total)

    with suppress(Cancelled), jobs.under_way(job, tr("loading PyTorch and the network")):
        try:
            from imgrec.predict import open_network

            network = open_network(asked["names"], asked["views"])
            summary = classify(network, [Path(asked["source"])], job.path, asked["temperature"], on_progress)
            job.write("summary.json", summary)
        finally:  # before the job is said to be over
            discard(Path(asked["source"]))


def _so_far(done: int, total: int | None) -> str:
    return tr("{done:,} of {total:,} pictures", done=done, total=total) if total else tr("{done:,} pictures", done=done)


def classify(
    network, sources: Sequence[Path], out: Path, temperature: float = 1.0, on_progress: OnProgress = lambda *_: None
) -> dict:
    """Write ``out``/answers.csv and pictures.npz; the summary {"pictures", "refused", "why", "unknown", "knows", "classes", "seconds"}."""
    began, counts, seen, answers, why = time.monotonic(), Counter(), [], [], []
    with replaced(out / "answers.csv") as file:
        for answer, result in rows(network, sources, file, temperature, on_progress):
            counts["refused" if result.error else "pictures"] += 1
            counts["unknown"] += result.known is False
            if result.error:
                why += [{"file": result.file, "reason": result.error}] * (len(why) < SHOWN)
            else:
                counts["class", answer["answer"]] += 1
                if len(seen) < SHOWN:
                    seen.append(_small(result.seen))
                    answers.append(tuple(answer[key] for key in ("file", "answer", "probability")))
    files, names, sure = zip(*answers, strict=True) if answers else ((), (), ())
    shown = {"pictures": np.array(seen, np.uint8), "files": np.array(files, str), "names": np.array(names, str)}
    arrays.save(out / "pictures.npz", **shown, sure=sure)
    return {
        "pictures": counts["pictures"], "refused": counts["refused"], "why": why, "unknown": counts["unknown"],
        "knows": list(network.classes),
        "classes": {name: counts["class", name] for name in network.classes if counts["class", name]},
        "seconds": time.monotonic() - began,
    }  # fmt: skip


def rows(
    network, sources: Sequence[Path], out: BinaryIO, temperature: float = 1.0, on_progress: OnProgress = lambda *_: None
) -> Iterator[tuple[dict, Classified]]:
    """Write one row of CSV to ``out`` for every picture of files, folders and archives; each row, and what it says in full.

    Raises DatasetError.
    """
    from imgrec.predict import stream

    marked = "utf-8" if all(map(str.isascii, network.classes)) else "utf-8-sig"  # by which Excel knows it
    text = io.TextIOWrapper(
        out, marked, "backslashreplace", newline="", write_through=True
    )  # a file's name may be none
    sheet = Sheet(text, ("file", "error", "known", "answer", "probability", *map(_share, network.classes)))
    total, files = _total(sources), (file for source in sources for file in pictures(source))
    try:
        for done, result in enumerate(stream(network, files), 1):
            result = result.at_temperature(temperature)
            answer = row(network.classes, result)
            sheet.write(answer)
            on_progress(done, total)
            yield answer, result
    finally:
        text.detach()  # or it would close ``out``


def row(classes: Sequence[str], result: Classified) -> dict[str, str | float]:
    """An answer as a row of a table: file, error, known, answer, probability, and the share of each class."""
    if result.error:
        return {"file": result.file, "error": result.error}
    [best] = result.top(classes, 1)
    found = {"file": result.file, "error": "", "known": result.verdict, "answer": best["name"]}
    shares = zip(map(_share, classes), result.probabilities.tolist(), strict=True)
    return found | {"probability": _short(best["probability"])} | {name: _short(share) for name, share in shares}


def _short(share: float) -> float:
    """Six digits that count, however small it is: a thousand of them still sum to 1."""
    return float(f"{share:.6g}")


def _share(name: str) -> str:
    """What the column of a class is called, whatever the class is called."""
    return f"p({name})"


def pictures(path: Path) -> Iterator[tuple[str, bytes | Path | ImageError]]:
    """The pictures of a file, a folder or an archive: name, and content, path or why it must not be read. Of a folder the
    name is the whole path, of an archive the one inside.

    Files in folders and archives that are not called like pictures are passed over. Raises DatasetError.
    """
    if not (path.is_dir() or _is_archive(path)):
        yield str(path), path
        return
    source = open_source(path)
    try:
        for entry in source:
            if not is_picture(entry.name):
                continue
            name = str(path / entry.name) if path.is_dir() else entry.name
            try:
                yield name, source.read(entry)
            except Refused as error:
                yield name, ImageError(f"{safe_name(name)}: {error}.")
    finally:
        source.close()


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() in ARCHIVES


def _total(sources: Sequence[Path]) -> int | None:
    """How many pictures there are, where that is known without reading them all."""
    total = 0
    for path in sources:
        if path.is_dir() or path.suffix.lower() == ".zip":
            source: Source = open_source(path)
            total += sum(map(is_picture, source.names()))
            source.close()
        elif _is_archive(path):
            return None
        else:
            total += 1
    return total


def _small(seen: np.ndarray | tuple) -> np.ndarray:
    """A picture as the network saw it, in colour and SIDE pixels wide, as uint8 (SIDE, SIDE, 3)."""
    from imgrec.images import as_pillow, fit

    return fit(as_pillow(seen), SIDE, 3)


def _sweep(place: Path) -> None:
    """Remove jobs that are old or too many, but none that is under way."""
    found = sorted(place.iterdir(), key=changed_at, reverse=True)
    for number, path in enumerate(found):
        old = time.time() - changed_at(path) > KEPT_SECONDS
        if (old or number >= KEPT) and Job(path).status not in LIVE:
            shutil.rmtree(path, ignore_errors=True)


def load(job: Job) -> tuple[dict, dict[str, np.ndarray]]:
    """The summary and the pictures for looking at of a finished job; empty where they cannot be read."""
    shown = arrays.load(job.file("pictures.npz"))
    summary = job.read("summary.json") if shown else {}
    return (summary, shown) if summary else ({}, {})
